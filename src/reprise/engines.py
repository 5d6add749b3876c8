"""Engines: how the jobs of a stage run side by side.

The environment chooses, so that it cannot invalidate a result: `REPRISE_ENGINE` = loky (processes of this machine,
default), ray (a cluster's with `RAY_ADDRESS`, else a local one) or sequential; `REPRISE_JOBS` = number of workers.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from reprise.errors import UserError

# glibc hands large blocks back to the kernel after every training step and faults them in again in the next one;
# keeping them makes a small training 1.2 times faster. Read when a process starts, so set before the workers do.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "MALLOC_TOP_PAD_": "200000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # and in large pages: another tenth
}

Task = Callable[[], str]  # returns the job's label

_pooled = False  # whether workers have been started


class JobError(UserError):
    """A job failed; the message names the job and its error."""


def engine() -> Callable[[Sequence[Task]], Iterator[str]]:
    """What takes tasks and yields each one's label as it finishes, in any order."""
    name = os.environ.get("REPRISE_ENGINE", "loky")
    if name not in ENGINES:
        raise JobError(f"REPRISE_ENGINE={name} is not an engine; known: {', '.join(ENGINES)}")
    return ENGINES[name]


def n_workers() -> int:
    """Workers to run: `REPRISE_JOBS`, else one on a machine with an NVIDIA GPU, else the cores this process may use."""
    if wanted := os.environ.get("REPRISE_JOBS"):
        if not wanted.isdigit() or wanted == "0":
            raise JobError(f"REPRISE_JOBS={wanted} is not a number of workers, 1 or more")
        return int(wanted)
    if Path("/dev/nvidia0").exists():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _sequential(tasks: Sequence[Task]) -> Iterator[str]:
    for task in tasks:
        yield task()


def _loky(tasks: Sequence[Task]) -> Iterator[str]:
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


def _ray(tasks: Sequence[Task]) -> Iterator[str]:
    """One core per job, and one GPU where the cluster has any. A job whose node dies starts anew on another one.

    The nodes must see the project's folder under the same path, as the nodes of a SLURM cluster do.
    """
    try:
        import ray
    except ImportError:
        raise JobError("REPRISE_ENGINE=ray needs Ray: pip install -e '.[ray]'") from None
    settings = {name: value for name, value in os.environ.items() if name.startswith("REPRISE_")}
    environment = {"env_vars": {**MALLOC, **settings}}
    if address := os.environ.get("RAY_ADDRESS"):
        host, _, port = address.rpartition(":")
        try:
            if host and port.isdigit() and "/" not in host:  # Ray itself would try for minutes
                socket.create_connection((host, int(port)), timeout=10).close()
            ray.init(address, logging_level=logging.ERROR, runtime_env=environment)
        except OSError as error:
            raise JobError(f"no Ray cluster answers at RAY_ADDRESS={address}: {str(error).splitlines()[0]}") from None
    else:
        ray.init(
            "local", num_cpus=n_workers(), include_dashboard=False, logging_level=logging.ERROR, runtime_env=environment
        )
    try:
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3)(_in_folder)
        pending = [remote.remote(task, str(Path.cwd())) for task in tasks]
        while pending:
            done, pending = ray.wait(pending)
            try:
                yield ray.get(done[0])
            except ray.exceptions.RayTaskError as error:
                raise error.cause if error.cause is not None else JobError(str(error)) from None
            except ray.exceptions.RayError as error:
                reason = str(error).splitlines()[0]
                raise JobError(f"Ray lost a job: finished ones are kept, run again ({reason})") from None
    finally:
        ray.shutdown()


def _in_folder(task: Task, folder: str) -> str:
    os.chdir(folder)
    return task()


ENGINES: dict[str, Callable[[Sequence[Task]], Iterator[str]]] = {
    "loky": _loky,
    "ray": _ray,
    "sequential": _sequential,
}
