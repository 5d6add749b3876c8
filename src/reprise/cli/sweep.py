"""`reprise sweep FILE`: a checked-in sweep becomes queued DVC experiments, a tidy table and a figure.

A cell of the sweep is one experiment, named for what it is: the file, the cell's values, and the code and parameters
committed under it. So a second call queues what is not there yet, and only failed cells again; another commit of the
code is another sweep. Experiments run in copies that DVC makes of what git and DVC know; what those miss comes from the
environment: the copy's own code first, data placed by hand, and a store of finished jobs that all cells share.
"""

import argparse
import difflib
import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from reprise import params
from reprise.check import problems
from reprise.cli import dvc, revisions
from reprise.engines import n_workers
from reprise.sweeps import MEASURED, SEED, Cell, Sweep, SweepError, expanded, load

STORE = Path(".reprise/sweeps")
CODE = ("src", "stages", "dvc.yaml", "params.yaml")  # what an experiment's result depends on, beside its cell
DONE, RUNNING, QUEUED, FAILED, NOT_STARTED = "done", "running", "queued", "failed", "not started"


@dataclass(frozen=True)
class State:
    """Where a cell stands."""

    cell: Cell
    name: str
    state: str
    revision: str = ""  # of the experiment, where it is done
    reason: str = ""  # of a failure


def run(arguments: argparse.Namespace) -> int:
    """Queue what is missing and start workers, or say where the sweep stands; 1 where a cell has failed."""
    file = Path(arguments.file)
    if arguments.jobs is not None and arguments.jobs < 1:
        raise SweepError(f"-j {arguments.jobs} is not a number of cells, 1 or more")
    sweep = load(file)
    cells = expanded(sweep)
    states = look(file, sweep, cells)
    if arguments.status:
        report(file, sweep, states)
        return int(any(state.state == FAILED for state in states))
    validate(file, cells)
    _committed(file)
    missing = [state for state in states if state.state in (NOT_STARTED, FAILED)]
    for number, state in enumerate(missing, 1):
        _queue(sweep, state)
        print(f"queued {number} of {len(missing)}: {_said(state.cell)}", flush=True)
    waiting = len(missing) + sum(state.state == QUEUED for state in states)
    if waiting:
        workers = arguments.jobs or sweep.side_by_side
        _dvc("queue", "start", "-q", "-j", str(workers), environment=_environment(workers))
        several = f"{workers} workers" if workers != 1 else "1 worker"
        print(f"{waiting} of {len(states)} cells wait for {several}; `reprise sweep {file} --status` follows them")
        return 0
    report(file, sweep, states)
    return 0


# ---------------------------------------------------------------- cells


def validate(file: Path, cells: list[Cell]) -> None:
    """Raise SweepError unless params.yaml is valid with the values of each cell."""
    yaml = YAML(typ="safe", pure=True)
    for cell in cells:
        content = params.read()
        for key, value in cell.items():
            *path, last = key.split(".")
            node: Any = content
            for depth, part in enumerate(path):
                node = node.get(part) if isinstance(node, dict) else None
                if node is None:
                    raise SweepError(f"{file}: {'.'.join(path[: depth + 1])} is not in {params.FILE}")
            if not isinstance(node, dict) or last not in node:
                near = difflib.get_close_matches(last, map(str, node), n=1) if isinstance(node, dict) else []
                hint = f"; did you mean {near[0]}?" if near else ""
                raise SweepError(f"{file}: {key} is not in {params.FILE}{hint}")
            node[last] = value
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as aside:
            yaml.dump(content, aside)
            aside.flush()
            if found := problems(Path(aside.name)):
                listed = "\n".join(line.replace(aside.name, str(params.FILE)) for line in found)
                raise SweepError(f"{file}: with {_said(cell)} the parameters are not valid:\n{listed}")


def _said(cell: Cell) -> str:
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in cell.items())


# ---------------------------------------------------------------- the queue


def look(file: Path, sweep: Sweep, cells: list[Cell]) -> list[State]:
    """Where each cell stands, by DVC's experiments and its queue; one whose worker died counts as failed."""
    from dvc.repo import Repo

    with Repo() as repo:
        queue = {entry["name"]: entry for entry in reversed(repo.experiments.celery_queue.status())}
    listed = revisions.run("for-each-ref", "--format=%(refname:lstrip=4) %(objectname)", "refs/exps").splitlines()
    done = {name: revision for name, _, revision in (line.partition(" ") for line in listed) if name and revision}
    found = []
    for cell in cells:
        name = _name(file, sweep, cell)
        entry = queue.get(name)
        state = {"Running": RUNNING, "Queued": QUEUED, "Failed": FAILED}.get(entry["status"], "") if entry else ""
        if name in done:
            found.append(State(cell, name, DONE, revision=done[name]))
        elif entry and state == RUNNING and not _alive(entry["rev"]):
            found.append(State(cell, name, FAILED, reason="its worker was killed"))
        elif entry and state == FAILED:
            found.append(State(cell, name, FAILED, reason=_reason(entry["rev"])))
        else:
            found.append(State(cell, name, state or NOT_STARTED))
    return found


def _name(file: Path, sweep: Sweep, cell: Cell) -> str:
    """The experiment's: of the same cell, targets and committed code it is the same."""
    code = [revisions.run("rev-parse", f"HEAD:./{path}").strip() for path in CODE]
    content = json.dumps([sorted(cell.items()), sweep.targets, code], sort_keys=True)
    return f"{re.sub('[^A-Za-z0-9]+', '-', file.stem)}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


def _log(revision: str) -> Path:
    return Path(".dvc/tmp/exps/run", revision, f"{revision}.out")


def _alive(revision: str) -> bool:
    """Whether the process that runs an experiment still does; before and after it, whether a worker is there."""
    own = _process(_log(revision).with_suffix(".json"))
    return own or any(map(_process, Path(".dvc/tmp/exps/celery").glob("dvc-exp-worker-*.json")))


def _process(file: Path) -> bool:
    """Whether a process that DVC has noted in a file is at work."""
    import psutil

    try:
        noted = json.loads(file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return noted["returncode"] is None and psutil.pid_exists(noted["pid"])


def _reason(revision: str) -> str:
    """The line of an experiment's log that says why it failed."""
    log = _log(revision)
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    told = [line for line in lines if line.startswith("error: ")] or [line for line in lines if "ERROR" in line]
    return told[-1] if told else "its worker was killed"


def _queue(sweep: Sweep, state: State) -> None:
    if state.state == FAILED:  # DVC still takes a killed one for running, and keeps the failed ones' names
        _dvc("queue", "kill", state.name, fails=True)
        _dvc("queue", "remove", state.name, fails=True)
    sets = [word for key, value in state.cell.items() for word in ("-S", f"{key}={hydra(value)}")]
    _dvc("exp", "run", "--queue", "-q", "--name", state.name, *sets, *sweep.targets)


def hydra(value: Any) -> str:
    """A value as `dvc exp run -S` takes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{hydra(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(hydra(item) for item in value) + "]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return json.dumps(value)


def _environment(workers: int) -> dict[str, str]:
    """For experiments in copies of this folder."""
    here = Path.cwd()
    cores = os.environ.get("REPRISE_JOBS", str(max(1, n_workers() // workers)))
    return {
        "PYTHONPATH": "src",  # of the copy, not of this checkout
        "REPRISE_STORE": str(here / STORE),
        "REPRISE_MANUAL": os.environ.get("REPRISE_MANUAL", str(here / "data/manual")),
        "REPRISE_JOBS": cores,
    }


def _dvc(*arguments: str, environment: dict[str, str] | None = None, fails: bool = False) -> None:
    """Run DVC; what it prints goes into a file, since workers it leaves behind would hold a pipe open to the end."""
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [*dvc.COMMAND, *arguments],
            env=dvc.environment(**(environment or {})),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
        if done.returncode and not fails:
            output.seek(0)
            raise SweepError(f"dvc {' '.join(arguments[:2])} failed: {output.read().strip()}")


def _committed(file: Path) -> None:
    """Experiments are named for the committed code, so there must be no other."""
    changed = revisions.run("status", "--porcelain", "--", *CODE).splitlines()
    if changed:
        names = ", ".join(line[3:] for line in changed[:3])
        raise SweepError(f"{names} differ from what is committed: commit or stash them, then run {file}")


# ---------------------------------------------------------------- the result


def report(file: Path, sweep: Sweep, states: list[State]) -> None:
    """Print where the sweep stands; write its table and figure, of the cells that are done."""
    counts = Counter(state.state for state in states)
    for state in states:
        line = f"{state.state:<12}{_said(state.cell)}"
        print(f"{line}: {state.reason}" if state.reason else line)
    print(", ".join(f"{counts[name]} {name}" for name in (DONE, RUNNING, QUEUED, FAILED, NOT_STARTED) if counts[name]))
    done = [state for state in states if state.state == DONE]
    if done:
        rows = [row for state in done for row in _measured(sweep, state)]
        print(f"written: {', '.join(map(str, write(file, sweep, rows)))}; `dvc repro report` puts them on the page")


def _measured(sweep: Sweep, state: State) -> list[dict[str, Any]]:
    """A row per metric of one cell; its keys as columns."""
    rows = []
    commit = revisions.run("rev-parse", "--short=8", f"{state.revision}^").strip()
    for metric in sweep.metrics:
        paper, _, path = metric.partition(".")
        content = json.loads(revisions.text(state.revision, f"reports/metrics/{paper}.json") or "{}")
        for part in path.split("."):
            content = content.get(part, {}) if isinstance(content, dict) else {}
        if isinstance(content, int | float):
            rows.append({**_columns(state.cell), "commit": commit, "metric": metric, "value": float(content)})
    return rows


def _columns(cell: Cell) -> dict[str, Any]:
    """Numbers as they are, anything else as text."""
    return {key: value if isinstance(value, int | float) else json.dumps(value) for key, value in cell.items()}


def write(file: Path, sweep: Sweep, rows: list[dict[str, Any]]) -> list[Path]:
    """The table, `reports/plots/sweeps/<name>.csv`, and the figure, `reports/figures/sweeps/<name>.svg`."""
    import pandas as pd

    from reprise import figures
    from reprise.cli.sweep_figure import curves

    if not rows:
        names = ", ".join(sweep.metrics)
        raise SweepError(f"{file}: no experiment has a metric {names}: see reports/metrics/ for those there are")
    table = pd.DataFrame(rows)
    keys = [str(name) for name in table if name not in MEASURED]
    table = table[[*keys, *MEASURED]].sort_values(["metric", *keys], ignore_index=True)
    figures.save(curves(table, x=sweep.x, log=sweep.log, seed=SEED), table, file.stem, "sweeps")
    return [
        figures.REPORTS / "plots/sweeps" / f"{file.stem}.csv",
        figures.REPORTS / "figures/sweeps" / f"{file.stem}.svg",
    ]
