"""Headline metrics of the circuits wing."""

import pytest

from circuits import tables
from reprise.circuits.headline import headline

RUN = tables.table(tables.rows(), tables.latency_rows())


def test_headline_holds_means_over_seeds_and_shifts():
    numbers = headline(RUN)
    assert set(numbers) == {*tables.DATASETS, "operations"}
    assert numbers["handwriting"]["nac_iid"] == pytest.approx(0.939)
    assert numbers["handwriting"]["perceiver_ood"] == pytest.approx(0.911 - (0.40 + 0.20 + 0.48) / 3)
    assert "nac_ood" not in numbers["listops"]  # which has no shifted test set


def test_losses_of_pruning_are_those_of_the_order_that_the_method_has():
    block = headline(RUN)["handwriting"]
    assert block["nac_lost_at_half"] == pytest.approx(0.014)
    assert block["nac_reversed_lost_at_half"] == pytest.approx(0.150)
    assert block["nac_nested_lost_at_quarter"] == pytest.approx(0.023)
    assert block["perceiver_lost_at_half"] == pytest.approx(0.100 + 0.002 * 2)  # the mean over five draws
    assert not [name for name in block if "reversed" in name and not name.startswith("nac_reversed")]


def test_few_shots_text_and_priors_have_their_places():
    numbers = headline(RUN)
    assert numbers["characters"]["nac_few_shot_5"] == pytest.approx(0.745)
    assert numbers["nlvr_mini"]["swapped_follows"] == pytest.approx(0.93)
    assert numbers["nlvr_mini"]["similarity_p"] == pytest.approx(0.001)
    assert numbers["handwriting"]["nac_prior_error"] == pytest.approx(0.003)
    assert not [name for name in numbers["handwriting"] if "planted" in name]  # ablations stand in the figures' data


def test_no_time_gets_in():
    slow = [row | {"value": row["value"] * 3} for row in tables.latency_rows() if "macs" not in row["metric"]]
    kept = [row for row in tables.latency_rows() if "macs" in row["metric"]]
    assert headline(tables.table(tables.rows(), slow, kept)) == headline(RUN)
    assert headline(RUN)["operations"]["interpreter_tokens"] == pytest.approx(1.6)


def test_what_was_not_measured_is_left_out():
    (block,) = headline(tables.table(tables.rows(datasets=["listops"], seeds=(0,)))).values()
    assert set(block) == {"nac_iid", "perceiver_iid", "interpreter_iid"}
