"""The amodal wing's stages run for real, at smoke scale, in temporary clones."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import samples_video as samples
from conftest import clone, edit, put_back, ran, run_in
from reprise import results

pytestmark = pytest.mark.slow

# Height and width at which the tiny videos are stored.
FISHBOWL = {"height": 48, "width": 64, "flow": "dis", "clip": None, "max_train": None, "max_test": None}
KINS = {"height": 60, "width": 104, "flow": "flownet2", "clip": None, "max_train": None, "max_test": None}


def only(folder: Path, runs: dict[str, dict[str, list[int]]]) -> None:
    """This wing alone, with these runs on these data sets, which are fetched."""
    edit(folder, "common", "fetched", value=list(runs))
    edit(folder, "common", "generated", value=[])
    edit(folder, "amodal", "datasets", value=list(runs))
    for name, methods in runs.items():
        edit(folder, "amodal", "tasks", name, "runs", value=methods)


def report_on(folder: Path, **env: str) -> None:
    """From raw files to the pages."""
    run = run_in(folder)
    run("dvc", "repro", "amodal-report", **env)
    run("python", "stages/claims.py")
    run("python", "stages/report.py")


def measured(folder: Path, dataset: str) -> pd.DataFrame:
    return results.expand(results.read([folder / f"data/results/amodal/{dataset}/results.parquet"]))


def check_scores(folder: Path, dataset: str, methods: set[str]) -> None:
    """Every method has both scores, those of the untrained baselines and of the page's headline among them."""
    table = measured(folder, dataset)
    for metric in ("iou_full", "iou_occluded"):
        scores = table[(table["metric"] == metric) & (table["by"] == "frame") & (table["subset"] == "")]
        assert set(scores["method"]) == methods | {"visible", "convex"}
        assert scores["value"].between(0, 1).all() and (scores["n"] > 0).all()
    metrics = json.loads((folder / "reports/metrics/amodal.json").read_text())
    assert 0 < metrics[dataset]["savos_iou_full"] <= 1
    assert dataset in (folder / "reports/amodal.html").read_text()


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which FISHBOWL and KINS-Video-Car, in their official layouts, have gone from raw to report."""
    folder, manual = clone(tmp_path_factory.mktemp("official")), tmp_path_factory.mktemp("manual")
    samples.fishbowl_generated(manual / "fishbowl", "train", samples.Scene())  # as it is: only test is released
    samples.fishbowl_released(manual / "fishbowl", "test", samples.Scene())
    samples.kins_car(manual / "kins_car", samples.Scene(n=14, height=60, width=104), annotated=(6, 8))
    edit(folder, "data", "fishbowl", value=FISHBOWL)
    edit(folder, "data", "kins_car", value=KINS)
    fishbowl = {"savos": [0], "per_frame": [0], "completion": [0], "supervised": [0], "supervised_image": [0]}
    only(folder, {"fishbowl": fishbowl, "kins_car": {"savos": [0], "completion": [0]}})
    report_on(folder, REPRISE_MANUAL=str(manual))
    return folder


def test_official_layouts_go_from_download_to_report(official: Path) -> None:
    trained = {"savos", "per_frame", "completion", "supervised", "supervised_image"}
    check_scores(official, "fishbowl", trained)
    check_scores(official, "kins_car", {"savos", "completion"})


def test_frames_without_a_full_mask_are_not_judged(official: Path) -> None:
    """Two frames of the test drive are annotated, and in each two cars: one passes in front, one is hidden in part."""
    table = measured(official, "kins_car")
    visible = table[(table["method"] == "visible") & (table["metric"] == "iou_full")]
    assert visible[(visible["by"] == "frame") & (visible["subset"] == "")]["n"].item() == 2
    bins = visible[visible["rate"] != ""].set_index("rate")
    assert bins["n"].to_dict() == {"0": 2, "0.2": 1, "0.4": 1}
    assert bins["value"]["0"] == pytest.approx(1, abs=0.02)  # nothing is hidden
    strips = pd.read_csv(official / "reports/plots/amodal/strips.csv")
    shown = strips[(strips["dataset"] == "kins_car") & (strips["method"] == "savos")].set_index("frame")
    assert shown.index[shown["iou_full"].notna()].tolist() == shown.index[shown["scored"] == 1].tolist() == [6, 8]


def test_supervision_needs_a_full_mask_in_every_frame(official: Path) -> None:
    before = (official / "params.yaml").read_text()
    try:
        runs = {"savos": [0], "supervised": [0], "supervised_image": [0]}
        edit(official, "amodal", "tasks", "kins_car", "runs", value=runs)
        done = run_in(official)("python", "stages/amodal/train.py", "kins_car", check=False)
        message = "supervised, supervised_image: trained on full masks, which kins_car has for some frames of test only"
        assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
    finally:
        (official / "params.yaml").write_text(before)


def test_precision_and_devices_come_from_the_environment(official: Path) -> None:
    """A training repeats itself bit by bit, so that other weights show that a setting was reached; only a little so."""
    before = (official / "params.yaml").read_text()
    machines: list[dict[str, str]] = [{"REPRISE_PRECISION": "32-true"}, {"REPRISE_PRECISION": "bf16-mixed"}]
    machines.append({**machines[-1], "REPRISE_DEVICES": "2"})
    task = {"steps": 4, "batch_size": 4, "supervised_batch_size": 4, "runs": {"savos": [1]}}
    found = []
    try:
        edit(official, "amodal", "tasks", "fishbowl", value=task)
        for machine in machines:
            shutil.rmtree(official / ".reprise/jobs")
            run = run_in(official)
            run("python", "stages/amodal/train.py", "fishbowl", REPRISE_ACCELERATOR="cpu", **machine)
            weights = load_file(official / "data/models/amodal/fishbowl/savos.s1.safetensors")
            found.append(np.concatenate([array.ravel() for array in weights.values()]))
    finally:
        (official / "params.yaml").write_text(before)
    one, mixed, shared = found
    assert np.isfinite(found).all() and one.dtype == mixed.dtype == np.float32
    assert not np.array_equal(one, mixed) and not np.array_equal(mixed, shared)
    np.testing.assert_allclose(mixed, one, atol=0.01)  # four steps of Adam with a rate of 0.001 or less
    np.testing.assert_allclose(shared, mixed, atol=0.01)


def test_real_videos_go_from_raw_to_report(tmp_path: Path, shared_data: Path) -> None:
    """The first frames of four sequences of DAVIS, with pasted objects in front."""
    folder = clone(tmp_path / "clone")
    overlay = samples.davis_sample(
        shared_data, tmp_path / "files", dict.fromkeys(["blackswan", "camel", "dog", "goat"], 8)
    )
    options = {
        "height": 48,
        "width": 84,
        "resolution": "240p",
        "test": ["dog", "goat"],
        "clip": 8,
        "draws": 1,
        "flow": "dis",
    }
    edit(folder, "data", "davis", value={**options, "max_train": None, "max_test": None})
    only(folder, {"davis": {"savos": [0], "completion": [0], "supervised": [0]}})
    report_on(folder, REPRISE_SOURCES=str(overlay))
    check_scores(folder, "davis", {"savos", "completion", "supervised"})
    facts = measured(folder, "davis")
    facts = facts[facts["method"] == "data"].set_index("metric")["value"]
    assert facts["tracks"] == 2 and facts["frames"] == 16
    assert facts["hidden_outside_occluders"] == 0 and 0 < facts["occlusion_rate"] < 0.7


def both(*stages: str) -> set[str]:
    return {f"amodal-{stage}@{dataset}" for stage in stages for dataset in ("chewgum", "fishbowl_lite")}


BELOW = {"amodal-report", "claims", "report"}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("amodal", "evaluation", "threshold"), 0.4, both("evaluate") | BELOW),
        (
            ("amodal", "tasks", "chewgum", "steps"),
            3,
            {f"amodal-{s}@chewgum" for s in ("train", "predict", "evaluate")} | BELOW,
        ),
    ],
)
def test_one_changed_parameter_reruns_what_is_below_it(
    smoke: Path, path: tuple[str, ...], value: object, expected: set[str]
) -> None:
    with put_back(smoke) as run:
        edit(smoke, *path, value=value)
        assert ran(run("dvc", "repro").stdout) == expected


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ("amodal", "evaluation", "treshold"),
            0.4,
            "amodal.evaluation.treshold is not a parameter; did you mean threshold?",
        ),
        (("amodal", "tasks", "chewgum", "runs"), {"savso": [0]}, "amodal.tasks.chewgum.runs.savso"),
        (("amodal", "datasets"), ["chewgum", "movi"], "amodal needs the data set movi"),
    ],
)
def test_a_bad_parameter_stops_the_stage_at_once(
    smoke: Path, path: tuple[str, ...], value: object, message: str
) -> None:
    before = (smoke / "params.yaml").read_text()
    try:
        edit(smoke, *path, value=value)
        done = run_in(smoke)("python", "stages/amodal/evaluate.py", "chewgum", check=False)
        assert done.returncode == 1 and message in done.stderr and "params.yaml" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        (smoke / "params.yaml").write_text(before)


def networks(folder: Path) -> dict[str, bytes]:
    """Stored weights by method, of the first seed; adapted ones as `<method>.adapted`."""
    paths = sorted((folder / "data/models/amodal/fishbowl_lite").glob("*.s0*.safetensors"))
    return {path.name.replace(".s0", "").removesuffix(".safetensors"): path.read_bytes() for path in paths}


def test_another_hidden_truth_retrains_only_what_learns_from_it(smoke: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(smoke, folder, ignore=shutil.ignore_patterns(".git", ".dvc"))
    prepared = folder / "data/prepared/fishbowl_lite"
    (prepared / "amodal.npy").chmod(0o644)
    (prepared / "card.json").chmod(0o644)
    np.save(prepared / "amodal.npy", ~np.load(prepared / "amodal.npy"))
    card = json.loads((prepared / "card.json").read_text())
    card["arrays"]["amodal.npy"]["sha256"] = hashlib.sha256((prepared / "amodal.npy").read_bytes()).hexdigest()
    (prepared / "card.json").write_text(json.dumps(card))
    before = networks(smoke)

    output = run_in(folder)("python", "stages/amodal/train.py", "fishbowl_lite").stdout
    counts = re.findall(r"(\S+): (\d+) of (\d+) jobs were finished before", output)
    new = {stage: int(jobs) - int(stored) for stage, stored, jobs in counts}
    assert new == {"amodal-train@fishbowl_lite": 2, "amodal-train@fishbowl_lite-adapt": 0}
    after = networks(folder)
    assert {name for name in before if before[name] != after[name]} == {"supervised", "supervised_image"}

    # Trained anew, they are what they were: it was not for the names of the jobs alone.
    shutil.rmtree(folder / ".reprise/jobs")
    edit(folder, "amodal", "tasks", "fishbowl_lite", "runs", value={"savos": [0], "completion": [0]})
    run_in(folder)("python", "stages/amodal/train.py", "fishbowl_lite")
    again = networks(folder)
    assert again.keys() == {"savos", "savos.adapted", "completion", "completion.adapted"}
    assert {name: before[name] for name in again} == again
