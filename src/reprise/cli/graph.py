"""The graph of stages as DVC sees it, and why each stage would run."""

import difflib
import json
import logging
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reprise.errors import TIMINGS, UserError

REMADE = "what "  # how a reason begins that another stage's outputs give


class GraphError(UserError):
    """There is no pipeline here, or no such stage."""


@dataclass
class Node:
    """A stage.

    Attributes:
        after: the stages whose outputs it reads.
        reasons: what of its own makes it run; empty where nothing does.
        upstream: those of `after` that will run, which may change what it reads.
        alone: nothing may run beside it (`meta: {alone: true}` in dvc.yaml): it measures time.
        seconds: how long it took last time, before that as in `benchmarks/pipeline.md`, and 1 if that is not known.
    """

    name: str
    after: list[str]
    reasons: list[str]
    alone: bool
    seconds: float
    upstream: list[str] = field(default_factory=list)

    @property
    def runs(self) -> bool:
        """Whether `dvc repro` would look into it: it or something above it changed."""
        return bool(self.reasons or self.upstream)


def nodes(targets: Iterable[str] = ()) -> dict[str, Node]:
    """Stages by name, those that others read first; all, or `targets` with all above them.

    A target is a stage ("fairness-train@faces") or a group of them ("fairness-train").
    """
    import networkx
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"), Repo() as repo, repo.lock:
            graph = repo.index.graph
            stages = {stage.addressing: stage for stage in graph}
            above = {stage.addressing: sorted(one.addressing for one in graph.successors(stage)) for stage in graph}
            chosen = set(stages)
            if targets := list(targets):
                chosen = {name for target in targets for name in named(target, stages)}
                for name in list(chosen):
                    chosen |= {stage.addressing for stage in networkx.descendants(graph, stages[name])}
            order = [stage.addressing for stage in networkx.dfs_postorder_nodes(graph)]
            found: dict[str, Node] = {}
            made = {str(out.fs_path): stage.addressing for stage in graph for out in stage.outs}
            for name in order:
                if name not in chosen:
                    continue
                stage = stages[name]
                node = Node(
                    name,
                    above[name],
                    _reasons(stage, made),
                    alone=bool((stage.meta or {}).get("alone")),
                    seconds=_seconds(name),
                )
                node.upstream = [one for one in node.after if found[one].runs]
                if node.upstream:  # what they write is missing or old for that reason, and no news of its own
                    node.reasons = [reason for reason in node.reasons if not reason.startswith(REMADE)]
                found[name] = node
    except NotDvcRepoError:
        raise GraphError("this is no DVC repository: run from the project's folder") from None
    except DvcException as error:
        raise GraphError(str(error)) from None
    return found


def named(target: str, known: Iterable[str]) -> list[str]:
    """The stages that a target means; raises GraphError where there are none."""
    found = [name for name in known if target in (name, name.split("@")[0])]
    if not found:
        groups = sorted({part for name in known for part in (name, name.split("@")[0])})
        close = difflib.get_close_matches(target, groups, n=1, cutoff=0.5)
        raise GraphError(
            f"no stage {target}{f'; did you mean {close[0]}?' if close else ''} (`dvc stage list` has all)"
        )
    return found


def _reasons(stage: Any, made: dict[str, str]) -> list[str]:
    """Why DVC would run a stage, in words; nothing of what it would do to the stages above it."""
    from dvc.dependency import ParamsDependency

    if stage.deps and all(not dep.hash_info for dep in stage.deps):
        return ["it has never run here: dvc.lock does not know it"]
    reasons = []
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            old, new = dep.hash_info.value or {}, dep.read_params()
            for key in dep.params:
                if key not in new:
                    reasons.append(f"parameter {key} is gone from {dep.def_path}")
                elif key not in old:
                    reasons.append(f"parameter {key} is new: {_said(new[key])}")
                elif old[key] != new[key]:
                    reasons += [f"parameter {line}" for line in _differences(key, old[key], new[key])]
        elif how := dep.status():
            state = str(next(iter(how.values())))
            if maker := made.get(str(dep.fs_path)):
                reasons.append(f"{REMADE}{maker} wrote to {dep.def_path} is {_state(state)}")
            else:
                reasons.append(f"file {dep.def_path} is {_state(state)}")
    if stage.cmd_changed:
        reasons.append(f"its command is another: {stage.cmd}")
    for out in stage.outs:
        if how := out.status():
            reasons.append(f"its output {out.def_path} is {_state(str(next(iter(how.values()))))}")
    if stage.always_changed:
        reasons.append("it always runs")
    return reasons


def _state(state: str) -> str:
    words = {
        "deleted": "missing",
        "modified": "changed",
        "new": "new to dvc.lock",
        "not in cache": "not in the cache (`dvc commit` or run it again)",
    }
    return words.get(state, state)


def _differences(key: str, old: Any, new: Any) -> list[str]:
    """A line for every leaf of two parameter blocks that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*new, *(name for name in old if name not in new)]
        missing: dict[str, Any] = {}
        pairs = [(f"{key}.{name}", old.get(name, missing), new.get(name, missing)) for name in keys]
        return [line for name, left, right in pairs if left != right for line in _differences(name, left, right)]
    left, right = ("nothing" if value == {} else _said(value) for value in (old, new))
    return [f"{key}: {left} -> {right}"]


def _said(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _seconds(name: str, benchmark: Path = Path("benchmarks/pipeline.md")) -> float:
    path = Path(TIMINGS, f"{name}.json")
    if path.exists():
        return float(json.loads(path.read_text())["seconds"])
    row = re.search(rf"^\| {re.escape(name)} \| ([\d.]+) \|", benchmark.read_text() if benchmark.exists() else "", re.M)
    return float(row[1]) if row else 1.0
