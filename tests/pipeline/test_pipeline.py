"""The pipeline run for real, at smoke scale, in temporary clones."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from browser import broken_links
from conftest import ROOT, clone, edit, put_back, ran, run_in
from reprise import claims
from reprise.data.celeba import ATTRIBUTES

pytestmark = pytest.mark.slow


# What is timed, on purpose: two runs never agree on it.
TIMED = re.compile(r"circuits\.(faster|faster-nested|eight-times|scaling|rerouting|a10-|a11-)")
TIMED_PLOTS = {"speed.csv", "scaling.csv", "modalities.csv"}


def contents(folder: Path) -> dict[str, str]:
    ledger = json.loads((folder / "reports/claims.json").read_text())
    page = (folder / "reports/claims.md").read_text().splitlines()
    found = {
        "claims.json": json.dumps({name: entry for name, entry in ledger.items() if not TIMED.match(name)}),
        "claims.md": "\n".join(line for line in page if not TIMED.search(line) and " reproduced, " not in line),
    }
    files = sorted((folder / "reports/metrics").rglob("*")) + sorted((folder / "reports/plots").rglob("*.csv"))
    files = [path for path in files if path.parent.name != "circuits" or path.name not in TIMED_PLOTS]
    return found | {str(path.relative_to(folder)): path.read_text() for path in files}


def test_every_output_is_there_and_is_deterministic(smoke: Path, tmp_path: Path) -> None:
    ledger = json.loads((smoke / "reports/claims.json").read_text())
    assert all(entry["verdict"] for entry in ledger.values()) and len(ledger) > 30
    pages = ("index", "assay", "amodal", "circuits", "fairness", "graph", "sweeps")
    assert all((smoke / f"reports/{page}.html").exists() for page in pages)
    assert broken_links(smoke / "reports") == []
    again = clone(tmp_path / "again")
    run_in(again)("dvc", "repro", REPRISE_ENGINE="sequential")
    assert contents(again) == contents(smoke)


def test_a_second_repro_runs_nothing(smoke: Path) -> None:
    start = time.monotonic()
    output = run_in(smoke)("dvc", "repro").stdout
    assert "Data and pipelines are up to date." in output and not ran(output)
    assert time.monotonic() - start < 10


def test_doctor_and_why_of_a_finished_run(smoke: Path) -> None:
    out = run_in(smoke)("reprise", "doctor").stdout
    assert "stages are up to date" in out and "!!" not in out
    with put_back(smoke) as run:
        edit(smoke, "fairness", "bootstrap", value=60)
        why = run("reprise", "why").stdout
        assert "fairness-evaluate@faces would run:\n  parameter fairness.bootstrap: 50 -> 60\n" in why
        assert re.search(
            r"time +about \d+ min, by what \d+ of them last took here, at whatever scale",
            run("reprise", "doctor").stdout,
        )


def both(*stages: str) -> set[str]:
    return {f"fairness-{stage}@{dataset}" for stage in stages for dataset in ("faces", "loanapp")}


PAPER = {"fairness-report", "claims", "report"}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("fairness", "bootstrap"), 60, both("evaluate") | PAPER),
        (("fairness", "merge", "near_parity"), 0.02, both("merge", "evaluate") | PAPER),
        (
            ("fairness", "tasks", "loanapp", "train", "lr"),
            0.02,
            {f"fairness-{stage}@loanapp" for stage in ("pretrain", "train", "predict", "merge", "evaluate")} | PAPER,
        ),
    ],
)
def test_one_changed_parameter_reruns_what_is_below_it(
    smoke: Path, path: tuple[str, ...], value: object, expected: set[str]
) -> None:
    with put_back(smoke) as run:
        edit(smoke, *path, value=value)
        assert ran(run("dvc", "repro").stdout) == expected


def test_editing_a_figure_trains_nothing(smoke: Path) -> None:
    figures = smoke / "src/reprise/fairness/figures.py"
    before = figures.read_text()
    try:
        figures.write_text(before + "\n# edited\n")
        assert ran(run_in(smoke)("dvc", "repro").stdout) == {"fairness-report"}
    finally:
        figures.write_text(before)
    run_in(smoke)("dvc", "repro")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("fairness", "bootstap"), 10, "fairness.bootstap is not a parameter; did you mean bootstrap?"),
        (("fairness", "methods", "group_weight"), 1.5, "fairness.methods.group_weight = 1.5"),
        (("fairness", "tasks", "faces", "backbone"), "convnte", "did you mean convnet?"),
    ],
)
def test_a_bad_parameter_stops_the_stage_at_once(
    smoke: Path, path: tuple[str, ...], value: object, message: str
) -> None:
    before = (smoke / "params.yaml").read_text()
    try:
        edit(smoke, *path, value=value)
        start = time.monotonic()
        done = run_in(smoke)("python", "stages/fairness/merge.py", "faces", check=False)
        assert done.returncode == 1 and message in done.stderr and "params.yaml" in done.stderr
        assert "Traceback" not in done.stderr and time.monotonic() - start < 5
    finally:
        (smoke / "params.yaml").write_text(before)


def test_a_truncated_array_is_named(smoke: Path) -> None:
    array = smoke / "data/prepared/loanapp/x.npy"
    whole = array.read_bytes()
    array.unlink()  # the file may be the cache's own
    try:
        array.write_bytes(whole[: len(whole) // 2])
        done = run_in(smoke)("python", "stages/fairness/train.py", "loanapp", check=False)
        assert done.returncode == 1 and "x.npy is truncated" in done.stderr and "dvc repro" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        array.write_bytes(whole)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_kill_or_ctrl_c_in_the_middle_of_training_loses_no_finished_job(tmp_path: Path, how: signal.Signals) -> None:
    folder = clone(tmp_path / "killed")
    run = run_in(folder)
    run("dvc", "repro", "fairness-pretrain")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "src"),
    }
    process = subprocess.Popen(
        ["dvc", "repro", "fairness-train@faces"], cwd=folder, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    store = folder / ".reprise/jobs/fairness-train@faces"
    deadline = time.monotonic() + 120
    while len(list(store.glob("*.npz"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, how)
    assert process.wait(timeout=30)
    finished = {path.name: path.stat().st_mtime_ns for path in store.glob("*.npz")}
    assert 3 <= len(finished) < 18
    assert not (folder / "data/models/fairness/faces/train").exists()
    output = run("dvc", "repro", "fairness-train@faces").stdout
    kept = {path.name: path.stat().st_mtime_ns for path in store.glob("*.npz")}
    assert re.search(rf"{len(finished)} of \d+ jobs were finished before", output)
    assert finished.items() <= kept.items()


def faces_folder(folder: Path, n: int = 240) -> Path:
    """A folder of CelebA's official layout, with group cues and a target a small network can learn."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    lines, parts = [str(n), " ".join(ATTRIBUTES)], []
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for i in range(n):
            values = rng.integers(0, 2, 40)
            pixels = rng.integers(60, 120, (218, 178, 3)).astype(np.uint8)
            pixels[:, :, 0] += (80 * values[ATTRIBUTES.index("Male")]).astype(np.uint8)
            pixels[140:, :, 2] += (80 * values[ATTRIBUTES.index("Smiling")]).astype(np.uint8)
            name = f"{i + 1:06d}.jpg"
            path = folder / name
            Image.fromarray(pixels).save(path, quality=90)
            archive.write(path, f"img_align_celeba/{name}")
            path.unlink()
            lines.append(name + "".join(f" {2 * value - 1:2d}" for value in values))
            parts.append(f"{name} {0 if i < n // 2 else 1 if i < 3 * n // 4 else 2}")
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    return folder


def overlay(path: Path, name: str, folder: Path) -> str:
    files = [
        {"file": str(file.relative_to(path.parent)), "bytes": file.stat().st_size,
         "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for file in sorted(folder.iterdir())
    ]  # fmt: skip
    YAML().dump({name: files}, path)
    return str(path)


def report_on(folder: Path, *names: str, sources: str) -> None:
    """This paper alone on these data sets, from raw files to the pages."""
    edit(folder, "common", "fetched", value=list(names))
    edit(folder, "common", "generated", value=[])
    edit(folder, "fairness", "datasets", value=list(names))
    run = run_in(folder)
    run("dvc", "repro", "fairness-report", REPRISE_SOURCES=sources)
    run("python", "stages/claims.py")
    run("python", "stages/report.py")


def test_a_folder_of_celebas_layout_goes_from_raw_to_report(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    mirror = overlay(tmp_path / "mirror.yaml", "celeba", faces_folder(tmp_path / "celeba"))
    report_on(folder, "celeba", sources=mirror)
    metrics = json.loads((folder / "reports/metrics/fairness.json").read_text())
    assert "celeba" in json.dumps(metrics)
    assert "Smiling" in (folder / "reports/fairness.html").read_text()


def test_real_tables_go_from_raw_to_report(tmp_path: Path, shared_data: Path) -> None:
    folder = clone(tmp_path / "clone")
    report_on(folder, "adult", "compas", sources=str(shared_data / "mirror.yaml"))
    ledger = json.loads((folder / "reports/claims.json").read_text())
    assert "value" in ledger["fairness.adult-approximation"]


def test_the_readmes_commands_run(smoke: Path) -> None:
    """Every command of the README's `sh` blocks, except the two that make an environment (`make`)."""
    text = (ROOT / "README.md").read_text()
    commands = [
        line.split("  #")[0].strip()
        for block in re.findall(r"```sh\n(.*?)```", text, re.S)
        for line in block.splitlines()
    ]
    tried = 0
    for command in commands:
        # A sweep leaves workers behind, which would train on.
        if not command or command.startswith(("git clone", "cd ", "make", "source", "#", "reprise sweep")):
            continue
        before = (smoke / "params.yaml").read_text()
        done = subprocess.run(
            ["bash", "-c", command], cwd=smoke, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                 "PYTHONPATH": str(smoke / "src")},
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        (smoke / "params.yaml").write_text(before)
        tried += 1
    assert tried >= 5


def test_every_story_can_be_told(smoke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of claims that hold here: elsewhere they may not."""
    told = {claim.id for wing in claims.wings().values() for claim in wing.CLAIMS if claim.explanation is not None}
    monkeypatch.setattr(claims, "_needs_story", lambda claim, _: claim.id in told)
    blocks = YAML(typ="safe").load(smoke / "params.yaml")
    claims.write_ledger(
        smoke / "data/results", tmp_path, {paper: blocks[paper]["datasets"] for paper in claims.wings()}
    )
    assert set(re.findall(r"^- `([^`]+)`: ", (tmp_path / "claims.md").read_text(), re.MULTILINE)) == told
