"""FairFace's loader on a tiny generated folder of the official layout."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from reprise.data.arrays import DataError, open_prepared
from reprise.data.fairface import AGES, ARCHIVE, LABELS, Options, prepare
from reprise.data.sources import fetch

TRAIN = [
    ("0-2", "Male", "East Asian"),
    ("10-19", "Female", "White"),
    ("20-29", "Male", "Black"),
    ("30-39", "Female", "Latino_Hispanic"),
]
VAL = [("40-49", "Male", "White"), ("more than 70", "Female", "Indian")]
EXPECTED = [[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [1, 1, 0, 1, 1], [0, 1, 0, 0, 1], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0]]


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "fairface"
    for split, people in (("train", TRAIN), ("val", VAL)):
        (folder / split).mkdir(parents=True)
        lines = ["file,age,gender,race,service_test"]
        for i, person in enumerate(people, 1):
            Image.new("RGB", (448, 448), (40 * i, 0, 200)).save(folder / split / f"{i}.jpg", quality=95)
            lines.append(f"{split}/{i}.jpg,{','.join(person)},{i % 2 == 0}")
        (folder / f"fairface_label_{split}.csv").write_text("\n".join(lines) + "\n")
    return folder


def run(raw, out, per_split=None):
    prepare(raw, out, Options(image_size=24, per_split=per_split), seed=0)
    return open_prepared(out)


@pytest.mark.parametrize("zipped", [False, True])
def test_rows_labels_and_pixels(raw, tmp_path, zipped):
    if zipped:
        with zipfile.ZipFile(raw / ARCHIVE, "w") as bundle:
            for path in [*(raw / "train").iterdir(), *(raw / "val").iterdir()]:
                bundle.write(path, str(path.relative_to(raw)))
                path.unlink()
    data = run(raw, tmp_path / "out")
    assert data.card["splits"] == {"train": [0, 4], "val": [4, 6]}
    assert data.card["label_names"] == list(LABELS)
    np.testing.assert_array_equal(data.arrays["labels"], EXPECTED)
    assert data.arrays["x"].shape == (6, 3, 24, 24)
    np.testing.assert_allclose(data.arrays["x"][:, 0].mean(axis=(1, 2)), [40, 80, 120, 160, 40, 80], atol=3)


def test_ages_are_in_order():
    lower = [int(age.split("-")[0].removeprefix("more than ")) for age in AGES]
    assert lower == sorted(lower)


def test_per_split(raw, tmp_path):
    data = run(raw, tmp_path / "out", per_split=1)
    assert data.card["splits"] == {"train": [0, 1], "val": [1, 2]}


@pytest.mark.parametrize(("old", "new"), [("10-19", "19-Oct"), ("Female", "F"), ("race", "Race"), (",White", ",")])
def test_unknown_labels(raw, tmp_path, old, new):
    """A spreadsheet turns 10-19 into a date, for one."""
    path = raw / "fairface_label_train.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=r"fairface_label_train.csv: column"):
        run(raw, tmp_path / "out")


def test_gated_files_are_read_where_they_lie(raw, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_MANUAL", str(raw.parent))
    monkeypatch.delenv("REPRISE_SOURCES", raising=False)
    fetch("fairface", tmp_path / "raw")
    data = run(tmp_path / "raw", tmp_path / "out")
    np.testing.assert_array_equal(data.arrays["x"], run(raw, tmp_path / "direct").arrays["x"])
    assert data.card["sources"].keys() == {"fairface_label_train.csv", "fairface_label_val.csv"}


def test_missing_image(raw, tmp_path):
    (raw / "val" / "2.jpg").unlink()
    with pytest.raises(DataError, match=r"val/2.jpg is missing"):
        run(raw, tmp_path / "out")


def test_missing_labels(raw, tmp_path):
    (raw / "fairface_label_val.csv").unlink()
    with pytest.raises(DataError, match=r"fairface_label_val.csv is missing"):
        run(raw, tmp_path / "out")
