"""Massaging, the preprocessing baseline (Kamiran and Calders 2012): relabel the borderline people, then retrain.

The abstract of "Are Two Heads the Same as One?" compares with preprocessing without naming the method; this choice is
ours. Notation: `y` labels, `a` groups, kappa the multiplier of the number of swaps.
"""

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from reprise.fairness.thresholds import codes, group_sizes


def massage(y: ArrayLike, a: ArrayLike, ranking_score: ArrayLike, kappa: float = 1.0) -> Int[np.ndarray, " n"]:
    """Training labels with kappa * M promotions and as many demotions, M = gap * n_dis * n_adv / n.

    The advantaged group is the one with the higher rate of y = 1, and gap the difference of the two rates; M swaps
    then equalise the label rates (up to rounding) and keep the total number of positives. Promoted to 1: the
    disadvantaged negatives with the highest `ranking_score`. Demoted to 0: the advantaged positives with the lowest.

    Args: `y`, `a` of shape (n,) in {0, 1}; `ranking_score` (n,) from the unconstrained network, better cross-fitted;
    `kappa` >= 0. The number of swaps is round(kappa * M), at most the people there are on either side; equal scores
    are taken in row order. Returns a new int64 array. ValueError for a missing group, a NaN score or kappa < 0.
    """
    groups = codes("a", a)
    labels = codes("y", y, n=len(groups))
    score = np.asarray(ranking_score, dtype=np.float64)
    if score.shape != labels.shape or np.isnan(score).any():
        raise ValueError(f"ranking_score has shape {score.shape}, expected {labels.shape} without NaN")
    if not kappa >= 0:
        raise ValueError(f"kappa must be >= 0, got {kappa}")
    sizes = group_sizes(np.zeros_like(groups), groups, "demographic_parity")
    positives = np.bincount(groups, weights=labels, minlength=2)
    advantaged = int(positives[1] * sizes[0] > positives[0] * sizes[1])
    label_gap = abs(positives[1] / sizes[1] - positives[0] / sizes[0])
    below = np.flatnonzero((groups != advantaged) & (labels == 0))
    above = np.flatnonzero((groups == advantaged) & (labels == 1))
    swaps = min(round(kappa * label_gap * sizes[0] * sizes[1] / len(labels)), len(below), len(above))

    relabelled = labels.copy()
    relabelled[below[np.argsort(-score[below], kind="stable")[:swaps]]] = 1
    relabelled[above[np.argsort(score[above], kind="stable")[:swaps]]] = 0
    return relabelled
