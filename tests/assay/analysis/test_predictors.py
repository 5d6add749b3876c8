"""Analysis 1, 3, 10: predictors of OOD error, transfer of each metric, label-free estimates."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from assay.analysis.frames import SETTINGS, value, values, wide_frame
from assay.tables import CLASSES, sweep_table
from reprise import results
from reprise.assay.analysis.predictors import predictors
from reprise.assay.analysis.settings import Settings
from reprise.assay.analysis.transfer import estimators, transfer
from reprise.assay.analysis.wide import wide

RAW = Settings(classes=CLASSES, bootstrap=20, transform="raw")
WIDE = wide(results.expand(sweep_table(arms=("sweep",))))
PAIR = {"dataset": "digits", "train_domain": "pen", "test_domain": "color"}
ONE = WIDE[(WIDE[list(PAIR)] == pd.Series(PAIR)).all(axis=1)]
ROWS = predictors(WIDE, RAW)


def least_squares_r2(y, *columns):
    """Columns that others add up to but for rounding count as such."""
    design = np.column_stack([np.ones(len(y)), *(stats.zscore(column) for column in columns)])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=1e-9)[0]
    return 1 - residual @ residual / ((y - y.mean()) ** 2).sum()


@pytest.mark.parametrize("name", ["id_error", "id_ece", "corrupted_nll", "heldout_error", "estimate_atc"])
def test_a_pair_by_scipy_and_least_squares(name):
    x, y, n = ONE[name].to_numpy(), ONE["ood_error"].to_numpy(), len(ONE)
    r2 = least_squares_r2(y, x)
    assert value(ROWS, "spearman", predictor=name, **PAIR) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert value(ROWS, "r2", predictor=name, **PAIR) == pytest.approx(r2)
    assert value(ROWS, "adjusted_r2", predictor=name, **PAIR) == pytest.approx(1 - (1 - r2) * (n - 1) / (n - 2))


def test_gain_is_what_a_predictor_adds_to_id_error():
    x, y, n = ONE["id_ece"].to_numpy(), ONE["ood_error"].to_numpy(), len(ONE)
    alone = 1 - (1 - least_squares_r2(y, ONE["id_error"])) * (n - 1) / (n - 2)
    both = 1 - (1 - least_squares_r2(y, ONE["id_error"], x)) * (n - 1) / (n - 3)
    assert value(ROWS, "gain", predictor="id_ece", **PAIR) == pytest.approx(both - alone)
    rho = {name: value(ROWS, "spearman", predictor=name, **PAIR) for name in ("id_ece", "id_error")}
    assert value(ROWS, "minus_id_error", predictor="id_ece", **PAIR) == pytest.approx(rho["id_ece"] - rho["id_error"])
    assert not values(ROWS, "gain", predictor="id_error")
    assert not values(ROWS, "minus_id_error", predictor="id_error")


def test_joint_fits_use_their_columns():
    """ "all" leaves out the label-free estimates."""
    names = [f"id_{m}" for m in ("error", "nll", "ece", "demographic_disparity")]
    names += ["id_adversarial_error_large", "id_adversarial_error_small"]
    more = [f"corrupted_{m}" for m in ("error", "nll", "ece", "demographic_disparity")] + ["heldout_error"]
    y, n = ONE["ood_error"].to_numpy(), len(ONE)
    for label, columns in (("id", names), ("all", names + more)):
        r2 = least_squares_r2(y, *(ONE[name] for name in columns))
        expected = 1 - (1 - r2) * (n - 1) / (n - len(columns) - 1)
        assert value(ROWS, "adjusted_r2", predictor=label, **PAIR) == pytest.approx(expected, abs=1e-5)
        assert value(ROWS, "r2_cross", predictor=label, **PAIR) < r2


def test_averages_with_intervals_are_over_all_pairs():
    rho = values(ROWS, "spearman", predictor="id_nll", average="", dataset="digits")
    average = {"predictor": "id_nll", "average": "pairs", "dataset": "digits"}
    assert len(rho) == 30
    assert value(ROWS, "spearman", **average) == pytest.approx(np.mean(rho))
    low, high = (value(ROWS, f"spearman_ci_{end}", **average) for end in ("low", "high"))
    assert low < np.mean(rho) < high


def test_interval_is_that_of_a_naive_loop_over_training_domains():
    random = np.random.default_rng(0)
    digits = WIDE[WIDE["dataset"] == "digits"]
    clouds = {
        train: [part[["id_error", "ood_error"]].to_numpy() for _, part in rows.groupby("test_domain")]
        for train, rows in digits.sort_values("run").groupby("train_domain")
    }
    naive = []
    for _ in range(400):
        found = []
        for members in clouds.values():
            drawn = random.integers(0, 32, 32)
            found += [np.corrcoef(stats.rankdata(cloud[drawn], axis=0).T)[0, 1] for cloud in members]
        naive.append(np.mean(found))
    rows = predictors(WIDE, Settings(classes=CLASSES, bootstrap=400))
    where = {"predictor": "id_error", "average": "pairs", "dataset": "digits"}
    ours = [value(rows, f"spearman_ci_{end}", **where) for end in ("low", "high")]
    assert ours == pytest.approx(list(np.percentile(naive, [2.5, 97.5])), abs=0.02)


def test_rank_statistics_ignore_the_scale_and_fits_follow_it():
    logit = predictors(WIDE, Settings(classes=CLASSES, bootstrap=0))
    raw = predictors(WIDE, Settings(classes=CLASSES, bootstrap=0, transform="raw"))
    assert values(logit, "spearman") == values(raw, "spearman")
    assert values(logit, "r2") != values(raw, "r2")
    assert not [row for row in logit if "_ci_" in row["metric"]]


def test_constant_or_missing_predictors_give_no_row():
    y = np.linspace(0.2, 0.8, 9)
    missing = np.where(np.arange(9) == 3, np.nan, y)
    frame = wide_frame(9, ood_error=y, id_error=y**2, id_nll=1.0, id_ece=missing, heldout_error=np.nan)
    rows = predictors(frame, SETTINGS)
    said = {row["setting"].split("predictor=")[1] for row in rows}
    assert said == {"id_error", "id", "all"}
    assert value(rows, "spearman", predictor="id_error", average="") == pytest.approx(1)
    assert np.isfinite([row["value"] for row in rows]).all()


def test_constant_ood_error_or_two_networks_give_no_row():
    y = np.linspace(0.2, 0.8, 9)
    assert predictors(wide_frame(9, ood_error=0.5, id_error=y), SETTINGS) == []
    assert predictors(wide_frame(2, ood_error=y[:2], id_error=y[:2]), SETTINGS) == []


def test_a_better_predictor_comes_out_better():
    """The table plants it: held-out OOD error knows the network, ECE knows nothing."""
    where = {"average": "pairs", "dataset": "digits"}
    rho = {
        name: value(ROWS, "spearman", predictor=name, **where) for name in ("heldout_error", "id_ece", "estimate_atc")
    }
    assert rho["estimate_atc"] > rho["heldout_error"] > rho["id_ece"]
    assert abs(rho["id_ece"]) < 0.2


def test_transfer_is_a_metric_against_itself():
    rows = transfer(WIDE, RAW)
    for name in ("error", "nll", "adversarial_error_small"):
        x, y = ONE[f"id_{name}"], ONE[f"ood_{name}"]
        assert value(rows, "spearman", of=name, **PAIR) == pytest.approx(stats.spearmanr(x, y).statistic)
        assert value(rows, "r2", of=name, **PAIR) == pytest.approx(stats.pearsonr(x, y).statistic ** 2)
    average = {"average": "pairs", "dataset": "digits"}
    assert value(rows, "spearman", of="adversarial_error_large", **average) > 0.3
    assert abs(value(rows, "spearman", of="ece", **average)) < 0.2


def test_estimators_are_judged_by_absolute_error():
    frame = wide_frame(4, ood_error=0.5, estimate_doc=[0.4, 0.6, 0.5, 0.9], estimate_unchanged=0.1)
    rows = estimators(frame, SETTINGS)
    assert value(rows, "mae", estimator="doc", average="") == pytest.approx(0.15)
    assert value(rows, "mae", estimator="unchanged", average="pairs", dataset="digits") == pytest.approx(0.4)
    assert not values(rows, "mae", estimator="atc")
