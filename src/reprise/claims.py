"""Claims: every headline statement of a paper is one ledger entry with a computed verdict.

A wing's `claims.py` lists `Claim`s; `measure` takes its results table and returns one value per seed. The verdict
follows from the values, the criterion and the number of seeds alone:

- `every seed`: reproduced if all seeds meet the bound, not reproduced if none does, inconclusive in between
  (the seeds straddle the bound);
- `mean`: the 95 % confidence interval of the mean over seeds (Student's t) decides: reproduced or not reproduced if it
  lies wholly on one side of the bound, inconclusive if it spans it, or if a single seed gives none;
- `point`: the mean over seeds alone decides, which acceptance checks of a specification ask for; at least three seeds;
- `interval`: the measure brings its own 95 % interval (a bootstrap over networks), which decides as for `mean`;
- `as measured`: the value alone decides, for counts and extremes of a whole run, which resampling does not describe;
- no value (the run does not hold what the claim needs): not measured at this scale;
- a value that is not a finite number: inconclusive, whatever the other seeds say.
"""

import importlib
import importlib.util
import math
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

import reprise
from reprise import results

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
INCONCLUSIVE = "inconclusive"
NOT_MEASURED = "not measured at this scale"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_MEASURED)

LEAST = 3  # seeds of the rule `point`
Rule = Literal["every seed", "mean", "point", "interval", "as measured"]
Story = Callable[[pd.DataFrame], str]


@dataclass(frozen=True)
class Measured:
    """A statistic of a whole run with a 95 % interval from elsewhere than the seeds; none is (value, value)."""

    value: float
    low: float
    high: float


Values = dict[int, float]  # seed -> value
Measure = Callable[[pd.DataFrame], Values | Measured]


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
        rule: what must keep them (see the module's docstring).
        measure: results table -> {seed: value}, or `Measured` for the last two rules; an empty mapping means it was
            not measured.
        headline: one of the paper's own claims (True), or a supporting check of the reproduction (False).
        explanation: results table -> what was measured about it, shown where the claim does not hold.
    """

    id: str
    statement: str
    where: str
    paper_value: str | None
    measured: str
    low: float | None
    high: float | None
    rule: Rule
    measure: Measure
    headline: bool = False
    explanation: Story | None = None


@dataclass(frozen=True)
class Entries:
    """Makes the claims of one paper; `rule` is what most of them follow."""

    paper: str
    rule: Rule

    def claim(
        self,
        id: str,
        statement: str,
        where: str,
        measured: str,
        measure: Measure,
        explanation: Story | None = None,
        *,
        paper: str | None = None,
        low: float | None = None,
        high: float | None = None,
        rule: Rule | None = None,
        headline: bool = False,
    ) -> Claim:
        """`id` without the paper's name; `paper` is the paper's own number."""
        return Claim(
            f"{self.paper}.{id}", statement, where, paper, measured, low, high, rule or self.rule, measure, headline,
            explanation,
        )  # fmt: skip

    def check(
        self,
        id: str,
        statement: str,
        measured: str,
        measure: Measure,
        explanation: Story | None = None,
        **rest: Any,
    ) -> Claim:
        """A check of the specification, whose number begins the id: `a13-full` is A13."""
        where = f"spec check {id.split('-')[0].upper()}"
        return self.claim(id, statement, where, measured, measure, explanation, **rest)


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
    if len(values) == 1:
        return INCONCLUSIVE  # one seed decides nothing
    if rule == "every seed":
        inside = [lower <= value <= upper for value in values]
        if all(inside):
            return REPRODUCED
        return INCONCLUSIVE if any(inside) else NOT_REPRODUCED
    if rule == "point":
        mean = float(np.mean(values))
        return INCONCLUSIVE if len(values) < LEAST else _sides(mean, mean, lower, upper)
    return _sides(*interval(values), lower, upper)


def _sides(left: float, right: float, lower: float, upper: float) -> str:
    """Verdict on an interval [left, right] that must lie in [lower, upper]."""
    if lower <= left and right <= upper:
        return REPRODUCED
    return NOT_REPRODUCED if right < lower or left > upper else INCONCLUSIVE


def decide(claim: Claim, table: pd.DataFrame) -> dict[str, Any]:
    """The ledger entry of one claim."""
    values = claim.measure(table)
    if isinstance(values, Measured):
        return _decide_measured(claim, values)
    ordered = [values[seed] for seed in sorted(values)]
    if not all(math.isfinite(value) for value in ordered):
        return {"verdict": INCONCLUSIVE}  # undefined for some seed, as the rank correlation of equal numbers is
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


def _decide_measured(claim: Claim, found: Measured) -> dict[str, Any]:
    if claim.rule not in ("interval", "as measured"):
        raise ValueError(f"{claim.id}: the rule {claim.rule!r} needs a value per seed")
    if not all(math.isfinite(value) for value in (found.value, found.low, found.high)):
        return {"verdict": INCONCLUSIVE}
    lower = -math.inf if claim.low is None else claim.low
    upper = math.inf if claim.high is None else claim.high
    ends = (found.low, found.high) if claim.rule == "interval" else (found.value, found.value)
    return {
        "verdict": _sides(*ends, lower, upper),
        "value": found.value,
        "ci_low": found.low,
        "ci_high": found.high,
    }


def _worst(values: list[float], claim: Claim) -> float:
    """The seed's value with the least margin to the bounds."""
    lower = -math.inf if claim.low is None else claim.low
    upper = math.inf if claim.high is None else claim.high
    return min(values, key=lambda value: min(value - lower, upper - value))


def criterion(claim: Claim) -> str:
    """The bound in words: "every seed >= 0.9"."""
    if claim.low is not None and 0 < claim.low < 1e-6:
        bound = "> 0"
    elif claim.high is not None and -1e-6 < claim.high < 0:
        bound = "< 0"
    elif claim.low is not None and claim.high is not None:
        bound = f"in [{claim.low:g}, {claim.high:g}]"
    elif claim.low is not None:
        bound = f">= {claim.low:g}"
    else:
        bound = f"<= {claim.high:g}"
    return f"{claim.rule} {bound}"


def wings() -> dict[str, Any]:
    """paper -> its `claims` module, for every wing that has one."""
    found = {}
    for module in pkgutil.iter_modules(reprise.__path__):
        if module.ispkg and importlib.util.find_spec(f"reprise.{module.name}.claims"):
            found[module.name] = importlib.import_module(f"reprise.{module.name}.claims")
    return found


def write_ledger(tables: Path, out: Path, datasets: Mapping[str, Sequence[str]]) -> None:
    """Decide every wing's claims from `tables/<paper>/*/results.parquet`; write `out`/claims.json and claims.md.

    `datasets` names those in force, paper by paper. Claims of a paper without results are `not measured at this scale`.
    """
    ledger: dict[str, dict[str, Any]] = {}
    pages = [
        "# The ledger",
        "",
        "Written by the stage `claims`; a verdict is computed, never typed. See the README.",
        "",
    ]
    for paper, wing in wings().items():
        # What an earlier scale left on the disk is no result of this one.
        # What compares data sets lies under `analysis`, and times, which no second run repeats, under `latency`.
        folders = [*datasets.get(paper, []), "analysis", "latency"]
        paths = [tables / paper / name / "results.parquet" for name in folders]
        found = [path for path in paths if path.exists()]
        table = results.expand(results.read(found) if found else results.table([]))
        text = [name for name in table if name not in ("seed", "value", "n")]
        table = table.astype(dict.fromkeys(text, "category"))  # measures select rows by them a thousand times
        entries = {claim.id: decide(claim, table) for claim in wing.CLAIMS}
        if len(entries) != len(wing.CLAIMS):
            raise results.ResultsError(f"src/reprise/{paper}/claims.py: two claims share an id")
        ledger |= entries
        pages += [f"## {wing.PAPER}", "", _counts(entries), ""]
        pages += ["| claim | what is claimed | paper | here | criterion | verdict |", "| --- " * 6 + "|"]
        for claim in sorted(wing.CLAIMS, key=lambda claim: not claim.headline):
            entry = entries[claim.id]
            name = f"**{claim.id}**" if claim.headline else claim.id
            words = f"{claim.statement} ({claim.where}). {claim.measured[0].upper()}{claim.measured[1:]}."
            words = words.replace("|", "\\|")  # else Markdown takes |DDP| for columns
            pages.append(
                f"| {name} | {words} | {claim.paper_value or 'not available'} | {shown(entry)} | {criterion(claim)} "
                f"| {entry['verdict']} |"
            )
        stories = [(claim.id, claim.explanation(table)) for claim in wing.CLAIMS if _needs_story(claim, entries)]
        if stories:
            pages += ["", "What does not hold, and what was measured about it:", ""]
            pages += [f"- `{name}`: {story}" for name, story in stories]
        pages.append("")
    out.mkdir(parents=True, exist_ok=True)
    results.write_json(ledger, out / "claims.json")
    results.write_text("\n".join(pages), out / "claims.md")


def _needs_story(claim: Claim, entries: dict[str, dict[str, Any]]) -> bool:
    return claim.explanation is not None and entries[claim.id]["verdict"] in (NOT_REPRODUCED, INCONCLUSIVE)


def shown(entry: dict[str, Any]) -> str:
    """The measured value as text: mean over seeds and its interval."""
    if "value" not in entry:
        return "–"
    text = _number(entry["value"])
    if entry["ci_low"] != entry["ci_high"]:
        text += f" [{_number(entry['ci_low'])}, {_number(entry['ci_high'])}]"
    return text


def _number(value: float) -> str:
    return f"{value:.1e}" if 0 < abs(value) < 5e-4 else f"{value:.3f}"


def _counts(entries: dict[str, dict[str, Any]]) -> str:
    verdicts = [entry["verdict"] for entry in entries.values()]
    return ", ".join(f"{verdicts.count(name)} {name}" for name in VERDICTS if name in verdicts) + "."


def scores(ledger: dict[str, dict[str, Any]]) -> str:
    """The README's first table: verdicts per paper, own claims + checks; a test keeps the README equal to it."""
    lines = ["| paper | " + " | ".join(VERDICTS) + " |", "| --- |" + " ---: |" * len(VERDICTS)]
    for wing in wings().values():
        cells = []
        for verdict in VERDICTS:
            found = [claim for claim in wing.CLAIMS if ledger[claim.id]["verdict"] == verdict]
            cells.append(f"{sum(claim.headline for claim in found)} + {sum(not claim.headline for claim in found)}")
        lines.append(f"| {wing.PAPER} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(ledger: dict[str, dict[str, Any]]) -> str:
    """The README's headline claims, paper by paper; a test keeps the README equal to it."""
    lines = []
    for paper, wing in wings().items():
        lines += [f"**{wing.PAPER}**", "", f"{_counts({claim.id: ledger[claim.id] for claim in wing.CLAIMS})}", ""]
        lines += ["| headline claim | here | criterion | verdict |", "| --- " * 4 + "|"]
        for claim in wing.CLAIMS:
            if claim.headline:
                entry = ledger[claim.id]
                lines.append(f"| {claim.statement} | {shown(entry)} | {criterion(claim)} | {entry['verdict']} |")
        failed = [claim.id for claim in wing.CLAIMS if ledger[claim.id]["verdict"] in (NOT_REPRODUCED, INCONCLUSIVE)]
        if failed:
            names = ", ".join(f"`{name.removeprefix(paper + '.')}`" for name in failed)
            lines += [
                "",
                f"Not reproduced or inconclusive: {names}; `reports/claims.md` says what was measured about each.",
            ]
        lines.append("")
    return "\n".join(lines).strip()
