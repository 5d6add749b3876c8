"""`reprise repro` and `reprise why` on a small pipeline of sleeping stages, with DVC itself."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from dvc import dvcfile
from dvc.utils.serialize import modify_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reprise import cli
from reprise.cli.dvc import write_lock_quickly

PIPELINE = """
stages:
  first:
    cmd: python work.py first 0.1
    deps: [work.py]
    params: [first.value]
    outs: [out/first]
  middle:
    matrix: {n: [0, 1, 2, 3]}
    cmd: python work.py middle-${item.n} ${seconds}
    deps: [work.py, out/first]
    outs: ["out/middle-${item.n}"]
  timed:
    cmd: python work.py timed 0.5
    deps: [work.py, out/first]
    outs: [out/timed]
    meta: {alone: true}
  last:
    cmd: python work.py last 0.1
    deps: [work.py, out/timed, out/middle-0, out/middle-1, out/middle-2, out/middle-3]
    params: [last.rate]
    outs: [out/last]
"""
WORK = """
import json, os, sys, time
from pathlib import Path
name, seconds = sys.argv[1], float(sys.argv[2])
if Path("broken-" + name).exists():
    sys.exit("error: " + name + " is broken")
start = time.time()
time.sleep(seconds)
Path("out").mkdir(exist_ok=True)
value = Path("params.yaml").read_text() if name in ("first", "last") else ""
Path("out", name).write_text(name + value)
with open("cores", "a") as cores:
    kept = "kept" if "MALLOC_TRIM_THRESHOLD_" in os.environ else "returned"
    cores.write(name + " " + os.environ.get("REPRISE_JOBS", "all") + " " + kept + "\\n")
with open("log", "a") as log:
    log.write(json.dumps([name, start, time.time()]) + "\\n")
"""
PARAMS = "seconds: 1.0\nfirst: {value: 1, other: 2}\nlast: {rate: {low: 0.1, high: [1, 2]}}\n"


def dvc(*arguments: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        env=os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    Path("dvc.yaml").write_text(PIPELINE)
    Path("work.py").write_text(WORK)
    Path("params.yaml").write_text(PARAMS)
    dvc("init", "--no-scm", "-q")
    return tmp_path


def logged() -> dict[str, tuple[float, float]]:
    rows = [json.loads(line) for line in Path("log").read_text().splitlines()] if Path("log").exists() else []
    return {name: (start, end) for name, start, end in rows}


MIDDLE = [f"middle-{n}" for n in range(4)]


def test_side_by_side_in_the_right_order(pipeline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text(PARAMS.replace("1.0", "3.0", 1))
    assert cli.main(["repro", "-j", "4"]) == 0
    ran = logged()
    assert set(ran) == {"first", "timed", "last", *MIDDLE}
    span = max(ran[name][1] for name in MIDDLE) - min(ran[name][0] for name in MIDDLE)
    assert span < 0.75 * len(MIDDLE) * 3.0
    assert ran["first"][1] <= min(ran[name][0] for name in (*MIDDLE, "timed"))
    assert max(ran[name][1] for name in (*MIDDLE, "timed")) <= ran["last"][0]
    start, end = ran["timed"]
    assert all(ran[name][1] <= start or end <= ran[name][0] for name in MIDDLE)  # nothing beside it
    assert "7 stages in" in capsys.readouterr().out
    assert "Data and pipelines are up to date." in dvc("repro")
    assert cli.main(["repro"]) == 0
    assert capsys.readouterr().out == "Data and pipelines are up to date.\n"


def test_stages_share_the_cores_and_a_lone_one_has_them_all(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprise.cli.repro.n_workers", lambda: 8)
    monkeypatch.delenv("REPRISE_JOBS", raising=False)
    assert cli.main(["repro", "-j", "4"]) == 0
    cores = dict(line.split(maxsplit=1) for line in Path("cores").read_text().splitlines())
    # Memory is kept as in workers, but where time is measured.
    assert cores == {"first": "8 kept", "timed": "8 returned", "last": "8 kept"} | dict.fromkeys(MIDDLE, "2 kept")


@pytest.mark.parametrize("measured", [".reprise/timings/middle@2.json", "benchmarks/pipeline.md"])
def test_the_longest_way_comes_first(measured: str, pipeline: Path) -> None:
    """The times of last runs say which one it is; in a fresh clone those of the benchmark."""
    Path(measured).parent.mkdir(parents=True)
    Path(measured).write_text('{"seconds": 9.0}' if measured.endswith("json") else "| middle@2 | 9.0 | 71 |\n")
    assert cli.main(["repro", "-j", "1"]) == 0
    ran = logged()
    assert min(MIDDLE, key=lambda name: ran[name]) == "middle-2"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=150)
    | st.sampled_from(["yes", "07", "a: b", "  c:", "one\n  two:\n", "1e-5", "a word " * 30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.@-", min_size=1), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
ENTRY = st.fixed_dictionaries({"cmd": st.text(max_size=150), "params": st.dictionaries(st.just("params.yaml"), VALUES)})
ENTRIES = st.dictionaries(st.sampled_from([f"train@{name}" for name in "abcd"] + ["07", "a b"]), ENTRY)


@settings(deadline=None, max_examples=200)
@given(ENTRIES, ENTRIES)
def test_an_entry_of_the_lock_is_written_as_dvc_writes_all_of_it(before: dict[str, Any], after: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(dvcfile, "modify_yaml", None)
        write_lock_quickly()
        locks = []
        for stages in ([before, after], [before | after]):
            path = Path(folder, str(len(stages)), "dvc.lock")
            path.parent.mkdir()
            with modify_yaml(path) as data:
                data.update({"schema": "2.0", "stages": stages[0]})
            for more in stages[1:]:
                with dvcfile.modify_yaml(path) as data:
                    data["stages"].update(more)
            locks.append(path.read_bytes())
            assert [one.name for one in path.parent.iterdir()] == ["dvc.lock"]
        assert locks[0] == locks[1]


def test_the_lock_of_the_project_is_one_that_is_written_by_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parent.parent / "dvc.lock").read_text()
    Path(tmp_path, "dvc.lock").write_text(text)
    monkeypatch.setattr(dvcfile, "modify_yaml", None)
    write_lock_quickly()
    monkeypatch.setattr("dvc.utils.serialize.modify_yaml", None)  # which would write all of it
    with dvcfile.modify_yaml(tmp_path / "dvc.lock") as data:
        data["stages"].update({name: dict(entry) for name, entry in list(data["stages"].items())[::7]})
    assert Path(tmp_path, "dvc.lock").read_text() == text


def test_targets_and_what_has_changed_only(pipeline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["repro", "middle"]) == 0
    assert set(logged()) == {"first", *MIDDLE}
    Path("log").unlink()
    assert cli.main(["repro"]) == 0
    assert set(logged()) == {"timed", "last"}


def test_a_failure_names_the_stage_and_keeps_what_was_done(pipeline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken-middle-2").touch()
    assert cli.main(["repro", "-j", "4"]) == 1
    err = capsys.readouterr().err
    assert "middle@2 failed; the end of .reprise/logs/middle@2.log:" in err and "error: middle-2 is broken" in err
    before = set(logged())
    assert {"first", "middle-0"} <= before and "last" not in before
    Path("broken-middle-2").unlink()
    Path("log").unlink()
    assert cli.main(["repro"]) == 0
    assert not set(logged()) & before and "last" in logged()


def test_bad_arguments(pipeline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["repro", "midle"]) == 1
    assert "no stage midle; did you mean middle?" in capsys.readouterr().err
    assert cli.main(["repro", "-j", "0"]) == 1
    assert "-j 0 is not a number of stages" in capsys.readouterr().err


@contextlib.contextmanager
def launched(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from reprise.cli import main; sys.exit(main(sys.argv[1:]))", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def at_work(name: str) -> list[int]:
    """Processes in this folder whose command line has the word `name`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            here = (path.parent / "cwd").readlink() == Path.cwd()
            if here and f"\0{name}\0" in path.read_text().replace(" ", "\0"):
                found.append(int(path.parent.name))
    return found


def wait_for(condition: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_launcher_takes_its_stages_along(pipeline: Path, end: signal.Signals) -> None:
    Path("params.yaml").write_text(PARAMS.replace("1.0", "20.0", 1))
    with launched("repro", "-j", "2") as process:
        wait_for(lambda: len([n for n in range(4) if at_work(f"middle-{n}")]) == 2)
        begun = [one.pid for one in psutil.Process(process.pid).children(recursive=True)]
        Path(".dvc/tmp/rwlock").write_text("{")  # as one leaves it that is killed while writing
        process.send_signal(end)
        process.wait(timeout=20)
        # Gone, and forgotten by the system too: DVC asks it whether the holder of a lock is alive.
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in begun), seconds=10)
    Path("params.yaml").write_text(PARAMS.replace("1.0", "0.2", 1))
    dvc("repro")
    assert set(logged()) == {"first", "timed", "last", *MIDDLE}


@pytest.mark.slow
def test_a_killed_worker_leaves_a_state_that_dvc_takes_up(pipeline: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("1.0", "20.0", 1))
    with launched("repro", "-j", "2") as process:
        wait_for(lambda: at_work("middle-0") or at_work("middle-1"))
        for name in MIDDLE:
            for pid in at_work(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and "failed" in output
    Path("params.yaml").write_text(PARAMS.replace("1.0", "0.2", 1))
    dvc("repro")
    assert set(logged()) == {"first", "timed", "last", *MIDDLE}


# ---------------------------------------------------------------- why


def why(capsys: pytest.CaptureFixture[str], *stage: str) -> str:
    assert cli.main(["why", *stage]) == 0
    return capsys.readouterr().out


def test_why_in_words(pipeline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "first would run:\n  it has never run here: dvc.lock does not know it\n" in why(capsys, "first")
    dvc("repro")
    assert why(capsys) == "nothing would run: all is up to date\n"
    assert why(capsys, "last") == "last is up to date: nothing that it depends on has changed since it ran\n"

    Path("params.yaml").write_text(PARAMS.replace("0.1", "0.2").replace("[1, 2]", "[1, 2, 3]"))
    assert why(capsys) == (
        "last would run:\n"
        "  parameter last.rate.low: 0.1 -> 0.2\n"
        "  parameter last.rate.high: [1, 2] -> [1, 2, 3]\n"
        "1 of 7 stages would run\n"
    )

    Path("params.yaml").write_text(PARAMS.replace("value: 1", "value: 5"))
    assert why(capsys, "first") == "first would run:\n  parameter first.value: 1 -> 5\n"
    assert why(capsys, "middle@1") == "middle@1 would run:\n  after first, if what it writes changes\n"
    assert "last would run:\n  after middle@0, middle@1, middle@2, middle@3, timed, if what they write changes\n" in (
        why(capsys)
    )

    Path("params.yaml").write_text(PARAMS)
    Path("out/middle-3").unlink()
    assert why(capsys, "middle@3") == "middle@3 would run:\n  its output out/middle-3 is missing\n"

    dvc("checkout", "-q")
    Path("dvc.yaml").write_text(PIPELINE.replace("last 0.1", "last 0.2"))
    assert why(capsys, "last") == "last would run:\n  its command is another: python work.py last 0.2\n"

    Path("dvc.yaml").write_text(PIPELINE)
    Path("work.py").write_text(WORK + "# edited\n")
    out = why(capsys, "timed")
    assert out == "timed would run:\n  file work.py is changed\n  after first, if what it writes changes\n"
