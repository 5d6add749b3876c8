"""What the report reads: the ledger, the parameters in force with their comments, the time each stage took."""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from reprise import sweeps
from reprise.claims import VERDICTS, Claim, criterion, shown
from reprise.data.registry import DATASETS
from reprise.errors import UserError
from reprise.report.content import Exhibit


class ReportError(UserError):
    """Something the report needs is missing."""


@dataclass(frozen=True)
class Entry:
    """A row of the ledger as it is printed."""

    id: str
    statement: str
    where: str
    measured: str
    paper: str
    ours: str
    seeds: int
    criterion: str
    verdict: str
    headline: bool
    story: str


def ledger(claims: list[Claim], decided: dict[str, Any], stories: dict[str, str]) -> list[Entry]:
    """Entries in print order: the paper's own claims first. Raises ReportError if the ledger is not of these claims."""
    entries = []
    for claim in sorted(claims, key=lambda claim: not claim.headline):
        if claim.id not in decided:
            raise ReportError(f"reports/claims.json has no entry {claim.id}: run `dvc repro claims`")
        found = decided[claim.id]
        entries.append(
            Entry(
                id=claim.id,
                statement=claim.statement,
                where=claim.where,
                measured=claim.measured,
                paper=claim.paper_value or "not available",
                ours=shown(found),
                seeds=found.get("seeds", 0),
                criterion=criterion(claim),
                verdict=found["verdict"],
                headline=claim.headline,
                story=stories.get(claim.id, ""),
            )
        )
    return entries


def decided(reports: Path) -> dict[str, Any]:
    """`claims.json`."""
    path = reports / "claims.json"
    if not path.exists():
        raise ReportError(f"{path} is missing: run `dvc repro claims`")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def stories(reports: Path) -> dict[str, str]:
    """What `claims.md` tells about the claims that do not hold: its list lines "- `id`: text"."""
    path = reports / "claims.md"
    return dict(re.findall(r"^- `([^`]+)`: (.+)$", path.read_text(), re.MULTILINE)) if path.exists() else {}


def counts(entries: list[Entry]) -> dict[str, dict[str, int]]:
    """Entries per verdict, for the paper's own claims and for the checks that support them."""
    parts = {
        "Headline claims": [entry.verdict for entry in entries if entry.headline],
        "Supporting checks": [entry.verdict for entry in entries if not entry.headline],
    }
    return {heading: {name: part.count(name) for name in VERDICTS} for heading, part in parts.items()}


def timings(folder: Path) -> list[dict[str, Any]]:
    """The notes of `reprise.errors.run_stage`, by stage; empty where no stage ran here."""
    notes = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return sorted(notes, key=lambda note: note["stage"])


@dataclass(frozen=True)
class Parameter:
    """A line of params.yaml."""

    key: str
    value: str
    comment: str


def parameters(file: Path, paper: str) -> list[Parameter]:
    """The paper's block and those of its data sets; what describes a data set not in force is left out."""
    text = file.read_text()
    lines = text.splitlines()
    tree = YAML().load(text)
    block = tree.get(paper)
    if block is None:
        return []
    used = set(block.get("datasets", DATASETS))
    found: list[Parameter] = []

    def walk(node: CommentedMap, prefix: str) -> None:
        for key, value in node.items():
            if key in DATASETS and key not in used:
                continue
            comment = _comment(lines[node.lc.key(key)[0]])
            if isinstance(value, CommentedMap) and value and not value.fa.flow_style():
                if comment:
                    found.append(Parameter(f"{prefix}{key}", "", comment))
                walk(value, f"{prefix}{key}.")
            else:
                found.append(Parameter(f"{prefix}{key}", _text(value), comment))

    walk(block, f"{paper}.")
    data = tree.get("data", {})
    for name in block.get("datasets", []):
        if data.get(name):
            walk(data[name], f"data.{name}.")
    return found


def _comment(line: str) -> str:
    return line.split(" # ", 1)[1].strip() if " # " in line else ""


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) or "{}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else f"{value}"


@dataclass(frozen=True)
class Table:
    """A printed table: its own heading (empty if there is one only) and its cells."""

    title: str
    header: list[str]
    rows: list[list[str]]


def metrics(path: Path) -> Table | None:
    """A metrics file as one table: a row per number, a column per innermost block; None where there is no file."""
    if not path.exists():
        return None
    blocks: dict[str, dict[str, float]] = {}

    def walk(node: dict[str, Any], names: tuple[str, ...]) -> None:
        for key, value in sorted(node.items()):
            if isinstance(value, dict):
                walk(value, (*names, key))
            else:
                blocks.setdefault(", ".join(names), {})[key] = value

    walk(json.loads(path.read_text()), ())
    rows = sorted({name for block in blocks.values() for name in block})
    cells = [[f"{block[name]:.3f}" if name in block else "–" for block in blocks.values()] for name in rows]
    labelled = [[name.replace("_", " "), *row] for name, row in zip(rows, cells, strict=True)]
    return Table("", ["mean over seeds", *blocks], labelled)


def tables(path: Path, exhibit: Exhibit) -> list[Table]:
    """The exhibit's CSV file as printed tables; cells a method has no number for are dashes."""
    with open(path, newline="", encoding="utf-8") as stream:
        records = list(csv.DictReader(stream))
    found: dict[str, list[list[str]]] = {}
    for record in records:
        values = {name: _number(text) for name, text in record.items()}
        title = ", ".join(record[name] for name in exhibit.rows)
        found.setdefault(title, []).append([_cell(pattern, values) for pattern in exhibit.columns.values()])
    return [Table(title, list(exhibit.columns), rows) for title, rows in found.items()]


@dataclass(frozen=True)
class Swept:
    """A sweep's file and what its experiments measured; the figure, the data and the table are empty before it ran."""

    name: str
    about: str
    figure: str
    alt: str
    data: str
    table: Table | None
    cells: int
    done: int
    seeds: int
    commits: str


def swept(folder: Path, reports: Path) -> list[Swept]:
    """Every sweep of `folder`; its table has a row per setting and a column per metric (mean over seeds).

    Raises SweepError or ParamsError for a file that is none.
    """
    found = []
    for file in sorted(folder.glob("*.yaml")):
        sweep = sweeps.load(file)
        figure, data = f"figures/sweeps/{file.stem}.svg", f"plots/sweeps/{file.stem}.csv"
        records = _records(reports / data) if (reports / data).exists() else []
        metrics = ", ".join(sweep.metrics)
        keys = [key for key in records[0] if key not in sweeps.MEASURED] if records else []
        found.append(
            Swept(
                name=file.stem,
                about=sweep.about,
                figure=figure if records and (reports / figure).exists() else "",
                alt=f"Curves over {sweep.x}, a panel each: {metrics}. The table has their values.",
                data=data if records else "",
                table=_settings(records, sweep.x) if records else None,
                cells=len(sweeps.expanded(sweep)),
                done=len({tuple(record[key] for key in keys) for record in records}),
                seeds=len({record.get(sweeps.SEED, "") for record in records}),
                commits=", ".join(dict.fromkeys(record["commit"] for record in records if record.get("commit"))),
            )
        )
    return found


def _records(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _settings(records: list[dict[str, str]], x: str) -> Table:
    """A key with one value is no column, but for `x`; seeds are averaged over unless they are `x`."""
    given = [key for key in records[0] if key not in sweeps.MEASURED and (key != sweeps.SEED or key == x)]
    keys = [key for key in given if key == x or len({record[key] for record in records}) > 1]
    cells: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for record in records:
        setting = cells.setdefault(tuple(record[key] for key in keys), {})
        setting.setdefault(record["metric"], []).append(float(record["value"]))
    metrics = list(dict.fromkeys(record["metric"] for record in records))
    rows = [
        [*setting, *(f"{fmean(found[name]):.3f}" if name in found else "–" for name in metrics)]
        for setting, found in cells.items()
    ]
    return Table("", [*keys, *metrics], rows)


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _cell(pattern: str, values: dict[str, Any]) -> str:
    """The pattern filled in, piece by piece: a piece (between `|`) with a missing number is left out."""
    pieces = []
    for piece in pattern.split("|"):
        names = re.findall(r"{(\w+)", piece)
        if all(values[name] != "" for name in names):
            pieces.append(piece.format(**values))
    return "".join(pieces).strip() or "–"
