"""Claims: every headline statement of a paper is one ledger entry with a computed verdict.

A wing's `claims.py` lists `Claim`s; `measure` takes the wing's results table and returns one value per seed. The verdict
follows from the values, the criterion and the number of seeds, never from a hand:

- `every seed`: reproduced if all seeds meet the bound, not reproduced if none does, inconclusive in between
  (the seeds straddle the bound);
- `mean`: the 95 % confidence interval of the mean over seeds (Student's t) decides: reproduced or not reproduced if it
  lies wholly on one side of the bound, inconclusive if it spans it;
- no value (the run does not hold what the claim needs): not measured at this scale.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
INCONCLUSIVE = "inconclusive"
NOT_MEASURED = "not measured at this scale"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_MEASURED)


@dataclass(frozen=True)
class Claim:
    """One entry of the ledger.

    Attributes:
        id: stable name, `<paper>.<short-name>`.
        statement: what the paper says or what the check asks, in one sentence.
        where: section or figure of the paper, or "spec check N" for checks of the reproduction itself.
        paper_value: the paper's own number as text, None where it is not known.
        measured: how it is measured here, in one sentence.
        low, high: the bounds a value must keep (inclusive); None is no bound.
        rule: whether every seed or the mean over seeds must keep them.
        measure: results table -> {seed: value}; an empty mapping means it was not measured.
        headline: one of the paper's own claims (True), or a supporting check of the reproduction (False).
    """

    id: str
    statement: str
    where: str
    paper_value: str | None
    measured: str
    low: float | None
    high: float | None
    rule: Literal["every seed", "mean"]
    measure: Callable[[pd.DataFrame], dict[int, float]]
    headline: bool = False
    explanation: Callable[[pd.DataFrame], str] | None = None


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the mean over seeds (Student's t); a single value gives itself twice."""
    array = np.asarray(values, float)
    mean = float(array.mean())
    if len(array) < 2 or np.ptp(array) == 0:
        return mean, mean
    from scipy.stats import t

    half = float(t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array)))
    return mean - half, mean + half


def verdict(values: Sequence[float], low: float | None, high: float | None, rule: str) -> str:
    """The verdict of the module docstring for per-seed `values`."""
    if not len(values):
        return NOT_MEASURED
    lower = -math.inf if low is None else low
    upper = math.inf if high is None else high
    if rule == "every seed":
        inside = [lower <= value <= upper for value in values]
        if all(inside):
            return REPRODUCED
        return INCONCLUSIVE if any(inside) else NOT_REPRODUCED
    left, right = interval(values)
    if lower <= left and right <= upper:
        return REPRODUCED
    return NOT_REPRODUCED if right < lower or left > upper else INCONCLUSIVE


def decide(claim: Claim, table: pd.DataFrame) -> dict[str, Any]:
    """The ledger entry of one claim."""
    values = claim.measure(table)
    ordered = [values[seed] for seed in sorted(values)]
    entry: dict[str, Any] = {"verdict": verdict(ordered, claim.low, claim.high, claim.rule)}
    if ordered:
        left, right = interval(ordered)
        entry |= {
            "value": float(np.mean(ordered)),
            "ci_low": left,
            "ci_high": right,
            "worst": _worst(ordered, claim),
            "seeds": len(ordered),
        }
    return entry


def _worst(values: list[float], claim: Claim) -> float:
    """The seed's value with the least margin to the bounds."""
    lower = -math.inf if claim.low is None else claim.low
    upper = math.inf if claim.high is None else claim.high
    return min(values, key=lambda value: min(value - lower, upper - value))


def criterion(claim: Claim) -> str:
    """The bound in words: "every seed >= 0.9"."""
    if claim.low is not None and claim.high is not None:
        bound = f"in [{claim.low:g}, {claim.high:g}]"
    elif claim.low is not None:
        bound = f">= {claim.low:g}"
    else:
        bound = f"<= {claim.high:g}"
    return f"{claim.rule} {bound}"
