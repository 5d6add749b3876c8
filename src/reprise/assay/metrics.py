"""Metrics of "Assaying Out-Of-Distribution Generalization in Transfer Learning" (Sec. 4), from logits and labels alone.

Notation: `logits` z of shape (*sets, n, K), any number of evaluation sets of one size at once, stored as float16 and
computed in float64; `labels` y of shape (n,) or (*sets, n) in 0..K-1; p = softmax(z). The prediction is the first of
the largest logits. Every metric is an array of shape (*sets,); logarithms are natural.

`measure` computes all of them with their standard errors; the functions before it compute one each.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from math import prod
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from numpy.typing import ArrayLike

from reprise.errors import UserError
from reprise.seeding import derive

N_BINS = 10
BLOCK = (
    2**19
)  # logits per block of `measure`: 4 MiB, so that a block's intermediate arrays stay in the processor's cache


class Outputs:
    """What the metrics need of the logits; each quantity is computed once, and only when asked for.

    Everything follows from d = z - max z and its exponentials: 1 / sum exp(d) is the confidence, and with the mean
    logit m = sum_k p_k d_k (<= 0) the entropy is log(sum exp(d)) - m.
    """

    def __init__(self, logits: ArrayLike) -> None:
        self.logits = np.asarray(logits, dtype=np.float64)

    @cached_property
    def predictions(self) -> Int[np.ndarray, "*sets n"]:
        return self.logits.argmax(axis=-1)

    @cached_property
    def below_max(self) -> Float[np.ndarray, "*sets n K"]:
        return self.logits - self.logits.max(axis=-1, keepdims=True)

    @cached_property
    def exponentials(self) -> Float[np.ndarray, "*sets n K"]:
        return np.exp(self.below_max)

    @cached_property
    def normaliser(self) -> Float[np.ndarray, "*sets n"]:
        return self.exponentials.sum(axis=-1)

    @cached_property
    def mean_logit(self) -> Float[np.ndarray, "*sets n"]:
        return np.einsum("...k,...k->...", self.exponentials, self.below_max) / self.normaliser

    @cached_property
    def confidences(self) -> Float[np.ndarray, "*sets n"]:
        return 1 / self.normaliser

    @cached_property
    def entropies(self) -> Float[np.ndarray, "*sets n"]:
        return np.log(self.normaliser) - self.mean_logit


class Judged(Outputs):
    """Outputs beside the true labels, (*sets, n) integers."""

    def __init__(self, logits: ArrayLike, labels: Int[np.ndarray, "*sets n"]) -> None:
        super().__init__(logits)
        self.labels = labels

    def at_label(self, values: Float[np.ndarray, "*sets n K"]) -> Float[np.ndarray, "*sets n"]:
        return np.take_along_axis(values, self.labels[..., None], axis=-1)[..., 0]

    @cached_property
    def wrong(self) -> Bool[np.ndarray, "*sets n"]:
        return self.predictions != self.labels

    @cached_property
    def true_logit(self) -> Float[np.ndarray, "*sets n"]:
        return self.at_label(self.below_max)

    @cached_property
    def losses(self) -> Float[np.ndarray, "*sets n"]:
        """Cross-entropy -log p_y."""
        return np.log(self.normaliser) - self.true_logit

    @cached_property
    def slopes(self) -> Float[np.ndarray, "*sets n"]:
        """g = d/ds CE(s z, y) at s = 1, sum_k p_k z_k - z_y: how the loss changes as the logits are scaled up."""
        return self.mean_logit - self.true_logit

    @cached_property
    def ranks(self) -> Int[np.ndarray, "*sets n"]:
        """How many classes come before the true one, ties in order of class: 0 where the prediction is right."""
        truth = self.at_label(self.logits)[..., None]
        tied_before = (self.logits == truth) & (np.arange(self.logits.shape[-1]) < self.labels[..., None])
        return ((self.logits > truth) | tied_before).sum(axis=-1)


def error(logits: ArrayLike, labels: ArrayLike) -> Float[np.ndarray, "*sets"]:
    """Share of predictions that are wrong, in [0, 1]."""
    return judged(logits, labels).wrong.mean(axis=-1)


def top_k_accuracy(logits: ArrayLike, labels: ArrayLike, k: int) -> Float[np.ndarray, "*sets"]:
    """Share of true labels among the k largest logits, in [0, 1]; NaN where there are fewer than k classes."""
    outputs = judged(logits, labels)
    if outputs.logits.shape[-1] < k:
        return np.full(outputs.logits.shape[:-2], np.nan)
    return (outputs.ranks < k).mean(axis=-1)


def nll(logits: ArrayLike, labels: ArrayLike) -> Float[np.ndarray, "*sets"]:
    """Mean negative log-likelihood of the true labels, >= 0."""
    return judged(logits, labels).losses.mean(axis=-1)


def confidence(logits: ArrayLike) -> Float[np.ndarray, "*sets"]:
    """Mean of the largest probability, in [1/K, 1]."""
    return Outputs(checked(logits)).confidences.mean(axis=-1)


def entropy(logits: ArrayLike) -> Float[np.ndarray, "*sets"]:
    """Mean entropy of the predicted distribution, in [0, log K]."""
    return Outputs(checked(logits)).entropies.mean(axis=-1)


def ece(logits: ArrayLike, labels: ArrayLike, n_bins: int = N_BINS) -> Float[np.ndarray, "*sets"]:
    """Expected calibration error of the top label, in [0, 1]: sum_b (n_b / n) |accuracy_b - mean confidence_b|.

    Bin of a sample: min(floor(n_bins * confidence), n_bins - 1); empty bins count 0.
    """
    return _ece_of(_bin_gaps(judged(logits, labels), n_bins).sum(axis=-1), np.shape(logits)[-2])


def infer_environments(logits: ArrayLike, labels: ArrayLike) -> Bool[np.ndarray, "*sets n"]:
    """The two environments on which the IRM penalty of the fixed model is largest; True where g > 0.

    The penalty is 1/2 [(mean q_i g_i)^2 + (mean (1 - q_i) g_i)^2] over soft assignments q in [0, 1]^n, with g_i the
    slope of the loss as the logits are scaled. It depends on q only through sum_i q_i g_i and is convex in it, so one
    of the two extreme sums is best, and both give this partition.
    """
    return judged(logits, labels).slopes > 0


def infer_environments_by_ascent(
    logits: ArrayLike, labels: ArrayLike, *, seed: int, steps: int = 10_000, learning_rate: float = 1e-3
) -> Bool[np.ndarray, " n"]:
    """As `infer_environments`, the official way: Adam on w ~ N(0, 1), q = sigmoid(w), threshold 0.5; one set only.

    Stops early once every weight lies on the side its gradient pushes it to: no sign can change any more. Which of
    the two environments ends up with q > 0.5 depends on the start; True is the one with the larger sum of g. A
    sample whose gradient is lost in Adam's epsilon (1e-8; |g| of a very confident one) stays where it started.
    """
    slopes = judged(logits, labels).slopes
    n = len(slopes)
    w = np.random.default_rng(derive(seed, "environments by ascent")).normal(size=n)
    first, second = np.zeros(n), np.zeros(n)
    for step in range(1, steps + 1):
        q = 1 / (1 + np.exp(-w))
        gradient = (2 * (q @ slopes) - slopes.sum()) * slopes * q * (1 - q) / n**2
        if (w * gradient >= 0).all():
            break
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        w += learning_rate * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    chosen = w > 0
    return chosen if slopes[chosen].sum() >= slopes[~chosen].sum() else ~chosen


def disparity(
    predictions: Int[np.ndarray, "*sets n"], environments: Bool[np.ndarray, "*sets n"], n_classes: int
) -> Float[np.ndarray, "*sets"]:
    """Demographic disparity, in [0, 0.5]: sum_e (n_e / n) 1/2 sum_k |P_k - P_ek| of predicted-class frequencies.

    P over all samples, P_e over environment e; an empty environment counts 0.
    """
    sets, n = predictions.shape[:-1], predictions.shape[-1]
    codes = (predictions + n_classes * environments).reshape(-1, n)
    codes = codes + 2 * n_classes * np.arange(len(codes))[:, None]
    counts = np.bincount(codes.ravel(), minlength=2 * n_classes * len(codes))
    return _disparity_of(counts.reshape(*sets, 2, n_classes))


def demographic_disparity(logits: ArrayLike, labels: ArrayLike) -> Float[np.ndarray, "*sets"]:
    """`disparity` of the predictions between the inferred environments; lower is more invariant."""
    outputs = judged(logits, labels)
    return disparity(outputs.predictions, outputs.slopes > 0, outputs.logits.shape[-1])


SAMPLE_MEANS: dict[str, Callable[[Judged], Num[np.ndarray, "*sets n"]]] = {
    "error": lambda outputs: outputs.wrong,
    "nll": lambda outputs: outputs.losses,
    "confidence": lambda outputs: outputs.confidences,
    "entropy": lambda outputs: outputs.entropies,
    "top5_accuracy": lambda outputs: outputs.ranks < 5,
    "top10_accuracy": lambda outputs: outputs.ranks < 10,
}
LEAST_CLASSES = {"top5_accuracy": 5, "top10_accuracy": 10}
METRICS = (*SAMPLE_MEANS, "ece", "demographic_disparity")


class Measurement(NamedTuple):
    """A metric of each set and its standard error, NaN where none was asked for."""

    value: Float[np.ndarray, "*sets"]
    stderr: Float[np.ndarray, "*sets"]


def measure(
    logits: ArrayLike, labels: ArrayLike, *, names: Sequence[str] = METRICS, draws: int = 200, seed: int = 0
) -> dict[str, Measurement]:
    """The metrics `names` of a stack of sets; top-k accuracies are left out where there are fewer than k classes.

    Standard errors: sqrt(e (1 - e) / n) for the error; for the others the standard deviation over `draws` bootstrap
    resamples of the samples, NaN with draws = 0. The resamples depend on `seed` and n only and are shared by all sets
    of one size. A sample's environment depends on that sample alone, so that it is the same in every resample.

    UserError for logits that are not finite, labels out of range, shapes that do not fit or an unknown name.
    """
    if unknown := set(names) - set(METRICS):
        raise UserError(f"unknown metric {sorted(unknown)[0]!r}; choose from {', '.join(METRICS)}")
    if draws == 1 or draws < 0:
        raise UserError(f"draws = {draws}: a standard error takes at least 2 resamples (0 for none)")
    z, y = checked(logits), checked_labels(logits, labels)
    *sets, n, n_classes = z.shape
    names = [name for name in names if n_classes >= LEAST_CLASSES.get(name, 0)]
    z, y = z.reshape(-1, n, n_classes), y.reshape(-1, n)
    resamples = bootstrap_counts(n, draws, seed) if draws and set(names) - {"error"} else None
    size = max(1, BLOCK // (n * n_classes))
    blocks = [
        _measure_block(Judged(z[start : start + size], y[start : start + size]), names, resamples)
        for start in range(0, len(z), size)
    ]
    values, errors = (np.concatenate(parts, axis=-1) for parts in zip(*blocks, strict=True))
    return {
        name: Measurement(value.reshape(sets), stderr.reshape(sets))
        for name, value, stderr in zip(names, values, errors, strict=True)
    }


@lru_cache(maxsize=4)
def bootstrap_counts(n: int, draws: int, seed: int) -> Float[np.ndarray, "draws n"]:
    """How often each of n samples occurs in each of `draws` resamples of n with replacement (read-only)."""
    rng = np.random.default_rng(derive(seed, "bootstrap", n))
    counts = rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)
    counts.setflags(write=False)
    return counts


def checked(logits: ArrayLike) -> Float[np.ndarray, "*sets n K"]:
    """`logits` as they are; UserError unless (*sets, n, K), not empty and finite."""
    z = np.asarray(logits)
    if z.ndim < 2 or not z.size:
        raise UserError(f"logits have shape {z.shape}, expected (..., samples, classes) with at least one of each")
    if not (finite := np.isfinite(z)).all():
        bad = ~finite.all(axis=(-2, -1))
        where = f" in {bad.sum()} of {bad.size} sets, the first at {np.argwhere(bad)[0].tolist()}" if bad.ndim else ""
        raise UserError(
            f"logits hold NaN or infinity{where}: the training diverged, or float16 overflowed; "
            "lower the learning rate or leave the network out"
        )
    return z


def checked_labels(logits: ArrayLike, labels: ArrayLike) -> Int[np.ndarray, "*sets n"]:
    """`labels` repeated for every set of `logits`; UserError unless integers in 0..K-1 of a shape that fits."""
    *shape, n_classes = np.shape(logits)
    y = np.asarray(labels)
    if y.dtype.kind not in "iu" or not y.size or y.min() < 0 or y.max() >= n_classes:
        raise UserError(f"labels must be integers from 0 to {n_classes - 1}, the classes of the logits")
    if y.shape[-1:] != (shape[-1],) or y.shape[:-1] not in ((), tuple(shape[:-1])):
        raise UserError(f"labels have shape {y.shape}, the logits {np.shape(logits)}: one label per sample is needed")
    return np.broadcast_to(y, shape)


def judged(logits: ArrayLike, labels: ArrayLike) -> Judged:
    """Checked logits and labels, ready for the metrics."""
    return Judged(checked(logits), checked_labels(logits, labels))


def _measure_block(
    outputs: Judged, names: Sequence[str], resamples: Float[np.ndarray, "draws n"] | None
) -> tuple[Float[np.ndarray, "metric set"], Float[np.ndarray, "metric set"]]:
    """Values and standard errors of some sets, (set, n, K)."""
    n_sets, n, n_classes = outputs.logits.shape
    values, errors = np.full((2, len(names), n_sets), np.nan)
    for row, name in enumerate(names):
        if name == "ece":
            gaps = _bin_gaps(outputs, N_BINS)
            values[row] = _ece_of(gaps.sum(axis=-1), n)
            if resamples is not None:
                errors[row] = _ece_of(_resample(gaps, resamples).swapaxes(-1, -2), n).std(axis=-1, ddof=1)
        elif name == "demographic_disparity":
            environments = outputs.slopes > 0
            values[row] = disparity(outputs.predictions, environments, n_classes)
            if resamples is not None:
                codes = outputs.predictions + n_classes * environments
                errors[row] = [_disparity_stderr(code, n_classes, resamples) for code in codes]
        else:
            samples = SAMPLE_MEANS[name](outputs)
            values[row] = samples.mean(axis=-1)
            if name == "error":
                errors[row] = np.sqrt(values[row] * (1 - values[row]) / n)
            elif resamples is not None:
                errors[row] = (_resample(samples, resamples) / n).std(axis=-1, ddof=1)
    return values, errors


def _resample(
    samples: Num[np.ndarray, "*rows n"], resamples: Float[np.ndarray, "draws n"]
) -> Float[np.ndarray, "*rows draws"]:
    """Sums over each resample, as one matrix product for all rows."""
    *rows, n = samples.shape
    return (samples.reshape(prod(rows), n) @ resamples.T).reshape(*rows, -1)


def _bin_gaps(outputs: Judged, n_bins: int) -> Float[np.ndarray, "*sets bin n"]:
    """correct - confidence of each sample, in the row of its bin; 0 in the others."""
    bins = np.minimum((n_bins * outputs.confidences).astype(np.int64), n_bins - 1)
    gap = ~outputs.wrong - outputs.confidences
    return np.where(bins[..., None, :] == np.arange(n_bins)[:, None], gap[..., None, :], 0.0)


def _ece_of(gap_sums: Float[np.ndarray, "*sets bin"], n: int) -> Float[np.ndarray, "*sets"]:
    """(n_b / n) |accuracy_b - mean confidence_b| is |sum of correct - confidence in b| / n."""
    return np.abs(gap_sums).sum(axis=-1) / n


def _disparity_of(counts: Num[np.ndarray, "*sets 2 K"]) -> Float[np.ndarray, "*sets"]:
    """Disparity from the samples per (environment, predicted class).

    (n_e / n) |P_k - P_ek| = |n_e n_k / n - n_ek| / n, and the two environments' terms are equal: one is enough.
    """
    n, one = counts.sum(axis=(-2, -1)), counts[..., 1, :]
    expected = one.sum(axis=-1, keepdims=True) * counts.sum(axis=-2) / n[..., None]
    return np.abs(one - expected).sum(axis=-1) / n


def _disparity_stderr(
    codes: Int[np.ndarray, " n"], n_classes: int, resamples: Float[np.ndarray, "draws n"]
) -> Float[np.ndarray, ""]:
    """Counting costs draws * n, however many classes; a product with one-hot rows would cost draws * n * 2K."""
    draws = len(resamples)
    cells = codes + 2 * n_classes * np.arange(draws)[:, None]
    counts = np.bincount(cells.ravel(), weights=resamples.ravel(), minlength=2 * n_classes * draws)
    return _disparity_of(counts.reshape(draws, 2, n_classes)).std(ddof=1)
