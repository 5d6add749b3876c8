"""KINS-Video-Car's loader on a tiny release: estimated masks, and truth where a frame is an image of KINS."""

import json

import numpy as np
import pytest

import samples_video as samples
from reprise.data.arrays import DataError, open_prepared
from reprise.data.kins_car import Options, prepare
from reprise.data.sources import SourceError, fetch
from samples_video import Scene

SCENE = Scene(n=14, height=60, width=104)
DAY, DRIVE = "2011_09_29", "2011_09_29_drive_0001_sync"


@pytest.fixture
def manual(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "manual"))
    monkeypatch.delenv("REPRISE_SOURCES", raising=False)
    samples.kins_car(tmp_path / "manual/kins_car", SCENE)
    return tmp_path / "manual/kins_car"


def run(tmp_path, height=60, width=104, flow="flownet2", clip=None):
    fetch("kins_car", tmp_path / "raw")
    options = Options(height=height, width=width, flow=flow, clip=clip, max_train=None, max_test=None)
    prepare(tmp_path / "raw", tmp_path / "out", options, seed=0)
    return open_prepared(tmp_path / "out")


def test_arrays(manual, tmp_path):
    data = run(tmp_path)
    arrays = data.arrays
    assert data.card["splits"] == {"train": [0, 14], "val": [14, 28], "test": [28, 42]}
    assert (data.card["flow_source"], data.card["truth"]) == ("flownet2", "some frames of test")
    for split in ("train", "val", "test"):
        rows = data.rows(split)
        np.testing.assert_array_equal(arrays["frames"][rows], SCENE.frames.transpose(0, 3, 1, 2))
        for thing in range(2):
            np.testing.assert_array_equal(arrays["owner"][rows] == thing + 1, SCENE.visible[thing])
    assert not (arrays["owner"] == 255).any()
    expected = [[v, k, 14 * v, 14] for v in range(3) for k in (1, 2)]
    np.testing.assert_array_equal(arrays["tracks"][:, :4], expected)
    np.testing.assert_array_equal(arrays["flow"][29, :, 30, 30], [3, 1, -3, 0])


def test_truth_where_kins_has_the_image(manual, tmp_path):
    """Frames 6 and 8 of the test drive; every other full mask is empty, which says that it is not known."""
    data = run(tmp_path)
    masks = np.unpackbits(data.arrays["amodal"], axis=-1, count=104).astype(bool).reshape(6, 14, 60, 104)
    known = np.zeros((6, 14), bool)
    known[4:, [6, 8]] = True
    np.testing.assert_array_equal(masks.any(axis=(2, 3)), known)
    for thing in range(2):
        for t in (6, 8):
            np.testing.assert_array_equal(masks[4 + thing, t], SCENE.full[thing, t])
    np.testing.assert_array_equal(data.arrays["tracks"][:, 4], [1, 1, 1, 1, 1, 1])


def test_marks(manual, tmp_path):
    """Clips of 7: too short to train on; known frames 6 (the last of its clip) and 8 (the second of its own)."""
    tracks = run(tmp_path, clip=7).arrays["tracks"]
    np.testing.assert_array_equal(tracks[:, 4], [0] * 8 + [0, 0, 1, 1])


def test_annotation_must_agree_with_a_track(manual, tmp_path):
    """An annotated car whose visible mask shares less than half with every track belongs to none of them."""
    path = manual / "Kins/instances_train.json"
    content = json.loads(path.read_text())
    seen = SCENE.visible[0, 6].copy()
    seen[:, np.flatnonzero(seen.any(axis=0))[12:]] = False  # about half of it, so IoU is under 0.5
    assert seen.sum() < 0.5 * SCENE.visible[0, 6].sum()
    content["annotations"][0]["inmodal_seg"] = samples.encode(seen, text=True)
    path.write_text(json.dumps(content))
    data = run(tmp_path)
    masks = data.arrays["amodal"].reshape(6, 14, -1).any(axis=2)
    np.testing.assert_array_equal(np.argwhere(masks), [[4, 8], [5, 6], [5, 8]])


def test_what_others_hide_and_have_no_track_for(manual, tmp_path):
    """`loss_mask` may hold more than the tracks: people, say."""
    path = manual / "car_data/test_data.pkl"
    more = SCENE.visible[1, 3].copy()
    more[:4, :4] = True
    content = samples_of(path)
    content[DRIVE][3][3]["loss_mask"] = samples.encode(more)
    samples.write_pickle(path, content)
    owner = run(tmp_path).arrays["owner"]
    assert np.argwhere(owner == 255).tolist() == [[31, y, x] for y in range(4) for x in range(4)]


def samples_of(path):
    from reprise.data.restricted_pickle import load

    return load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda drive: drive[3].pop(5), "object 3: the track is empty or has gaps"),
        (lambda drive: drive[3].update({14: drive[3][13]}), "a mask in frame 14, but there are 14 frames"),
        (lambda drive: drive[3][5].pop("loss_mask"), "not the official file"),
        (
            lambda drive: drive[3][5].update(VM=samples.encode(np.ones((5, 5), bool))),
            "a mask of 5x5 for frames of 60x104",
        ),
        (lambda drive: drive[3][0].update(VM={}), "a mask without its size"),
    ],
)
def test_damaged_annotation(manual, tmp_path, change, message):
    path = manual / "car_data/test_data.pkl"
    content = samples_of(path)
    change(content[DRIVE])
    samples.write_pickle(path, content)
    with pytest.raises(DataError, match=message):
        run(tmp_path)


def test_a_car_never_visible_has_no_track(manual, tmp_path):
    path = manual / "car_data/val_data.pkl"
    content = samples_of(path)
    (drive,) = content.values()
    for entry in drive[3].values():
        entry["VM"] = samples.encode(np.zeros((60, 104), bool))
    samples.write_pickle(path, content)
    tracks = run(tmp_path).arrays["tracks"]
    np.testing.assert_array_equal(tracks[tracks[:, 0] == 1, 1], [1])


def test_missing_files(manual, tmp_path):
    (manual / "Kitti/Kitti_reverse_flow" / DAY / DRIVE / "000012.flo").unlink()
    with pytest.raises(DataError, match="12 files for 14 frames, expected 13"):
        run(tmp_path)
    run(tmp_path, flow="dis")  # does not need them
    (manual / "Kitti/raw_video" / DAY / DRIVE / "0000000004.png").unlink()
    with pytest.raises(DataError, match=r"frame 4 \(after 0000000003\.png\) is missing"):
        run(tmp_path, flow="dis")
    (manual / "Kins/instances_train.json").write_text("[]")
    with pytest.raises(DataError, match="is not the official file"):
        run(tmp_path)
    (manual / "Kins/instances_train.json").unlink()
    with pytest.raises(DataError, match="is missing"):
        run(tmp_path)


def test_no_common_image(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "manual"))
    samples.kins_car(tmp_path / "manual/kins_car", SCENE, annotated=(0,))
    frame = tmp_path / "manual/kins_car/Kins/training/image_2/000000.png"
    frame.write_bytes(frame.read_bytes() + b"\0")
    with pytest.raises(DataError, match="no annotated image is a frame of the test drives"):
        run(tmp_path)


def test_gate(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "none"))
    with pytest.raises(SourceError, match=r"gated: register and accept KITTI's terms.*car_data/ and Kitti/ and Kins/"):
        fetch("kins_car", tmp_path / "raw")
