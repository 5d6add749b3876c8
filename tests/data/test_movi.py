"""MOViD-Amodal's loader on a tiny folder of the layout that its authors' code reads."""

import json

import numpy as np
import pytest
from PIL import Image

import samples_video as samples
from reprise.data.arrays import DataError, open_prepared
from reprise.data.movi import Options, prepare
from reprise.data.sources import SourceError, fetch
from samples_video import Scene

SCENE = Scene(n=14, height=60, width=104)


@pytest.fixture
def manual(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "manual"))
    monkeypatch.delenv("REPRISE_SOURCES", raising=False)
    samples.movi(tmp_path / "manual/movi", SCENE)
    return tmp_path / "manual/movi/MOViD_A"


def run(tmp_path, height=60, width=104):
    fetch("movi", tmp_path / "raw")
    options = Options(height=height, width=width, flow="dis", max_train=None, max_test=None)
    prepare(tmp_path / "raw", tmp_path / "out", options, seed=0)
    return open_prepared(tmp_path / "out")


def test_arrays(manual, tmp_path):
    data = run(tmp_path)
    arrays = data.arrays
    assert data.card["splits"] == {"train": [0, 14], "test": [14, 28]}
    np.testing.assert_array_equal(arrays["frames"][14:], SCENE.frames.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(arrays["owner"][14:], SCENE.visible[0] + 2 * SCENE.visible[1])
    masks = np.unpackbits(arrays["amodal"], axis=-1, count=104).astype(bool).reshape(4, 14, 60, 104)
    np.testing.assert_array_equal(masks[2:], SCENE.full)
    np.testing.assert_array_equal(
        arrays["tracks"], [[0, 1, 0, 14, 1], [0, 2, 0, 14, 0], [1, 1, 14, 14, 1], [1, 2, 14, 14, 0]]
    )


def test_an_object_in_no_list_only_hides(manual, tmp_path):
    (manual / "test_instance.txt").write_text("17_0_30\n")
    owner = run(tmp_path).arrays["owner"][14:]
    np.testing.assert_array_equal(owner == 255, SCENE.visible[1])


def test_never_visible_objects_and_small_frames(manual, tmp_path):
    """Value 77 is nowhere; the frames are stored at half the size."""
    (manual / "test_instance.txt").write_text("17_0_30\n17_1_77\n")
    data = run(tmp_path, height=32, width=52)
    np.testing.assert_array_equal(data.arrays["tracks"][2:, :2], [[1, 1]])
    assert data.arrays["owner"].shape == (28, 32, 52)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("test/17/metadata.json", "{}", "is not the official file"),
        ("test/17/metadata.json", None, "metadata.json is missing"),
        ("test_instance.txt", "17-0-30", "not lines VIDEO_OBJECT_VALUE"),
        ("test_instance.txt", None, "test_instance.txt is missing"),
        ("test/17/rgba_full_00003.png", None, "rgba_full_00003.png is missing"),
        ("test/17/segmentation_full_00003.png", "no image", "segmentation_full_00003.png is corrupt"),
        ("test/17/segmentation_0_00003.png", None, "segmentation_0_00003.png is missing"),
    ],
)
def test_missing_and_damaged_files(manual, tmp_path, file, content, message):
    if content is None:
        (manual / file).unlink()
    else:
        (manual / file).write_text(content)
    with pytest.raises(DataError, match=message):
        run(tmp_path)


def test_sizes_must_agree(manual, tmp_path):
    path = manual / "test/17/segmentation_full_00003.png"
    Image.open(path).resize((50, 40), Image.Resampling.NEAREST).save(path)
    with pytest.raises(DataError, match=r"segmentation_full_00003\.png is 40x50, its video is 60x104"):
        run(tmp_path)


def test_more_frames_announced_than_there(manual, tmp_path):
    facts = {"num_frames": 15, "height": 60, "width": 104}
    (manual / "test/17/metadata.json").write_text(json.dumps({"metadata": facts}))
    with pytest.raises(DataError, match=r"segmentation_full_00014\.png is missing"):
        run(tmp_path)


def test_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "none"))
    with pytest.raises(SourceError, match=r"MOViD_A\.tar.*MOViD_A/"):
        fetch("movi", tmp_path / "raw")
