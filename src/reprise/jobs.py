"""Jobs: the many small runs inside a stage, side by side, each kept once it is finished.

    paths = run("fairness-train", "reprise.fairness.train:train", jobs, inputs=[digest])

`function(**job)` returns `{name: array}`; naming it as text keeps its imports (torch) out of the calling process.
A finished job is stored in `.reprise/jobs/` under a hash of (function, its code, the job, the inputs): after a kill,
the next run takes up where the last one stopped. "Its code" is every file of this package that the function's module
imports, found in the source without running it, so an edit elsewhere keeps the store.

What depends on the machine comes from the environment: `REPRISE_ENGINE` = loky (default), ray or sequential,
`REPRISE_JOBS` = number of workers (default: the cores this process may use).
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

from reprise.errors import UserError, disk_problem

STORE = Path(".reprise/jobs")
# glibc hands large blocks back to the kernel after every training step and faults them in again in the next one;
# keeping them makes a small training 1.2 times faster. Read when a process starts, so set before the workers do.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "MALLOC_TOP_PAD_": "200000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # and in large pages: another tenth
}
PACKAGE = Path(__file__).resolve().parent
BY_NAME = re.compile(rf"{PACKAGE.name}(\.\w+)+:\w+")

Arrays = dict[str, np.ndarray]

_workdir: Path | None = None  # of the job this process is running
_pooled = False  # whether workers have been started


class JobError(UserError):
    """A job failed; the message names the job and its error."""


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
    folder = STORE / name
    folder.mkdir(parents=True, exist_ok=True)
    salt = [*_identity(function), *inputs]
    paths = [folder / f"{_hash([*salt, job])}.npz" for job in jobs]
    labels = list(labels or [f"{name} {i}" for i in range(len(jobs))])
    todo = [(dict(job), path, label) for job, path, label in zip(jobs, paths, labels, strict=True) if not path.exists()]
    if len(todo) < len(jobs):
        print(f"{name}: {len(jobs) - len(todo)} of {len(jobs)} jobs were finished before", flush=True)
    engine = os.environ.get("REPRISE_ENGINE", "loky")
    if engine not in ENGINES:
        raise JobError(f"REPRISE_ENGINE={engine} is not an engine; known: {', '.join(ENGINES)}")
    tasks = [functools.partial(_run_one, function, job, path, label) for job, path, label in todo]
    for _ in _progress(name, ENGINES[engine](tasks), len(todo)):
        pass
    return paths


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
    kept = set(keep)
    for path in (STORE / name).glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path not in kept:
            path.unlink()


def load(path: Path) -> Arrays:
    """One stored job's arrays."""
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _run_one(function: Any, job: dict[str, Any], path: Path, label: str) -> str:
    global _workdir
    if isinstance(function, str):
        module, name = function.split(":")
        function = getattr(importlib.import_module(module), name)
    _single_thread()
    _workdir = work = path.with_suffix(".work")
    try:
        arrays = function(**job)
    except Exception as error:
        detail = disk_problem(error, path.parent) or f"{type(error).__name__}: {error}"
        if os.environ.get("REPRISE_DEBUG"):
            raise
        raise JobError(f"{label} failed: {detail} (REPRISE_DEBUG=1 shows the traceback)") from None
    finally:
        _workdir = None
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    shutil.rmtree(work, ignore_errors=True)
    return label


def workdir() -> Path | None:
    """Folder of the running job for logs and checkpoints, removed once the job is stored; None outside jobs."""
    return _workdir


def _single_thread() -> None:
    """Jobs share the cores by running side by side, so each uses one thread (unless the user says otherwise)."""
    if "torch" in sys.modules and "OMP_NUM_THREADS" not in os.environ:
        sys.modules["torch"].set_num_threads(1)


def n_workers() -> int:
    """Workers to run: `REPRISE_JOBS`, else one on a machine with an NVIDIA GPU, else the cores this process may use."""
    if wanted := os.environ.get("REPRISE_JOBS"):
        if not wanted.isdigit() or wanted == "0":
            raise JobError(f"REPRISE_JOBS={wanted} is not a number of workers, 1 or more")
        return int(wanted)
    if Path("/dev/nvidia0").exists():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _sequential(tasks: Sequence[Callable[[], str]]) -> Iterator[str]:
    for task in tasks:
        yield task()


def _loky(tasks: Sequence[Callable[[], str]]) -> Iterator[str]:
    global _pooled
    # A lone task is done here, unless idle workers of an earlier call have made its imports already.
    workers = min(n_workers(), len(tasks) + _pooled)
    if workers <= 1:
        yield from _sequential(tasks)
        return
    _pooled = True
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    for name, value in MALLOC.items():
        os.environ.setdefault(name, value)
    parallel = joblib.Parallel(workers, return_as="generator_unordered", pre_dispatch="all", batch_size=1)
    try:
        yield from parallel(joblib.delayed(task)() for task in tasks)
    except BrokenProcessPool:
        raise JobError(
            "a worker process was killed, most often for want of memory: finished jobs are kept, run again, if need be "
            f"with fewer workers (REPRISE_JOBS={workers - 1})"
        ) from None


def _ray(tasks: Sequence[Callable[[], str]]) -> Iterator[str]:
    raise JobError("REPRISE_ENGINE=ray is not available in this version; use loky or sequential")


# An engine takes the tasks and yields each one's label as it finishes, in any order.
ENGINES: dict[str, Callable[[Sequence[Callable[[], str]]], Iterator[str]]] = {
    "loky": _loky,
    "ray": _ray,
    "sequential": _sequential,
}


def _progress(name: str, finished: Iterator[str], total: int) -> Iterator[str]:
    """A bar on a terminal; otherwise a plain line every 30 seconds and one at the end."""
    if not total:
        return
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(finished, total=total, desc=name, unit="job")
        return
    start = last = time.monotonic()
    for done, label in enumerate(finished, 1):
        now = time.monotonic()
        if now - last > 30 or done == total:
            print(f"{name}: {done}/{total} jobs, {now - start:.0f} s, last {label}", flush=True)
            last = now
        yield label


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
    shutil.rmtree(STORE / name, ignore_errors=True)
