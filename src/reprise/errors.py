"""How a stage ends: expected errors in one line, and a note of the time and memory it took."""

import errno
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

TIMINGS = Path(".reprise/timings")


class UserError(Exception):
    """An error whose message names the thing and the remedy; shown without a traceback."""


def run_stage(main: Callable[[], None]) -> NoReturn:
    """Run a stage script's `main` and exit: 0, 1 after an expected error, 130 after Ctrl-C.

    Expected are `UserError` and `OSError` (disk, network); anything else is a bug and keeps its traceback, as
    everything does with `REPRISE_DEBUG=1`.
    """
    start = time.monotonic()
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted: finished jobs are kept, `dvc repro` takes up from here", file=sys.stderr)
        sys.exit(130)
    except (UserError, OSError) as error:
        if os.environ.get("REPRISE_DEBUG"):
            raise
        print(f"error: {disk_problem(error, Path.cwd()) or error}", file=sys.stderr)
        sys.exit(1)
    _note(time.monotonic() - start)
    sys.exit(0)


def disk_problem(failure: BaseException, folder: Path) -> str | None:
    """One line for a disk that refuses, or None when `failure` is something else."""
    if not isinstance(failure, OSError):
        return None
    where = failure.filename or folder
    match failure.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"no space left on the disk for {folder}: free some (`dvc gc -w` drops unused versions), run again"
        case errno.EROFS:
            return f"{where} is on a read-only file system: mount it writable, or run in a writable copy of the project"
        case errno.EACCES | errno.EPERM:
            return f"no permission for {where}: change its owner or mode, or run in a folder of your own"
        case errno.ENOTDIR | errno.EEXIST:
            return f"cannot make the folder {folder}: {where} is a file in its place; move it away"
    return None


def _note(seconds: float) -> None:
    """Leave time, peak memory (of the largest process) and hardware for the report.

    They differ each time, so they lie outside every DVC output.
    """
    stage = os.environ.get("DVC_STAGE")
    if not stage:
        return
    pool = sys.modules.get("joblib.externals.loky.reusable_executor")
    if pool and pool._executor:
        # The workers' memory is only known once they have ended; they have nothing left to do, and tidying up takes
        # them a second or two.
        pool._executor.shutdown(wait=True, kill_workers=True)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    note = {
        "stage": stage,
        "seconds": round(seconds, 1),
        "peak_mib": round(peak / (1024 if sys.platform == "linux" else 1024**2)),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
        "python": platform.python_version(),
    }
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        note["torch"] = torch.__version__
        if torch.cuda.is_available():
            note["accelerator"] = torch.cuda.get_device_name()
    TIMINGS.mkdir(parents=True, exist_ok=True)
    (TIMINGS / f"{stage}.json").write_text(json.dumps(note, indent=1, sort_keys=True) + "\n")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "processor unknown"
