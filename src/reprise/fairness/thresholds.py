"""Group gaps and per-group thresholds on the task score ("Are Two Heads the Same as One?", Sec. 4 and its baselines).

Notation: `z1` task logits, decision 1 when positive; `y` labels in {0, 1}; `a` true groups in {0, 1}; `t` the
threshold of each group. A gap is signed, rate of group 1 minus rate of group 0. Everything is fitted on validation
scores; `apply_group_thresholds` sees scores and groups, never labels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from numpy.typing import ArrayLike

CRITERIA = ("demographic_parity", "equal_opportunity", "false_positive_rate")
LOGIT_LIMIT = 25.0
# Which people a criterion counts, as (those with y = 0, those with y = 1), and how to name them in an error.
COUNTED = {
    "demographic_parity": ((True, True), ""),
    "equal_opportunity": ((False, True), " with y = 1"),
    "false_positive_rate": ((True, False), " with y = 0"),
}


def clipped_scores(name: str, values: ArrayLike, shape: tuple[int, ...] | None = None) -> Float[np.ndarray, "..."]:
    """`values` as float64, clipped to +-25 so that saturated logits tie; ValueError unless finite and of `shape`."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.size == 0 or not np.isfinite(scores).all():
        raise ValueError(f"{name} must hold at least one score, all finite")
    if shape is not None and scores.shape != shape:
        raise ValueError(f"{name} has shape {scores.shape}, expected {shape}")
    return np.clip(scores, -LOGIT_LIMIT, LOGIT_LIMIT)


def codes(name: str, values: ArrayLike, n_values: int = 2, n: int | None = None) -> Int[np.ndarray, " n"]:
    """`values` as int64 in 0..n_values-1; ValueError for anything else or for a length other than `n`."""
    raw = np.asarray(values)
    if raw.ndim != 1 or (n is not None and len(raw) != n):
        raise ValueError(f"{name} has shape {raw.shape}, expected ({'n' if n is None else n},)")
    if not np.isin(raw, np.arange(n_values)).all():
        raise ValueError(f"{name} must hold integers from 0 to {n_values - 1}")
    return raw.astype(np.int64)


def counted_labels(criterion: str) -> tuple[bool, bool]:
    """Whether `criterion` counts people with y = 0 and with y = 1; ValueError for an unknown criterion."""
    if criterion not in COUNTED:
        raise ValueError(f"unknown criterion {criterion!r}; choose one of {', '.join(CRITERIA)}")
    return COUNTED[criterion][0]


def group_sizes(
    y: Int[np.ndarray, " n"], a: Int[np.ndarray, " n"], criterion: str, n_groups: int = 2
) -> Int[np.ndarray, " k"]:
    """People of each group that `criterion` counts; ValueError naming the group when there are none."""
    counted = np.asarray(counted_labels(criterion))[y]
    sizes = np.bincount(a[counted], minlength=n_groups)
    for group in np.flatnonzero(sizes == 0):
        raise ValueError(f"group a = {group} has nobody{COUNTED[criterion][1]}: its rate is undefined")
    return sizes


def gap(decision: ArrayLike, y: ArrayLike, a: ArrayLike, criterion: str = "demographic_parity") -> float:
    """Signed gap of `criterion`, group 1 minus group 0, in [-1, 1] (Sec. 2.1 of the spec, after the release).

    Args: `decision`, `y`, `a` of shape (n,) in {0, 1}. The rates are those of decision = 1 among everybody
    (demographic parity), among y = 1 (equal opportunity) or among y = 0 (false positive rate).
    The value is one correctly rounded division of integers, so a gap of one in a hundred is exactly 0.01.
    Raises ValueError for a group without anybody to count, an unknown criterion, or values outside {0, 1}.
    """
    groups = codes("a", a)
    labels, chosen = codes("y", y, n=len(groups)), codes("decision", decision, n=len(groups))
    n0, n1 = group_sizes(labels, groups, criterion)
    counted = np.asarray(counted_labels(criterion))[labels] & (chosen == 1)
    s0, s1 = np.bincount(groups[counted], minlength=2)
    return float((s1 * n0 - s0 * n1) / (n1 * n0))


def demographic_parity_gap(decision: ArrayLike, a: ArrayLike) -> float:
    """Signed DDP = mean(decision | a = 1) - mean(decision | a = 0), in [-1, 1]; ValueError for a missing group."""
    return gap(decision, np.zeros(len(np.asarray(a)), dtype=np.int64), a)


def selection_rate_range(decision: ArrayLike, a: ArrayLike) -> float:
    """Largest minus smallest selection rate over the groups 0..max(a), in [0, 1].

    Equals fairlearn's `demographic_parity_difference` (method "between_groups"). ValueError for a missing group.
    """
    raw = np.asarray(a)
    groups = codes("a", raw, n_values=int(raw.max()) + 1)
    chosen = codes("decision", decision, n=len(groups))
    sizes = group_sizes(np.zeros_like(groups), groups, "demographic_parity", int(groups.max()) + 1)
    rates = np.bincount(groups[chosen == 1], minlength=len(sizes)) / sizes
    return float(rates.max() - rates.min())


def group_probability(z2: ArrayLike, loss: str) -> Float[np.ndarray, " n"]:
    """P(a = 1 | x) as a group head trained with `loss` sees it; the perceived group is 1 where it exceeds 1/2.

    A head of squared loss on its raw output gives the probability itself, the others give its logit.
    """
    score = np.asarray(z2, dtype=np.float64)
    return np.clip(score, 0.0, 1.0) if loss == "mse_linear" else 1 / (1 + np.exp(-score))


def midpoint(low: ArrayLike, high: ArrayLike) -> Float[np.ndarray, " m"]:
    """A threshold that rejects `low` and selects `high` under score > threshold, also for neighbouring floats."""
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    middle = low + (high - low) / 2
    return np.where(middle < high, middle, low)


@dataclass(frozen=True)
class PerceivedGroupsFit:
    """Best thresholds per tolerance, arrays over `epsilons`; decision z1 > t0 (group 0) or t1 (group 1).

    `b`, `c` are the same rule as a merge with a 0/1 group head h: z1 + b * h + c > 0. `gap` is signed and measured on
    the true groups, like `accuracy` on validation.
    """

    epsilons: Float[np.ndarray, " e"]
    t0: Float[np.ndarray, " e"]
    t1: Float[np.ndarray, " e"]
    b: Float[np.ndarray, " e"]
    c: Float[np.ndarray, " e"]
    accuracy: Float[np.ndarray, " e"]
    gap: Float[np.ndarray, " e"]


def _group_cuts(
    z1: Float[np.ndarray, " m"], y: Int[np.ndarray, " m"], weight: Int[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " k"], Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Thresholds, numbers of correct decisions and gap numerators of every admissible cut of one perceived group."""
    order = np.argsort(z1)
    score, y, weight = z1[order], y[order], weight[order]
    drops = np.flatnonzero(score[1:] > score[:-1]) + 1
    cuts = np.unique(np.concatenate(([0], drops, [len(score)])))
    inner = midpoint(score[drops - 1], score[drops])
    ends = ([-LOGIT_LIMIT - 1.0], [LOGIT_LIMIT + 1.0]) if len(score) else ([], [0.0])
    rejected = np.concatenate(([0], np.cumsum(1 - 2 * y)))[cuts]
    released = np.concatenate(([0], np.cumsum(weight)))[cuts]
    return np.concatenate((ends[0], inner, ends[1])), y.sum() + rejected, weight.sum() - released


def _range_maximum_table(values: Int[np.ndarray, " k"]) -> list[Int[np.ndarray, " _"]]:
    """Sparse table: level j holds the maximum of every window of 2^j values."""
    table = [values]
    while 2 ** len(table) <= len(values):
        half = 2 ** (len(table) - 1)
        table.append(np.maximum(table[-1][:-half], table[-1][half:]))
    return table


def fit_perceived_groups(
    z1: ArrayLike,
    perceived: ArrayLike,
    y: ArrayLike,
    a: ArrayLike,
    epsilons: ArrayLike,
    criterion: str = "demographic_parity",
) -> PerceivedGroupsFit:
    """The two thresholds of highest validation accuracy with |gap| <= epsilon, exactly, in O(n log n) per tolerance.

    For a group head that is all but binary (Sec. 4; the idea of OxonFair's fast path): people are told apart by
    `perceived` (for instance z2 > 0.5), the gap is measured on the true groups `a`. With `perceived = a` this is the
    oracle of per-group thresholds. Each perceived group adds d_j(k) to the gap and acc_j(k) to the accuracy; group
    0's cuts are sorted by d_0, and for each cut of group 1 a range maximum gives its best feasible partner.

    Args: `z1`, `perceived`, `y`, `a` of shape (n,), the last three in {0, 1}; `epsilons` (e,) >= 0, may hold inf.
    Among equally accurate pairs the one with the smallest |t0 - t1| among each cut's first partner is taken. A
    perceived group with no members takes the other's threshold. ValueError as for `gap`.
    """
    scores = clipped_scores("z1", z1)
    labels, groups, seen = (codes(k, v, n=len(scores)) for k, v in (("y", y), ("a", a), ("perceived", perceived)))
    tolerances = tolerance_array(epsilons)
    n0, n1 = (int(size) for size in group_sizes(labels, groups, criterion))
    counted = np.asarray(counted_labels(criterion))[labels]
    weight = np.where(groups == 1, n0, -n1) * counted
    parts = [_group_cuts(scores[seen == j], labels[seen == j], weight[seen == j]) for j in (0, 1)]
    t, correct, share = zip(*parts, strict=True)

    order = np.argsort(share[0], kind="stable")
    t0, correct0, share0 = t[0][order], correct[0][order], share[0][order]
    table = _range_maximum_table(correct0)
    chosen = []
    for tolerance in tolerances:
        limit = largest_numerator(tolerance, n0 * n1)
        low = np.searchsorted(share0, -limit - share[1], side="left")
        high = np.searchsorted(share0, limit - share[1], side="right")
        level = np.frexp(np.maximum(high - low, 1))[1] - 1  # floor of the base-2 logarithm of the window
        best = np.full(len(low), -1)
        for j in np.unique(level[high > low]):
            mine = np.flatnonzero((level == j) & (high > low))
            best[mine] = np.maximum(table[j][low[mine]], table[j][high[mine] - 2**j])
        total = np.where(best >= 0, best + correct[1], -1)
        ties = np.flatnonzero(total == total.max())
        pairs = [(int(low[k] + np.argmax(correct0[low[k] : high[k]])), int(k)) for k in ties]
        chosen.append(min(pairs, key=lambda pair: abs(t0[pair[0]] - t[1][pair[1]])))
    first, second = np.array(chosen).reshape(-1, 2).T
    lower, upper = t0[first], t[1][second]
    if not (seen == 0).any():
        lower = upper
    if not (seen == 1).any():
        upper = lower
    return PerceivedGroupsFit(
        epsilons=tolerances,
        t0=lower,
        t1=upper,
        b=lower - upper,
        c=-lower,
        accuracy=(correct0[first] + correct[1][second]) / len(scores),
        gap=(share0[first] + share[1][second]) / (n0 * n1),
    )


def tolerance_array(epsilons: ArrayLike) -> Float[np.ndarray, " e"]:
    """`epsilons` as float64 of shape (e,); ValueError for an empty list, NaN or a negative value."""
    tolerances = np.atleast_1d(np.asarray(epsilons, dtype=np.float64))
    if tolerances.ndim != 1 or tolerances.size == 0 or not (tolerances >= 0).all():
        raise ValueError("epsilons must be a non-empty list of numbers >= 0 (inf for no constraint)")
    return tolerances


def largest_numerator(tolerance: float, denominator: int) -> int:
    """Largest integer g <= denominator with g / denominator <= tolerance in float64, as `gap` rounds it."""
    guess = int(min(tolerance, 1.0) * denominator)
    return max(g for g in range(max(guess - 1, 0), min(guess + 2, denominator + 1)) if g / denominator <= tolerance)


@dataclass(frozen=True)
class LiptonFit:
    """`ratio` (p,): the selection-rate ratios asked for; `t` (p, 2): thresholds of groups 0 and 1 for each."""

    ratio: Float[np.ndarray, " p"]
    t: Float[np.ndarray, "p 2"]


def lipton(z1: ArrayLike, a: ArrayLike, *, n_ratios: int = 21) -> LiptonFit:
    """Greedy per-group thresholds after Lipton et al. 2018, as in the release (Sec. 4, the oracle baseline).

    Starting from z1 > 0, the person with the largest gain per unit cost is flipped until the disadvantaged group's
    selection rate reaches `p` times the advantaged one's: advantaged positives gain p / n_adv at cost
    2 sigmoid(z1) - 1, disadvantaged negatives 1 / n_dis at cost 1 - 2 sigmoid(z1). The costs are expected losses of
    accuracy under the network's own probabilities, so no label is read. The advantaged group is the one with the
    higher selection rate. People with equal scores flip together: a threshold cannot tell them apart. Unlike in the
    release the flipping stops as soon as the ratio is met, also with equality, so the first rule is z1 > 0 itself.

    Args: `z1`, `a` of shape (n,); `a` in {0, 1}, true or perceived groups; `n_ratios` values of p from the
    unconstrained ratio to 1. ValueError for a missing group. Test time: `apply_group_thresholds`.
    """
    scores = clipped_scores("z1", z1)
    groups = codes("a", a, n=len(scores))
    sizes = group_sizes(np.zeros_like(groups), groups, "demographic_parity")
    rates = np.bincount(groups[scores > 0], minlength=2) / sizes
    up = int(rates[1] > rates[0])
    down = 1 - up
    start = rates[down] / rates[up] if rates[up] > 0 else 1.0
    ratios = np.linspace(start, 1.0, n_ratios)

    # Plateaus of equal scores, in the order in which each group gives them up.
    high, n_high = np.unique(scores[(groups == up) & (scores > 0)], return_counts=True)
    low, n_low = (part[::-1] for part in np.unique(scores[(groups == down) & (scores <= 0)], return_counts=True))
    cost = np.abs(np.tanh(np.concatenate((high, low)) / 2))  # 2 sigmoid(z) - 1 = tanh(z / 2)
    is_high = np.arange(len(cost)) < len(high)
    t = np.zeros((n_ratios, 2))
    for row, p in enumerate(ratios):
        step = np.where(is_high, p / sizes[up], 1.0 / sizes[down])
        with np.errstate(divide="ignore", invalid="ignore"):
            order = np.argsort(-np.where(cost > 0, step / cost, np.inf), kind="stable")
        gained = np.cumsum((step * np.concatenate((n_high, n_low)))[order])
        # The slack absorbs the rounding of the cumulative sum; it is far below one person's share.
        needed = p * rates[up] - rates[down] - 1e-12
        flips = 0 if needed <= 0 else int(np.searchsorted(gained, needed)) + 1
        flipped_high = int(is_high[order[:flips]].sum())
        flipped_low = min(flips, len(order)) - flipped_high
        t[row, up] = _boundary(high, flipped_high, LOGIT_LIMIT + 1.0)
        t[row, down] = _boundary(low, flipped_low, -LOGIT_LIMIT - 1.0)
    return LiptonFit(ratios, t)


def _boundary(plateaus: Float[np.ndarray, " m"], flipped: int, end: float) -> float:
    """Threshold between the last flipped plateau and the next; 0 before the first, `end` after the last."""
    if flipped == 0:
        return 0.0
    if flipped == len(plateaus):
        return end
    pair = plateaus[flipped - 1 : flipped + 1]
    return float(midpoint(pair.min(), pair.max()))


def apply_group_thresholds(z1: ArrayLike, group: ArrayLike, t: ArrayLike) -> Bool[np.ndarray, " n"]:
    """Decision z1 > t[group] for logits (n,), groups (n,) in 0..k-1 (true or perceived) and thresholds (k,)."""
    thresholds = np.asarray(t, dtype=np.float64)
    scores = clipped_scores("z1", z1)
    groups: Shaped[np.ndarray, " n"] = codes("group", group, n_values=len(thresholds), n=len(scores))
    return scores > thresholds[groups]
