import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.merge_reference import brute_force, brute_force_multigroup, grid_search, naive_gap
from reprise.fairness.merge import (
    demographic_parity_gap,
    fit_agreement,
    fit_merge,
    fit_merge_multigroup,
    fold,
    fold_multigroup,
    gap,
    merged_score,
    merged_score_multigroup,
    selection_rate_range,
)

INF = float("inf")


def two_heads(n=1500, seed=0, fuzz=0.35):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 2, n)
    evidence = 0.42 * (1 - 2 * a) + rng.normal(size=n)
    y = (evidence + 0.35 * rng.normal(size=n) > 0).astype(int)
    return 2.4 * (evidence + 0.5 * rng.normal(size=n)), a + fuzz * rng.normal(size=n), y, a


@st.composite
def small_problems(draw):
    n = draw(st.integers(4, 14))
    numbers = st.integers(-4, 4).map(lambda v: v / 2)
    z1, z2 = (np.array(draw(st.lists(numbers, min_size=n, max_size=n))) for _ in range(2))
    y, a = (np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))) for _ in range(2))
    y[:4], a[:4] = [0, 0, 1, 1], [0, 1, 0, 1]  # so that every criterion is defined
    return z1, z2, y, a


def test_gaps_by_hand():
    y, a = np.array([1, 1, 0, 0, 1, 0, 1, 1]), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    d = np.array([1, 0, 1, 0, 1, 1, 1, 0])
    assert demographic_parity_gap(d, a) == 0.25
    assert gap(d, y, a, "equal_opportunity") == pytest.approx(2 / 3 - 1 / 2)
    assert gap(d, y, a, "false_positive_rate") == 0.5
    assert selection_rate_range(d, a) == 0.25
    assert selection_rate_range([1, 0, 0, 0, 1, 1], [0, 0, 1, 1, 2, 2]) == 1.0
    assert demographic_parity_gap(np.arange(200) % 100 < 50 + (np.arange(200) >= 100), np.arange(200) >= 100) == 0.01


def test_gap_agrees_with_fairlearn():
    from fairlearn.metrics import demographic_parity_difference, equal_opportunity_difference

    z1, _, y, a = two_heads()
    three = (a + (np.arange(len(a)) % 3 == 0)).astype(int)
    d = (z1 > 0).astype(int)
    assert selection_rate_range(d, three) == pytest.approx(
        demographic_parity_difference(y, d, sensitive_features=three), abs=1e-12
    )
    assert abs(gap(d, y, a, "equal_opportunity")) == pytest.approx(
        equal_opportunity_difference(y, d, sensitive_features=a), abs=1e-12
    )


def test_missing_groups_and_bad_values_are_named():
    with pytest.raises(ValueError, match="group a = 1 has nobody"):
        demographic_parity_gap([1, 0], [0, 0])
    with pytest.raises(ValueError, match="group a = 1 has nobody"):
        selection_rate_range([1, 0, 1], [0, 0, 2])
    with pytest.raises(ValueError, match="group a = 0 has nobody with y = 1"):
        gap([1, 0], [0, 1], [0, 1], "equal_opportunity")
    with pytest.raises(ValueError, match="unknown criterion"):
        gap([1, 0], [0, 1], [0, 1], "parity")
    with pytest.raises(ValueError, match="group a = 0 has nobody"):
        fit_merge([1.0, 2.0], [0.0, 1.0], [0, 1], [1, 1], epsilons=[0.1])
    with pytest.raises(ValueError, match="finite"):
        fit_merge([1.0, np.nan], [0.0, 1.0], [0, 1], [0, 1], epsilons=[0.1])
    with pytest.raises(ValueError, match="integers from 0 to 1"):
        fit_merge([1.0, 2.0], [0.0, 1.0], [0, 2], [0, 1], epsilons=[0.1])
    with pytest.raises(ValueError, match="z2 has shape"):
        fit_merge([1.0, 2.0], [0.0], [0, 1], [0, 1], epsilons=[0.1])
    with pytest.raises(ValueError, match="epsilons"):
        fit_merge([1.0, 2.0], [0.0, 1.0], [0, 1], [0, 1], epsilons=[-0.1])
    with pytest.raises(ValueError, match="odd number"):
        fit_merge([1.0, 2.0], [0.0, 1.0], [0, 1], [0, 1], epsilons=[0.1], b_points=10)


def test_merge_by_hand():
    # The task head ranks group 0 two units higher than it should; b = 2 puts that right, no single threshold can.
    z1 = np.array([3.0, 1.5, 1.0, 0.5, 1.0, -0.5, -1.0, -1.5])
    a = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    y = np.array([1, 1, 0, 0, 1, 1, 0, 0])
    fit = fit_merge(z1, a.astype(float), y, a, epsilons=[0.0, INF])
    assert fit.accuracy.tolist() == [1.0, 1.0]
    assert fit.gap.tolist() == [0.0, 0.0]
    assert 1.5 < fit.b[0] < 3.0
    shift = fit_merge(z1, a.astype(float), y, a, epsilons=[0.0, INF], b_values=[0.0])
    assert shift.b.tolist() == [0.0, 0.0]
    assert shift.accuracy.tolist() == [0.5, 0.75]
    assert shift.c[1] == pytest.approx(0.75, abs=1e-12)  # midway between -1 and -0.5


@given(small_problems(), st.sampled_from(["demographic_parity", "equal_opportunity", "false_positive_rate"]))
@settings(max_examples=60, deadline=None)
def test_equals_brute_force_for_given_b(problem, criterion):
    z1, z2, y, a = problem
    b_values, epsilons = [0.0, 0.5, -1.0, 1.5, -3.0], [0.0, 0.25, 0.5, INF]
    fit = fit_merge(z1, z2, y, a, epsilons=epsilons, b_values=b_values, criterion=criterion)
    for i, epsilon in enumerate(epsilons):
        accuracy, b, _ = brute_force(z1, z2, y, a, epsilon, b_values, criterion)
        decision = merged_score(z1, z2, fit.b[i], fit.c[i]) > 0
        assert fit.accuracy[i] == accuracy == (decision == y).mean()
        assert abs(fit.b[i]) == abs(b)
        assert fit.gap[i] == naive_gap(decision, y, a, criterion)
        assert abs(fit.gap[i]) <= epsilon
    assert np.isfinite(fit.c).all()


@given(small_problems(), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_row_order_and_duplicates_change_nothing(problem, seed):
    z1, z2, y, a = problem
    rows = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(z1)), 3))
    values = {"epsilons": [0.1, INF], "b_values": [0.0, -0.5, 1.0, 2.0]}
    once, thrice = fit_merge(z1, z2, y, a, **values), fit_merge(z1[rows], z2[rows], y[rows], a[rows], **values)
    for name in ("b", "c", "accuracy", "gap"):
        np.testing.assert_allclose(getattr(once, name), getattr(thrice, name), rtol=0, atol=1e-12)


@pytest.mark.parametrize("criterion", ["demographic_parity", "equal_opportunity", "false_positive_rate"])
def test_fit_is_feasible_and_the_frontier_is_exact(criterion):
    z1, z2, y, a = two_heads()
    epsilons = np.array([0.0, 0.001, 0.01, 0.05, 0.1, 0.2, INF])
    fit = fit_merge(z1, z2, y, a, epsilons=epsilons, criterion=criterion)
    assert (np.abs(fit.gap) <= epsilons).all()
    assert (np.diff(fit.accuracy) >= 0).all()
    frontier = fit.frontier
    assert (np.diff(frontier.accuracy) > 0).all()
    assert (np.diff(np.abs(frontier.gap)) > 0).all()
    for b, c, accuracy, size in (
        *zip(fit.b, fit.c, fit.accuracy, fit.gap, strict=True),
        *zip(frontier.b, frontier.c, frontier.accuracy, frontier.gap, strict=True),
    ):
        decision = merged_score(z1, z2, b, c) > 0
        assert (decision == y).mean() == accuracy
        assert gap(decision, y, a, criterion) == size
    reached = [frontier.accuracy[np.abs(frontier.gap) <= epsilon].max() for epsilon in epsilons]
    np.testing.assert_array_equal(reached, fit.accuracy)


def test_merge_beats_a_shift_and_the_released_grid():
    z1, z2, y, a = two_heads(600)
    epsilons = [0.01, 0.1]
    fit = fit_merge(z1, z2, y, a, epsilons=epsilons)
    shift = fit_merge(z1, z2, y, a, epsilons=epsilons, b_values=[0.0])
    assert (fit.accuracy > shift.accuracy).all()
    for i, epsilon in enumerate(epsilons):
        accuracy, size, b, c = grid_search(z1, z2, y, a, epsilon, points=40)
        decision = z1 + b * z2 + c > 0
        assert ((decision == y).mean(), naive_gap(decision, y, a)) == pytest.approx((accuracy, size))
        assert fit.accuracy[i] >= accuracy
        assert fit.accuracy[i] <= accuracy + 0.04


def test_relabelling_the_groups_flips_the_sign():
    z1, z2, y, a = two_heads()
    fit = fit_merge(z1, z2, y, a, epsilons=[0.05, INF])
    other = fit_merge(z1, -z2, y, 1 - a, epsilons=[0.05, INF])
    np.testing.assert_array_equal(fit.accuracy, other.accuracy)
    np.testing.assert_array_equal(fit.gap, -other.gap)
    np.testing.assert_allclose(fit.b, -other.b)
    np.testing.assert_allclose(fit.c, other.c)


def test_shifting_and_scaling_the_group_head_only_moves_the_weights():
    z1, z2, y, a = two_heads()
    fit = fit_merge(z1, z2, y, a, epsilons=[0.02, 0.1])
    moved = fit_merge(z1, 4.0 * z2 + 2.0, y, a, epsilons=[0.02, 0.1])
    np.testing.assert_allclose(moved.b, fit.b / 4, rtol=1e-9)
    np.testing.assert_allclose(moved.c, fit.c - 2.0 * fit.b / 4, rtol=1e-6)
    np.testing.assert_array_equal(moved.accuracy, fit.accuracy)


def test_grid_widens_when_the_optimum_lies_at_its_edge():
    z1, z2, y, a = two_heads()
    narrow = fit_merge(z1, z2, y, a, epsilons=[0.01], b_range=0.5, b_points=21)
    wide = fit_merge(z1, z2, y, a, epsilons=[0.01])
    assert narrow.b[0] * z2.std() > 0.5
    assert narrow.accuracy[0] == pytest.approx(wide.accuracy[0], abs=0.003)
    loud = fit_merge(8 * z1, z2, y, a, epsilons=[0.01])  # an overconfident task head, clipped at 25 in the tails
    assert loud.b[0] * z2.std() > 4
    assert loud.accuracy[0] == pytest.approx(wide.accuracy[0], abs=0.02)


def test_plateaus_constants_and_single_classes():
    a = np.array([0, 1] * 20)
    y = np.array([0, 0, 1, 1] * 10)
    flat = fit_merge(np.zeros(40), np.ones(40), y, a, epsilons=[0.0, INF])
    assert flat.accuracy.tolist() == [0.5, 0.5]
    assert flat.b.tolist() == [0.0, 0.0]
    assert not (merged_score(np.full(3, 1e9), np.full(3, 1e9), flat.b[0], flat.c[0]) > 0).any()
    saturated = fit_merge(np.where(y == 1, 40.0, -60.0), np.linspace(0, 1, 40), y, a, epsilons=[INF])
    assert saturated.accuracy.tolist() == [1.0]
    for label in (0, 1):
        single = fit_merge(np.linspace(-1, 1, 40), a * 1.0, np.full(40, label), a, epsilons=[0.0])
        assert single.accuracy.tolist() == [1.0]
        assert single.gap.tolist() == [0.0]
        assert len(single.frontier.gap) == 1
        assert ((merged_score([-30.0, 30.0], [0.0, 1.0], single.b[0], single.c[0]) > 0) == label).all()


def test_neighbouring_floats_are_told_apart_or_tied_consistently():
    base = np.nextafter(1.0, 2.0)
    z1 = np.array([-1.0, 1.0, base, np.nextafter(base, 2.0), 1.0 + 1e-12, 0.0, -0.0, 5e-324])
    y, a = np.array([0, 0, 1, 1, 1, 0, 0, 1]), np.array([0, 1, 0, 1, 0, 1, 0, 1])
    fit = fit_merge(z1, np.zeros(8), y, a, epsilons=[INF])
    assert ((merged_score(z1, np.zeros(8), 0.0, fit.c[0]) > 0) == y).mean() == fit.accuracy[0]


def test_agreement_and_recovery():
    z1, z2, y, a = two_heads()
    target = z1 + 1.7 * z2 - 0.9 > 0
    fit = fit_agreement(z1, z2, target)
    assert fit.agreement >= 0.998
    assert fit.b == pytest.approx(1.7, abs=0.1)
    assert ((merged_score(z1, z2, fit.b, fit.c) > 0) == target).mean() == fit.agreement
    assert fit_agreement(z1, z2, target, b_values=[0.0]).agreement < fit.agreement
    fair = z1 + 1.7 * z2 - 0.9
    recovered = fit_merge(fair, z2, y, a, epsilons=[INF])
    direct = fit_merge(z1, z2, y, a, epsilons=[INF])
    assert recovered.accuracy[0] == pytest.approx(direct.accuracy[0], abs=0.003)
    assert recovered.b[0] < -1


def test_fold_is_the_merged_score():
    rng = np.random.default_rng(1)
    phi, weight, bias = rng.normal(size=(50, 7)), rng.normal(size=(4, 7)), rng.normal(size=4)
    z = phi @ weight.T + bias
    w, shift = fold(weight[:2], bias[:2], 1.3, -0.4)
    np.testing.assert_allclose(phi @ w + shift, merged_score(z[:, 0], z[:, 1], 1.3, -0.4), rtol=0, atol=1e-12)
    t = np.array([0.0, 0.7, -1.1])
    w, shift = fold_multigroup(weight, bias, t, 0.2)
    expected = merged_score_multigroup(z[:, 0], z[:, 1:], t, 0.2)
    np.testing.assert_allclose(phi @ w + shift, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(expected, z[:, 0] - z[:, 1:] @ t + 0.2, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="do not fit together"):
        fold(weight, bias, 1.0, 0.0)


def three_groups(n, seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 3, n)
    a[:3] = [0, 1, 2]
    y = (rng.normal(size=n) + np.array([0.6, 0.0, -0.7])[a] > 0).astype(int)
    z1 = 2 * (y - 0.5) + rng.normal(size=n) + np.array([0.5, 0.0, -0.5])[a]
    return z1, np.eye(3)[a] + 0.15 * rng.normal(size=(n, 3)), y, a


def test_three_groups():
    z1, z2, y, a = three_groups(900, 2)
    epsilons = np.array([0.01, 0.05, 0.2, INF])
    fit = fit_merge_multigroup(z1, z2, y, a, epsilons)
    assert (fit.gap <= epsilons).all()
    assert (np.diff(fit.accuracy) >= 0).all()
    assert (fit.t[:, 0] == 0).all()
    for i in range(len(epsilons)):
        decision = merged_score_multigroup(z1, z2, fit.t[i], fit.c[i]) > 0
        assert (decision == y).mean() == fit.accuracy[i]
        assert selection_rate_range(decision, a) == fit.gap[i]
    constant = max(y.mean(), 1 - y.mean())
    assert fit.accuracy[0] > constant + 0.1


def test_three_groups_reach_a_brute_force_grid():
    z1, z2, y, a = three_groups(60, 3)
    axis = np.linspace(-4, 4, 17)
    t_values = [np.array([0.0, p, q]) for p in axis for q in axis]
    epsilons = [0.05, 0.15, INF]
    fit = fit_merge_multigroup(z1, z2, y, a, epsilons)
    for i, epsilon in enumerate(epsilons):
        assert fit.accuracy[i] >= brute_force_multigroup(z1, z2, y, a, epsilon, t_values) - 1e-12


def test_two_groups_as_a_multigroup_problem():
    z1, z2, y, a = two_heads(800)
    pair = fit_merge(z1, z2, y, a, epsilons=[0.02, 0.1])
    fit = fit_merge_multigroup(z1, np.stack((1 - z2, z2), axis=1), y, a, [0.02, 0.1])
    np.testing.assert_allclose(fit.accuracy, pair.accuracy, atol=0.004)


def test_multigroup_limits():
    z1, y = np.linspace(-1, 1, 10), np.array([0, 1] * 5)
    with pytest.raises(ValueError, match="2 to 4 groups"):
        fit_merge_multigroup(z1, np.zeros((10, 5)), y, np.arange(10) % 5, [0.1])
    with pytest.raises(ValueError, match="group a = 2 has nobody"):
        fit_merge_multigroup(z1, np.zeros((10, 3)), y, np.arange(10) % 2, [0.1])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fuzz", [0.2, 0.35])
def test_frontier_agrees_with_oxonfair(fuzz):
    oxonfair = pytest.importorskip("oxonfair")
    z1, z2, y, a = two_heads(12000, fuzz=fuzz)
    predictor = oxonfair.DeepFairPredictor(y, np.stack((z1, z2), axis=1), a)
    predictor.fit(oxonfair.group_metrics.accuracy, oxonfair.group_metrics.demographic_parity, 0.01)
    accuracy, parity = predictor.frontier[0]
    epsilons = np.array([0.01, 0.03, 0.06, 0.1, 0.15, 0.2])
    ours = fit_merge(z1, z2, y, a, epsilons=epsilons).accuracy
    theirs = np.array([accuracy[parity <= epsilon].max() for epsilon in epsilons])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.005)
    assert (ours >= theirs).all()  # its grid is coarser than this search
