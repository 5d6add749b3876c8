"""Fixtures shared by all tests."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]

# Tests measure behaviour, not speed: one thread each, no bars, no phoning home.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["DVC_NO_ANALYTICS"] = "1"
signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # what runs in the background ignores it, and so would our children

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real samples for tests; the test skips where it is missing."""
    folder = Path(os.environ.get("REPRISE_TEST_DATA", ROOT.parent / "shared/data"))
    if not (folder / "mirror.yaml").exists():
        pytest.skip(f"no sample data at {folder} (REPRISE_TEST_DATA names another folder)")
    return folder


def clone(target: Path, scale: str = "smoke") -> Path:
    """A temporary clone of the working tree (committed or not), at `scale`, with DVC's cache of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        result = name.startswith("reports/") and "/sweeps/" not in name  # a sweep's are no stage's
        if (ROOT / name).is_file() and not result and not name.startswith(("dvc.lock", "tests/", ".dvc/tmp")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    shutil.copy2(ROOT / "params" / f"{scale}.yaml", target / "params.yaml")
    for command in (
        ["git", "init", "-q"],
        ["git", "add", "-A"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "clone"],
    ):
        subprocess.run(command, cwd=target, check=True)
    return target


def run_in(folder: Path) -> Run:
    """Run a command in `folder` with this environment's python and its `src` first."""

    def run(*command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder / "src"), **env}
        environment.pop("DVC_STAGE", None)
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    return run


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which everything has run at smoke scale; a test that changes it puts it back.

    Made once; each of several processes of pytest (`-n`) has a copy of its own.
    """
    base = tmp_path_factory.getbasetemp()
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    made = (base if alone else base.parent) / "smoke"
    with FileLock(f"{made}.lock"):
        if not (made / "reports/index.html").exists():
            shutil.rmtree(made, ignore_errors=True)  # of a process whose run failed
            made.mkdir()
            run_in(clone(made))("dvc", "repro")
    return made if alone else copy_of(made, base / "smoke")


def copy_of(folder: Path, target: Path) -> Path:
    """A finished clone again, for a test that would leave traces: with its results, and its DVC cache in common."""

    def skipped(place: str, names: list[str]) -> set[str]:
        return (
            {"data"} & {*names}
            if Path(place) == folder
            else {"cache", "tmp"} & {*names}
            if place.endswith(".dvc")
            else set()
        )

    shutil.copytree(folder, target, symlinks=True, ignore=skipped)
    local = target / ".dvc/config.local"
    if not local.exists():  # a copy of a copy shares the first one's
        local.write_text(f"[cache]\n    dir = {folder}/.dvc/cache\n")
    run_in(target)("dvc", "checkout", "-q")
    return target


def edit(folder: Path, *path: str, value: object) -> None:
    """Set one parameter of the clone."""
    yaml = YAML()
    content = yaml.load(folder / "params.yaml")
    node = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    yaml.dump(content, folder / "params.yaml")


@contextmanager
def put_back(folder: Path) -> Iterator[Run]:
    """Runs commands in a clone, then puts parameters, results and DVC's lock back: faster than to run it all again."""
    kept = {name: (folder / name).read_text() for name in ("params.yaml", "dvc.lock")}
    with tempfile.TemporaryDirectory() as aside:
        shutil.copytree(folder / "reports", f"{aside}/reports")  # its small files are not in DVC's cache
        try:
            yield run_in(folder)
        finally:
            for name, text in kept.items():
                (folder / name).write_text(text)
            shutil.rmtree(folder / "reports")
            shutil.copytree(f"{aside}/reports", folder / "reports")
            run_in(folder)("dvc", "checkout", "--force", "-q")


def ran(output: str) -> set[str]:
    """Names of the stages that a `dvc repro` ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))
