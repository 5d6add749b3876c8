"""Tidy tables of the amodal wing: the right numbers from a results table."""

import numpy as np
import pandas as pd
import pytest

from amodal import tables, toy_examples
from reprise import results
from reprise.amodal import tidy, tidy_examples
from reprise.amodal.examples import Example
from reprise.amodal.figures import FIGURES, TABLES

RUN = tables.table(tables.rows())
ALL = {name: make for name, (make, _) in FIGURES.items() if name != "diagram"} | TABLES


@pytest.mark.parametrize("name", ALL)
def test_a_table_without_rows_gives_no_data(name: str):
    assert ALL[name](results.expand(results.table([]))).empty


@pytest.mark.parametrize("name", ALL)
def test_data_sets_come_in_the_order_of_the_results(name: str):
    turned = pd.concat([RUN[RUN["dataset"] == dataset] for dataset in reversed(tables.DATASETS)])
    order = tidy.datasets(ALL[name](turned))
    assert order == [dataset for dataset in reversed(tables.DATASETS) if dataset in order]
    assert order == ["fishbowl_lite"] if name == "adaptation" else len(order) == 3


def test_methods_hold_every_average_with_its_spread_and_interval():
    table = tidy.methods(RUN)
    adapted = table[(table["domain"] == "unseen") & (table["method"] == "savos")].set_index("adapted")
    table = table[table["domain"] == "test"].set_index(["dataset", "method"]).sort_index()
    savos = table.loc[("chewgum", "savos")]
    assert savos["iou_full_frame"] == pytest.approx(0.835)  # seeds 0.833 and 0.837
    assert savos["iou_full_frame_sd"] == pytest.approx(np.std([0.833, 0.837], ddof=1))
    assert savos["iou_full_image"] == pytest.approx(0.834)
    assert savos["iou_occluded_video"] == pytest.approx(0.634)
    assert savos["iou_occluded_video_low"] == pytest.approx(0.614)
    assert savos["iou_occluded_video_high"] == pytest.approx(0.654)
    assert savos["seeds"] == 2
    assert savos["n_params"] == 740_000
    convex = table.loc[("chewgum", "convex")]
    assert np.isnan(convex["iou_full_frame_sd"])
    assert np.isnan(convex["n_params"])
    assert list(adapted.index) == ["", "50", "100", "150", "200"]
    assert adapted.loc["200", "iou_full_frame"] == pytest.approx(0.876 - 0.134 + 0.054)


def test_methods_stand_in_one_order_and_without_ablations():
    table = tidy.methods(RUN)
    part = table[(table["dataset"] == "chewgum") & (table["domain"] == "test")]
    assert part["label"].tolist() == [
        "visible mask", "convex hull", "PCNet-M", "PCNet-M (unoccluded only)", "per frame", "SaVos", "supervised",
        "supervised U-Net",
    ]  # fmt: skip


def test_occlusion_rate_leaves_out_empty_bins():
    rows = [
        tables.row("chewgum", "savos", metric, value, seed=seed, rate=rate, n=n)
        for metric, value in (("iou_full", 0.8), ("iou_occluded", 0.6))
        for seed in (0, 1)
        for rate, n in ((0.0, 20), (0.1, 7), (0.2, 0))
    ]
    data = tidy.occlusion_rate(tables.table(rows))
    assert data["rate"].tolist() == pytest.approx([0.0, 0.1])
    assert data["frames"].tolist() == [20, 7]
    assert data["iou_occluded"].tolist() == pytest.approx([0.6, 0.6])
    assert data["iou_full_sd"].tolist() == pytest.approx([0.0, 0.0])
    assert data["seeds"].tolist() == [2, 2]


def test_adaptation_starts_at_the_network_as_trained():
    data = tidy.adaptation(RUN)
    savos = data[data["method"] == "savos"].set_index("step")
    assert list(savos.index) == [0, 50, 100, 150, 200]
    assert savos["iou_occluded"].tolist() == pytest.approx([0.442 + 0.079 * k / 4 for k in range(5)])
    assert data[data["method"] == "convex"]["step"].tolist() == [0]


def test_a_row_of_no_steps_is_the_network_as_trained():
    extra = tables.iou("fishbowl_lite", "savos", 0.9, 0.9, domain="unseen", adapted=0)
    data = tidy.adaptation(tables.table(tables.rows(), extra))
    start = data[(data["method"] == "savos") & (data["step"] == 0)]
    assert start["iou_full"].tolist() == pytest.approx([0.742])
    assert start["seeds"].tolist() == [2]


def test_hidden_pixels_are_those_of_the_test_videos():
    data = tidy.hidden_pixels(RUN).set_index(["dataset", "method"])
    savos = data.loc[("fishbowl_lite", "savos")]
    values = savos[["recall_revealed", "recall_never_revealed", "false_positive"]]
    assert values.tolist() == pytest.approx([0.761, 0.681, 0.061])


def test_ablations_are_compared_with_the_same_seed():
    data = tidy.ablations(RUN).set_index(["dataset", "method", "seed"]).sort_index()
    assert data.loc[("chewgum", "no_consistency", 0), "iou_occluded"] == pytest.approx(0.602 - 0.634)
    assert data.loc[("chewgum", "per_frame", 1), "iou_full"] == pytest.approx(0.812 - 0.833)
    assert data.loc[("chewgum", "savos"), "iou_full"].tolist() == pytest.approx([-0.002, 0.002])
    assert not {"convex", "supervised"} & set(data.index.get_level_values("method"))


def test_an_ablation_of_another_seed_is_compared_with_the_mean():
    extra = tables.iou("chewgum", "forward_only", 0.80, 0.60, seed=7)
    data = tidy.ablations(tables.table(tables.rows(), extra)).set_index(["dataset", "method", "seed"]).sort_index()
    assert data.loc[("chewgum", "forward_only", 7), "iou_full"] == pytest.approx(0.80 - 0.835)


def test_without_savos_there_is_nothing_to_compare_with():
    assert tidy.ablations(RUN[RUN["method"] != "savos"]).empty


def test_the_table_of_ablations_holds_levels_and_differences():
    table = tidy.ablation_table(RUN).set_index(["dataset", "method"])
    assert table.loc[("chewgum", "forward_only"), "iou_full"] == pytest.approx(0.822)
    assert table.loc[("chewgum", "forward_only"), "iou_full_minus_savos"] == pytest.approx(0.822 - 0.833)
    assert np.isnan(table.loc[("chewgum", "savos"), "iou_full_minus_savos"])
    assert table.loc[("chewgum", "per_frame"), "seeds"] == 2


def test_reliability_holds_shares_of_pixels():
    data = tidy.reliability(RUN)
    part = data[(data["dataset"] == "chewgum") & (data["method"] == "savos")]
    assert part["bin"].tolist() == list(range(10))
    assert part["confidence"].tolist() == pytest.approx([(k + 0.5) / 10 for k in range(10)])
    assert part["accuracy"].iloc[3] == pytest.approx(0.05 + 0.85 * 0.35)
    assert part["share"].sum() == pytest.approx(1.0)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return toy_examples.make(tmp_path_factory.mktemp("toy"))


def test_pictures_come_with_the_scores_of_every_frame(shown: list[Example]):
    data = tidy_examples.strips(shown)
    assert set(data["method"]) == {"savos", "completion"}
    assert len(data) == 2 * toy_examples.T
    (example,) = tidy_examples.of_role(shown, "typical")
    mine = data[data["method"] == "savos"]
    assert mine["iou_occluded"].tolist() == example.iou_occluded("savos").tolist()
    assert mine["frame"].tolist() == list(range(toy_examples.T))
    assert set(tidy_examples.failures(shown)["role"]) == {"failure"}
    assert tidy_examples.strips([]).empty


def test_motion_is_that_into_a_frame(shown: list[Example]):
    data = tidy_examples.motion(shown)
    assert data[["visible_x", "true_x", "amodal_x"]].iloc[0].isna().all()
    assert data["visible_x"].iloc[1:].tolist() == pytest.approx([1.0] * (toy_examples.T - 1))
    assert data["true_x"].iloc[1:].tolist() == pytest.approx([1.0] * (toy_examples.T - 1))
    assert data["amodal_x"].iloc[1:].tolist() == pytest.approx([1.5] * (toy_examples.T - 1))
    assert data["true_y"].iloc[1:].tolist() == pytest.approx([0.0] * (toy_examples.T - 1))
    assert data["weight"].iloc[0] == 1.0
    assert data["gap"].tolist() == [0.25] * toy_examples.T
