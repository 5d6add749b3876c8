"""Sweeps: files of `sweeps/` that say which parameters to vary, and which numbers to look at.

`reprise sweep` runs them (`reprise.cli.sweep`), the report shows what they measured.
"""

import itertools
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveInt, model_validator
from ruamel.yaml import YAML, YAMLError

from reprise import params
from reprise.errors import UserError

SEED = "common.seed"
MEASURED = ("commit", "metric", "value")  # columns of a sweep's table beside its keys: what was measured, of which code

Cell = dict[str, Any]  # key -> value


class SweepError(UserError):
    """The sweep's file is wrong, or the repository is in no state to run it."""


class Sweep(params.Section):
    """A sweep's file."""

    about: Annotated[str, Field(description="what it asks, in a sentence")]
    targets: Annotated[list[str], Field(min_length=1, description="stages to run")]
    grid: Annotated[
        dict[str, list[Any]], Field(default_factory=dict, description="key -> values; every combination is a cell")
    ]
    cells: Annotated[
        list[dict[str, Any]], Field(default_factory=list, description="cells by hand, each times the grid")
    ]
    seeds: Annotated[
        list[int], Field(default_factory=list, description="values of common.seed; intervals are over them")
    ]
    metrics: Annotated[list[str], Field(min_length=1, description="<paper>.<path in reports/metrics/<paper>.json>")]
    x: Annotated[str, Field(description="the key along the figure's x axis")]
    log: Annotated[bool, Field(description="that axis is logarithmic")] = False
    side_by_side: Annotated[PositiveInt, Field(description="cells run at a time")] = 1

    @model_validator(mode="after")
    def _consistent(self) -> "Sweep":
        if not self.grid and not self.cells and not self.seeds:
            raise ValueError("grid, cells and seeds are all empty: there is nothing to sweep")
        if empty := [key for key, values in self.grid.items() if not values]:
            raise ValueError(f"{empty[0]} has no values")
        keys = {*self.grid, *(key for cell in self.cells for key in cell)}
        if self.x not in keys | ({SEED} if self.seeds else set()):
            raise ValueError(f"x = {self.x} is not swept; swept are {', '.join(sorted(keys))}")
        return self


def load(file: Path) -> Sweep:
    """The file, validated; raises SweepError or ParamsError, which name the key."""
    try:
        content = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(map(str, sorted(Path("sweeps").glob("*.yaml"))))
        raise SweepError(f"{file} is missing; there are {known or 'none in sweeps/'}") from None
    except YAMLError as error:
        raise SweepError(f"{file} is not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise SweepError(f"{file} must hold a mapping (about, targets, grid, metrics, x)")
    return params.validate(content, model=Sweep, where=file.stem, file=file)


def expanded(sweep: Sweep) -> list[Cell]:
    """Every cell: those by hand, times the grid, times the seeds."""
    grid = [dict(zip(sweep.grid, values, strict=True)) for values in itertools.product(*sweep.grid.values())]
    seeds: list[Cell] = [{SEED: seed} for seed in sweep.seeds] or [{}]
    found = [{**hand, **cell, **seed} for hand in sweep.cells or [{}] for cell in grid for seed in seeds]
    return [cell for number, cell in enumerate(found) if cell not in found[:number]]
