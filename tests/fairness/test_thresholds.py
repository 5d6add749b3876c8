import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.merge_reference import brute_force_perceived, greedy_lipton, naive_gap
from reprise.fairness.thresholds import (
    apply_group_thresholds,
    demographic_parity_gap,
    fit_perceived_groups,
    lipton,
    midpoint,
)

INF = float("inf")


@given(st.integers(0, 2**32 - 1), st.sampled_from(["demographic_parity", "equal_opportunity", "false_positive_rate"]))
@settings(max_examples=50, deadline=None)
def test_perceived_groups_equal_brute_force(seed, criterion):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 13))
    z1 = rng.integers(-4, 5, n) / 2
    perceived, y, a = rng.integers(0, 2, (3, n))
    y[:4], a[:4] = [0, 0, 1, 1], [0, 1, 0, 1]
    epsilons = [0.0, 0.2, 0.5, INF]
    fit = fit_perceived_groups(z1, perceived, y, a, epsilons, criterion)
    for i, epsilon in enumerate(epsilons):
        decision = apply_group_thresholds(z1, perceived, [fit.t0[i], fit.t1[i]])
        assert fit.accuracy[i] == brute_force_perceived(z1, perceived, y, a, epsilon, criterion)
        assert fit.accuracy[i] == (decision == y).mean()
        assert fit.gap[i] == naive_gap(decision, y, a, criterion)
        assert abs(fit.gap[i]) <= epsilon
        np.testing.assert_array_equal(decision, z1 + fit.b[i] * perceived + fit.c[i] > 0)


def test_true_groups_as_perceived_are_an_oracle():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2, 2000)
    y = (rng.normal(size=2000) - 0.8 * a > 0).astype(int)
    z1 = 3 * (y - 0.5) + rng.normal(size=2000) * 2 - a
    fuzzy = np.where(rng.random(2000) < 0.1, 1 - a, a)
    epsilons = [0.01, 0.05]
    oracle = fit_perceived_groups(z1, a, y, a, epsilons)
    seen = fit_perceived_groups(z1, fuzzy, y, a, epsilons)
    assert (oracle.accuracy > seen.accuracy).all()
    assert (oracle.t0 > oracle.t1).all()
    assert (oracle.b > 0).all()


def test_one_perceived_group_is_a_single_threshold():
    z1, y, a = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    for value in (0, 1):
        fit = fit_perceived_groups(z1, np.full(4, value), y, a, [0.0])
        assert (fit.t0[0], fit.t1[0], fit.b[0], fit.c[0]) == (2.5, 2.5, 0.0, -2.5)
        assert fit.accuracy[0] == 1.0


def test_midpoint_separates_neighbouring_floats():
    low = np.array([1.0, -1.0, 0.0, 3.0])
    high = np.array([np.nextafter(1.0, 2), np.nextafter(-1.0, 0), 5e-324, 5.0])
    middle = midpoint(low, high)
    assert (low <= middle).all()
    assert (middle < high).all()
    assert middle[3] == 4.0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_lipton_equals_one_flip_at_a_time(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 60))
    a = rng.integers(0, 2, n)
    a[:2] = [0, 1]
    z1 = rng.normal(size=n) * 2 + rng.normal() * a
    fit = lipton(z1, a, n_ratios=5)
    for p, t in zip(fit.ratio, fit.t, strict=True):
        np.testing.assert_array_equal(apply_group_thresholds(z1, a, t), greedy_lipton(z1, a, p))


def test_lipton_by_hand():
    # Rates 3/4 and 1/4. Costs rise with |z1|: 0.1 (down), then -0.2 (up) makes the rates equal.
    z1 = np.array([0.1, 2.0, 3.0, -1.0, 1.0, -0.2, -2.0, -3.0])
    a = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    fit = lipton(z1, a)
    assert fit.ratio[0] == pytest.approx(1 / 3)
    assert fit.t[0].tolist() == [0.0, 0.0]
    assert fit.t[-1].tolist() == [pytest.approx(-1.1), pytest.approx(1.05)]
    assert demographic_parity_gap(apply_group_thresholds(z1, a, fit.t[-1]), a) == 0.0


def test_lipton_flips_plateaus_together_and_closes_the_gap():
    rng = np.random.default_rng(3)
    a = rng.integers(0, 2, 3000)
    z1 = np.round(rng.normal(size=3000) * 2 + 0.8 * a, 1)
    fit = lipton(z1, a)
    gaps = [demographic_parity_gap(apply_group_thresholds(z1, a, t), a) for t in fit.t]
    assert gaps[0] == demographic_parity_gap(z1 > 0, a)
    assert (np.diff(gaps) <= 0).all()
    assert abs(gaps[-1]) < 0.05


def test_lipton_extremes():
    nobody = lipton([-1.0, -2.0, -3.0], [0, 1, 1])
    assert (nobody.t == 0).all()
    opposite = lipton([5.0, 4.0, -5.0, -4.0], [0, 0, 1, 1], n_ratios=2)
    decision = apply_group_thresholds([5.0, 4.0, -5.0, -4.0], [0, 0, 1, 1], opposite.t[-1])
    assert demographic_parity_gap(decision, [0, 0, 1, 1]) == 0.0
    with pytest.raises(ValueError, match="group a = 1 has nobody"):
        lipton([1.0, 2.0], [0, 0])
    with pytest.raises(ValueError, match="integers from 0 to 1"):
        apply_group_thresholds([1.0], [2], [0.0, 0.0])
