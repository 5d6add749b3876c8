"""The assay's stages run for real, at smoke scale, in temporary clones."""

import json
from pathlib import Path

import pandas as pd
import pytest

from conftest import clone, edit, put_back, ran, run_in
from samples import PACS_DOMAINS, numerals_files, pacs_archive

pytestmark = pytest.mark.slow


def both(*stages: str) -> set[str]:
    return {f"assay-{stage}@{dataset}" for stage in stages for dataset in ("digits", "colored")}


BELOW = {"assay-analyse", "assay-report", "claims", "report"}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("assay", "sweep", "augment"), ["standard"], both("train", "predict", "evaluate") | BELOW),
        (("assay", "evaluation", "severities"), [5], both("predict", "evaluate") | BELOW),
        (("assay", "analysis", "bootstrap"), 60, BELOW),
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
        (("assay", "sweep", "augmnt"), ["standard"], "assay.sweep.augmnt is not a parameter; did you mean augment?"),
        (("assay", "sweep", "lengths"), ["100"], "assay.sweep.lengths"),
        (("assay", "datasets"), ["digits", "pacs"], "assay needs the data set pacs"),
    ],
)
def test_a_bad_parameter_stops_the_stage_at_once(
    smoke: Path, path: tuple[str, ...], value: object, message: str
) -> None:
    before = (smoke / "params.yaml").read_text()
    try:
        edit(smoke, *path, value=value)
        done = run_in(smoke)("python", "stages/assay/evaluate.py", "digits", check=False)
        assert done.returncode == 1 and message in done.stderr and "params.yaml" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        (smoke / "params.yaml").write_text(before)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("assay", "sweep", "augment"), ["standrad"], "did you mean standard?"),
        (("assay", "architectures"), ["assay.cnn", "assay.cnnn"], "did you mean cnn"),
        (("assay", "tasks", "digits", "train"), ["pen", "pencil"], "digits has no pencil/"),
    ],
)
def test_a_name_that_is_not_known_stops_the_training(
    smoke: Path, path: tuple[str, ...], value: object, message: str
) -> None:
    before = (smoke / "params.yaml").read_text()
    try:
        edit(smoke, *path, value=value)
        stage = "pretrain" if "architectures" in path else "train"
        command = ["python", f"stages/assay/{stage}.py", *(["digits"] if stage == "train" else [])]
        done = run_in(smoke)(*command, check=False)
        assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
    finally:
        (smoke / "params.yaml").write_text(before)


def test_real_images_go_from_raw_to_report(tmp_path: Path, shared_data: Path) -> None:
    """PACS and MNIST/USPS in their official layouts, shrunk to the size the small networks are pretrained on."""
    folder = clone(tmp_path / "clone")
    pacs_archive(shared_data, tmp_path / "files", per_class=30)
    overlay = numerals_files(shared_data, tmp_path / "files", n_train=400, n_test=200)
    edit(folder, "common", "fetched", value=["pacs", "numerals"])
    edit(folder, "common", "generated", value=["letters"])
    edit(folder, "assay", "datasets", value=["pacs", "numerals"])
    edit(folder, "data", "pacs", value={"image_size": 18, "domains": PACS_DOMAINS, "per_domain": None})
    digits = {"image_size": 16, "domains": ["mnist", "usps"], "max_train": None, "max_eval": None}
    edit(folder, "data", "numerals", value=digits)
    pacs = {"train": PACS_DOMAINS, "test": PACS_DOMAINS, "crop": 16, "pool": PACS_DOMAINS, "held_out": ["photo"]}
    edit(folder, "assay", "tasks", "pacs", value=pacs | {"architectures": None, "planted_cue": None})
    two = ["mnist", "usps"]
    none = {"crop": None, "architectures": None, "pool": [], "held_out": [], "planted_cue": None}
    edit(folder, "assay", "tasks", "numerals", value={"train": two, "test": two, **none})
    run = run_in(folder)
    run("dvc", "repro", "assay-report", REPRISE_SOURCES=str(overlay))
    run("python", "stages/claims.py")
    run("python", "stages/report.py")
    table = pd.read_parquet(folder / "data/results/assay/measurements/pacs.parquet")
    errors = table[(table["metric"] == "error") & (table["shift"] == "ood")]
    assert set(errors["train_domain"]) >= set(PACS_DOMAINS) and errors["value"].between(0, 1).all()
    assert {"pacs", "numerals"} <= json.loads((folder / "reports/metrics/assay.json").read_text()).keys()
    assert "sketch" in (folder / "reports/assay.html").read_text()
