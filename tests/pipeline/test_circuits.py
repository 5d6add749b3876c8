"""The circuits' stages run for real, at smoke scale, in temporary clones."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import samples_circuits as samples
from conftest import clone, edit, ran, run_in
from reprise import results

pytestmark = pytest.mark.slow

PATCHES = {"patches": {"side": 8, "bands": 2}}
SYMBOLS = {"symbols": {"width": 16}}
TWO = {"nac": [0], "perceiver": [0]}


def measured(folder: Path) -> pd.DataFrame:
    return results.expand(results.read([folder / "data/results/circuits/analysis/results.parquet"]))


def task(tokens: dict, runs: dict, **changes: object) -> dict:
    fixed = {"processors": 16, "text": None, "augmentation": None, "epochs": 1, "batch_size": 64, "lr": 0.004}
    return {"tokens": tokens, **fixed, "runs": runs, **changes}


REAL = {
    "tiny_imagenet": (
        {"image_size": 32, "max_train": 600, "max_eval": 300},
        task({"convnext": {"widths": [8, 16], "depths": [1, 0], "places": 8}}, TWO | {"interpreter": [0]}),
    ),
    "cifar10": ({"image_size": 32, "max_train": None, "max_eval": None}, task(PATCHES, TWO)),
    "omniglot": ({"image_size": 16}, task({"patches": {"side": 4, "bands": 2}}, TWO)),
    "nyu_listops": ({"longest": 24, "max_train": 500, "max_eval": 200}, task(SYMBOLS, TWO)),
    "imdb": ({"length": 128, "max_train": 200, "max_eval": 100}, task(SYMBOLS, TWO)),
    "nlvr": (
        {"height": 16, "max_train": 500, "max_eval": 200},
        task(PATCHES, TWO | {"conditional": [0]}, text={"width": 16}),
    ),
    "modelnet40": (
        {"points": 64, "max_train": None, "max_eval": None},
        task(
            {"points": {"width": 16, "bands": 2}},
            TWO,
            batch_size=2,
            augmentation={"scale": [0.67, 1.5], "shift": 0.2, "jitter": 0.01, "clip": 0.02},
        ),
    ),
}


def test_real_data_go_from_raw_to_report(tmp_path: Path, shared_data: Path) -> None:
    """Samples of seven public sets in their official layouts, one epoch each."""
    folder, files = clone(tmp_path / "clone"), tmp_path / "files"
    samples.tiny_imagenet(shared_data, files)
    samples.cifar10(shared_data, files, n_train=200, n_test=50)
    samples.omniglot(shared_data, files)
    samples.nyu_listops(shared_data, files)
    samples.imdb(shared_data, files, lambda number: number < 130)
    samples.modelnet40(shared_data, files)
    overlay = samples.nlvr(shared_data, files)
    edit(folder, "common", "fetched", value=list(REAL))
    edit(folder, "common", "generated", value=[])
    edit(folder, "circuits", "datasets", value=list(REAL))
    for name, (options, tasked) in REAL.items():
        edit(folder, "data", name, value=options)
        edit(folder, "circuits", "tasks", name, value=tasked)
    few = {"dataset": "omniglot", "way": 5, "shots": [1, 5], "queries": 5, "episodes": 3}
    edit(folder, "circuits", "few_shot", value=few)
    run = run_in(folder)
    run("dvc", "repro", "circuits-report", REPRISE_SOURCES=str(overlay))
    run("python", "stages/claims.py")
    run("python", "stages/report.py")
    table = measured(folder)
    accuracy = table[(table["metric"] == "accuracy") & (table["shift"] == "") & (table["setting"] == "")]
    for name, (_, tasked) in REAL.items():
        found = accuracy[accuracy["dataset"] == name]
        assert set(found["method"]) == set(tasked["runs"])
        assert found["value"].between(0, 1).all() and (found["n"] > 0).all()
    assert set(table[table["metric"] == "few_shot_accuracy"]["shots"]) == {"1", "5"}
    assert set(REAL) <= json.loads((folder / "reports/metrics/circuits.json").read_text()).keys()
    assert "tiny_imagenet" in (folder / "reports/circuits.html").read_text()


def test_data_that_change_reach_the_stages_without_a_data_set(smoke: Path) -> None:
    """A folder of models names the data they are of; predictions of other data are refused."""
    run, folder = run_in(smoke), smoke / "data/models/circuits/handwriting"
    named = (folder / "data.txt").read_text()
    try:
        (folder / "data.txt").unlink()  # the file may be the cache's own
        (folder / "data.txt").write_text("another\n")
        done = run("python", "stages/circuits/predict.py", check=False)
        assert done.returncode == 1 and "handwriting" in done.stderr and "circuits-train@handwriting" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        (folder / "data.txt").write_text(named)


def test_one_changed_rate_reruns_its_data_set_and_what_follows(smoke: Path) -> None:
    before, run = (smoke / "params.yaml").read_text(), run_in(smoke)
    try:
        edit(smoke, "circuits", "tasks", "points", "lr", value=0.003)
        done = ran(run("dvc", "repro", "--dry").stdout)
        assert "circuits-train@points" in done
        assert not {name for name in done if name.startswith(("circuits-train@", "generate@", "assay", "amodal"))} - {
            "circuits-train@points"
        }
    finally:
        (smoke / "params.yaml").write_text(before)


def test_predictions_of_the_smoke_run_are_whole(smoke: Path) -> None:
    """Every network has logits of every test distribution, finite, and what its method is asked for besides."""
    folder = smoke / "data/results/circuits/predictions"
    for path in folder.glob("*/*.npz"):
        with np.load(path) as archive:
            assert np.isfinite(archive["iid/logits"]).all(), path
    with np.load(next((folder / "nlvr_mini").glob("conditional*.npz"))) as archive:
        assert {"circuits", "swapped/logits", "swapped/from", "mixed/logits"} <= set(archive.files)
