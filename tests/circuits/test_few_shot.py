"""The few-shot protocol against scikit-learn's logistic regression, and on features whose answer is known."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from reprise.circuits.few_shot import C, Episodes, episodes, few_shot, fit
from reprise.data.arrays import DataError

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(44, 54), 12))
DRAW = {"way": 4, "shots": 5, "queries": 6, "count": 7, "seed": 1}


def clusters(spread, seed=0, d=6):
    """Features of each class around a point of its own."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(64, d))
    return (middles[LABELS] + spread * rng.normal(size=(len(LABELS), d))).astype(np.float32)


def test_episodes_hold_different_images_of_different_classes():
    drawn = episodes(LABELS, **DRAW)
    assert drawn.support.shape == (7, 4, 5) and drawn.query.shape == (7, 4, 6)
    both = np.concatenate(drawn, axis=2)
    for one in both:
        assert len(np.unique(one)) == one.size
        classes = LABELS[one]
        assert (classes == classes[:, :1]).all() and len(np.unique(classes[:, 0])) == 4


def test_episodes_depend_on_the_seed_and_differ_among_themselves():
    drawn, again, other = episodes(LABELS, **DRAW), episodes(LABELS, **DRAW), episodes(LABELS, **DRAW | {"seed": 2})
    assert all((one == two).all() for one, two in zip(drawn, again, strict=True))
    assert (drawn.query != other.query).any()
    assert len({one.tobytes() for one in drawn.query}) == 7
    longer = episodes(LABELS, **DRAW | {"count": 9})
    assert (longer.query[:7] == drawn.query).all()


@pytest.mark.parametrize("too_much", [{"way": 11}, {"queries": 8}])
def test_too_few_images_or_classes_are_an_error(too_much):
    with pytest.raises(DataError, match="prepare more"):
        episodes(LABELS, **DRAW | too_much)


@pytest.mark.parametrize("n", [4, 40])
def test_heads_are_those_of_scikit_learn(n):
    rng = np.random.default_rng(n)
    y = np.arange(n) % 4
    x = rng.normal(size=(3, n, 5)) + np.eye(4, 5)[y]
    weight, bias = fit(x, y)
    for one, found, constant in zip(x, weight, bias, strict=True):
        reference = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(one, y)
        np.testing.assert_allclose(found.T, reference.coef_, atol=1e-3)
        # Biases are determined up to a constant, which no penalty takes away.
        np.testing.assert_allclose(
            constant - constant.mean(), reference.intercept_ - reference.intercept_.mean(), atol=1e-3
        )


def test_heads_of_many_episodes_are_those_of_each_alone():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(4, 12, 5)), np.arange(12) % 3
    together = fit(x, y)
    for k in range(4):
        for all_of_them, alone in zip(together, fit(x[k : k + 1], y), strict=True):
            np.testing.assert_allclose(all_of_them[k], alone[0], atol=1e-3)


def test_accuracy_is_one_where_classes_are_apart_and_chance_where_features_tell_nothing():
    drawn = episodes(LABELS, **DRAW | {"count": 40})
    apart = dict(few_shot(clusters(0.01), drawn, [1, 5]))
    assert list(apart) == [1, 5]
    assert all((found == 1).all() and found.shape == (40,) for found in apart.values())
    noise = np.random.default_rng(5).normal(size=(len(LABELS), 6)).astype(np.float32)
    assert dict(few_shot(noise, drawn, [5]))[5].mean() == pytest.approx(0.25, abs=0.05)
    constant = dict(few_shot(np.ones_like(noise), drawn, [1]))[1]
    assert (constant == 0.25).all()


def test_more_examples_help_and_the_scale_of_features_does_not_matter():
    drawn = episodes(LABELS, **DRAW | {"count": 40})
    features = clusters(1.5)
    found = dict(few_shot(features, drawn, [1, 5]))
    assert found[5].mean() > found[1].mean() + 0.1
    moved = dict(few_shot(100 * features + 7, drawn, [1, 5]))
    for shots in (1, 5):
        np.testing.assert_allclose(moved[shots], found[shots], atol=1 / 24 + 1e-9)  # a query of 24 at a border


def test_a_query_is_judged_by_its_own_class():
    """Two classes on a line, the queries of the second on the wrong side: half are right."""
    features = np.array([[-1.0], [1.0], [-2.0], [-3.0]], dtype=np.float32)
    drawn = Episodes(np.array([[[0], [1]]]), np.array([[[2], [3]]]))
    assert dict(few_shot(features, drawn, [1]))[1].tolist() == [0.5]
