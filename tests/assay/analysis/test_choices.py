"""Analysis 7 and 8: what choosing without OOD labels costs, and who is above the line."""

import numpy as np
import pandas as pd
import pytest

from assay.analysis.frames import SETTINGS, value, values, wide_frame
from reprise.assay.analysis.bootstrap import resample
from reprise.assay.analysis.regret import error_of_chosen, selection
from reprise.assay.analysis.robustness import effective_robustness, residuals
from reprise.assay.analysis.settings import Settings


def test_regret_by_hand():
    frame = wide_frame(
        4,
        ood_error=[0.5, 0.2, 0.4, 0.3],
        id_val_error=[0.1, 0.3, 0.2, 0.4],
        heldout_error=[0.9, 0.8, 0.9, 0.1],
    )
    rows = selection(frame, SETTINGS)
    for average in ("", "pairs"):
        where = {"average": average, "dataset": "digits"}
        assert value(rows, "regret", rule="id_val", **where) == pytest.approx(0.3)
        assert value(rows, "regret", rule="heldout_ood", **where) == pytest.approx(0.1)
        assert value(rows, "regret", rule="random", **where) == pytest.approx(0.15)


def test_ties_share_the_regret():
    frame = wide_frame(3, ood_error=[0.5, 0.2, 0.1], id_val_error=[0.1, 0.1, 0.3])
    rows = selection(frame, SETTINGS)
    assert value(rows, "regret", rule="id_val", average="") == pytest.approx(0.25)
    assert not values(rows, "regret", rule="heldout_ood")


def test_the_chosen_network_is_one_that_was_drawn():
    random = np.random.default_rng(0)
    criterion, error = random.integers(0, 4, 10).astype(float), random.uniform(size=10)
    weights = resample(10, 30, 0, "choice")
    for w, found in zip(weights, error_of_chosen(criterion, error, weights), strict=True):
        drawn = np.repeat(np.arange(10), w.astype(int))
        best = drawn[criterion[drawn] == criterion[drawn].min()]
        assert found == pytest.approx(error[best].mean())


def test_regret_is_never_negative():
    random = np.random.default_rng(1)
    frame = wide_frame(20, ood_error=random.uniform(size=20), id_val_error=random.uniform(size=20))
    assert all(row["value"] >= 0 for row in selection(frame, SETTINGS))


def logistic(z):
    return 1 / (1 + np.exp(-z))


LOGIT_ID = np.linspace(0, 3, 12)
ABOVE = np.resize([0.0, 0.5, 0.25], 12)  # in step with augment below
CLOUD = wide_frame(
    12,
    id_error=1 - logistic(LOGIT_ID),
    ood_error=1 - logistic(0.5 * LOGIT_ID - 1 + ABOVE),
    augment=np.resize(["standard", "rand", "augmix"], 12),
    n_id=100_000,
    n_ood=100_000,
)


def test_residuals_are_those_of_least_squares():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 15))
    reference = np.arange(15) < 10
    weights = resample(15, 20, 0, "residuals")
    for w, found in zip(weights, residuals(x, y, reference, weights), strict=True):
        drawn = np.repeat(np.arange(15), (w * reference).astype(int))
        slope, intercept = np.polyfit(x[drawn], y[drawn], 1)
        np.testing.assert_allclose(found, y - slope * x - intercept, atol=1e-10)


def test_levels_above_the_line():
    rows = effective_robustness(CLOUD, SETTINGS)
    names = ("standard", "rand", "augmix")
    found = {name: value(rows, "residual", by="augment", level=name, average="") for name in names}
    slope, intercept = np.polyfit(LOGIT_ID, 0.5 * LOGIT_ID - 1 + ABOVE, 1)
    expected = 0.5 * LOGIT_ID - 1 + ABOVE - slope * LOGIT_ID - intercept
    for k, name in enumerate(names):
        assert found[name] == pytest.approx(expected[k::3].mean(), abs=1e-6)
    assert sum(found.values()) == pytest.approx(0, abs=1e-9)


def test_strategies_are_measured_from_the_line_of_the_sweep():
    plain = CLOUD.assign(ood_error=1 - logistic(0.5 * LOGIT_ID - 1))
    other = plain.iloc[:2].assign(
        arm="strategies", run=["x", "y"], finetune="wise_ft", alpha=["0.5", "1"],
        ood_error=1 - logistic(0.5 * LOGIT_ID[:2] - 1 + [0.3, 0.0]),
    )  # fmt: skip
    rows = effective_robustness(pd.concat([plain, other]), SETTINGS)
    assert value(rows, "residual", by="finetune", level="wise_ft_0.5", average="") == pytest.approx(0.3, abs=1e-6)
    assert value(rows, "residual", by="finetune", level="wise_ft_1", average="") == pytest.approx(0, abs=1e-6)
    assert value(rows, "residual", by="finetune", level="full", average="") == pytest.approx(0, abs=1e-6)
    assert not values(rows, "residual", by="method")


def test_pooled_networks_are_measured_from_erm_on_the_same_data():
    pooled = CLOUD.assign(
        arm="invariance", train_domain="color+pen", method=["erm"] * 8 + ["irm"] * 4,
        ood_error=1 - logistic(LOGIT_ID - 1 + np.where(np.arange(12) < 8, 0, 0.4)),
    )  # fmt: skip
    rows = effective_robustness(pooled, SETTINGS)
    assert value(rows, "residual", by="method", level="irm", average="") == pytest.approx(0.4, abs=1e-6)
    assert value(rows, "residual", by="method", level="erm", average="") == pytest.approx(0, abs=1e-6)
    assert not values(rows, "residual", by="augment")


def test_without_a_line_there_is_no_residual():
    assert effective_robustness(CLOUD.iloc[:2], SETTINGS) == []
    assert effective_robustness(CLOUD.assign(id_error=0.2), SETTINGS) == []
    assert effective_robustness(CLOUD.assign(method="irm"), SETTINGS) == []


def test_scale_of_the_line_is_a_setting():
    rows = effective_robustness(CLOUD, Settings(classes={}, bootstrap=0, transform="raw"))
    found = value(rows, "residual", by="augment", level="rand", average="")
    x, y = 1 - CLOUD["id_error"].to_numpy(), 1 - CLOUD["ood_error"].to_numpy()
    slope, intercept = np.polyfit(x, y, 1)
    assert found == pytest.approx((y - slope * x - intercept)[1::3].mean())
