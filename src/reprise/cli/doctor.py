"""`reprise doctor`: what there is on this machine, what is missing, what would run and roughly for how long."""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from reprise.check import problems
from reprise.cli.graph import nodes
from reprise.engines import n_workers
from reprise.errors import TIMINGS, UserError
from reprise.params import FILE, load_common

BENCHMARK = Path("benchmarks/pipeline.md")
LEAST_DISK = 3  # GB free, below which a laptop run may not fit
SIGNS = {True: "ok  ", False: "!!  ", None: "    "}

Finding = tuple[bool | None, str, str]  # whether it is as it should be (None: neither), what, its state


def run(arguments: argparse.Namespace) -> int:
    """Print a line per finding; 1 where something must be mended first."""
    fine = True
    for good, name, state in findings():
        fine &= good is not False
        print(f"{SIGNS[good]}{name:<12}{state}", flush=True)
    return 0 if fine else 1


def findings() -> Iterator[Finding]:
    version = platform.python_version()
    yield (3, 11) <= sys.version_info[:2] <= (3, 13), "Python", f"{version} (3.11 to 3.13 are tested)"
    yield from _torch()
    for name, package in (("DVC", "dvc"), ("Lightning", "pytorch-lightning")):
        yield True, name, importlib.metadata.version(package)
    yield None, "workers", f"{n_workers()} networks side by side (REPRISE_JOBS changes it), {os.cpu_count()} cores"
    free = shutil.disk_usage(".").free / 1e9
    yield free >= LEAST_DISK, "disk", f"{free:.0f} GB free here; the laptop scale takes 2, the others say in params/"
    settings = {name: value for name, value in sorted(os.environ.items()) if name.startswith("REPRISE_")}
    for name, value in settings.items():
        yield None, "environment", f"{name}={value}"
    found = problems(FILE)
    yield not found, "parameters", "; ".join(found) or f"{FILE} is valid"
    if not found:
        yield from _data()
    yield from _plan()


def _torch() -> Iterator[Finding]:
    import torch

    yield True, "torch", torch.__version__
    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        yield True, "accelerator", ", ".join(gpus)
    elif Path("/dev/nvidia0").exists():
        yield False, "accelerator", "there is an NVIDIA GPU, which this torch cannot use: install a build with CUDA"
    elif torch.backends.mps.is_available():
        yield True, "accelerator", "Apple's (mps); REPRISE_ACCELERATOR=cpu leaves it alone"
    else:
        yield None, "accelerator", "none: the laptop scale needs none"


def _data() -> Iterator[Finding]:
    from reprise.data.sources import find, manual_folder

    for name in load_common().fetched:
        source, raw = find(name), Path("data/raw", name)
        if raw.exists():
            yield True, "data", f"{name} is in {raw}"
        elif source.kind == "gated" and not manual_folder(name).exists():
            yield False, "data", f"{name} must be fetched by hand: `python stages/download.py {name}` says from where"
        else:
            how = {"bundled": "comes with a package", "gated": f"lies in {manual_folder(name)}"}
            yield None, "data", f"{name} {how.get(source.kind, 'will be downloaded')}"


def _plan() -> Iterator[Finding]:
    try:
        found = nodes()
    except UserError as error:
        yield False, "graph", str(error)
        return
    todo = [name for name, node in found.items() if node.runs]
    if not todo:
        yield True, "graph", f"all {len(found)} stages are up to date"
        return
    here = {path.stem: float(json.loads(path.read_text())["seconds"]) for path in TIMINGS.glob("*.json")}
    there = _benchmark()
    known = [name for name in todo if name in here or name in there]
    total = sum(here.get(name, there.get(name, 0.0)) for name in known)
    total += 2.5 * len(todo)  # DVC's own work
    whose = "here" if all(name in here for name in known) else f"here, or on the 2 cores of {BENCHMARK}"
    rest = f", and {len(todo) - len(known)} that have never been timed" if len(known) < len(todo) else ""
    yield None, "graph", f"{len(todo)} of {len(found)} stages would run (`reprise why`)"
    by = f"by what {len(known)} of them last took {whose}, at whatever scale{rest}"
    yield None, "time", f"about {max(1, round(total / 60))} min, {by}"


def _benchmark() -> dict[str, float]:
    text = BENCHMARK.read_text(encoding="utf-8") if BENCHMARK.exists() else ""
    return {name: float(seconds) for name, seconds in re.findall(r"^\| ([\w@-]+) \| ([\d.]+) \|", text, re.MULTILINE)}
