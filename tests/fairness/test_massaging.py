import numpy as np
import pytest

from reprise.fairness.massaging import massage
from reprise.fairness.thresholds import demographic_parity_gap


def test_massage_by_hand():
    # Label rates 3/4 (group 1) and 1/4 (group 0): M = 0.5 * 4 * 4 / 8 = 1.
    y = np.array([1, 1, 1, 0, 1, 0, 0, 0])
    a = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    score = np.array([0.9, 0.2, 0.5, 0.1, 0.8, 0.3, 0.7, 0.6])
    relabelled = massage(y, a, score)
    assert relabelled.tolist() == [1, 0, 1, 0, 1, 0, 1, 0]
    assert y.tolist() == [1, 1, 1, 0, 1, 0, 0, 0]
    assert massage(y, a, score, kappa=0.0).tolist() == y.tolist()
    assert massage(y, a, score, kappa=100.0).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert massage(1 - y, a, -score).tolist() == [0, 1, 0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("kappa", [0.5, 1.0, 1.5, 2.0])
def test_massage_moves_the_label_gap_in_proportion(kappa):
    rng = np.random.default_rng(0)
    a = (rng.random(5000) < 0.3).astype(int)
    y = (rng.normal(size=5000) - 0.5 * a > 0).astype(int)
    score = y + rng.normal(size=5000)
    relabelled = massage(y, a, score, kappa)
    assert relabelled.sum() == y.sum()
    assert demographic_parity_gap(relabelled, a) == pytest.approx((1 - kappa) * demographic_parity_gap(y, a), abs=2e-3)
    promoted = (relabelled > y) & (a == 1)
    assert promoted.sum() == (relabelled != y).sum() / 2
    assert score[promoted].min() >= score[(a == 1) & (y == 0) & ~promoted].max()


def test_massage_of_equal_rates_changes_nothing_and_ties_go_by_row():
    assert massage([1, 0, 1, 0], [0, 0, 1, 1], np.zeros(4)).tolist() == [1, 0, 1, 0]
    assert massage([1, 1, 0, 0], [1, 1, 0, 0], np.zeros(4)).tolist() == [0, 1, 1, 0]


def test_massage_errors():
    with pytest.raises(ValueError, match="group a = 0 has nobody"):
        massage([0, 1], [1, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="ranking_score"):
        massage([0, 1], [0, 1], [0.1])
    with pytest.raises(ValueError, match="kappa"):
        massage([0, 1], [0, 1], [0.1, 0.2], kappa=-1.0)
