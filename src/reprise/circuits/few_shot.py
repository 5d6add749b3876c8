"""Learning new classes from few examples (Sec. 3, 6.5 A15): a logistic head on the features of a frozen network.

An episode takes some of the classes, a few images of each to learn from (the support) and others to be judged on. The
head is multinomial logistic regression with an L2 penalty, scikit-learn's `LogisticRegression(C=1)`, on features
whose mean over the support is zero and whose mean square is one; the heads of all episodes are fitted at once.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import log_softmax

from reprise.data.arrays import DataError
from reprise.seeding import derive

C = 1.0  # inverse strength of the penalty
GRADIENT = 1e-4  # at which a fit has ended, greatest entry


class Episodes(NamedTuple):
    """Numbers of rows: e episodes of k classes; the class of a row is its place along the second axis."""

    support: Int[np.ndarray, "e k shots"]
    query: Int[np.ndarray, "e k queries"]


def episodes(labels: Int[np.ndarray, " n"], *, way: int, shots: int, queries: int, count: int, seed: int) -> Episodes:
    """Draw classes, and `shots` + `queries` different images of each.

    Episodes depend on the seed and these numbers alone. The first images of a support are those of the same episode
    with fewer shots; queries are then the same.

    Raises:
        DataError: the data have too few classes, or too few images of one.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    if len(classes) < way or sizes.min() < shots + queries:
        raise DataError(
            f"episodes of {way} classes with {shots} + {queries} images each need more than the data set's "
            f"{len(classes)} classes of {sizes.min()}: prepare more, or lower way, shots or queries"
        )
    rng = np.random.default_rng(derive(seed, "circuits", "few_shot", way, shots, queries))
    rows = [np.flatnonzero(labels == k) for k in classes]
    drawn = np.stack(
        [
            np.stack([rng.permutation(rows[k])[: shots + queries] for k in rng.permutation(len(classes))[:way]])
            for _ in range(count)
        ]
    )
    return Episodes(drawn[:, :, :shots], drawn[:, :, shots:])


def few_shot(
    features: Float[np.ndarray, "n d"], drawn: Episodes, shots: Sequence[int]
) -> Iterator[tuple[int, Float[np.ndarray, " e"]]]:
    """Each number of shots, with the share of an episode's queries put into the right class."""
    e, way, queries = drawn.query.shape
    truth = np.repeat(np.arange(way), queries)
    asked = features[drawn.query.reshape(e, -1)].astype(np.float64)
    for few in shots:
        known = features[drawn.support[:, :, :few].reshape(e, -1)].astype(np.float64)
        middle = known.mean(1, keepdims=True)
        spread = np.sqrt(((known - middle) ** 2).mean((1, 2), keepdims=True))
        spread[spread == 0] = 1  # features that are all alike tell nothing, at any scale
        weight, bias = fit((known - middle) / spread, np.repeat(np.arange(way), few))
        scores = (asked - middle) / spread @ weight + bias[:, None]
        yield few, (scores.argmax(2) == truth).mean(1)


def fit(
    x: Float[np.ndarray, "e n d"], y: Int[np.ndarray, " n"], c: float = C
) -> tuple[Float[np.ndarray, "e d k"], Float[np.ndarray, "e k"]]:
    """Weights and biases of e heads that minimise |weights|^2 / 2 + c * sum of the cross-entropies, each its own.

    One L-BFGS run for all: the sum of the e problems, which share no variable, has its minimum where each has its own.
    Biases bear no penalty.

    Args:
        y: classes 0..k-1 of the rows, the same in all episodes.
    """
    e, n, d = x.shape
    k = int(y.max()) + 1
    target = np.eye(k)[y]
    rows = np.concatenate([x, np.ones((e, n, 1))], 2)
    columns = np.ascontiguousarray(rows.transpose(0, 2, 1))

    def objective(flat: Float[np.ndarray, " p"]) -> tuple[float, Float[np.ndarray, " p"]]:
        heads = flat.reshape(e, d + 1, k)
        log_p = log_softmax(rows @ heads, axis=2)
        gradient = c * (columns @ (np.exp(log_p) - target))
        gradient[:, :d] += heads[:, :d]
        return (heads[:, :d] ** 2).sum() / 2 - c * (log_p * target).sum(), gradient.ravel()

    options = {"maxiter": 1000, "maxcor": 20, "ftol": 0.0, "gtol": GRADIENT}
    found = minimize(objective, np.zeros(e * (d + 1) * k), jac=True, method="L-BFGS-B", options=options)
    heads = found.x.reshape(e, d + 1, k)
    return heads[:, :d], heads[:, d]
