"""`reprise repro -j N`: `dvc repro` with independent stages side by side.

Each stage is a `dvc repro --single-item` of its own, started when everything it reads is made; DVC's lock is waited
for. Whatever is killed, plain `dvc repro` goes on from there: what was running has no entry in dvc.lock.
"""

import argparse
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import IO

from reprise.cli import dvc
from reprise.cli.graph import Node, nodes
from reprise.engines import MALLOC, n_workers
from reprise.errors import UserError
from reprise.progress import Bar

LOGS = Path(".reprise/logs")
FORKED = multiprocessing.get_context("fork")  # a stage's process begins with DVC imported, a second of work less
BUSY = ("Unable to acquire lock", "is busy, it is being blocked by")
PATIENCE = 120  # times that a stage tries to get a lock before it counts as failed
# Ends what the launcher has started once the launcher is gone, however it went: its end of the pipe closes then.
# Then it drops DVC's note of who reads what, if one killed while writing has left a part, at which any DVC stops.
WATCH = """
import json, os, pathlib, signal, sys, time
running = set()
for line in sys.stdin:
    sign, group = line[0], int(line[1:])
    (running.add if sign == "+" else running.discard)(group)
def told(group, what):
    try:
        os.killpg(group, what)
    except (ProcessLookupError, PermissionError):
        return False
    return True
for group in running:
    told(group, signal.SIGKILL)
for _ in range(100):
    if any([told(group, 0) for group in running]):
        time.sleep(0.05)
locks = pathlib.Path(".dvc/tmp/rwlock")
try:
    running and json.loads(locks.read_text())
except FileNotFoundError:
    pass
except ValueError:
    locks.unlink()
"""


class StageFailed(UserError):
    """A stage failed; the message holds the end of its log."""


def run(arguments: argparse.Namespace) -> int:
    """Run what has changed; 1 where a stage failed, after those beside it have ended."""
    if arguments.jobs < 1:
        raise UserError(f"-j {arguments.jobs} is not a number of stages, 1 or more")
    # Processes are forked, so there must be no thread beside this one that could hold a lock meanwhile.
    from tqdm import tqdm

    tqdm.monitor_interval = 0
    found = nodes(arguments.targets)
    todo = {name: node for name, node in found.items() if node.runs}
    if not todo:
        print("Data and pipelines are up to date.")
        return 0
    LOGS.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with _watchdog() as watch:
        _Run(todo, arguments.jobs, watch).all()
    print(f"{len(todo)} stages in {time.monotonic() - start:.0f} s")
    return 0


class _Run:
    """The stages still to run, those that are at it, and what has ended."""

    def __init__(self, todo: dict[str, Node], width: int, watch: IO[str]) -> None:
        self.nodes, self.waiting, self.width, self.watch = todo, list(todo), width, watch
        self.running: dict[str, ForkProcess] = {}
        self.started: dict[str, float] = {}
        self.tries: dict[str, int] = dict.fromkeys(todo, 0)
        self.again: dict[str, float] = dict.fromkeys(todo, 0.0)  # when a stage that found a lock taken tries again
        self.failed: list[str] = []
        self.below = _longest_way(todo)
        # Stages beside each other share the cores; the last one to run has them all.
        self.cores = n_workers()

    def all(self) -> None:
        """Run them; raises StageFailed once those that were running beside a failed one have ended."""
        from dvc.cli import parser  # noqa: F401  # with all commands of DVC, once for all stages

        bar = Bar("reprise repro", len(self.nodes), "stage")
        try:
            while self.running or (self.waiting and not self.failed):
                for name in [] if self.failed else self._ready():
                    self._start(name)
                time.sleep(0.02)
                for name in [name for name, process in self.running.items() if process.exitcode is not None]:
                    if self._ended(name):
                        bar.update(note=f", {len(self.running)} running")
        except KeyboardInterrupt:
            for process in self.running.values():
                with suppress(ProcessLookupError):
                    os.killpg(_pid(process), signal.SIGINT)
            for process in self.running.values():
                process.join()
            raise
        finally:
            bar.close()
        if self.failed:
            log = LOGS / f"{self.failed[0]}.log"
            others = f" (and {', '.join(self.failed[1:])})" if self.failed[1:] else ""
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise StageFailed(f"{self.failed[0]} failed{others}; the end of {log}:\n{tail}")

    def _ready(self) -> list[str]:
        """What to start now: longest way to the end first; what wants to be alone when nothing else can run."""
        if len(self.running) >= self.width or any(self.nodes[name].alone for name in self.running):
            return []
        unmade = {*self.waiting, *self.running}
        free = [name for name in self.waiting if not unmade & {*self.nodes[name].after}]
        free.sort(key=lambda name: -self.below[name])
        now = time.monotonic()
        beside = [name for name in free if not self.nodes[name].alone and self.again[name] <= now]
        if beside or self.running:
            return beside[: self.width - len(self.running)]
        return [name for name in free if self.again[name] <= now][:1]

    def _start(self, name: str) -> None:
        beside = 1 if self.nodes[name].alone else max(1, len(self.running) + len(self._ready()))
        self.waiting.remove(name)
        settings = {"REPRISE_JOBS": os.environ.get("REPRISE_JOBS", str(max(1, self.cores // beside)))}
        if not self.nodes[name].alone:  # which measures time, and does so as under `dvc repro`
            # With one core a stage trains in its own process, which needs then what workers are given.
            settings |= {key: os.environ.get(key, value) for key, value in MALLOC.items()}
        (LOGS / f"{name}.log").write_bytes(b"")
        process = FORKED.Process(target=_single, args=(name, settings, self.watch))
        process.start()
        with suppress(ProcessLookupError, PermissionError):  # both do, so that there is a group whoever comes first
            os.setpgid(_pid(process), _pid(process))
        self.running[name], self.started[name] = process, time.monotonic()

    def _ended(self, name: str) -> bool:
        """Whether a process that has ended brought its stage to its end."""
        process = self.running.pop(name)
        with suppress(BrokenPipeError):  # the watchdog was killed: nothing to lose by it
            print(f"-{process.pid}", file=self.watch, flush=True)
        text = (LOGS / f"{name}.log").read_text(errors="replace")
        if process.exitcode == 0:
            how = "ran" if "Running stage" in text else "was cached" if "is cached" in text else "had not changed"
            print(f"{name} {how}, {time.monotonic() - self.started[name]:.0f} s", flush=True)
            return True
        if any(words in text for words in BUSY) and self.tries[name] < PATIENCE:
            self.tries[name] += 1
            self.again[name] = time.monotonic() + 0.5
            self.waiting.append(name)
            return False
        self.failed.append(name)
        return False


def _single(name: str, settings: dict[str, str], watch: IO[str]) -> None:
    """One stage, in a forked process: its own group, its own log, and no hold on the pipe to the watchdog."""
    from dvc.cli import main

    os.setpgid(0, 0)
    with suppress(BrokenPipeError):
        print(f"+{os.getpid()}", file=watch, flush=True)
    os.close(watch.fileno())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(LOGS / f"{name}.log", os.O_WRONLY), 1)
    os.dup2(1, 2)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1)
    for handler in logging.getLogger("dvc").handlers:  # as they were when DVC was imported
        handler.stream = sys.stdout  # type: ignore[attr-defined]
    logging.getLogger("dvc").setLevel(logging.INFO)
    os.environ.update(dvc.environment(**settings))
    dvc.write_lock_quickly()
    sys.exit(main(["--wait-for-lock", "repro", "--single-item", name]))


def _pid(process: ForkProcess) -> int:
    assert process.pid
    return process.pid


def _longest_way(todo: dict[str, Node]) -> dict[str, float]:
    """Seconds from the start of each stage to the end of the last one that waits for it, by the times of last runs."""
    ways: dict[str, float] = {}
    for name in reversed(todo):  # those that read a stage come after it
        readers = [ways[other] for other, node in todo.items() if name in node.after]
        ways[name] = todo[name].seconds + max(readers, default=0.0)
    return ways


@contextmanager
def _watchdog() -> Iterator[IO[str]]:
    """Where to write "+GROUP" and "-GROUP": process groups to end should this process be killed."""
    process = subprocess.Popen([sys.executable, "-c", WATCH], stdin=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdin
    try:
        yield process.stdin
    finally:
        process.stdin.close()
        process.wait()
