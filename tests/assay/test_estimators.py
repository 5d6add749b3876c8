import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from reprise.assay.estimators import (
    agreement_on_the_line,
    atc,
    doc,
    estimates_on_the_line,
    pairwise_agreement,
    probit,
    unchanged,
)
from reprise.assay.metrics import error
from reprise.errors import UserError


def calibrated(n, share_easy, *, easy, hard, n_classes, seed):
    """Logits, a mixture of easy and hard samples (the spread of their logits), and labels drawn from their softmax."""
    rng = np.random.default_rng(seed)
    spread = np.where(rng.random(n) < share_easy, easy, hard)
    logits = spread[:, None] * rng.normal(size=(n, n_classes))
    return logits, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


def two_way(*confidences):
    """Logits of two classes whose first has these probabilities."""
    p = np.array(confidences)
    return np.log(np.stack([p, 1 - p], axis=-1))


def test_by_hand():
    known, labels = two_way(0.6, 0.7, 0.8, 0.9), np.array([1, 0, 0, 0])
    assert unchanged(known, labels) == 0.25
    # one error in four: the threshold is 0.7, and of the OOD samples three of five lie below
    unknown = two_way(0.55, 0.65, 0.69, 0.7, 0.95)
    assert atc(known, labels, unknown) == atc(known, labels, unknown, score="negative_entropy") == 0.6
    assert doc(known, labels, unknown) == pytest.approx(0.25 + 0.75 - 0.708)


def test_threshold_at_the_ends():
    known, unknown = two_way(0.6, 0.7, 0.8), two_way(0.55, 0.99)
    assert atc(known, [0, 0, 0], unknown) == 0.5  # no error: below the least sure of all
    assert atc(known, [1, 1, 1], unknown) == 1.0  # nothing but errors: everything lies below
    tied = two_way(0.7, 0.7, 0.7, 0.7)
    assert atc(tied, [0, 0, 0, 1], tied) == 0.0


@settings(max_examples=50)
@given(st.integers(1, 60), st.integers(0, 2**31))
def test_estimates_on_id_itself_are_its_error(n, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(n, 4)), rng.integers(0, 4, n)
    truth = error(logits, labels)
    assert atc(logits, labels, logits) == atc(logits, labels, logits, score="negative_entropy") == truth
    assert doc(logits, labels, logits) == pytest.approx(truth)


def test_confidence_tells_the_accuracy_of_a_calibrated_network():
    network = {"easy": 6.0, "hard": 1.5, "n_classes": 10}
    known, labels = calibrated(20_000, share_easy=0.8, seed=0, **network)
    unknown, truth = calibrated(20_000, share_easy=0.3, seed=1, **network)
    assert error(unknown, truth) - unchanged(known, labels) > 0.15
    assert doc(known, labels, unknown) == pytest.approx(error(unknown, truth), abs=0.01)


@pytest.mark.parametrize("score", ["confidence", "negative_entropy"])
def test_threshold_tells_the_error_where_the_unsure_are_wrong(score):
    """Calibrated too: the hard samples are guessed among 50 classes, the easy ones are nearly always right."""
    network = {"easy": 100.0, "hard": 0.1, "n_classes": 50}
    known, labels = calibrated(20_000, share_easy=0.8, seed=0, **network)
    unknown, truth = calibrated(20_000, share_easy=0.3, seed=1, **network)
    assert error(unknown, truth) - unchanged(known, labels) > 0.4
    assert atc(known, labels, unknown, score) == pytest.approx(error(unknown, truth), abs=0.02)


def test_estimates_are_those_of_each_run_alone():
    rng = np.random.default_rng(0)
    known, labels, unknown = rng.normal(size=(3, 40, 5)), rng.integers(0, 5, 40), rng.normal(size=(3, 2, 60, 5))
    for estimate in (atc, doc):
        several = estimate(known[:, None], labels, unknown)
        assert several.shape == (3, 2)
        for run, domain in np.ndindex(3, 2):
            alone = estimate(known[run], labels, unknown[run, domain])
            assert several[run, domain] == pytest.approx(alone, abs=1e-12)


def test_bad_input_is_named():
    logits, labels = two_way(0.6, 0.7), [0, 1]
    with pytest.raises(UserError, match="unknown score 'margin'"):
        atc(logits, labels, logits, score="margin")
    for estimate in (atc, doc):
        with pytest.raises(UserError, match="NaN or infinity"):
            estimate(logits, labels, np.full((3, 2), np.nan))
    with pytest.raises(UserError, match=r"shape \(runs, n\)"):
        agreement_on_the_line([0, 1], [[0, 1]], [0.5])
    with pytest.raises(UserError, match="2 runs on ID and 1 on OOD, with 2 ID accuracies"):
        agreement_on_the_line([[0, 1], [1, 0]], [[0, 1]], [0.5, 0.5])
    with pytest.raises(UserError, match="at least one sample"):
        agreement_on_the_line([[0, 1], [1, 0]], [[], []], [0.5, 0.5])


def test_agreement_by_hand():
    predictions = np.array([[0, 1, 2, 3], [0, 1, 2, 0], [1, 1, 1, 1]])
    assert pairwise_agreement(predictions).tolist() == [[1.0, 0.75, 0.25], [0.75, 1.0, 0.25], [0.25, 0.25, 1.0]]
    assert probit(np.array([0.5, 0.0, 1.0]), 10) == pytest.approx([0.0, ndtri(0.05), ndtri(0.95)])


def symmetric(n_runs, rng):
    values = rng.normal(size=(n_runs, n_runs))
    return (values + values.T) / 2


def test_exact_where_accuracy_and_agreement_lie_on_one_line():
    rng = np.random.default_rng(0)
    accuracy, agreement = rng.normal(size=12), symmetric(12, rng)
    estimates = estimates_on_the_line(agreement, 0.7 * agreement - 0.4, accuracy)
    for found in estimates:
        np.testing.assert_allclose(found, ndtr(0.7 * accuracy - 0.4), atol=1e-12)


def test_against_least_squares_over_the_pairs():
    rng = np.random.default_rng(1)
    n_runs, accuracy, known = 9, rng.normal(size=9), symmetric(9, rng)
    unknown = 0.8 * known - 0.3 + 0.2 * symmetric(9, rng)
    found = estimates_on_the_line(known, unknown, accuracy)
    pairs = [(i, j) for i in range(n_runs) for j in range(i)]
    slope, bias = np.polyfit([known[pair] for pair in pairs], [unknown[pair] for pair in pairs], 1)
    np.testing.assert_allclose(found.aline_s, ndtr(slope * accuracy + bias), atol=1e-12)
    halves, targets = np.zeros((len(pairs), n_runs)), np.zeros(len(pairs))
    for row, (i, j) in enumerate(pairs):
        halves[row, [i, j]] = 0.5
        targets[row] = unknown[i, j] + slope * ((accuracy[i] + accuracy[j]) / 2 - known[i, j])
    np.testing.assert_allclose(found.aline_d, ndtr(np.linalg.lstsq(halves, targets)[0]), atol=1e-10)


def test_agreement_finds_the_accuracy_of_simulated_runs():
    """Each run answers rightly with its own probability, else one of two wrong classes: agreement shifts alike."""
    rng = np.random.default_rng(0)
    ability = rng.normal(0.8, 0.5, size=20)

    def answers(n, fall):
        difficulty = rng.normal(size=n)
        right = ability[:, None] - fall + 2 * rng.normal(size=(20, n)) > difficulty
        return np.where(right, 0, rng.integers(1, 3, size=(20, n)))

    known, unknown = answers(4000, 0.0), answers(4000, 0.8)
    known_accuracy, truth = (known == 0).mean(axis=1), (unknown == 0).mean(axis=1)
    estimates = agreement_on_the_line(known, unknown, known_accuracy)
    unchanged_error = np.abs(known_accuracy - truth).mean()
    for found in estimates:
        assert np.abs(found - truth).mean() < unchanged_error / 3


def test_order_of_runs_does_not_matter():
    rng = np.random.default_rng(2)
    known, unknown, accuracy = rng.integers(0, 3, (6, 50)), rng.integers(0, 3, (6, 70)), rng.random(6)
    order = rng.permutation(6)
    ours = agreement_on_the_line(known, unknown, accuracy)
    theirs = agreement_on_the_line(known[order], unknown[order], accuracy[order])
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine[order], other, atol=1e-12)


def test_no_line_no_estimate():
    for n_runs in (0, 1, 2):
        found = agreement_on_the_line(np.zeros((n_runs, 5), int), np.zeros((n_runs, 5), int), np.full(n_runs, 0.5))
        assert np.isnan(found.aline_s).all() and np.isnan(found.aline_d).all() and len(found.aline_d) == n_runs
    same = agreement_on_the_line(np.zeros((4, 5), int), np.arange(20).reshape(4, 5), [0.2, 0.4, 0.6, 0.8])
    assert np.isnan(same).all()
