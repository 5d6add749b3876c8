"""All analyses together: valid rows, the same whatever the order of the measurements, fast; upstream, radar, checks."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from assay.analysis.frames import SETTINGS, value, values, wide_frame
from assay.tables import CLASSES, DOMAINS, planted_cue_rows, sweep_table, upstream_table
from reprise import results
from reprise.assay.analysis.analyse import analyse
from reprise.assay.analysis.checks import checks
from reprise.assay.analysis.settings import Settings
from reprise.assay.analysis.upstream import radar, spearman_exact, upstream
from reprise.assay.analysis.wide import wide

QUICK = Settings(classes=CLASSES, bootstrap=20)
LONG = results.expand(sweep_table())
WIDE = wide(LONG)
ROWS = analyse(LONG, upstream_table(), QUICK)
EXPECTED = {
    "predictors", "factors", "transfer", "upstream", "interventions", "ranks", "shapes", "selection",
    "effective_robustness", "radar", "estimators", "invariance", "planted_cue", "checks",
}  # fmt: skip


def test_rows_make_a_table():
    """Which refuses repeated keys and numbers that are not finite."""
    table = results.expand(results.table(ROWS))
    assert set(table["analysis"]) == EXPECTED
    assert set(table["paper"]) == {"assay"}
    assert (table["n"] > 0).all()
    averages = table[table["average"] != ""]
    assert set(averages["average"]) == {"pairs", "pairs_median", "tasks"}
    assert (averages["train_domain"] == "").all()
    assert set(averages.loc[averages["average"] == "tasks", "dataset"]) == {"all"}


def test_order_of_the_measurements_changes_nothing():
    shuffled = analyse(LONG.sample(frac=1, random_state=0), upstream_table().iloc[::-1], QUICK)
    pd.testing.assert_frame_equal(results.table(shuffled), results.table(ROWS), rtol=1e-6, atol=1e-9)


def test_seed_moves_the_intervals_only():
    arms = results.expand(sweep_table(domains=DOMAINS[:3], arms=("sweep",)))
    one, other = (
        results.table(analyse(arms, upstream_table(), Settings(classes=CLASSES, bootstrap=20, seed=seed)))
        for seed in (0, 1)
    )
    moved = one.loc[(one["value"] - other["value"]).abs() > 1e-12, "metric"]
    assert moved.str.contains("_ci_|parallel").all()
    assert len(moved) > 100


def test_the_smallest_run_is_analysed():
    """Two architectures and two domains: no held-out domain, few networks."""
    table = sweep_table(domains=DOMAINS[:2], models=("cnn", "vit"), arms=("sweep",))
    rows = analyse(results.expand(table), upstream_table(("cnn", "vit")), QUICK)
    assert not values(rows, "spearman", predictor="heldout_error", dataset="digits")
    results.table(rows)


def test_one_arm_alone_is_analysed():
    rows = analyse(results.expand(results.table(planted_cue_rows())), upstream_table(), QUICK)
    assert {row["setting"] for row in rows} == {"analysis=planted_cue"}


def test_a_thousand_draws_take_seconds():
    start = time.process_time()
    analyse(LONG, upstream_table(), Settings(classes=CLASSES, bootstrap=1000))
    assert time.process_time() - start < 20  # about 4 on an idle machine


def test_upstream_by_hand():
    frame = pd.concat(
        [
            wide_frame(
                6, test=test, model=np.repeat(["a", "b", "c"], 2), id_val_error=[0.1, 0.2] * 3, ood_error=errors
            )
            for test, errors in (("font", [0.1, 0.5, 0.3, 0.3, 0.7, 0.1]), ("color", [0.3, 0.5, 0.3, 0.5, 0.5, 0.5]))
        ]
    )  # fmt: skip
    models = pd.DataFrame({"model": ["a", "b", "c"], "error": [0.2, 0.3, 0.4], "noisy_error": [0.9, 0.1, 0.2]})
    rows = upstream(frame, models)
    best = [value(rows, "ood_accuracy_best", dataset="digits", model=model) for model in "abc"]
    mean = [value(rows, "ood_accuracy_mean", dataset="digits", model=model) for model in "abc"]
    assert best == pytest.approx([0.8, 0.7, 0.4])
    assert mean == pytest.approx([0.65, 0.65, 0.55])
    assert value(rows, "upstream_error", dataset="all", model="b") == 0.3
    assert value(rows, "spearman_best", dataset="all") == 1
    assert value(rows, "spearman_best_p", dataset="digits") == pytest.approx(2 / 6)
    assert value(rows, "spearman_best_noisy", dataset="digits") == pytest.approx(-0.5)
    assert value(rows, "spearman_best_tasks", dataset="all") == 1
    assert value(rows, "spearman_mean", dataset="digits") == pytest.approx(np.sqrt(3) / 2)


def test_upstream_where_no_error_was_measured():
    """Ready-made networks whose classes are not those of the upstream data: their OOD accuracies alone."""
    bare = upstream_table().drop(columns=["error", "shifted_error"])
    rows, full = upstream(WIDE, bare), upstream(WIDE, upstream_table())
    kept = [row for row in full if row["metric"].startswith("ood_accuracy")]
    assert rows == kept
    assert len(rows) > 0
    shifted = upstream(WIDE, upstream_table().drop(columns="error"))  # another error counts under its own name
    assert {row["metric"] for row in shifted if row["metric"].startswith("upstream")} == {"upstream_error_shifted"}
    assert {"analysis=upstream"} <= {row["setting"].split(";")[0] for row in analyse(LONG, bare, QUICK)}


@pytest.mark.parametrize("n", [4, 7, 9])
def test_exact_p_counts_the_orders(n):
    random = np.random.default_rng(n)
    x, y = random.normal(size=n), random.integers(0, 5, n).astype(float)
    rho, p = spearman_exact(x, y)
    assert rho == pytest.approx(stats.spearmanr(x, y).statistic)
    exact = stats.permutation_test(
        (x,), lambda part: stats.spearmanr(part, y).statistic, permutation_type="pairings", n_resamples=20_000, rng=0
    ) if n < 8 else None  # fmt: skip
    if exact is not None:
        assert p == pytest.approx(exact.pvalue, abs=1e-9)
    assert 0 < p <= 1


def test_many_architectures_fall_back_on_the_approximation():
    x = np.arange(12.0)
    assert spearman_exact(x, x**2) == pytest.approx(tuple(stats.spearmanr(x, x**2)))
    assert np.isnan(spearman_exact(x[:2], x[:2])).all()
    assert np.isnan(spearman_exact(x, np.ones(12))).all()


def test_radar_axes_are_means_with_one_best():
    rows = radar(WIDE, upstream_table())
    chosen = WIDE[(WIDE["arm"] == "sweep") & (WIDE["model"] == "vit") & (WIDE["regime"] == "full")]
    chosen = chosen[chosen["dataset"] == "digits"]
    where = {"dataset": "digits", "model": "vit", "regime": "full"}
    assert value(rows, "accuracy", **where) == pytest.approx(1 - chosen["id_error"].mean())
    assert value(rows, "one_minus_ece", **where) == pytest.approx(1 - chosen["id_ece"].mean())
    assert value(rows, "compactness", **where) == 0
    assert value(rows, "compactness", **{**where, "model": "cnn"}) == pytest.approx(1 - 36 / 79)
    assert all(0 <= row["value"] <= 1 for row in rows)
    assert {row["n"] for row in rows if row["dataset"] == "digits"} == {24}


def test_checks_by_hand():
    frame = wide_frame(
        4, id_error=[0.1, 0.2, 0.3, 0.4], corrupted_error=[0.1, 0.1, 0.5, 0.5], ood_error=[0.1, 0.3, 0.2, 0.5],
        id_ece=[0.1, 0.1, 0.2, 0.2], ood_ece=[0.2, 0.4, 0.2, 0.4],
    )  # fmt: skip
    rows = checks(frame, SETTINGS)
    where = {"dataset": "digits", "average": "pairs"}
    assert value(rows, "share_corrupted_worse", **where) == 0.75
    assert value(rows, "share_ood_worse", **where) == 0.5
    assert value(rows, "ece_ratio", **where) == pytest.approx(2)
    low, high = (value(rows, f"ece_ratio_ci_{end}", **where) for end in ("low", "high"))
    assert low < 2 < high
    assert not values(rows, "colored_spearman")


def test_the_planted_cue_turns_the_order_around():
    rows = checks(WIDE, SETTINGS)
    rho = value(rows, "colored_spearman", dataset="colored", test_domain="e90")
    cloud = WIDE[(WIDE["arm"] == "sweep") & (WIDE["test_domain"] == "e90")]
    assert rho == pytest.approx(stats.spearmanr(cloud["id_error"], cloud["ood_error"]).statistic)
    assert value(rows, "colored_spearman_ci_low") <= rho <= value(rows, "colored_spearman_ci_high") < -0.5
