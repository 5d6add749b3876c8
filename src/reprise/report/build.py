"""Builds `reports/index.html`, a page per paper, `graph.html` (the stages) and `sweeps.html`.

Which papers there are is found, not listed: a wing takes part when it has the modules `claims` (`CLAIMS`) and `page`
(`PAGE`). The same inputs give the same bytes. Pages load nothing but the figures beside them.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from reprise import claims, results
from reprise.claims import INCONCLUSIVE, NOT_MEASURED, NOT_REPRODUCED, REPRODUCED, Claim
from reprise.errors import TIMINGS
from reprise.report import graph, sources
from reprise.report.content import Exhibit, Page

# A sign and a word for every verdict: nothing is told by colour alone.
SIGNS = {REPRODUCED: "✓", NOT_REPRODUCED: "✗", INCONCLUSIVE: "~", NOT_MEASURED: "–"}


@dataclass(frozen=True)
class Wing:
    """A paper as the report sees it."""

    name: str
    page: Page
    claims: list[Claim]


def discover() -> list[Wing]:
    """Every wing that has claims and a page, by name."""
    found = []
    for name, module in claims.wings().items():
        if importlib.util.find_spec(f"reprise.{name}.page"):
            page: Page = importlib.import_module(f"reprise.{name}.page").PAGE
            found.append(Wing(name, page, module.CLAIMS))
    return sorted(found, key=lambda wing: wing.name)


def build(
    wings: Sequence[Wing],
    *,
    reports: Path,
    params: Path,
    pipeline: Path = Path("dvc.yaml"),
    sweeps: Path = Path("sweeps"),
    timings: Path = TIMINGS,
) -> list[Path]:
    """Write the pages into `reports`, aside first, then renamed; returns them, the index first.

    Args:
        reports: holds `claims.json`, `claims.md`, `metrics/`, `plots/` and `figures/`.
        params: the parameters in force.
        pipeline: the stages.
        sweeps: the folder of the sweeps' files; may be missing.
        timings: notes of time and hardware; may be missing.
    """
    environment = Environment(
        loader=PackageLoader("reprise.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["verdicts"] = _classes
    decided, stories = sources.decided(reports), sources.stories(reports)
    notes = sources.timings(timings)
    papers: list[dict[str, Any]] = []
    for wing in wings:
        entries = sources.ledger(wing.claims, decided, stories)
        paper: dict[str, Any] = {
            "name": wing.name,
            "page": wing.page,
            "ledger": entries,
            "counts": sources.counts(entries),
        }
        papers.append(paper)
    names = [wing.name for wing in wings]
    pages = [("index.html", "The ledger"), *((f"{name}.html", name) for name in names)]
    pages += [("graph.html", "The graph"), ("sweeps.html", "Sweeps")]
    shared: dict[str, Any] = {"signs": SIGNS, "papers": papers, "pages": pages}
    shared["style"] = _style(environment) + "\n".join(_hiding(names))
    written = []

    def write(template: str, name: str, **context: Any) -> None:
        _write(environment, template, reports / name, **shared, here=name, **context)
        written.append(reports / name)

    write("index.html.j2", "index.html", filters=_filters(papers))
    for wing, paper in zip(wings, papers, strict=True):
        write(
            "paper.html.j2",
            f"{wing.name}.html",
            paper=paper,
            exhibits=[_exhibit(exhibit, wing.name, paper["ledger"], reports) for exhibit in wing.page.exhibits],
            metrics=sources.metrics(reports / "metrics" / f"{wing.name}.json"),
            parameters=sources.parameters(params, wing.name),
            notes=[note for note in notes if note["stage"].startswith(f"{wing.name}-")],
        )
    kinds = graph.kinds(pipeline, params, names, notes)
    timed = [note for kind in kinds for note in kind.notes]
    write("graph.html.j2", "graph.html", kinds=kinds, drawing=graph.drawn(kinds, names), notes=timed)
    write("sweeps.html.j2", "sweeps.html", sweeps=sources.swept(sweeps, reports))
    return written


def _filters(papers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the ledger's table of counts; a cell is an anchor that shows its claims alone."""
    rows = []
    for name in ("", *(paper["name"] for paper in papers)):
        entries = [entry for paper in papers if name in ("", paper["name"]) for entry in paper["ledger"]]
        cells = []
        for verdict in (*SIGNS, ""):
            chosen = [part for part in (name, verdict) if part]
            cells.append(
                {
                    "id": "-".join(["only", *chosen]).replace(" ", "-") if chosen else "ledger",
                    "label": ", ".join(chosen) or "all",
                    "classes": " ".join(f"only-{part.replace(' ', '-')}" for part in chosen),
                    "number": sum(entry.verdict == verdict or not verdict for entry in entries),
                }
            )
        title = next((paper["page"].title for paper in papers if paper["name"] == name), "")
        rows.append({"label": name or "all papers", "title": title, "cells": cells})
    return rows


def _classes(entries: Sequence[sources.Entry]) -> str:
    """Classes that say which verdicts a part of the page holds."""
    return " ".join(sorted({f"has-{entry.verdict.replace(' ', '-')}" for entry in entries}))


def _hiding(papers: Sequence[str]) -> list[str]:
    """Rules of the style sheet by which the anchors of `_filters` work."""
    verdicts = [verdict.replace(" ", "-") for verdict in SIGNS]
    return [
        *(f".only-{name}:target ~ .paper-ledger:not(.of-{name}) {{ display: none; }}" for name in papers),
        *(
            f".only-{name}:target ~ .paper-ledger{part} {{ display: none; }}"
            for name in verdicts
            for part in (f" .entry:not(.is-{name})", f" .part:not(.has-{name})", f":not(.has-{name})")
        ),
    ]


def duration(seconds: float) -> str:
    """Seconds as a reader says them: "0.4 s", "48 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _exhibit(exhibit: Exhibit, paper: str, entries: list[sources.Entry], reports: Path) -> dict[str, Any]:
    """An exhibit with what this run has of it."""
    ids = {f"{paper}.{name}" for name in exhibit.claims}
    found: dict[str, Any] = {"exhibit": exhibit, "ledger": [entry for entry in entries if entry.id in ids]}
    data = reports / "plots" / paper / f"{exhibit.name}.csv"
    figure = f"figures/{paper}/{exhibit.name}{exhibit.suffix}"
    is_table = bool(exhibit.columns)
    return found | {
        "figure": figure if not is_table and (reports / figure).exists() else "",
        "data": f"plots/{paper}/{exhibit.name}.csv" if data.exists() else "",
        "tables": sources.tables(data, exhibit) if is_table and data.exists() else [],
    }


def _style(environment: Environment) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, "style.css")[0]


def _write(environment: Environment, template: str, path: Path, **context: Any) -> None:
    results.write_text(environment.get_template(template).render(**context), path)
