"""Metrics of circuits: values by hand, and what holds for all inputs."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reprise.circuits.metrics import (
    accuracy,
    correlation,
    degrees,
    follows,
    gini,
    majority,
    off_diagonal,
    retrieval,
    retrieval_chance,
    similarities,
    similarity_of_kinds,
)


def graphs_of(*links):
    """Graphs of two modules from (first to second, second to first)."""
    return np.array([[[1, a], [b, 1]] for a, b in links], dtype=np.float16)


def test_accuracy_and_majority():
    logits = np.array([[0.1, 0.9], [2.0, 1.0], [0.0, 1.0], [np.nan, 3.0]])
    assert accuracy(logits, np.array([1, 0, 0, 1])) == 0.5
    assert majority(np.array([2, 2, 0, 1]), np.array([2, 0, 0, 0, 2])) == 0.4
    assert majority(np.array([1, 0]), np.array([0, 0, 1])) == pytest.approx(2 / 3)  # the first of equal ones


def test_links_of_a_module_to_itself_do_not_count():
    graph = np.arange(9.0).reshape(3, 3)
    assert off_diagonal(graph).tolist() == [1, 2, 3, 5, 6, 7]
    assert degrees(graph).tolist() == [3, 8, 13]
    assert off_diagonal(np.stack([graph, graph])).shape == (2, 6)
    other = graph + np.diag([5.0, 1.0, 7.0])
    assert correlation(graph, other) == pytest.approx(1)
    assert correlation(graph, -graph) == pytest.approx(-1)
    assert np.isnan(correlation(graph, np.full((3, 3), 0.1)))


def test_gini_by_hand():
    assert gini([2, 2, 2]) == pytest.approx(0)
    assert gini([0, 0, 1]) == pytest.approx(2 / 3)
    assert gini([1, 3]) == pytest.approx(0.25)
    assert gini([0, 0]) == 0


@given(arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 100)), st.floats(0.1, 10))
def test_gini_is_a_share_that_neither_order_nor_scale_changes(values, scale):
    found = gini(values)
    assert -1e-9 <= found <= 1 - 1 / len(values) + 1e-9
    assert gini(scale * values[::-1]) == pytest.approx(found, abs=1e-6)
    if values.sum():
        mean_difference = np.abs(values[:, None] - values).mean()
        assert found == pytest.approx(mean_difference / (2 * values.mean()), abs=1e-6)


# ---------------------------------------------------------------- many texts


def test_similarities_are_cosines_about_the_mean():
    # About their mean (0.5, 0.5): (-.25, -.25), (.25, .25), (-.25, .25), (.25, -.25).
    found = similarities(graphs_of((0.25, 0.25), (0.75, 0.75), (0.25, 0.75), (0.75, 0.25)))
    assert found == pytest.approx(np.array([[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1]]))
    assert (similarities(np.full((3, 4, 4), 0.3, dtype=np.float16)) == 0).all()


SIMILAR = np.array([[9, 0.5, 0.1, 0.2], [0.5, 9, 0.3, 0.0], [0.1, 0.3, 9, 0.4], [0.2, 0.0, 0.4, 9]])
KINDS = np.array([3, 3, 7, 7])


def test_similarity_within_and_between_kinds_by_hand():
    found = similarity_of_kinds(SIMILAR, KINDS, permutations=3000, seed=0)
    assert found.within == pytest.approx((0.5 + 0.4) / 2)
    assert found.between == pytest.approx((0.1 + 0.2 + 0.3 + 0.0) / 4)
    assert found.gap == pytest.approx(0.3)
    # Three ways to pair four items, and this is the best of them.
    assert found.p == pytest.approx(1 / 3, abs=0.03)


def test_p_value_is_that_of_all_permutations():
    rng = np.random.default_rng(4)
    similar = similarities(rng.random((6, 3, 3)))
    kinds = np.array([0, 0, 1, 1, 2, 2])
    off = similar - np.diag(np.diag(similar))

    def within(labels):
        return (off * (labels[:, None] == labels)).sum()

    every = [within(np.array(labels)) for labels in itertools.permutations(kinds)]
    exact = np.mean(np.array(every) >= within(kinds) - 1e-9)
    found = similarity_of_kinds(similar, kinds, permutations=4000, seed=1)
    assert found.p == pytest.approx(exact, abs=0.04)
    assert found == similarity_of_kinds(similar, kinds, permutations=4000, seed=1)


def test_p_is_small_for_graphs_that_follow_their_kind_and_no_kind_is_no_similarity():
    rng = np.random.default_rng(2)
    kinds = np.repeat(np.arange(3), 8)
    graphs = rng.random((3, 5, 5))[kinds] + 0.2 * rng.random((24, 5, 5))
    found = similarity_of_kinds(similarities(graphs), kinds, permutations=999, seed=0)
    assert found.p == 0.001 and found.gap > 0.5
    assert similarity_of_kinds(SIMILAR, np.zeros(4, int), permutations=9, seed=0) is None
    assert similarity_of_kinds(SIMILAR, np.arange(4), permutations=9, seed=0) is None


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (7, 4, 4), elements=st.floats(0, 1)), st.integers(0, 100))
def test_p_is_a_probability_and_means_are_of_cosines(graphs, seed):
    kinds = np.array([0, 1, 0, 1, 2, 2, 2])
    similar = similarities(graphs)
    assert np.abs(similar).max() <= 1 + 1e-9
    found = similarity_of_kinds(similar, kinds, permutations=20, seed=seed)
    assert 1 / 21 <= found.p <= 1
    assert -1 - 1e-9 <= min(found.within, found.between) <= max(found.within, found.between) <= 1 + 1e-9


def test_retrieval_of_the_nearest_other_one():
    assert retrieval(SIMILAR, KINDS) == 1.0
    assert retrieval(SIMILAR, np.array([0, 1, 0, 0])) == 0.5  # the first two have each other for a neighbour
    assert retrieval_chance(KINDS) == pytest.approx(4 / 12)
    assert retrieval_chance(np.array([0, 0, 1])) == pytest.approx(2 / 6)


def test_who_is_followed_is_asked_where_the_answers_differ():
    predicted = np.array([1, 0, 1, 1, 0])
    of_circuit = np.array([1, 0, 0, 1, 1])
    of_image = np.array([0, 1, 1, 1, 0])
    known = np.array([True, True, True, True, False])
    # Of three pairs one is yes for the circuit's question, and is followed; of the others one of two.
    assert follows(predicted, of_circuit, of_image, known) == (0.75, 0.25, 3)
    assert follows(predicted, of_circuit, of_circuit, known) is None


@given(arrays(bool, (20, 3)), st.integers(0, 1))
def test_a_network_that_always_says_one_thing_follows_no_one(drawn, said):
    of_circuit, of_image, known = np.vstack([drawn, [[1, 0, 1], [0, 1, 1]]]).astype(int).T
    found = follows(np.full(22, said), of_circuit, of_image, known > 0)
    assert found[:2] == (0.5, 0.5)
