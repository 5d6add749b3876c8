"""The graph of stages as a picture: one box per kind of stage, the stages of its matrix counted.

Read from `dvc.yaml`, as `dvc dag --collapse-foreach-matrix` does; a paper is a column, what all share stands in the
middle above and below. An arrow that follows from others is left out.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

BOX, GAP = (158, 44), (18, 34)  # width, height


@dataclass
class Kind:
    """A stage of dvc.yaml with all that its matrix makes of it.

    Attributes:
        column: the paper it belongs to; empty for what all share.
        stages: how many its matrix makes.
        after: kinds that it reads from, those left out that follow from others.
        notes: time, memory and hardware of each of its stages that ran here.
    """

    name: str
    desc: str
    column: str
    stages: int
    after: list[str]
    notes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return float(sum(note["seconds"] for note in self.notes))


def kinds(pipeline: Path, params: Path, papers: Sequence[str], notes: Sequence[dict[str, Any]]) -> list[Kind]:
    """Every kind of stage, those that others read first."""
    yaml = YAML(typ="safe", pure=True)
    stages: dict[str, dict[str, Any]] = yaml.load(pipeline.read_text())["stages"]
    tree = yaml.load(params.read_text())
    expanded = {name: _expanded(stage, tree) for name, stage in stages.items()}
    reads = {name: _paths(stage, ("deps",), expanded[name]) for name, stage in stages.items()}
    writes = {name: _paths(stage, ("outs", "metrics", "plots"), expanded[name]) for name, stage in stages.items()}
    after = {
        name: {other for other in stages if other != name and _meet(reads[name], writes[other])} for name in stages
    }
    above: dict[str, set[str]] = {}
    for name in TopologicalSorter(after).static_order():
        above[name] = after[name].union(*(above[other] for other in after[name]))
    found: dict[str, Kind] = {}
    for name in above:
        stage = stages[name]
        near = sorted(one for one in after[name] if not any(one in above[other] for other in after[name]))
        column = next((paper for paper in papers if name.startswith(f"{paper}-")), "")
        made = [f"{name}@{'-'.join(item.values())}" if item else name for item in expanded[name]]
        timed = [note for note in notes if note["stage"] in made]
        found[name] = Kind(name, stage.get("desc", ""), column, len(made), near, timed)
    return list(found.values())


def _expanded(stage: dict[str, Any], tree: dict[str, Any]) -> list[dict[str, str]]:
    """What the matrix fills in, for each stage it makes."""
    axes = {name: _found(values, tree) for name, values in stage.get("matrix", {}).items()}
    return [dict(zip(axes, map(str, values), strict=True)) for values in itertools.product(*axes.values())]


def _found(values: Any, tree: Any) -> Any:
    """The values of an axis, which may stand in the parameters."""
    if isinstance(values, str):
        for part in values.strip("${}").split("."):
            tree = tree[part]
        return tree
    return values


def _paths(stage: dict[str, Any], parts: Sequence[str], items: Sequence[dict[str, str]]) -> set[str]:
    """Every path it names under `parts`, filled in."""
    entries = [entry for part in parts for entry in stage.get(part, [])]
    names = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
    return {_filled(name, item) for name in names for item in items}


def _filled(name: str, item: dict[str, str]) -> str:
    for key, value in item.items():
        name = name.replace("${item." + key + "}", value)
    return name


def _meet(reads: set[str], writes: set[str]) -> bool:
    """Whether something read was written, or lies in a folder that was, or holds what was."""
    return any(
        f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/") for one in reads for other in writes
    )


def _rows(kinds: Sequence[Kind]) -> dict[str, int]:
    """Below all it reads from; a paper's below all data, what joins the papers below all of theirs."""
    rows: dict[str, int] = {}
    for kind in kinds:  # those that others read first
        rows[kind.name] = 1 + max((rows[name] for name in kind.after), default=-1)
    column = {kind.name: kind.column for kind in kinds}
    joins = {kind.name for kind in kinds if any(column[name] for name in kind.after) and not kind.column}
    data = max((rows[name] for name in rows if not column[name] and name not in joins), default=-1)
    for kind in kinds:
        if kind.column:
            rows[kind.name] = 1 + max([data, *(rows[name] for name in kind.after)])
    papers = max((rows[name] for name in rows if column[name]), default=data)
    for kind in kinds:
        if kind.name in joins:
            rows[kind.name] = 1 + max([papers, *(rows[name] for name in kind.after)])
    return rows


@dataclass(frozen=True)
class Box:
    """Where a kind stands, in pixels of its upper left corner."""

    kind: Kind
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """Boxes, arrows (paths of an SVG), and the size of it all."""

    boxes: list[Box]
    arrows: list[str]
    width: float
    height: float
    box: tuple[int, int] = BOX


def drawn(kinds: Sequence[Kind], papers: Sequence[str]) -> Drawing:
    """A column per paper, between what they share, which is centred; kinds in one place stand beside each other."""
    (wide, high), (gap, down) = BOX, GAP
    rows = _rows(kinds)
    cells: dict[tuple[str, int], list[Kind]] = {}
    for kind in kinds:
        cells.setdefault((kind.column, rows[kind.name]), []).append(kind)
    width_of = {paper: max((len(cell) for (column, _), cell in cells.items() if column == paper), default=1)
                for paper in papers}  # fmt: skip
    left, start = 0.0, {}
    for paper in papers:
        start[paper] = left
        left += width_of[paper] * (wide + gap) + gap
    total = max(left - 2 * gap, wide)
    boxes = []
    for (column, row), cell in sorted(cells.items()):
        room = width_of[column] * (wide + gap) - gap if column else total
        x = start[column] if column else 0.0
        used = len(cell) * (wide + gap) - gap
        for number, kind in enumerate(cell):
            boxes.append(Box(kind, x + (room - used) / 2 + number * (wide + gap), 24 + row * (high + down)))
    at = {box.kind.name: box for box in boxes}
    arrows = [_arrow(at[name], box) for box in boxes for name in box.kind.after]
    return Drawing(boxes, arrows, total, 24 + (max(rows.values()) + 1) * (high + down))


def _arrow(start: Box, end: Box) -> str:
    """From below one box to above another; past boxes between them it keeps to the gap beside a paper's column."""
    (wide, high), (gap, down) = BOX, GAP
    x1, y1, x2, y2 = start.x + wide / 2, start.y + high, end.x + wide / 2, end.y - 3
    if y2 - y1 < down:
        return f"M{x1:g} {y1:g} C{x1:g} {y1 + down / 2:g} {x2:g} {y2 - down / 2:g} {x2:g} {y2:g}"
    lane = (end if end.kind.column else start).x + wide + gap / 2
    return (
        f"M{x1:g} {y1:g} C{x1:g} {y1 + down:g} {lane:g} {y1:g} {lane:g} {y1 + down:g} "
        f"L{lane:g} {y2 - down:g} C{lane:g} {y2:g} {x2:g} {y2 - down:g} {x2:g} {y2:g}"
    )
