"""Jobs: each runs once, in whatever process; what is finished survives whatever happens to the others."""

import ast
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from reprise import engines, jobs
from reprise.engines import JobError

SOURCE = Path(jobs.__file__).parent
WORK = '''
import os, time
from pathlib import Path
import numpy as np
from reprise import jobs

def square(number, log, fail=None, seconds=0.0, die=False):
    """The square; appends its number to `log`, fails or dies when asked to."""
    with open(log, "a") as file:
        file.write(f"{number}\\n")
    time.sleep(seconds)
    folder = jobs.workdir()
    folder.mkdir(exist_ok=True)
    (folder / "checkpoint").write_text(str(number))
    if fail and Path(fail).exists():
        raise ValueError(f"no square of {number}")
    if die and Path(die).exists():
        os.kill(os.getpid(), 9)
    return {"square": np.array(number**2), "number": np.array([number])}
'''


@pytest.fixture
def work(tmp_path, monkeypatch):
    """The module above, importable by name; the store and the log lie in a fresh folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPRISE_ENGINE", "sequential")
    monkeypatch.setattr(jobs, "_workdir", None)
    (tmp_path / "work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("work")
    sys.modules.pop("work")


def logged():
    return [int(line) for line in Path("log").read_text().split()] if Path("log").exists() else []


def squares(paths):
    return [int(jobs.load(path)["square"]) for path in paths]


def some(*numbers, **extra):
    return [{"number": number, "log": "log", **extra} for number in numbers]


def test_results_stand_in_the_order_of_the_jobs(work):
    paths = jobs.run("stage", work.square, some(3, 1, 2))
    assert squares(paths) == [9, 1, 4]
    assert {key: array.tolist() for key, array in jobs.load(paths[0]).items()} == {"square": 9, "number": [3]}
    assert jobs.run("stage", work.square, []) == []


def test_a_finished_job_is_not_run_again(work, capsys):
    first = jobs.run("stage", work.square, some(1, 2))
    assert jobs.run("stage", work.square, some(2, 3, 1)) == [
        first[1],
        *jobs.run("stage", work.square, some(3)),
        first[0],
    ]
    assert logged() == [1, 2, 3]
    assert "stage: 2 of 3 jobs were finished before" in capsys.readouterr().out


def test_job_input_function_and_stage_are_part_of_the_key(work):
    def path(name="stage", inputs=("a",), **extra):
        return jobs.run(name, work.square, some(2, **extra), inputs=inputs)[0]

    found = [path(), path(seconds=0.001), path(inputs=["b"]), path(inputs=["a", "b"]), path(name="other")]
    assert len(set(found)) == 5
    assert len(logged()) == 5
    assert path() == found[0]
    assert len(logged()) == 5


def test_edited_code_is_a_new_key_and_a_changed_order_of_arguments_is_not(work):
    before = jobs.run("stage", work.square, [{"number": 2, "log": "log"}])
    assert jobs.run("stage", work.square, [{"log": "log", "number": 2}]) == before
    Path("work.py").write_text(WORK.replace("number**2", "number**3"))
    importlib.reload(work)
    after = jobs.run("stage", work.square, [{"number": 2, "log": "log"}])
    assert (squares(before), squares(after)) == ([4], [8])


def test_failing_job_is_named_and_keeps_the_finished_ones(work):
    Path("broken").touch()
    todo = [*some(1), *some(2, fail="broken"), *some(3)]
    with pytest.raises(JobError, match=r"^lambda 2 failed: ValueError: no square of 2 \(REPRISE_DEBUG=1"):
        jobs.run("stage", work.square, todo, labels=["lambda 1", "lambda 2", "lambda 3"])
    Path("broken").unlink()
    assert squares(jobs.run("stage", work.square, todo)) == [1, 4, 9]
    assert logged() == [1, 2, 2, 3]


def test_failing_job_without_a_label_is_named_by_its_number(work):
    Path("broken").touch()
    with pytest.raises(JobError, match=r"^stage 1 failed"):
        jobs.run("stage", work.square, [*some(1), *some(2, fail="broken")])


def test_debug_shows_the_error_itself(work, monkeypatch):
    monkeypatch.setenv("REPRISE_DEBUG", "1")
    Path("broken").touch()
    with pytest.raises(ValueError, match="no square"):
        jobs.run("stage", work.square, some(2, fail="broken"))


def test_engines(work, monkeypatch):
    monkeypatch.setenv("REPRISE_ENGINE", "dask")
    with pytest.raises(JobError, match="REPRISE_ENGINE=dask is not an engine; known: loky, ray, sequential"):
        jobs.run("stage", work.square, some(1))
    monkeypatch.setenv("REPRISE_ENGINE", "ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(JobError, match=r"needs Ray: pip install -e '\.\[ray\]'"):
        jobs.run("stage", work.square, some(1))
    assert logged() == []


@pytest.mark.parametrize("value", ["two", "-1"])
def test_number_of_workers_must_be_a_number(work, monkeypatch, value):
    monkeypatch.setenv("REPRISE_JOBS", value)
    with pytest.raises(JobError, match=f"REPRISE_JOBS={value}"):
        engines.n_workers()


def test_number_of_workers(monkeypatch):
    monkeypatch.setenv("REPRISE_JOBS", "5")
    assert engines.n_workers() == 5
    monkeypatch.delenv("REPRISE_JOBS")
    on_gpu = Path("/dev/nvidia0").exists()
    assert engines.n_workers() == (1 if on_gpu else len(os.sched_getaffinity(0)))
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS has none
    assert engines.n_workers() == (1 if on_gpu else os.cpu_count())


def test_workdir(work):
    """A folder per job, kept when the job fails (for its checkpoint), gone once it is stored; none outside jobs."""
    assert jobs.workdir() is None
    Path("broken").touch()
    with pytest.raises(JobError):
        jobs.run("stage", work.square, some(7, fail="broken"))
    (kept,) = jobs.STORE.glob("stage/*.work")
    assert (kept / "checkpoint").read_text() == "7"
    assert jobs.workdir() is None
    Path("broken").unlink()
    jobs.run("stage", work.square, some(7, fail="broken"))
    assert [path.suffix for path in jobs.STORE.glob("stage/*")] == [".npz"]
    assert jobs.workdir() is None


def test_half_written_result_is_never_taken_for_a_whole_one(work):
    (path,) = jobs.run("stage", work.square, some(4))
    whole = path.read_bytes()
    path.unlink()
    path.with_suffix(".123.tmp").write_bytes(whole[:50])  # what a kill during the write leaves
    assert squares(jobs.run("stage", work.square, some(4))) == [16]
    assert logged() == [4, 4]


def test_a_full_disk_leaves_nothing_behind_that_looks_whole(work, monkeypatch):
    def full(file, **arrays):
        file.write(b"PK half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(jobs.np, "savez", full)
        with pytest.raises(OSError, match="No space left"):
            jobs.run("stage", work.square, some(4))
    assert not [path for path in jobs.STORE.glob("stage/*") if path.suffix != ".work"]
    assert squares(jobs.run("stage", work.square, some(4))) == [16]


def test_a_shared_store_forgets_nothing(work, monkeypatch):
    monkeypatch.setenv("REPRISE_STORE", "elsewhere/jobs")
    paths = jobs.run("stage", work.square, some(1, 2))
    assert {str(path.parent) for path in paths} == {"elsewhere/jobs/stage"}
    jobs.prune("stage", [])
    jobs.run("stage", work.square, some(1, 2, 3))
    assert logged() == [1, 2, 3]


def test_stored_arrays_hold_no_pickles(work):
    (path,) = jobs.run("stage", work.square, some(2))
    np.savez(path, thing=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        jobs.load(path)


def test_prune_and_clear(work):
    paths = jobs.run("stage", work.square, some(1, 2, 3))
    other = jobs.run("other", work.square, some(1))
    jobs.prune("stage", paths[:1])
    assert [path.exists() for path in (*paths, *other)] == [True, False, False, True]
    jobs.clear("stage")
    jobs.clear("never")
    assert [path.exists() for path in (*paths, *other)] == [False, False, False, True]


def test_imports_follow_every_kind_of_import(tmp_path):
    file = tmp_path / "stage.py"
    file.write_text(
        "import numpy\n"
        "import reprise.results\n"
        "from reprise import seeding\n"
        "from reprise.fairness import massaging\n"
        "def late():\n"
        "    from reprise.data.faces import render\n"
    )
    found = {str(path.relative_to(SOURCE)) if path != file else "." for path in jobs.imports(file)}
    direct = {".", "__init__.py", "results.py", "seeding.py", "fairness/__init__.py", "fairness/massaging.py"}
    indirect = {"errors.py", "progress.py", "fairness/thresholds.py", "data/arrays.py", "data/faces.py", "params.py"}
    assert found == direct | indirect


def test_imports_of_a_cycle_end(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "PACKAGE", tmp_path / "pack")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/__init__.py").touch()
    (tmp_path / "pack/one.py").write_text("from pack.two import x\n")
    (tmp_path / "pack/two.py").write_text("def f():\n    import pack.one\n")
    assert {path.name for path in jobs.imports(tmp_path / "pack/one.py")} == {"one.py", "two.py"}


def test_the_package_has_only_imports_that_can_be_followed():
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"


def test_fingerprint_covers_indirect_imports_and_nothing_else(tmp_path, monkeypatch):
    package = tmp_path / "pack"
    package.mkdir()
    monkeypatch.setattr(jobs, "PACKAGE", package)
    for name, text in {"__init__": "", "one": "from pack import two", "two": "x = 1", "other": "x = 1"}.items():
        (package / f"{name}.py").write_text(text + "\n")
    before = jobs.fingerprint(package / "one.py")
    (package / "other.py").write_text("x = 2\n")
    assert jobs.fingerprint(package / "one.py") == before
    (package / "two.py").write_text("x = 2\n")
    assert jobs.fingerprint(package / "one.py") != before


def test_store_survives_a_move_of_the_repository(tmp_path, monkeypatch):
    prints = []
    for place in ("here", "zz/there"):
        package = tmp_path / place / "pack"
        package.mkdir(parents=True)
        monkeypatch.setattr(jobs, "PACKAGE", package)
        (package / "__init__.py").touch()
        (package / "one.py").write_text("from pack import two\n")
        (package / "two.py").touch()
        prints.append(jobs.fingerprint(package / "one.py"))
    assert prints[0] == prints[1]


MAIN = """
import json, sys
from reprise import jobs
import work
todo = json.loads(sys.argv[1])
paths = jobs.run("stage", work.square, todo, labels=[f"job {job['number']}" for job in todo])
print([int(jobs.load(path)["square"]) for path in paths])
"""


class Stage:
    """A stage in a process group of its own, so that its workers can be ended with it."""

    def __init__(self, folder, todo, **environment):
        (folder / "work.py").write_text(WORK)
        (folder / "main.py").write_text(MAIN)
        environment = {"REPRISE_ENGINE": "loky", "REPRISE_JOBS": "2", "PYTHONPATH": str(folder), **environment}
        self.process = subprocess.Popen(
            [sys.executable, "main.py", json.dumps(todo)],
            cwd=folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self):
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.splitlines()[-1] if out else "", err

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def stored(folder):
    return len(list(folder.glob(".reprise/jobs/stage/*.npz")))


def test_loky_and_sequential_store_the_same(tmp_path):
    found = []
    for engine in ("loky", "sequential"):
        folder = tmp_path / engine
        folder.mkdir()
        with Stage(folder, some(*range(6)), REPRISE_ENGINE=engine) as stage:
            assert stage.end() == (0, "[0, 1, 4, 9, 16, 25]", "")
        store = sorted(folder.glob(".reprise/jobs/stage/*"))
        found.append({path.name: {k: v.tolist() for k, v in jobs.load(path).items()} for path in store})
    assert len(found[0]) == 6
    assert found[0] == found[1]


def test_two_checkouts_at_the_same_job_run_it_once(tmp_path):
    shared = {"REPRISE_STORE": str(tmp_path / "store"), "REPRISE_ENGINE": "sequential"}
    todo = [{"number": 3, "log": str(tmp_path / "log"), "seconds": 2.0}]
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with Stage(folders[0], todo, **shared) as one, Stage(folders[1], todo, **shared) as two:
        assert one.end()[:2] == two.end()[:2] == (0, "[9]")
    assert (tmp_path / "log").read_text() == "3\n"


# ---------------------------------------------------------------- Ray


@pytest.fixture(scope="module")
def ray_cluster():
    """Two nodes of one core each on this machine: the head, and one that can be killed."""
    utils = pytest.importorskip("ray.cluster_utils", reason="needs the ray extra")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        yield cluster
        cluster.shutdown()


@pytest.mark.slow
def test_ray_survives_a_killed_node(tmp_path, ray_cluster):
    """No finished job is lost, and what the node was at starts anew on the other one."""
    node = ray_cluster.add_node(num_cpus=1)
    ray_cluster.wait_for_nodes()
    todo = some(*range(8), seconds=1.0)
    with Stage(tmp_path, todo, REPRISE_ENGINE="ray", RAY_ADDRESS=ray_cluster.address) as stage:
        wait_for(lambda: stored(tmp_path) >= 2)
        finished = {int(jobs.load(path)["number"][0]) for path in tmp_path.glob(".reprise/jobs/stage/*.npz")}
        ray_cluster.remove_node(node, allow_graceful=False)
        code, squared, err = stage.end()
    assert (code, squared) == (0, str([number**2 for number in range(8)])), err
    log = [int(line) for line in (tmp_path / "log").read_text().split()]
    assert set(log) == set(range(8)) and all(log.count(number) == 1 for number in finished)


@pytest.mark.slow
def test_ray_failure_names_the_job(tmp_path, ray_cluster):
    (tmp_path / "broken").touch()
    with Stage(tmp_path, some(3, fail="broken"), REPRISE_ENGINE="ray", RAY_ADDRESS=ray_cluster.address) as stage:
        code, _, err = stage.end()
    assert code == 1 and "job 3 failed: ValueError: no square of 3" in err


def test_no_ray_cluster_at_the_address(tmp_path):
    pytest.importorskip("ray", reason="needs the ray extra")
    with Stage(tmp_path, some(1), REPRISE_ENGINE="ray", RAY_ADDRESS="127.0.0.1:1") as stage:
        code, _, err = stage.end()
    assert code == 1 and "no Ray cluster answers at RAY_ADDRESS=127.0.0.1:1" in err


def test_loky_failure_names_the_job_and_keeps_the_finished_ones(tmp_path):
    (tmp_path / "broken").touch()
    todo = [*some(1, 2), *some(3, fail="broken", seconds=1.0)]
    with Stage(tmp_path, todo) as stage:
        code, _, err = stage.end()
    assert code == 1
    assert "job 3 failed: ValueError: no square of 3" in err
    assert stored(tmp_path) == 2


@pytest.mark.slow
def test_a_killed_worker(tmp_path):
    """As after an out-of-memory kill: the stage fails, the next run takes up the finished jobs."""
    (tmp_path / "deadly").touch()
    todo = [*some(1, 2, 3), *some(4, die="deadly", seconds=1.0)]
    with Stage(tmp_path, todo) as stage:
        code, _, err = stage.end()
    assert code == 1
    assert "finished jobs are kept" in err
    finished = stored(tmp_path)
    assert finished == 3
    (tmp_path / "deadly").unlink()
    before = (tmp_path / "log").read_text().split()
    with Stage(tmp_path, todo) as stage:
        assert stage.end() == (0, "[1, 4, 9, 16]", "")
    assert (tmp_path / "log").read_text().split()[len(before) :] == ["4"]


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_stage(tmp_path, end):
    todo = [*some(1, 2), *some(3, 4, seconds=4)]
    with Stage(tmp_path, todo) as stage:
        wait_for(lambda: stored(tmp_path) == 2)
        stage.process.send_signal(end)
        stage.process.wait(timeout=20)
        assert stage.process.returncode != 0
    assert stored(tmp_path) == 2
    before = len((tmp_path / "log").read_text().split())
    with Stage(tmp_path, todo) as stage:
        assert stage.end()[:2] == (0, "[1, 4, 9, 16]")
    assert not {"1", "2"} & set((tmp_path / "log").read_text().split()[before:])
