"""Sweeps: cells, their validation, DVC's queue, the table and the figure."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from ruamel.yaml import YAML

from conftest import ROOT, clone, run_in
from reprise import cli
from reprise.cli import sweep as sweeps
from reprise.cli.sweep_figure import curves
from reprise.errors import UserError

SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))
LEAST: dict[str, Any] = {"about": "?", "targets": ["report"], "metrics": ["fairness.a"], "x": "k", "grid": {"k": [1]}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(**content: Any) -> Path:
    path = Path("some-sweep.yaml")
    YAML().dump({**LEAST, **content}, path)
    return path


@pytest.mark.parametrize("file", SWEEPS, ids=lambda path: path.stem)
def test_what_comes_with_the_project_is_valid(file: Path, folder: Path) -> None:
    sweep = sweeps.load(file)
    cells = sweeps.expanded(sweep)
    assert 1 < len(cells) <= 12
    sweeps.validate(file, cells)
    paper = sweep.metrics[0].split(".")[0]
    known = json.loads((ROOT / f"reports/metrics/{paper}.json").read_text())
    for metric in sweep.metrics:
        node: Any = known
        for part in metric.split(".")[1:]:
            node = node[part]
        assert isinstance(node, float), metric


def test_every_paper_has_a_sweep() -> None:
    assert {sweeps.load(file).metrics[0].split(".")[0] for file in SWEEPS} == {
        "amodal", "assay", "circuits", "fairness",
    }  # fmt: skip


def test_cells_are_those_by_hand_times_the_grid_times_the_seeds() -> None:
    hand = [{"a": 1}, {"a": 2, "b": 3}, {"a": 1}]
    sweep = sweeps.Sweep(**{**LEAST, "grid": {"k": [0.1, 0.2]}, "cells": hand, "seeds": [0, 1]})
    cells = sweeps.expanded(sweep)
    assert len(cells) == 2 * 2 * 2  # the third by hand is the first again
    assert cells[0] == {"a": 1, "k": 0.1, "common.seed": 0}
    assert cells[-1] == {"a": 2, "b": 3, "k": 0.2, "common.seed": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"grid": {}}, "grid, cells and seeds are all empty"),
        ({"grid": {"k": []}}, "k has no values"),
        ({"x": "z"}, "x = z is not swept; swept are k"),
        ({"metric": ["a"]}, "some-sweep.metric is not a parameter; did you mean metrics?"),
        (
            {"grid": {"fairness.bootstrap": [-5]}, "x": "fairness.bootstrap"},
            "with fairness.bootstrap=-5 the parameters",
        ),
        (
            {"grid": {"fairness.bootstrp": [5]}, "x": "fairness.bootstrp"},
            "fairness.bootstrp is not in params.yaml; did",
        ),
        ({"grid": {"fairnes.bootstrap": [5]}, "x": "fairnes.bootstrap"}, "fairnes is not in params.yaml"),
    ],
)
def test_nothing_is_queued_that_is_not_valid(folder: Path, content: dict[str, Any], message: str) -> None:
    file = written(**content)
    with pytest.raises(UserError, match=re.escape(message)):
        sweeps.validate(file, sweeps.expanded(sweeps.load(file)))


def test_a_missing_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweep", "sweeps/none.yaml"]) == 1
    assert "sweeps/none.yaml is missing; there are none in sweeps/" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"), (0.25, "0.25"), (1e-5, "1e-05"), (True, "true"), (None, "null"), ("it's", "'it\\'s'"),
        ([1, "a", [2]], "[1,'a',[2]]"), ({"a": {"b": [0.5]}}, "{a:{b:[0.5]}}"),
    ],
)  # fmt: skip
def test_values_come_back_as_they_were_from_hydras_grammar(value: Any, text: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert sweeps.hydra(value) == text
    (override,) = OverridesParser.create().parse_overrides([f"key={text}"])
    assert _plain(override.value()) == value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.text if hasattr(value, "text") else value


def test_the_figure_has_a_panel_per_metric_and_a_line_per_setting() -> None:
    rows = [
        {
            "p.lr": lr,
            "p.kind": kind,
            "common.seed": seed,
            "commit": f"{seed}",
            "metric": metric,
            "value": lr + seed + len(kind),
        }
        for metric in ("fairness.a", "fairness.b.c")
        for kind in ("x", "yy")
        for lr in (0.1, 1.0)
        for seed in (0, 1)
    ]
    figure = curves(pd.DataFrame(rows), x="p.lr", log=True, seed="common.seed")
    first, second = (ax for ax in figure.axes if ax.axison)
    assert [ax.get_title(loc="left") for ax in (first, second)] == ["a", "b, c"]
    assert first.get_xscale() == "log"
    lines = {line.get_label(): line.get_ydata().tolist() for line in first.lines if line.get_label()[0] != "_"}
    assert lines == {"kind x": pytest.approx([1.6, 2.5]), "kind yy": pytest.approx([2.6, 3.5])}


def test_a_setting_that_lacks_a_key_is_a_line_of_its_own() -> None:
    rows = [{"p.lr": lr, "commit": "1", "metric": "fairness.a", "value": lr} for lr in (0.1, 1.0)]
    rows += [row | {"p.decay": 0.5, "value": 9.0} for row in rows]
    figure = curves(pd.DataFrame(rows), x="p.lr", log=False, seed="common.seed")
    lines = [line.get_ydata().tolist() for line in figure.axes[0].lines if line.get_label()[0] != "_"]
    assert sorted(lines) == [[0.1, 1.0], [9.0, 9.0]]


def test_what_is_set_for_the_swept_thing_alone_makes_no_lines() -> None:
    """Two architectures, each with a learning rate of its own: one line's worth of points, words without brackets."""
    rows = [
        {"p.kind": f'["{kind}"]', "p.lr": lr, "commit": "1", "metric": "assay.a", "value": lr}
        for kind, lr in (("one", 0.1), ("two", 1.0))
    ]
    figure = curves(pd.DataFrame(rows), x="p.kind", log=False, seed="common.seed")
    (line,) = (line for line in figure.axes[0].lines if len(line.get_ydata()) == 2 and line.get_marker() == "o")
    assert line.get_ydata().tolist() == [0.1, 1.0] and line.get_linestyle() == "None"
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["one", "two"]


# ---------------------------------------------------------------- the queue


def test_a_cell_runs_as_long_as_its_process_or_a_worker_does(folder: Path) -> None:
    own, worker = Path(".dvc/tmp/exps/run/abc/abc.json"), Path(".dvc/tmp/exps/celery/dvc-exp-worker-1.json")
    for path in (own, worker):
        path.parent.mkdir(parents=True)
    alive, gone = {"pid": os.getpid(), "returncode": None}, {"pid": 2**22 + 1, "returncode": None}
    ended = {"pid": os.getpid(), "returncode": 0}
    for mine, others, expected in ((None, None, False), (None, alive, True), (alive, gone, True), (ended, gone, False)):
        for path, content in ((own, mine), (worker, others)):
            path.unlink(missing_ok=True)
            if content:
                path.write_text(json.dumps(content))
        assert sweeps._alive("abc") is expected


def test_no_cells_side_by_side_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweep", str(written()), "-j", "0"]) == 1
    assert "-j 0 is not a number of cells" in capsys.readouterr().err


SMALL = """
about: test
targets: [fairness-report]
grid:
  fairness.datasets: [[loanapp]]
  fairness.tasks.loanapp.train.lr: [0.001, 0.002]
metrics: [fairness.loanapp.approve.fair_accuracy]
x: fairness.tasks.loanapp.train.lr
"""


def follow(folder: Path, *, until: str, seconds: float) -> str:
    """`--status` once it shows `until`."""
    deadline = time.monotonic() + seconds
    while True:
        done = run_in(folder)("reprise", "sweep", "sweeps/small.yaml", "--status", check=False)
        if until in done.stdout:
            return done.stdout
        assert time.monotonic() < deadline, done.stdout + done.stderr
        time.sleep(2)


def executor(folder: Path) -> int:
    """The process that runs a cell, once there is one."""
    deadline = time.monotonic() + 120
    while True:
        for path in (folder / ".dvc/tmp/exps/run").glob("*/*.json"):
            with contextlib.suppress(json.JSONDecodeError):
                found = json.loads(path.read_text())
                if found["returncode"] is None:
                    return int(found["pid"])
        assert time.monotonic() < deadline, "no cell was begun"
        time.sleep(0.2)


@pytest.mark.slow
def test_a_sweep_survives_its_worker_and_takes_up_the_failed_cell_alone(tmp_path: Path) -> None:
    """In a clean clone, whose copies lack what git ignores."""
    folder = clone(tmp_path / "clone")
    (folder / "sweeps/small.yaml").write_text(SMALL)
    run = run_in(folder)
    begun = run("reprise", "sweep", "sweeps/small.yaml").stdout
    assert "2 of 2 cells wait for 1 worker;" in begun
    pid = executor(folder)
    for process in subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True).stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)  # DVC's worker, and what it runs
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    status = run("reprise", "sweep", "sweeps/small.yaml", "--status", check=False)
    assert status.returncode == 1 and "its worker was killed" in status.stdout and "1 failed" in status.stdout
    taken_up = run("reprise", "sweep", "sweeps/small.yaml").stdout
    assert "queued 1 of 1: " in taken_up  # the killed cell alone; the other one still waits
    out = follow(folder, until="2 done", seconds=300)
    assert "failed" not in out
    table = pd.read_csv(folder / "reports/plots/sweeps/small.csv")
    assert table["fairness.tasks.loanapp.train.lr"].tolist() == [0.001, 0.002]
    assert table["value"].between(0.5, 1).all()
    assert set(table["commit"]) == {run("git", "rev-parse", "--short=8", "HEAD").stdout.strip()}
    assert (folder / "reports/figures/sweeps/small.svg").stat().st_size > 1000
    again = run("reprise", "sweep", "sweeps/small.yaml")
    assert "queued" not in again.stdout and "2 done" in again.stdout


@pytest.mark.slow
def test_a_changed_tree_is_refused(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    with open(folder / "src/reprise/seeding.py", "a") as file:
        file.write("# changed\n")
    done = run_in(folder)("reprise", "sweep", "sweeps/circuits-learning-rate.yaml", check=False)
    assert done.returncode == 1 and "src/reprise/seeding.py differ from what is committed" in done.stderr
