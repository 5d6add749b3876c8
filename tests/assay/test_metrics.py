import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

from reprise.assay import metrics
from reprise.assay.metrics import (
    METRICS,
    bootstrap_counts,
    confidence,
    demographic_disparity,
    disparity,
    ece,
    entropy,
    error,
    infer_environments,
    infer_environments_by_ascent,
    measure,
    nll,
    top_k_accuracy,
)
from reprise.errors import UserError


def network(*shape, seed=0, scale=2.0, accuracy=0.6):
    """Logits (*shape, K) and labels of which about `accuracy` are the predicted class."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.normal(size=shape)
    labels = np.where(rng.random(shape[:-1]) < accuracy, logits.argmax(-1), rng.integers(0, shape[-1], shape[:-1]))
    return logits, labels


@st.composite
def evaluation_sets(draw):
    n, n_classes = draw(st.integers(1, 20)), draw(st.integers(2, 6))
    logits = draw(arrays(np.float16, (n, n_classes), elements=st.floats(-30, 30, width=16)))
    return logits, np.array(draw(st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n)))


def one_by_one(logits, labels, n_bins=10):
    """Every metric by its definition, a loop over samples in plain Python floats."""
    n, n_classes = logits.shape
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    guess = [max(range(n_classes), key=lambda k: z[k]) for z in logits]
    bins = [[] for _ in range(n_bins)]
    for i in range(n):
        bins[min(int(n_bins * p[i].max()), n_bins - 1)].append(i)
    calibration = sum(
        len(b) / n * abs(np.mean([guess[i] == labels[i] for i in b]) - np.mean([p[i].max() for i in b]))
        for b in bins
        if b
    )
    slope = [sum(p[i, k] * logits[i, k] for k in range(n_classes)) - logits[i, labels[i]] for i in range(n)]
    unfair = 0.0
    for environment in ([i for i in range(n) if slope[i] > 0], [i for i in range(n) if slope[i] <= 0]):
        for k in range(n_classes):
            share = sum(guess[i] == k for i in range(n)) / n
            if environment:
                inside = sum(guess[i] == k for i in environment) / len(environment)
                unfair += len(environment) / n * 0.5 * abs(share - inside)
    return {
        "error": np.mean([guess[i] != labels[i] for i in range(n)]),
        "nll": np.mean([-np.log(p[i, labels[i]]) for i in range(n)]),
        "ece": calibration,
        "demographic_disparity": unfair,
        "confidence": np.mean([p[i].max() for i in range(n)]),
        "entropy": np.mean([-(p[i] * np.log(p[i])).sum() for i in range(n)]),
    }


def test_by_hand():
    half = np.array([[2.0, 2.0], [0.0, 100.0]])
    assert ece(half, [0, 0], n_bins=3) == 0.75  # sure and wrong, unsure and right
    assert error(half, [0, 0]) == 0.5
    assert nll(half, [0, 0]) == pytest.approx((np.log(2) + 100) / 2)
    assert confidence(half) == 0.75
    assert entropy(half) == pytest.approx(np.log(2) / 2)
    assert top_k_accuracy(half, [0, 0], k=2) == 1.0
    assert np.isnan(top_k_accuracy(half, [0, 0], k=3))
    # g = -log(3)/4 for the right answer and 3 log(3)/4 for the wrong one
    quarter = np.log([[3.0, 1.0], [3.0, 1.0]])
    assert infer_environments(quarter, [0, 1]).tolist() == [False, True]
    assert demographic_disparity(quarter, [0, 1]) == 0.0


def test_confidence_of_one_falls_in_the_last_bin():
    sure = np.array([[500.0, 0.0], [0.0, 500.0]])
    assert ece(sure, [0, 1]) == 0.0
    assert ece(sure, [1, 1]) == 0.5
    assert nll(sure, [1, 1]) == 250.0


def test_disparity_by_hand():
    predictions, environments = np.array([0, 0, 1, 1]), np.array([True, True, False, False])
    assert disparity(predictions, environments, 2) == 0.5  # each environment is half a unit away from (1/2, 1/2)
    assert disparity(predictions, np.array([True, False, True, False]), 2) == 0.0
    assert disparity(predictions, np.array([True, False, False, False]), 2) == 0.25
    assert disparity(predictions, np.ones(4, dtype=bool), 2) == 0.0


def test_ties_go_to_the_first_class():
    tied = np.zeros((3, 4))
    assert error(tied, [0, 1, 3]) == pytest.approx(2 / 3)
    assert [top_k_accuracy(tied, [0, 1, 3], k) for k in (1, 2, 3, 4)] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])


def test_agrees_with_the_definitions_in_a_loop():
    logits, labels = network(3, 2, 90, 5)
    found = measure(logits, labels, draws=0)
    for place in np.ndindex(3, 2):
        for name, value in one_by_one(logits[place], labels[place]).items():
            assert found[name].value[place] == pytest.approx(value, abs=1e-12), name


def test_agrees_with_scikit_learn():
    logits, labels = network(2, 400, 12)
    probabilities = torch.softmax(torch.from_numpy(logits), -1).numpy()
    found = measure(logits, labels, draws=0)
    for i in range(2):
        assert found["error"].value[i] == pytest.approx(1 - accuracy_score(labels[i], logits[i].argmax(1)))
        assert found["nll"].value[i] == pytest.approx(log_loss(labels[i], probabilities[i], labels=range(12)))
        for k in (5, 10):
            theirs = top_k_accuracy_score(labels[i], logits[i], k=k, labels=range(12))
            assert found[f"top{k}_accuracy"].value[i] == top_k_accuracy(logits[i], labels[i], k) == theirs


def test_calibration_agrees_with_torchmetrics():
    functional = pytest.importorskip("torchmetrics.functional.classification")
    logits, labels = network(500, 10, scale=1.0)
    theirs = functional.multiclass_calibration_error(
        torch.softmax(torch.from_numpy(logits), -1), torch.from_numpy(labels), num_classes=10, n_bins=10, norm="l1"
    )
    assert ece(logits, labels) == pytest.approx(theirs.item(), abs=1e-6)


def test_measure_gives_what_the_single_functions_give():
    logits, labels = network(4, 60, 11)
    found = measure(logits.astype(np.float16), labels)
    half = logits.astype(np.float16)
    single = {
        "error": error(half, labels),
        "nll": nll(half, labels),
        "ece": ece(half, labels),
        "demographic_disparity": demographic_disparity(half, labels),
        "confidence": confidence(half),
        "entropy": entropy(half),
        "top5_accuracy": top_k_accuracy(half, labels, 5),
        "top10_accuracy": top_k_accuracy(half, labels, 10),
    }
    assert found.keys() == single.keys() == set(METRICS)
    for name, values in single.items():
        np.testing.assert_allclose(found[name].value, values, rtol=1e-12)
        assert found[name].stderr.shape == (4,) and (found[name].stderr >= 0).all()


def test_blocks_change_nothing(monkeypatch):
    logits, labels = network(7, 30, 10)
    whole = measure(logits, labels)
    monkeypatch.setattr(metrics, "BLOCK", 2 * 30 * 10)
    for name, (value, stderr) in measure(logits, labels).items():
        np.testing.assert_allclose(value, whole[name].value, rtol=1e-12)
        np.testing.assert_allclose(stderr, whole[name].stderr, rtol=1e-9)


def test_top_k_is_left_out_below_k_classes():
    assert set(METRICS) - measure(*network(8, 4), draws=0).keys() == {"top5_accuracy", "top10_accuracy"}
    assert set(METRICS) - measure(*network(8, 5), draws=0).keys() == {"top10_accuracy"}


def test_one_set_and_labels_shared_by_several():
    logits, labels = network(3, 50, 10)
    alone = measure(logits[1], labels[1], names=["nll", "error"])
    assert list(alone) == ["nll", "error"] and alone["nll"].value.shape == ()
    shared = measure(logits, labels[1], names=["nll"])["nll"]
    np.testing.assert_allclose(shared.value[1], alone["nll"].value, rtol=1e-12)
    np.testing.assert_allclose(shared.stderr[1], alone["nll"].stderr, rtol=1e-9)


def test_half_precision_is_enough():
    """Near ties may turn the prediction of a few of the 540 samples; likelihoods hardly move."""
    logits, labels = network(20, 540, 10, scale=4.0)
    whole, half = measure(logits, labels, draws=0), measure(logits.astype(np.float16), labels, draws=0)
    tolerance = {"nll": 3e-4, "confidence": 1e-4, "entropy": 1e-4}
    for name in METRICS:
        np.testing.assert_allclose(
            half[name].value, whole[name].value, rtol=0, atol=tolerance.get(name, 3 / 540), err_msg=name
        )


@given(evaluation_sets())
def test_ranges(case):
    logits, labels = case
    found = {name: float(value) for name, (value, _) in measure(logits, labels, draws=0).items()}
    bound = {"nll": np.inf, "entropy": np.log(logits.shape[1]), "demographic_disparity": 0.5}
    for name, value in found.items():
        assert -1e-12 <= value <= bound.get(name, 1.0) + 1e-12, name


@given(evaluation_sets(), st.randoms(use_true_random=False))
def test_order_of_samples_does_not_matter(case, random):
    logits, labels = case
    order = list(range(len(labels)))
    random.shuffle(order)
    ours, theirs = measure(logits, labels, draws=0), measure(logits[order], labels[order], draws=0)
    for name, (value, _) in ours.items():
        assert theirs[name].value == pytest.approx(value, abs=1e-12), name


@given(evaluation_sets(), st.integers(-50, 50))
def test_a_constant_added_to_the_logits_changes_nothing(case, constant):
    logits, labels = case
    logits = np.round(logits.astype(np.float64) * 64) / 64  # so that the sums are exact: ties stay ties
    ours, theirs = measure(logits, labels, draws=0), measure(logits + constant, labels, draws=0)
    for name, (value, _) in ours.items():
        assert theirs[name].value == pytest.approx(value, abs=1e-12), name


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(1, 3), st.integers(1, 3))
def test_predictions_independent_of_the_split_have_no_disparity(predictions, in_one, in_other):
    """Every predicted class is in the environments in the proportion in_one : in_other."""
    environments = np.repeat([True, False], [in_one, in_other])
    predicted = np.repeat(predictions, in_one + in_other)
    assert disparity(predicted, np.tile(environments, len(predictions)), 5) == pytest.approx(0, abs=1e-12)


def test_slope_is_the_derivative_of_the_loss_in_the_scale_of_the_logits():
    logits, labels = network(200, 10)
    scale = torch.ones(200, 1, dtype=torch.float64, requires_grad=True)
    z, y = torch.from_numpy(logits), torch.from_numpy(labels)
    torch.nn.functional.cross_entropy(scale * z, y, reduction="sum").backward()
    np.testing.assert_allclose(metrics.judged(logits, labels).slopes, scale.grad[:, 0].numpy(), atol=1e-12)


@pytest.mark.parametrize("scale", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_ascent_finds_the_closed_form(scale, seed):
    logits, labels = network(800, 10, seed=seed, scale=scale)
    same = infer_environments_by_ascent(logits, labels, seed=seed) == infer_environments(logits, labels)
    assert same.mean() >= 0.99


@pytest.mark.slow
def test_literal_ascent_finds_the_closed_form():
    """The penalty differentiated twice by torch, all 10,000 steps of its Adam, no early stop."""
    logits, labels = network(150, 10, seed=1)
    z, y = torch.from_numpy(logits), torch.from_numpy(labels)
    w = torch.randn(150, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([w], lr=1e-3)
    for _ in range(10_000):
        losses, q = torch.nn.functional.cross_entropy(scale * z, y, reduction="none"), torch.sigmoid(w)
        parts = [torch.autograd.grad((share * losses).mean(), scale, create_graph=True)[0] for share in (q, 1 - q)]
        adam.zero_grad()
        (-(parts[0] ** 2 + parts[1] ** 2) / 2).backward()
        adam.step()
    chosen = (w > 0).detach().numpy()
    closed = infer_environments(logits, labels)
    assert max((chosen == closed).mean(), (chosen != closed).mean()) >= 0.99


def test_closed_form_beats_every_other_split():
    logits, labels = network(10, 4, accuracy=0.3)
    slopes = metrics.judged(logits, labels).slopes
    splits = (np.arange(2**10)[:, None] >> np.arange(10)) & 1
    penalties = (splits @ slopes) ** 2 + ((1 - splits) @ slopes) ** 2
    best = infer_environments(logits, labels)
    assert (best @ slopes) ** 2 + (~best @ slopes) ** 2 == pytest.approx(penalties.max())


def test_standard_errors_of_means():
    """A mean's bootstrap error is close to sd / sqrt(n), the error's is analytic; 2,000 draws are within 5 %."""
    logits, labels = network(3, 400, 12)
    found = measure(logits, labels, draws=2000, seed=1)
    outputs = metrics.judged(logits, labels)
    assert found["error"].stderr == pytest.approx(outputs.wrong.std(axis=-1) / 20)
    for name, samples in {
        "nll": outputs.losses,
        "confidence": outputs.confidences,
        "entropy": outputs.entropies,
        "top5_accuracy": outputs.ranks < 5,
    }.items():
        assert found[name].stderr == pytest.approx(samples.std(axis=-1) / 20, rel=0.08), name


def test_bootstrap_error_of_the_error_is_close_to_the_analytic_one():
    logits, labels = network(5, 540, 10)
    outputs = metrics.judged(logits, labels)
    bootstrap = (outputs.wrong @ bootstrap_counts(540, 200, 0).T / 540).std(axis=-1, ddof=1)
    assert bootstrap == pytest.approx(measure(logits, labels, names=["error"])["error"].stderr, rel=0.2)


def test_bootstrap_is_what_resampling_and_measuring_again_gives():
    logits, labels = network(100, 10)
    found = measure(logits, labels, draws=50, seed=3)
    counts = bootstrap_counts(100, 50, 3).astype(int)
    again = [np.repeat(np.arange(100), row) for row in counts]
    assert (counts.sum(axis=1) == 100).all()
    for name in ("nll", "ece", "demographic_disparity"):
        values = [measure(logits[rows], labels[rows], names=[name], draws=0)[name].value for rows in again]
        assert found[name].stderr == pytest.approx(np.std(values, ddof=1), rel=1e-9), name


def test_resamples_depend_on_seed_and_size_only():
    assert (bootstrap_counts(30, 5, 0) == bootstrap_counts(30, 5, 0)).all()
    assert (bootstrap_counts(30, 5, 0) != bootstrap_counts(30, 5, 1)).any()
    with pytest.raises(ValueError, match="read-only"):
        bootstrap_counts(30, 5, 0)[0, 0] = 1


def test_no_draws_no_bootstrap():
    found = measure(*network(2, 30, 10), draws=0)
    assert np.isfinite(found["error"].stderr).all()
    assert all(np.isnan(found[name].stderr).all() for name in METRICS if name != "error")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_named(bad):
    logits, labels = network(2, 3, 30, 10)
    logits[1, 0, 4, 2] = bad
    with pytest.raises(UserError, match=r"NaN or infinity in 1 of 6 sets, the first at \[1, 0\].*diverged"):
        measure(logits, labels)
    with pytest.raises(UserError, match="logits hold NaN or infinity: the training diverged"):
        nll(logits[1, 0], labels[1, 0])


def test_input_that_does_not_fit_is_named():
    logits, labels = network(2, 30, 10)
    with pytest.raises(UserError, match="integers from 0 to 9"):
        error(logits, labels + 1)
    with pytest.raises(UserError, match="integers from 0 to 9"):
        error(logits, labels.astype(float))
    with pytest.raises(UserError, match=r"labels have shape \(29,\), the logits \(2, 30, 10\)"):
        error(logits, labels[0, :29])
    with pytest.raises(UserError, match=r"labels have shape \(3, 30\)"):
        error(logits, np.zeros((3, 30), dtype=int))
    with pytest.raises(UserError, match=r"shape \(10,\), expected \(..., samples, classes\)"):
        confidence(logits[0, 0])
    with pytest.raises(UserError, match="at least one of each"):
        confidence(np.zeros((0, 10)))
    with pytest.raises(UserError, match="unknown metric 'accuracy'"):
        measure(logits, labels, names=["accuracy"])
    with pytest.raises(UserError, match="at least 2 resamples"):
        measure(logits, labels, draws=1)
