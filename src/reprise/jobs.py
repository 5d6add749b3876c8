"""Jobs: the many small runs inside a stage, side by side, each kept once it is finished.

    paths = run("fairness-train", "reprise.fairness.train:train", jobs, inputs=[digest])

`function(**job)` returns `{name: array}`; naming it as text keeps its imports (torch) out of the calling process.
A finished job is stored in `.reprise/jobs/` under a hash of (function, its code, the job, the inputs): after a kill,
the next run takes up where the last one stopped. "Its code" is every file of this package that the function's module
imports, found in the source without running it, so an edit elsewhere keeps the store.

`REPRISE_STORE` names a store that several checkouts share, as the experiments of a sweep do: a job that one of them has
finished, or is at, is not run again, and nothing is forgotten. How jobs run side by side: `reprise.engines`.
"""

import ast
import functools
import hashlib
import importlib
import inspect
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from reprise.engines import JobError, engine
from reprise.errors import disk_problem
from reprise.progress import Bar

STORE = Path(".reprise/jobs")
PACKAGE = Path(__file__).resolve().parent
BY_NAME = re.compile(rf"{PACKAGE.name}(\.\w+)+:\w+")

Arrays = dict[str, np.ndarray]

_workdir: Path | None = None  # of the job this process is running
_label = ""


def run(
    name: str,
    function: str | Callable[..., Arrays],
    jobs: Sequence[Mapping[str, Any]],
    *,
    inputs: Iterable[str] = (),
    labels: Sequence[str] | None = None,
) -> list[Path]:
    """Run every job that is not in the store; return one `.npz` path per job, in the order of `jobs`.

    Args:
        name: of the stage; names the store's folder and the progress display.
        function: "module:name", imported by the workers, or a function they can import; called as `function(**job)`.
        jobs: JSON-able keyword arguments, one mapping per job.
        inputs: digests of the data the jobs read.
        labels: what to call each job in progress and errors.

    Raises:
        JobError: a job raised; jobs already finished stay stored.
    """
    folder = store() / name
    folder.mkdir(parents=True, exist_ok=True)
    salt = [*_identity(function), *inputs]
    paths = [folder / f"{_hash([*salt, job])}.npz" for job in jobs]
    labels = list(labels or [f"{name} {i}" for i in range(len(jobs))])
    todo = [(dict(job), path, label) for job, path, label in zip(jobs, paths, labels, strict=True) if not path.exists()]
    if len(todo) < len(jobs):
        print(f"{name}: {len(jobs) - len(todo)} of {len(jobs)} jobs were finished before", flush=True)
    tasks = [functools.partial(_run_one, function, job, path, label) for job, path, label in todo]
    if tasks:
        _all(name, engine()(tasks), len(tasks))
    return paths


def _all(name: str, finished: Iterator[str], total: int) -> None:
    bar = Bar(name, total, "job")
    try:
        for label in finished:
            bar.update(note=f", last {label}")
    finally:
        bar.close()
    if bar.bar is None:
        print(f"{name}: {total} jobs in {time.monotonic() - bar.start:.0f} s", flush=True)


def store() -> Path:
    """Where finished jobs lie."""
    return Path(os.environ.get("REPRISE_STORE", STORE))


def _identity(function: str | Callable[..., Arrays]) -> tuple[str, str]:
    """Name and code fingerprint of a job's function."""
    if not isinstance(function, str):
        return f"{function.__module__}:{function.__qualname__}", fingerprint(inspect.getfile(function))
    file = _module_file(function.split(":")[0])
    if file is None:
        raise JobError(f"{function} is not in a module of this package")
    return function, fingerprint(file)


def prune(name: str, keep: Iterable[Path]) -> None:
    """Forget stored jobs of `name` other than `keep`, and what killed ones left: for after a stage has written."""
    if "REPRISE_STORE" in os.environ:
        return
    kept = set(keep)
    for path in (store() / name).glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path not in kept:
            path.unlink()


def load(path: Path) -> Arrays:
    """One stored job's arrays."""
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _run_one(function: Any, job: dict[str, Any], path: Path, label: str) -> str:
    lock = path.with_suffix(".lock")
    with FileLock(lock):  # another checkout may be at the same job
        try:
            if not path.exists():
                _store_one(function, job, path, label)
        finally:
            lock.unlink(missing_ok=True)
    return label


def _store_one(function: Any, job: dict[str, Any], path: Path, label: str) -> None:
    global _workdir, _label
    if isinstance(function, str):
        module, name = function.split(":")
        function = getattr(importlib.import_module(module), name)
    _single_thread()
    _workdir, _label = path.with_suffix(".work"), label
    try:
        arrays = function(**job)
    except Exception as error:
        detail = disk_problem(error, path.parent) or f"{type(error).__name__}: {error}"
        if os.environ.get("REPRISE_DEBUG"):
            raise
        raise JobError(f"{label} failed: {detail} (REPRISE_DEBUG=1 shows the traceback)") from None
    finally:
        work, _workdir, _label = _workdir, None, ""
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    shutil.rmtree(work, ignore_errors=True)


def workdir() -> Path | None:
    """Folder of the running job for logs and checkpoints, removed once the job is stored; None outside jobs."""
    return _workdir


def label() -> str:
    """What the running job is called; empty outside jobs."""
    return _label


def _single_thread() -> None:
    """Jobs share the cores by running side by side, so each uses one thread (unless the user says otherwise)."""
    if "torch" in sys.modules and "OMP_NUM_THREADS" not in os.environ:
        sys.modules["torch"].set_num_threads(1)


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def fingerprint(file: str | Path) -> str:
    """A hash of `file` and of every file of this package it imports, directly or not."""
    digest = hashlib.sha256()
    for path in sorted(imports(Path(file))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def imports(file: Path) -> set[Path]:
    """`file` and the files of this package that it imports, directly or not (read from the source, nothing is run).

    Imports inside functions count, and so do functions named as text ("reprise.module:function"); imports under
    `if TYPE_CHECKING:` do too, which errs on the safe side.
    """
    found: set[Path] = set()
    queue = [file.resolve()]
    while queue:
        path = queue.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and BY_NAME.fullmatch(node.value):
                names = [node.value.split(":")[0]]
            queue += [module for name in names if (module := _module_file(name))]
    return found


def _module_file(name: str) -> Path | None:
    parts = name.split(".")
    if parts[0] != PACKAGE.name:
        return None
    base = PACKAGE.joinpath(*parts[1:])
    if base.with_suffix(".py").is_file() and len(parts) > 1:
        return base.with_suffix(".py")
    return base / "__init__.py" if (base / "__init__.py").is_file() else None


def clear(name: str) -> None:
    """Forget all stored jobs of `name`."""
    shutil.rmtree(store() / name, ignore_errors=True)
