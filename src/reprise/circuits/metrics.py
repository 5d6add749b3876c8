"""Metrics of circuits, from arrays alone: answers, graphs (Sec. 2.8, 2.12), and what texts make of them (Sec. 6.3).

A graph is a matrix P (u, u) of link probabilities between u processors; what a module has to itself is left out
everywhere. Shares and similarities are plain numbers, not per cent.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from reprise.seeding import derive

CLOSE = 1e-9  # sums of the same numbers in another order are equal


def accuracy(logits: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> float:
    """Share of rows whose greatest logit is that of the label; no row with a logit that is not finite is right."""
    return float(((logits.argmax(1) == labels) & np.isfinite(logits).all(1)).mean())


def majority(train: Int[np.ndarray, " m"], test: Int[np.ndarray, " n"]) -> float:
    """Accuracy of always naming the class most frequent in training, the first of several."""
    return float((test == np.bincount(train).argmax()).mean())


# ---------------------------------------------------------------- graphs


def off_diagonal(graphs: Float[np.ndarray, "*b u u"]) -> Float[np.ndarray, "*b m"]:
    """The m = u (u - 1) links between different modules, row by row, in double precision."""
    return graphs[..., ~np.eye(graphs.shape[-1], dtype=bool)].astype(np.float64)


def correlation(one: Float[np.ndarray, "u u"], other: Float[np.ndarray, "u u"]) -> float:
    """Pearson correlation of the links of two graphs; NaN where one of them has all alike, as Erdős–Rényi has."""
    x, y = off_diagonal(one), off_diagonal(other)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def degrees(graph: Float[np.ndarray, "u u"]) -> Float[np.ndarray, " u"]:
    """Expected number of other modules that each one listens to."""
    return off_diagonal(graph).reshape(len(graph), -1).sum(1)


def gini(values: ArrayLike) -> float:
    """Gini coefficient of numbers >= 0: 0 where all are alike, 1 - 1/n where one of n has everything, 0 of zeros."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n, total = len(ordered), ordered.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total)) if total else 0.0


# ---------------------------------------------------------------- graphs of many texts


class Similarity(NamedTuple):
    """Mean similarity of two graphs of one kind and of different kinds; `p` of their difference being by chance."""

    within: float
    between: float
    p: float

    @property
    def gap(self) -> float:
        return self.within - self.between


def similarities(graphs: Float[np.ndarray, "n u u"]) -> Float[np.ndarray, "n n"]:
    """Cosines of the graphs' links after their mean over the graphs is taken off, in [-1, 1].

    A graph that is the mean is similar to none: 0.
    """
    links = off_diagonal(graphs)
    links -= links.mean(0)
    norms = np.linalg.norm(links, axis=1, keepdims=True)
    # What rounding leaves of equal graphs has no direction.
    unit = np.divide(links, norms, out=np.zeros_like(links), where=norms > CLOSE * links.shape[1])
    return unit @ unit.T


def similarity_of_kinds(
    similar: Float[np.ndarray, "n n"], kinds: Int[np.ndarray, " n"], *, permutations: int, seed: int
) -> Similarity | None:
    """Whether graphs of one kind are alike; None where no two are of one kind, or none of different kinds.

    The p-value is that of a one-sided test that permutes the kinds: (1 + draws with as great a gap) / (1 + draws).
    Items must be exchangeable, so every text may occur but once.
    """
    n, groups = len(kinds), np.unique(kinds, return_inverse=True)[1]
    members = np.bincount(groups)
    pairs = int((members * (members - 1)).sum())
    if pairs in (0, n * (n - 1)):
        return None
    between = similar - np.diag(np.diag(similar))
    total = between.sum()

    def within(labels: Int[np.ndarray, "draws n"]) -> Float[np.ndarray, " draws"]:
        """Sum over ordered pairs of one kind; their number and the sum of all pairs no permutation changes."""
        belongs = (labels[:, :, None] == np.arange(len(members))).astype(np.float64)  # draws n kinds
        return np.einsum("pnk,pnk->p", np.matmul(between, belongs), belongs)

    found = within(groups[None])[0]
    rng = np.random.default_rng(derive(seed, "circuits", "permutations", n))
    drawn = within(rng.permuted(np.tile(groups, (permutations, 1)), axis=1))
    exceeding = int((drawn >= found - CLOSE * n * n).sum())
    mean_within, mean_between = found / pairs, (total - found) / (n * (n - 1) - pairs)
    return Similarity(float(mean_within), float(mean_between), (1 + exceeding) / (1 + permutations))


def retrieval(similar: Float[np.ndarray, "n n"], kinds: Int[np.ndarray, " n"]) -> float:
    """Share of graphs whose most similar other one is of their kind (1-NN; of equally similar ones the first)."""
    others = similar.astype(np.float64)
    np.fill_diagonal(others, -np.inf)
    return float((kinds[others.argmax(1)] == kinds).mean())


def retrieval_chance(kinds: Int[np.ndarray, " n"]) -> float:
    """Expected `retrieval` of an other one at random."""
    members, n = np.unique(kinds, return_counts=True)[1], len(kinds)
    return float((members * (members - 1)).sum() / (n * (n - 1)))


# ---------------------------------------------------------------- circuits of other texts


def follows(
    predicted: Int[np.ndarray, " n"],
    of_circuit: Int[np.ndarray, " n"],
    of_image: Int[np.ndarray, " n"],
    known: Bool[np.ndarray, " n"],
) -> tuple[float, float, int] | None:
    """Whose question a picture's answer is to, that of the circuit it went through or its own.

    Returns: the shares of answers that are right for the circuit's question and for the picture's own, over the pairs
    where both are known and differ, and the number of these; None where there are none. Each answer to the circuit's
    question weighs the same: questions about other pictures are mostly answered no, and a network that always says so
    must not seem to follow.
    """
    differ = known & (of_circuit != of_image)
    if not differ.any():
        return None
    answers = [differ & (of_circuit == answer) for answer in np.unique(of_circuit[differ])]
    circuits, images = (
        float(np.mean([(predicted[those] == right[those]).mean() for those in answers]))
        for right in (of_circuit, of_image)
    )
    return circuits, images, int(differ.sum())
