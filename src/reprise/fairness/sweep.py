"""The engine of the merge search: every cut of a score at once ("Are Two Heads the Same as One?", Sec. 4).

For one weight vector w the merged scores z1 + z2 @ w are sorted once, and every cut between strictly different scores
is judged by integer cumulative counts: the optimum over the offset c is exact for each w. What a score must carry
through the sort, its label and group, is written into the lowest two (four groups: three) of its 52 mantissa bits,
so that a single array moves and no gather follows; scores that differ in those bits only, less than 4 (8) units in
the last place, count as ties. The sort is a radix sort of the scores rounded to 16 bits, finished by a merge sort
that finds the array almost in order. It is exact, and about four times faster than numpy's default sort on CPUs where
that sort's AVX-512 code is slow (AMD Zen 4). One row of scores fits the second-level cache, which makes a loop over w
faster than sorting a matrix, and memory stays O(n).

Each w leaves its least |gap| for every number of correct decisions. Their minimum over w is the Pareto frontier,
and looking up each tolerance in them ranks the weights: no tolerance ever needs a search of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from reprise.fairness.thresholds import LOGIT_LIMIT, counted_labels, group_sizes, midpoint

_RANKED = 3  # the weights refined per tolerance
_Weight = tuple[float, ...]


@dataclass(frozen=True)
class Frontier:
    """Pareto frontier on validation, |gap| and accuracy strictly increasing; arrays of shape (m,)."""

    gap: Float[np.ndarray, " m"]
    accuracy: Float[np.ndarray, " m"]
    b: Float[np.ndarray, " m"]
    c: Float[np.ndarray, " m"]


@dataclass(frozen=True)
class _Cuts:
    """Cuts of one score that beat both constants: threshold index, correct decisions and gap of each, (k,)."""

    keys: Float[np.ndarray, " n"]
    last_rejected: Int[np.ndarray, " k"]
    correct: Int[np.ndarray, " k"]
    gap: Float[np.ndarray, " k"]


class Sweep:
    """All cuts of one score at once: correct decisions and gap, for labels and groups fixed beforehand.

    `y` (n,) in {0, 1}, `a` (n,) in 0..n_groups-1, `n_groups` <= 4. The gap is signed for two groups and the range of
    the rates otherwise (0 for a single group). ValueError for an unknown criterion or a group it cannot measure.
    """

    def __init__(self, y: Int[np.ndarray, " n"], a: Int[np.ndarray, " n"], criterion: str, n_groups: int) -> None:
        self.n = len(y)
        # Freeing one large block tells glibc to keep freed memory of that order: otherwise every temporary array below
        # goes back to the system and is faulted in again, which doubles the time of a sweep.
        np.empty(32 * self.n)
        self.sizes = group_sizes(y, a, criterion, n_groups)
        self.positives = int(y.sum())
        self.constant = max(self.positives, self.n - self.positives)  # correct decisions of the better constant
        n_codes = 2 * 2 ** (n_groups - 1).bit_length()
        self.code_mask = np.uint64(n_codes - 1)
        self.code = (2 * a + y).astype(np.uint64)
        # What rejecting a person with this code adds: to the correct decisions, and to the gap's numerators.
        label, group = np.arange(n_codes) % 2, np.arange(n_codes) // 2
        counted = np.asarray(counted_labels(criterion))[label]
        self.correct_step = 1 - 2 * label
        if n_groups == 2:
            weight = np.where(group == 1, -self.sizes[0], self.sizes[1]) * counted
            self.gap_steps = [weight]
        else:
            self.gap_steps = [-((group == k) & counted).astype(np.int64) for k in range(n_groups)]

    def beyond(self, weight: _Weight) -> float:
        """The offset c of the better constant decision, out of reach of every score of clipped logits."""
        reach = LOGIT_LIMIT * (1.0 + sum(abs(part) for part in weight)) + 1.0
        return reach if 2 * self.positives > self.n else -reach

    def _sorted_keys(self, score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        # Adding 0.0 turns -0.0 into 0.0, which would otherwise have another bit pattern than its equal.
        keys = score + 0.0
        bits = keys.view(np.uint64)
        bits &= ~self.code_mask
        bits |= self.code
        low, high = keys.min(), keys.max()
        rough = keys - low
        rough *= 65535.0 / max(high - low, 1e-300)
        keys = keys[np.argsort(rough.astype(np.uint16), kind="stable")]
        keys.sort(kind="stable")
        return keys

    def cuts(self, score: Float[np.ndarray, " n"]) -> _Cuts:
        """The cuts at strict drops of `score` that beat both constants, from the lowest threshold up."""
        keys = self._sorted_keys(score)
        bits = keys.view(np.uint64)
        code = (bits & self.code_mask).view(np.int64)
        correct = np.cumsum(self.correct_step.take(code))[:-1]
        drop = (bits[1:] ^ bits[:-1]) > self.code_mask
        kept = np.flatnonzero((correct > self.constant - self.positives) & drop)
        parts = [np.cumsum(step.take(code))[kept] for step in self.gap_steps]
        if len(parts) == 1 and len(self.sizes) == 2:
            gap = parts[0] / (self.sizes[0] * self.sizes[1])
        else:
            rates = np.array([(size + part) / size for size, part in zip(self.sizes, parts, strict=True)])
            gap = rates.max(axis=0) - rates.min(axis=0)
        return _Cuts(keys, kept, correct[kept] + self.positives, gap)

    def offsets(self, cuts: _Cuts, chosen: Int[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Offsets c = minus the threshold of the `chosen` cuts: midway between the neighbouring scores."""
        last = cuts.last_rejected[chosen]
        # A key stands for all scores that differ in the code bits only; the threshold must clear every one of them.
        low, high = cuts.keys[last].view(np.uint64), cuts.keys[last + 1].view(np.uint64)
        low = np.where(low >> np.uint64(63), low & ~self.code_mask, low | self.code_mask)
        high = np.where(high >> np.uint64(63), high | self.code_mask, high & ~self.code_mask)
        return -midpoint(low.view(np.float64), high.view(np.float64))


class Search:
    """The weights tried so far: the best of each per tolerance, and the frontier of them all.

    `z1` (n,), `z2` (n, d), clipped; `epsilons` (e,) >= 0. Scores are z1 + z2 @ w for weights w of length d.
    """

    def __init__(
        self,
        sweep: Sweep,
        z1: Float[np.ndarray, " n"],
        z2: Float[np.ndarray, "n d"],
        epsilons: Float[np.ndarray, " e"],
    ) -> None:
        self.sweep, self.z1, self.z2, self.epsilons = sweep, z1, z2, epsilons
        self.tried: dict[_Weight, Int[np.ndarray, " e"]] = {}
        levels = sweep.n - sweep.constant + 1
        # Per number of correct decisions above the constant's: the least |gap| so far, and who attains it.
        self._least = np.full(levels, np.inf)
        self._gap, self._offset, self._owner = np.zeros(levels), np.zeros(levels), np.zeros(levels, dtype=np.int64)

    def evaluate(self, weights: Iterable[_Weight]) -> None:
        """Sweep the score of every new weight vector, the smallest first."""
        for weight in sorted(set(weights) - self.tried.keys(), key=_size):
            cuts = self.sweep.cuts(merge_columns(self.z1, self.z2, weight))
            level, size = cuts.correct - self.sweep.constant, np.abs(cuts.gap)
            attained = np.full(int(level.max(initial=0)) + 1, np.inf)
            np.minimum.at(attained, level, size)
            attained[0] = 0.0
            least = np.minimum.accumulate(attained[::-1])[::-1]
            self.tried[weight] = self.sweep.constant + np.searchsorted(least, self.epsilons, side="right") - 1
            better = (least < self._least[: len(least)]) & (least == attained)
            if better.any():
                self._least[: len(least)] = np.minimum(least, self._least[: len(least)])
                winners = np.flatnonzero(better[level] & (size == attained[level]))
                self._gap[level[winners]] = cuts.gap[winners]
                self._offset[level[winners]] = self.sweep.offsets(cuts, winners)
                self._owner[np.flatnonzero(better)] = len(self.tried) - 1

    def best(self) -> list[list[_Weight]]:
        """Per tolerance the three most accurate weights, best first; ties to the smaller weight."""
        weights = sorted(self.tried, key=_size)
        table = np.array([self.tried[weight] for weight in weights])
        return [[weights[i] for i in np.argsort(-column, kind="stable")[:_RANKED]] for column in table.T]

    def promising(self, step: float, points: int) -> set[_Weight]:
        """Weights within `step` of each tolerance's best three (d = 1) that look better than its best so far.

        A quick look to decide what deserves a full sweep: for `points` weights to either side, only people near the
        threshold are sorted; everybody else keeps the decision of the weight at the centre.
        """
        sweep = self.sweep
        unit = int(sweep.sizes.prod()) if len(sweep.sizes) == 2 else 0  # 0: nothing constrains a single group
        moves = np.delete(np.arange(-points, points + 1), points) * (step / points)
        z2 = self.z2[:, 0] - self.z2.mean()
        reach = 2.5 * step * np.abs(z2).max()
        starts: dict[_Weight, list[int]] = {}
        for i, ranked in enumerate(self.best()):
            for weight in ranked:
                starts.setdefault(weight, []).append(i)
        leaders = np.max(list(self.tried.values()), axis=0)
        found: set[_Weight] = set()
        for weight, tolerances in starts.items():
            score = merge_columns(self.z1, self.z2, weight)
            cuts = sweep.cuts(score)
            for i in tolerances:
                target = int(self.tried[weight][i])
                if target == sweep.constant:
                    continue
                offset, gap = self._fairest(cuts, target)
                near = score + offset
                inside = np.flatnonzero(np.abs(near) <= reach)
                near, code = near[inside], sweep.code[inside].view(np.int64)
                below = code[near <= 0]  # undo these rejections to count from the lower end of the neighbourhood
                code = code[np.argsort(near + moves[:, None] * z2[inside], axis=1)]
                correct = target - sweep.correct_step[below].sum() + np.cumsum(sweep.correct_step[code], axis=1)
                steps = sweep.gap_steps[0]
                numerator = round(gap * unit) - steps[below].sum() + np.cumsum(steps[code], axis=1)
                feasible = np.abs(numerator) <= self.epsilons[i] * unit if unit else True
                best = np.max(correct, axis=1, initial=0, where=feasible)
                if best.max() > leaders[i]:
                    leaders[i] = best.max()
                    found.update((weight[0] + float(move),) for move in moves[best == leaders[i]])
        return found

    def _fairest(self, cuts: _Cuts, correct: int) -> tuple[float, float]:
        """Offset and gap of the least unfair cut with this many correct decisions."""
        same = np.flatnonzero(cuts.correct == correct)
        chosen = same[[np.argmin(np.abs(cuts.gap[same]))]]
        return float(self.sweep.offsets(cuts, chosen)[0]), float(cuts.gap[chosen[0]])

    def solution(
        self,
    ) -> tuple[Float[np.ndarray, "e d"], Float[np.ndarray, " e"], Float[np.ndarray, " e"], Float[np.ndarray, " e"]]:
        """Weights, offsets, accuracies and gaps per tolerance; among equally accurate cuts the fairest."""
        winners = [ranked[0] for ranked in self.best()]
        correct = np.array([self.tried[weight][i] for i, weight in enumerate(winners)])
        offset, gap = np.array([self.sweep.beyond(weight) for weight in winners]), np.zeros(len(winners))
        cuts: dict[_Weight, _Cuts] = {}
        for i, weight in enumerate(winners):
            if correct[i] > self.sweep.constant:
                if weight not in cuts:
                    cuts[weight] = self.sweep.cuts(merge_columns(self.z1, self.z2, weight))
                offset[i], gap[i] = self._fairest(cuts[weight], correct[i])
        return np.array(winners), offset, correct / self.sweep.n, gap

    def frontier(self) -> Frontier:
        """The Pareto frontier over everything tried, for a single group head (d = 1)."""
        edges = np.flatnonzero(self._least < np.append(self._least[1:], np.inf))
        weights = list(self.tried)
        b = np.array([weights[i][0] for i in self._owner[edges]])
        offset = self._offset[edges]
        if edges[0] == 0:
            offset[0] = self.sweep.beyond((b[0],))
        return Frontier(self._gap[edges], (edges + self.sweep.constant) / self.sweep.n, b, offset)


def _size(weight: _Weight) -> tuple[float, _Weight]:
    return sum(abs(part) for part in weight), weight


def merge_columns(
    z1: Float[np.ndarray, " n"], z2: Float[np.ndarray, "n d"], weight: Sequence[float] | Float[np.ndarray, " d"]
) -> Float[np.ndarray, " n"]:
    """z1 + z2 @ weight, column by column: a matrix product may round one row differently from call to call."""
    score = z1 + weight[0] * z2[:, 0]
    for j in range(1, z2.shape[1]):
        score = score + weight[j] * z2[:, j]
    return score
