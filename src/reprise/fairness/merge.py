"""Merging the two heads: the exact search for (b, c) ("Are Two Heads the Same as One?", Sec. 4).

Notation: `z1` task logit, `z2` raw output of the group head, merged score s = z1 + b z2 + c, decision s > 0; `y`
labels, `a` true groups, gap = rate of group 1 minus rate of group 0. Fitting sees validation scores only; what runs
at test time (`merged_score`, the folded head) takes no labels. `reprise.fairness.sweep` says how the search works.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from reprise.fairness.sweep import Frontier, Search, Sweep, merge_columns
from reprise.fairness.thresholds import (
    CRITERIA,
    clipped_scores,
    codes,
    demographic_parity_gap,
    fit_perceived_groups,
    gap,
    selection_rate_range,
    tolerance_array,
)

__all__ = [
    "CRITERIA",
    "AgreementFit",
    "Frontier",
    "MergeFit",
    "MultigroupFit",
    "demographic_parity_gap",
    "fit_agreement",
    "fit_merge",
    "fit_merge_multigroup",
    "fit_perceived_groups",
    "fold",
    "fold_multigroup",
    "gap",
    "merged_score",
    "merged_score_multigroup",
    "selection_rate_range",
]

_POLISH_STEPS = 2  # how many of the finer steps to either side of a leader are looked at ten times finer still
_TAIL = 8  # sparse values of b on either side of the grid


@dataclass(frozen=True)
class MergeFit:
    """Best merge per tolerance, arrays of shape (e,): decision z1 + b z2 + c > 0 in units of the raw z2.

    `accuracy` and the signed `gap` are those on validation, exactly: |gap| <= epsilons.
    """

    epsilons: Float[np.ndarray, " e"]
    b: Float[np.ndarray, " e"]
    c: Float[np.ndarray, " e"]
    accuracy: Float[np.ndarray, " e"]
    gap: Float[np.ndarray, " e"]
    frontier: Frontier


@dataclass(frozen=True)
class AgreementFit:
    """The merge z1 + b z2 + c > 0 closest to given decisions; `agreement` in [0, 1] on validation."""

    b: float
    c: float
    agreement: float


@dataclass(frozen=True)
class MultigroupFit:
    """Best merge of K group heads per tolerance: decision z1 - z2 @ t + c > 0, with t_0 = 0.

    `t` (e, K), the others (e,); `gap` = largest minus smallest selection rate on validation, <= epsilons.
    """

    epsilons: Float[np.ndarray, " e"]
    t: Float[np.ndarray, "e k"]
    c: Float[np.ndarray, " e"]
    accuracy: Float[np.ndarray, " e"]
    gap: Float[np.ndarray, " e"]


def _fit_grid(search: Search, b_values: ArrayLike | None, b_points: int, b_range: float, refine: int) -> None:
    """Fill `search` with the grid of b, widened at its edges and refined around the best."""
    if b_values is not None:
        search.evaluate((float(b),) for b in np.asarray(b_values, dtype=np.float64).ravel())
        return
    if b_points < 3 or b_points % 2 == 0 or not b_range > 0 or refine < 1:
        raise ValueError("the grid of b needs an odd number of points >= 3, a positive range and refine >= 1")
    spread = float(search.z2.std())
    half = b_points // 2 if spread > 1e-12 * float(np.abs(search.z2).max()) else 0  # a constant z2 only moves c
    unit = b_range / (b_points // 2) / refine / (spread or 1.0)  # the finer step, in units of the raw z2
    # Beyond the grid sparse points, to eight times its range: the best b may be far out (a task head of large logits)
    # with nothing at the edge to show it, since accuracy under a tight tolerance is not unimodal in b.
    tail = [round(half * 8 ** (i / _TAIL)) for i in range(1, _TAIL + 1)]
    search.evaluate((refine * k * unit,) for k in (*range(-half, half + 1), *tail, *(-k for k in tail)))
    winners = [round(ranked[0][0] / unit / refine) for ranked in search.best()]
    for side in (-1, 1):
        far = max(side * k for k in winners)
        if half and far >= half:
            end = next((k for k in tail if k > far), tail[-1])
            search.evaluate((side * refine * k * unit,) for k in range(half, end + 1))
    if half:
        centres = {round(weight[0] / unit) for ranked in search.best() for weight in ranked}
        search.evaluate(((k + j) * unit,) for k in centres for j in range(1 - refine, refine))
        search.evaluate(search.promising(_POLISH_STEPS * unit, 10 * _POLISH_STEPS))


def fit_merge(
    z1: ArrayLike,
    z2: ArrayLike,
    y: ArrayLike,
    a: ArrayLike,
    *,
    epsilons: ArrayLike,
    criterion: str = "demographic_parity",
    b_values: ArrayLike | None = None,
    b_points: int = 161,
    b_range: float = 4.0,
    refine: int = 10,
) -> MergeFit:
    """The merge of highest validation accuracy with |gap| <= epsilon, for every tolerance in one pass (Sec. 4).

    Exact in c for each b tried: `b_points` values of b times the standard deviation of z2 in +-`b_range` (extended
    up to eightfold where its edge or the sparse points beyond it do best), then a `refine` times finer grid around
    each tolerance's best three, then ten times finer where that looks better still. Ties in accuracy go to the
    smaller |b|, then to the smaller |gap|. A constant decision is always feasible; it gets the offset that no clipped
    score can reach.

    Args: `z1`, `z2` logits (n,), clipped to +-25; `y`, `a` (n,) in {0, 1}; `epsilons` (e,) >= 0, may hold inf;
    `b_values` in units of the raw z2 replace the grid and its refinement ([0.0] moves the threshold only).
    Recovery of the unconstrained decisions (Sec. 5): the fair network's logits as `z1` and epsilons = [inf].
    Raises ValueError for shapes or values out of range and for a group the criterion cannot measure.
    """
    task = clipped_scores("z1", z1)
    group = clipped_scores("z2", z2, task.shape)[:, None]
    labels, groups = codes("y", y, n=len(task)), codes("a", a, n=len(task))
    search = Search(Sweep(labels, groups, criterion, 2), task, group, tolerance_array(epsilons))
    _fit_grid(search, b_values, b_points, b_range, refine)
    b, c, accuracy, gaps = search.solution()
    return MergeFit(search.epsilons, b[:, 0], c, accuracy, gaps, search.frontier())


def fit_agreement(
    z1: ArrayLike,
    z2: ArrayLike,
    decision: ArrayLike,
    *,
    b_values: ArrayLike | None = None,
    b_points: int = 161,
    b_range: float = 4.0,
    refine: int = 10,
) -> AgreementFit:
    """The merge that agrees most often with a fair network's validation decisions (Sec. 5), by the same search.

    Args: `z1`, `z2` (n,); `decision` (n,) in {0, 1}; the grid as in `fit_merge`. ValueError as there.
    """
    task = clipped_scores("z1", z1)
    group = clipped_scores("z2", z2, task.shape)[:, None]
    wanted = codes("decision", decision, n=len(task))
    # One group of everybody: no gap, so nothing but agreement is left.
    sweep = Sweep(wanted, np.zeros_like(wanted), "demographic_parity", 1)
    search = Search(sweep, task, group, np.array([np.inf]))
    _fit_grid(search, b_values, b_points, b_range, refine)
    b, c, agreement, _ = search.solution()
    return AgreementFit(float(b[0, 0]), float(c[0]), float(agreement[0]))


def fit_merge_multigroup(
    z1: ArrayLike, z2: ArrayLike, y: ArrayLike, a: ArrayLike, epsilons: ArrayLike, *, t_range: float = 4.0
) -> MultigroupFit:
    """Merge of K group heads under max - min selection rate <= epsilon (demographic parity), 2 <= K <= 4.

    Convention t_0 = 0: heads trained on one-hot groups sum to about 1, so a common shift of t is a shift of c.
    A coarse grid of t_1.. (in standard deviations of each head, +-`t_range`) gives each tolerance its best three
    starts; from each, one coordinate at a time is searched with c exact at every value, with steps that shrink
    from half the grid's to a fiftieth of it. Exact in c, a local search in t.

    Args: `z1` (n,), `z2` (n, K), `y` (n,) in {0, 1}, `a` (n,) in 0..K-1, `epsilons` (e,) >= 0, may hold inf.
    Raises ValueError for K > 4 (the grid is exponential in K), a missing group, shapes or values out of range.
    """
    task, heads = clipped_scores("z1", z1), clipped_scores("z2", z2)
    n_groups = heads.shape[-1]
    if heads.ndim != 2 or len(heads) != len(task) or not 2 <= n_groups <= 4:
        raise ValueError(
            f"z2 has shape {heads.shape}; expected ({len(task)}, K) with 2 to 4 groups: the search is "
            "exponential in K, merge rare groups first"
        )
    labels, groups = codes("y", y, n=len(task)), codes("a", a, n_groups, n=len(task))
    sweep = Sweep(labels, groups, "demographic_parity", n_groups)
    search = Search(sweep, task, heads[:, 1:], tolerance_array(epsilons))
    unit = np.array([1.0 / (spread or 1.0) for spread in heads[:, 1:].std(axis=0)])
    axis = np.linspace(-t_range, t_range, {2: 81, 3: 17, 4: 9}[n_groups])
    search.evaluate(tuple(np.array(point) * unit) for point in product(axis, repeat=n_groups - 1))
    for step in (axis[1] - axis[0]) * np.array([0.5, 0.2, 0.1, 0.05, 0.02]):
        for j in range(n_groups - 1):
            moves = np.arange(-4, 5) * step * unit[j]
            starts = {weight for ranked in search.best() for weight in ranked}
            search.evaluate((*w[:j], float(w[j] + move), *w[j + 1 :]) for w in starts for move in moves)
    weights, c, accuracy, gaps = search.solution()
    t = np.concatenate((np.zeros((len(c), 1)), -weights), axis=1)
    return MultigroupFit(search.epsilons, t, c, accuracy, np.abs(gaps))


def merged_score(z1: ArrayLike, z2: ArrayLike, b: float, c: float) -> Float[np.ndarray, " n"]:
    """s = z1 + b z2 + c for logits (n,), clipped to +-25 as in the fit; decide 1 where s > 0."""
    task = clipped_scores("z1", z1)
    return merge_columns(task, clipped_scores("z2", z2, task.shape)[:, None], [b]) + c


def merged_score_multigroup(z1: ArrayLike, z2: ArrayLike, t: ArrayLike, c: float) -> Float[np.ndarray, " n"]:
    """s = z1 - z2 @ t + c for `z1` (n,), `z2` (n, K), `t` (K,) with t_0 = 0; clipped to +-25 as in the fit."""
    task, heads = clipped_scores("z1", z1), clipped_scores("z2", z2)
    return merge_columns(task, heads, -np.asarray(t, dtype=np.float64)) + c


def fold(weight: ArrayLike, bias: ArrayLike, b: float, c: float) -> tuple[Float[np.ndarray, " m"], float]:
    """One linear head for the merge: w = w1 + b w2, bias = b1 + b b2 + c, from `weight` (2, m), `bias` (2,) (Sec. 4).

    Equal to `merged_score` wherever the two logits lie within +-25.
    """
    return fold_multigroup(weight, bias, [-b], c)


def fold_multigroup(
    weight: ArrayLike, bias: ArrayLike, t: ArrayLike, c: float
) -> tuple[Float[np.ndarray, " m"], float]:
    """w = w1 - sum_k t_k w2_k and bias likewise plus c, from `weight` (1 + K, m), `bias` (1 + K,), task head first."""
    w, heads_bias = np.asarray(weight, dtype=np.float64), np.asarray(bias, dtype=np.float64)
    factors = np.concatenate(([1.0], -np.asarray(t, dtype=np.float64)))
    if w.ndim != 2 or heads_bias.shape != (len(w),) or factors.shape != (len(w),):
        raise ValueError(f"weight {w.shape}, bias {heads_bias.shape} and {len(factors)} heads do not fit together")
    return factors @ w, float(factors @ heads_bias + c)
