"""Statistics of all draws at once equal those of libraries on one resample at a time; averages and their intervals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from assay.analysis.frames import SETTINGS, value, values, wide_frame
from reprise.assay.analysis import bootstrap
from reprise.assay.analysis.bootstrap import Estimate

TIED = arrays(float, 12, elements=st.integers(0, 4).map(float))
RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 6, 15).astype(float)
Y = X + RANDOM.normal(0, 2, 15)
WEIGHTS = bootstrap.resample(15, 40, 0, "test")


def repeated(array, weights):
    """The resample itself."""
    return np.repeat(array, weights.astype(int))


def test_first_row_is_the_sample_itself_and_draws_have_its_size():
    assert (WEIGHTS[0] == 1).all()
    assert (WEIGHTS.sum(1) == 15).all()
    np.testing.assert_array_equal(WEIGHTS, bootstrap.resample(15, 40, 0, "test"))
    assert not (bootstrap.resample(15, 40, 0, "other") == WEIGHTS).all()


def test_mid_ranks_are_those_of_the_resample():
    ranks = bootstrap.mid_ranks(X, WEIGHTS)
    for weights, row in zip(WEIGHTS, ranks, strict=True):
        np.testing.assert_allclose(repeated(row, weights), stats.rankdata(repeated(X, weights)))


def test_spearman_is_scipys_on_every_resample():
    found = bootstrap.spearman(X, Y, WEIGHTS)
    expected = [stats.spearmanr(repeated(X, w), repeated(Y, w)).statistic for w in WEIGHTS]
    np.testing.assert_allclose(found, expected)


def test_correlation_is_numpys_on_every_resample():
    found = bootstrap.correlation(X, Y, WEIGHTS)
    expected = [np.corrcoef(repeated(X, w), repeated(Y, w))[0, 1] for w in WEIGHTS]
    np.testing.assert_allclose(found, expected)


@limits(deadline=None, max_examples=50)
@given(TIED, TIED)
def test_spearman_ignores_scale_order_of_networks_and_follows_reversal(x, y):
    weights = bootstrap.resample(12, 5, 0, "property")
    found = bootstrap.spearman(x, y, weights)
    order = np.argsort(y, kind="stable")[::-1]
    for other in (
        bootstrap.spearman(np.exp(x), y**3, weights),
        bootstrap.spearman(y, x, weights),
        bootstrap.spearman(x[order], y[order], weights[:, order]),
        -bootstrap.spearman(-x, y, weights),
    ):
        np.testing.assert_allclose(other, found, atol=1e-12)
    constant = np.ptp(x) == 0 or np.ptp(y) == 0
    assert np.isnan(found[0]) == constant


def test_constant_resamples_are_undefined():
    weights = np.array([[1.0, 1, 1], [3, 0, 0], [0, 2, 1]])
    found = bootstrap.spearman(np.array([1.0, 2, 2]), np.array([1.0, 2, 3]), weights)
    assert np.isfinite(found).tolist() == [True, False, False]


def test_interval_is_that_of_a_naive_loop():
    random = np.random.default_rng(1)
    naive = []
    for _ in range(4000):
        drawn = random.integers(0, 15, 15)
        naive.append(stats.spearmanr(X[drawn], Y[drawn]).statistic)
    ours = bootstrap.spearman(X, Y, bootstrap.resample(15, 4000, 0, "naive"))
    (low,), (high,) = bootstrap.intervals(ours[None])
    assert (low, high) == pytest.approx(np.percentile(naive, [2.5, 97.5]), abs=0.03)


def test_intervals_leave_out_undefined_draws():
    draws = np.array([[0, 1, np.nan, 3.0], [0, np.nan, np.nan, np.nan], [0, 1, 2, 3]])
    low, high = bootstrap.intervals(draws)
    np.testing.assert_allclose(low, [1.05, np.nan, 1.05])
    np.testing.assert_allclose(high, [2.95, np.nan, 2.95])
    assert np.isnan(bootstrap.intervals(np.zeros((2, 1)))).all()


def test_pairs_of_a_training_domain_share_their_resample():
    frame = pd.concat([wide_frame(6, test=test, ood_error=0.5) for test in ("font", "color")])
    frame = pd.concat([frame, wide_frame(6, train="font", test="pen", ood_error=0.5)])
    found = {
        (p.train_domain, p.test_domain): p for p in bootstrap.pairs(frame.sample(frac=1, random_state=0), SETTINGS)
    }
    assert list(found) == [("font", "pen"), ("pen", "color"), ("pen", "font")]
    np.testing.assert_array_equal(found["pen", "color"].weights, found["pen", "font"].weights)
    assert not (found["pen", "color"].weights == found["font", "pen"].weights).all()
    assert found["pen", "color"].columns["run"].tolist() == sorted(wide_frame(6)["run"])


def test_a_network_keeps_its_weight_where_others_are_missing():
    whole, part = wide_frame(6, test="color"), wide_frame(6, test="font").iloc[[1, 4]]
    color, font = bootstrap.pairs(pd.concat([whole, part]), SETTINGS)
    np.testing.assert_array_equal(font.weights, color.weights[:, [1, 4]])


def test_each_arm_is_resampled_by_itself():
    frame = wide_frame(8, arm=["sweep"] * 5 + ["strategies"] * 3)
    (pair,) = bootstrap.pairs(frame, SETTINGS)
    of_sweep = pair.columns["arm"] == "sweep"
    assert (pair.weights[:, of_sweep].sum(1) == 5).all()
    assert (pair.weights[:, ~of_sweep].sum(1) == 3).all()


def estimates(numbers):
    """One estimate per (data set, value, draws...)."""
    return [
        Estimate(
            bootstrap.Pair(dataset, f"t{k}", "u", {}, np.ones((1, 4))), {"predictor": "x"}, "rho", np.array(draws), 4
        )
        for k, (dataset, *draws) in enumerate(numbers)
    ]


def test_averages_weigh_pairs_or_tasks_equally():
    rows = bootstrap.average_rows("a", estimates([("digits", 1.0), ("digits", 2.0), ("digits", 6.0), ("pacs", 5.0)]))
    expected = {
        ("digits", "pairs"): 3.0,
        ("digits", "pairs_median"): 2.0,
        ("pacs", "pairs"): 5.0,
        ("pacs", "pairs_median"): 5.0,
        ("all", "pairs"): 3.5,
        ("all", "pairs_median"): 3.5,
        ("all", "tasks"): 4.0,
    }
    assert {key: value(rows, "rho", dataset=key[0], average=key[1]) for key in expected} == expected
    assert len(rows) == len(expected)
    assert {row["n"] for row in rows if row["dataset"] == "all"} == {4}


def test_averages_leave_out_what_is_undefined():
    rows = bootstrap.all_rows("a", estimates([("d", 1.0, np.nan, 3.0), ("d", 3.0, 5.0, 3.0), ("d", np.nan, 9.0, 9.0)]))
    assert values(rows, "rho", average="") == [1.0, 3.0]
    assert value(rows, "rho", dataset="d", average="pairs") == 2.0
    low, high = (value(rows, f"rho_ci_{end}", dataset="d", average="pairs") for end in ("low", "high"))
    assert (low, high) == pytest.approx((3.05, 4.95))


def test_rows_of_averages_belong_to_no_pair():
    (row,) = {
        tuple(r[c] for c in ("train_domain", "test_domain", "model"))
        for r in bootstrap.average_rows("a", estimates([("d", 1.0)]))
    }
    assert row == ("", "", "")
