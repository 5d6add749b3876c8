"""Analysis 5: networks are matched in everything but one factor; what they differ by, and how levels rank."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from assay.analysis.frames import SETTINGS, value, values, wide_frame
from assay.tables import sweep_table
from reprise import results
from reprise.assay.analysis.interventions import interventions, ranks
from reprise.assay.analysis.wide import wide

CELLS = list(product(["cnn", "vit"], ["full", "fewshot_10"], ["full", "head"], ["standard", "rand"]))


def grid(effect, cells=CELLS, **columns):
    """One network per cell, its OOD error given by `effect(model, regime, finetune, augment)`."""
    model, regime, finetune, augment = (list(names) for names in zip(*cells, strict=True))
    return wide_frame(
        len(cells),
        model=model,
        regime=regime,
        finetune=finetune,
        augment=augment,
        lr=["0.001" if name == "full" else "0.005" for name in finetune],
        ood_error=[effect(*cell) for cell in cells],
        **columns,
    )


def additive(model, regime, finetune, augment):
    """Augmentation takes 0.1 (0.2 with little data); head-only training adds 0.05; the ViT is worse."""
    gain = {"full": 0.1, "fewshot_10": 0.2}[regime] * (augment == "rand")
    return 0.5 - gain + 0.05 * (finetune == "head") + 0.2 * (model == "vit")


ROWS = interventions(grid(additive), SETTINGS)
AUGMENT = {"factor": "augment", "level": "rand", "baseline": "standard", "of": "ood_error"}
FINETUNE = {"factor": "finetune", "level": "full", "baseline": "head", "of": "ood_error"}


@pytest.mark.parametrize(("regime", "expected"), [("full", -0.1), ("fewshot_10", -0.2), ("all", -0.15)])
def test_difference_of_matched_networks_by_regime(regime, expected):
    for average in ("", "pairs"):
        where = {**AUGMENT, "regime": regime, "average": average}
        where |= {"dataset": "digits"}
        assert value(ROWS, "difference", **where) == pytest.approx(expected)


def test_strategies_match_though_their_learning_rates_differ():
    assert value(ROWS, "difference", **FINETUNE, regime="all", average="") == pytest.approx(-0.05)


def test_number_of_matches_and_shares():
    of_pair = [row for row in ROWS if row["train_domain"] and "factor=augment" in row["setting"]]
    assert {row["n"] for row in of_pair if "regime=all" in row["setting"]} == {8}
    where = {**AUGMENT, "regime": "all", "average": "pairs", "dataset": "digits"}
    assert value(ROWS, "share_positive", **where) == 0
    assert value(ROWS, "share_negative", **where) == 1
    even = interventions(grid(lambda *cell: 0.5), SETTINGS)
    assert value(even, "share_positive", **where) == value(even, "share_negative", **where) == 0


def test_two_rates_are_matched_by_their_place():
    """0.001 and 0.01 of all parameters meet 0.005 and 0.05 of the head."""
    rates = {"full": ("0.001", "0.01"), "head": ("0.005", "0.05")}
    frame = wide_frame(
        4,
        model="cnn",
        finetune=["full", "full", "head", "head"],
        lr=[*rates["full"], *rates["head"]],
        ood_error=[0.1, 0.4, 0.2, 0.7],
    )
    rows = interventions(frame, SETTINGS)
    assert value(rows, "difference", **FINETUNE, regime="all", average="") == pytest.approx((-0.1 - 0.3) / 2)
    assert value(rows, "share_negative", **FINETUNE, regime="all", average="pairs", dataset="digits") == 1


def test_networks_without_a_match_are_left_out():
    frame = grid(additive)
    alone = (frame["model"] == "vit") & (frame["regime"] == "full") & (frame["augment"] == "rand")
    frame.loc[~alone & (frame["augment"] == "rand"), "ood_error"] -= 0.3
    rows = interventions(frame[~alone], SETTINGS)
    assert value(rows, "difference", **AUGMENT, regime="full", average="") == pytest.approx(-0.4)
    everything = [row for row in rows if "regime=full" in row["setting"] and "level=rand" in row["setting"]]
    assert {row["n"] for row in everything if row["train_domain"]} == {2}


def test_identity_is_the_baseline_where_it_was_run():
    cells = [("cnn", "full", "full", level) for level in ("identity", "standard", "rand")]
    rows = interventions(grid(lambda m, r, f, a: len(a) / 10, cells), SETTINGS)
    said = {row["setting"] for row in rows if row["metric"] == "difference" and row["train_domain"]}
    assert all("baseline=identity" in text for text in said)
    assert value(rows, "difference", level="rand", regime="all", average="") == pytest.approx(-0.4)


def test_strategies_meet_the_mean_of_full_fine_tuning_of_their_cell():
    sweep = wide_frame(2, model="cnn", lr=["0.001", "0.01"], ood_error=[0.3, 0.5])
    others = wide_frame(
        3,
        model="cnn",
        arm="strategies",
        run=["a", "b", "c"],
        finetune=["lp_ft", "wise_ft", "wise_ft"],
        alpha=["", "0.5", "1"],
        ood_error=[0.3, 0.2, 0.4],
    )
    rows = interventions(pd.concat([sweep, others]), SETTINGS)
    where = {"baseline": "full", "regime": "all", "average": "", "of": "ood_error"}
    found = {level: value(rows, "difference", level=level, **where) for level in ("lp_ft", "wise_ft_0.5", "wise_ft_1")}
    assert found == pytest.approx({"lp_ft": -0.1, "wise_ft_0.5": -0.2, "wise_ft_1": 0})


def test_interval_covers_the_spread_of_the_differences():
    random = np.random.default_rng(0)
    frame = pd.concat([grid(additive).assign(seed=seed) for seed in range(5)], ignore_index=True)
    frame["run"] = [f"{k:08x}" for k in range(len(frame))]
    noise = 0.1 * random.normal(size=len(frame))
    rows = interventions(frame.assign(ood_error=frame["ood_error"] + noise), SETTINGS)
    where = {**AUGMENT, "regime": "all", "average": "pairs", "dataset": "digits"}
    low, high = (value(rows, f"difference_ci_{end}", **where) for end in ("low", "high"))
    assert low < -0.15 < high
    # The standard error of 40 differences, each of two networks' noise and of the two regimes.
    expected = np.sqrt(2 * 0.1**2 + 0.05**2) / np.sqrt(40)
    assert (high - low) / (2 * 1.96) == pytest.approx(expected, rel=0.4)


def test_mean_rank_of_each_level():
    rows = ranks(grid(additive), SETTINGS)
    for level, expected in (("rand", 1), ("standard", 2)):
        assert value(rows, "mean_rank", factor="augment", level=level, regime="all", average="") == expected
    cells = [("cnn", regime, "full", level) for regime in ("full", "fewshot_10") for level in ("identity", "a", "b")]
    errors = dict(zip(cells, [0.1, 0.2, 0.3, 0.5, 0.4, 0.4], strict=True))
    rows = ranks(grid(lambda *cell: errors[cell], cells), SETTINGS)
    found = {level: value(rows, "mean_rank", level=level, regime="all", average="") for level in ("identity", "a", "b")}
    assert found == {"identity": 2.0, "a": 1.75, "b": 2.25}


def test_one_level_is_no_intervention():
    frame = wide_frame(4, ood_error=0.3)
    assert interventions(frame, SETTINGS) == []
    assert ranks(frame, SETTINGS) == []


def test_metrics_of_the_synthetic_table():
    frame = wide(results.expand(sweep_table(arms=("sweep", "strategies"))))
    rows = interventions(frame, SETTINGS)
    said = {row["setting"].split(";of=")[1].split(";")[0] for row in rows}
    assert said == {
        "id_error", "ood_error", "corrupted_error", "id_adversarial_error_small", "id_adversarial_error_large",
        "id_ece", "ood_ece",
    }  # fmt: skip
    where = {"factor": "finetune", "level": "full", "of": "id_error", "regime": "all", "dataset": "digits"}
    assert value(rows, "difference", **where, average="pairs") < -0.05
    assert len(values(rows, "difference", **where, average="")) == 30
