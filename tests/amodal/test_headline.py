"""Headline metrics of the amodal wing."""

import pytest

from amodal import tables
from reprise.amodal.headline import headline


def test_headline_is_small_and_holds_means_over_seeds():
    numbers = headline(tables.table(tables.rows()))
    assert list(numbers) == list(tables.DATASETS)
    assert all(len(block) <= 16 for block in numbers.values())
    block = numbers["chewgum"]
    assert block["savos_iou_full"] == pytest.approx(0.835)
    assert block["convex_iou_occluded"] == pytest.approx(0.386)
    assert block["gain_over_completion_iou_occluded"] == pytest.approx(0.052)
    assert block["gain_over_per_frame_iou_full"] == pytest.approx(0.021)
    assert not [name for name in block if name.startswith("adaptation")]


def test_adaptation_gains_are_those_of_the_most_steps():
    block = headline(tables.table(tables.rows()))["fishbowl_lite"]
    assert block["adaptation_gain_savos_iou_full"] == pytest.approx(0.054)
    assert block["adaptation_gain_savos_iou_occluded"] == pytest.approx(0.079)
    assert block["adaptation_gain_completion_iou_occluded"] == pytest.approx(-0.025)


def test_what_was_not_measured_is_left_out():
    runs = {"visible": (0,), "convex": (0,), "savos": (0,)}
    (block,) = headline(tables.table(tables.rows(datasets=["chewgum"], runs=runs))).values()
    assert set(block) == {"savos_iou_full", "savos_iou_occluded", "convex_iou_full", "convex_iou_occluded"}


def test_without_adaptation_there_is_no_gain():
    block = headline(tables.table(tables.rows(steps=())))["fishbowl_lite"]
    assert not [name for name in block if name.startswith("adaptation")]
