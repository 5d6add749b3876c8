"""FISHBOWL's loader on tiny videos in the layout of the release and in that of the generator."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import samples_video as samples
from reprise.data import recordings, rle
from reprise.data.arrays import DataError, open_prepared
from reprise.data.fishbowl import Options, prepare, trainable
from reprise.data.sources import SourceError, fetch
from samples_video import Scene

SCENE = Scene()


@pytest.fixture
def manual(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "manual"))
    monkeypatch.delenv("REPRISE_SOURCES", raising=False)
    return tmp_path / "manual/fishbowl"


@pytest.fixture
def both(manual):
    samples.fishbowl_generated(manual, "train", SCENE)
    samples.fishbowl_released(manual, "test", SCENE)
    return manual


def run(tmp_path, height=96, width=128, flow="dis", clip=None, max_test=None):
    fetch("fishbowl", tmp_path / "raw")
    options = Options(height=height, width=width, flow=flow, clip=clip, max_train=None, max_test=max_test)
    prepare(tmp_path / "raw", tmp_path / "out", options, seed=0)
    return open_prepared(tmp_path / "out")


def full_masks(data):
    """Full masks of each track, unpacked."""
    masks = np.unpackbits(data.arrays["amodal"], axis=-1, count=data.arrays["owner"].shape[-1]).astype(bool)
    return np.split(masks, np.cumsum(data.arrays["tracks"][:, 3])[:-1])


def only_release(manual, scene=SCENE):
    """Both splits in the release's layout."""
    for split in ("train", "test"):
        samples.fishbowl_released(manual, split, scene)


def test_both_layouts(both, tmp_path):
    data = run(tmp_path)
    arrays = data.arrays
    assert data.card["splits"] == {"train": [0, 24], "test": [24, 48]}
    assert (data.card["flow_source"], data.card["beside"]) == ("dis", ["amodal", "tracks", "videos"])
    assert "Yao" in data.card["citation"]
    np.testing.assert_array_equal(arrays["videos"], [[0, 24], [24, 48]])
    behind, front = SCENE.visible  # both large enough and inside all the time
    generated = full_masks(data)[:2]
    np.testing.assert_array_equal(arrays["tracks"][:2, :4], [[0, 1, 0, 24], [0, 2, 0, 24]])
    np.testing.assert_array_equal(generated[0], SCENE.full[0])
    np.testing.assert_array_equal(generated[1], SCENE.full[1])
    for rows in (data.rows("train"), data.rows("test")):
        owner = arrays["owner"][rows]
        by_mask = {k: (owner == k) for k in (1, 2)}  # object 5 and 12, or 0 and 1: the one behind comes first as text
        order = (front, behind) if rows.start else (behind, front)
        np.testing.assert_array_equal(by_mask[1], order[0])
        np.testing.assert_array_equal(by_mask[2], order[1])
        assert not (owner == 255).any()
    np.testing.assert_array_equal(arrays["frames"][data.rows("test")], SCENE.frames.transpose(0, 3, 1, 2))
    decoded = arrays["frames"][data.rows("train")].astype(int)
    assert np.abs(decoded - SCENE.frames.transpose(0, 3, 1, 2)).mean() < 12  # the video is lossy


def test_marks_of_occlusion(both, tmp_path):
    """The one behind is hidden and changes its shape; the one in front never does."""
    tracks = run(tmp_path).arrays["tracks"]
    np.testing.assert_array_equal(tracks[:, 4], [1, 0, 0, 1])


def test_release_flow_is_rescaled(manual, tmp_path):
    """Files of 64x128 for frames stored at 48x64: x halves, y times 0.75; the i-th reverse file ends in frame i."""
    only_release(manual)
    data = run(tmp_path, height=48, width=64, flow="flownet2")
    flow = data.arrays["flow"][data.rows("test")].astype(float)
    t = np.arange(24)
    expected = np.stack([np.full(24, 1.5), 0.75 * t, np.full(24, -1.5), 0.75 * (t - 1)], axis=1)
    expected[-1, :2] = expected[0, 2:] = 0
    np.testing.assert_allclose(flow.mean(axis=(2, 3)), expected, rtol=1e-3)
    assert data.card["flow_source"] == "flownet2"
    np.testing.assert_array_equal(full_masks(data)[0], SCENE.full[1][:, 1::2, 1::2])
    hidden = full_masks(data)[1] & (data.arrays["owner"][:24] != 2)
    assert hidden.any()
    assert (data.arrays["owner"][:24][hidden] == 1).all()  # nothing is hidden by nothing


def test_clips(manual, tmp_path):
    only_release(manual)
    data = run(tmp_path, clip=10, flow="flownet2")
    np.testing.assert_array_equal(data.arrays["videos"][:3], [[0, 10], [10, 20], [20, 24]])
    np.testing.assert_array_equal(np.concatenate(full_masks(data)[:6:2]), SCENE.full[1])
    assert not data.arrays["flow"][9, :2].any() and not data.arrays["flow"][10, 2:].any()
    assert data.arrays["flow"][8, :2].any()
    assert not data.arrays["tracks"][:, 4].any()  # too short for either rule


def test_a_track_ends_at_the_border(manual, tmp_path):
    """In 30 frames the box in front comes within 16 pixels of the border; from then on it only hides others."""
    scene = Scene(n=30)
    samples.fishbowl_generated(manual, "train", scene)
    samples.fishbowl_released(manual, "test", SCENE)
    data = run(tmp_path)
    last = max(t for t in range(30) if 20 + 3 * t + 23 <= 128 - 16)
    assert last < 29
    np.testing.assert_array_equal(data.arrays["tracks"][1, :4], [0, 2, 0, last + 1])
    owner = data.arrays["owner"]
    np.testing.assert_array_equal(owner[last] == 2, scene.visible[1, last])
    np.testing.assert_array_equal(owner[last + 1] == 255, scene.visible[1, last + 1])
    assert not (owner[last + 1] == 2).any()


def test_a_track_ends_where_it_is_hidden(manual, tmp_path):
    """18 rows of the square behind, 16 of which disappear: of frame 11, 2 x 24 + 16 = 64 pixels are seen, too few."""
    scene = Scene()
    scene.full[0, :, :38] = False
    samples.fishbowl_generated(manual, "train", scene)
    samples.fishbowl_released(manual, "test", SCENE)
    np.testing.assert_array_equal(scene.visible[0].sum(axis=(1, 2))[9:12], [128, 80, 64])
    np.testing.assert_array_equal(run(tmp_path).arrays["tracks"][0, :4], [0, 1, 0, 11])


def test_an_object_never_visible(manual, tmp_path):
    """The square behind lies entirely under the other one in all frames: it has no track, and hides nothing."""
    scene = Scene()
    scene.full[0] = scene.full[1]
    samples.fishbowl_generated(manual, "train", scene)
    samples.fishbowl_released(manual, "test", SCENE)
    data = run(tmp_path)
    np.testing.assert_array_equal(data.arrays["tracks"][:1, :4], [[0, 1, 0, 24]])
    assert set(np.unique(data.arrays["owner"][:24])) == {0, 1}


def test_one_frame(manual, tmp_path):
    only_release(manual)
    shutil.rmtree(manual / "test_data")
    samples.fishbowl_released(manual, "test", Scene(n=1))
    data = run(tmp_path)
    rows = data.rows("test")
    assert not data.arrays["flow"][rows].any()
    np.testing.assert_array_equal(data.arrays["tracks"][2:, 3:], [[1, 0], [1, 0]])


def test_limits(manual, tmp_path):
    only_release(manual)
    content = samples.fishbowl_released(manual, "test", SCENE, video="00001")
    other = samples.fishbowl_released(manual, "test", SCENE, video="00007")
    samples.write_pickle(manual / "test_data/test_data.pkl", other | content)
    assert len(run(tmp_path).arrays["videos"]) == 3
    assert len(run(tmp_path, max_test=1).arrays["videos"]) == 2


def test_missing_frames(manual, tmp_path):
    only_release(manual)
    frames = manual / "test_data/test_frames/00007"
    (frames / "00023.png").unlink()
    with pytest.raises(DataError, match="a mask in frame 23, but there are 23 frames"):
        run(tmp_path)
    (frames / "00011.png").unlink()
    with pytest.raises(DataError, match=r"frame 11 \(after 00010\.png\) is missing"):
        run(tmp_path)
    shutil.rmtree(frames)
    with pytest.raises(DataError, match=r"00007 holds no \*\.png"):
        run(tmp_path)


def test_missing_flow(manual, tmp_path):
    only_release(manual)
    (manual / "test_data/test_flow/inference/run.epoch-0-flow-field/00007/000022.flo").unlink()
    with pytest.raises(DataError, match="22 files for 24 frames, expected 23"):
        run(tmp_path, flow="flownet2")


def test_sizes_must_agree(manual, tmp_path):
    only_release(manual)
    frame = manual / "test_data/test_frames/00007/00003.png"
    image = Image.open(frame)
    image.resize((64, 48)).save(frame)
    with pytest.raises(DataError, match=r"00003\.png is 48x64, its masks are 96x128"):
        run(tmp_path)
    image.save(frame)
    content = samples.fishbowl_released(manual, "test", SCENE)
    content["00007_5"][4]["VM"] = [samples.encode(np.ones((48, 64), bool))]
    samples.write_pickle(manual / "test_data/test_data.pkl", content)
    with pytest.raises(DataError, match="object 5: a mask of 48x64 for frames of 96x128"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["00007_5"].pop(7), "object 5: the track is empty or has gaps"),
        (lambda content: content["00007_5"][7].pop("FM"), "frame 7 lacks 'FM'"),
        (lambda content: content["00007_5"][7].pop("loss_mask_weight"), "frame 7 lacks 'loss_mask_weight'"),
        (lambda content: content.update(nonsense={}), "not the official file"),
        (lambda content: content["00007_5"][0].update(VM=[{"size": [96, 128], "counts": b"0"}]), "no run-length"),
    ],
)
def test_damaged_annotation(manual, tmp_path, change, message):
    only_release(manual)
    content = samples.fishbowl_released(manual, "test", SCENE)
    change(content)
    samples.write_pickle(manual / "test_data/test_data.pkl", content)
    with pytest.raises(DataError, match=message):
        run(tmp_path)


def test_damaged_generation(both, tmp_path):
    video = both / "train_data/train/00003"
    objects = json.loads((video / "objects.json").read_text())
    (video / "video.mp4").unlink()
    with pytest.raises(DataError, match=r"video\.mp4 is missing or has 0 frames, but 24 have masks"):
        run(tmp_path)
    objects[0]["masks"].pop()
    (video / "objects.json").write_text(json.dumps(objects))
    with pytest.raises(DataError, match="do not all have one mask per frame"):
        run(tmp_path)
    (video / "objects.json").write_text("[{}]")
    with pytest.raises(DataError, match="is not the generator's file"):
        run(tmp_path)


def test_folders_are_asked_for(manual, tmp_path):
    with pytest.raises(SourceError, match=r"gated.*train_data/.*test_data/"):
        run(tmp_path)
    only_release(manual)
    (manual / "test_data/test_data.pkl").unlink()
    with pytest.raises(DataError, match=r"neither test_data\.pkl nor test/"):
        run(tmp_path)


def test_nothing_to_track(manual, tmp_path):
    samples.fishbowl_generated(manual, "train", Scene(side=15))  # 225 pixels, of 400 asked for
    samples.fishbowl_released(manual, "test", SCENE)
    with pytest.raises(DataError, match="train holds no object that can be tracked"):
        run(tmp_path)


def test_training_rule():
    """IoU under 0.6 with the crop 4 frames earlier, laid on it at the corner, in more than 20 frames."""
    still = np.zeros((21, 30, 30), bool)
    still[:, 5:15, 5:15] = True
    assert not trainable(still, still)
    moved = np.stack([np.roll(mask, t % 9, axis=1) for t, mask in enumerate(still)])
    assert not trainable(moved, moved)
    for width, changed in ((6, False), (5, True)):  # IoU 0.6 and 0.5
        once = still.copy()
        once[10, :, 5 + width :] = False
        assert trainable(once, once) == changed
        assert not trainable(once[:20], once[:20])


def test_testing_rule():
    full = np.zeros((11, 10, 10), bool)
    full[:] = True
    for hidden, marked in ((1, False), (2, True), (6, True), (7, False)):  # tenths; strictly between 0.1 and 0.7
        seen = full.copy()
        seen[5, :hidden] = False
        assert recordings.occluded(seen, full) == marked
        assert not recordings.occluded(seen[1:], full[1:])  # 10 frames
    ends = full.copy()
    ends[[0, -1], :4] = False
    assert not recordings.occluded(ends, full)


def test_rle_against_its_definition():
    """Column by column, zeros first: 3x4, counts [2, 3, 4, 2, 1]."""
    expected = np.zeros(12, bool)
    expected[2:5] = expected[9:11] = True
    expected = expected.reshape(4, 3).T
    for mask in (
        {"size": [3, 4], "counts": [2, 3, 4, 2, 1]},
        samples.encode(expected),
        [samples.encode(expected, True)],
    ):
        np.testing.assert_array_equal(rle.decode(mask, (3, 4), "here"), expected)
        assert rle.extent(mask, (3, 4), "here") == (5, (0, 2, 0, 3))
        np.testing.assert_array_equal(rle.union([mask, mask], (3, 4), "here"), expected)
    assert not rle.union([], (3, 4), "here").any()


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [3, 4]},
        {"size": [3, 4], "counts": [5, 2]},  # too few: pycocotools would leave the rest as it finds it
        {"size": [3, 4], "counts": [5, 20]},
        {"size": [3, 4], "counts": "0"},
        {"size": [3, 4], "counts": b"\xff"},
        {"size": [3, 4], "counts": "é"},
        {"size": [3, 4], "counts": None},
        None,
        [],
    ],
)
def test_damaged_rle(mask):
    for read in (rle.decode, rle.extent, lambda mask, shape, where: rle.union([mask], shape, where)):
        with pytest.raises(DataError, match="here: a mask is no run-length encoding"):
            read(mask, (3, 4), "here")


def test_rle_of_random_masks():
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (7, 5), (320, 480)):
        for share in (0, 0.01, 0.5, 1):
            mask = rng.random(shape) < share
            np.testing.assert_array_equal(rle.decode(samples.encode(mask), shape, ""), mask)
            assert rle.extent(samples.encode(mask, True), shape, "")[0] == mask.sum()


def test_resized_masks_stay_nested():
    full, visible = SCENE.full[0], SCENE.visible[0]
    small = [recordings.resize_mask(masks, 37, 51) for masks in (full, visible, SCENE.visible[1])]
    assert not (small[1] & ~small[0]).any()
    assert not (small[0] & ~small[1] & ~small[2]).any()
    np.testing.assert_array_equal(recordings.resize_mask(full, 96, 128), full)
    np.testing.assert_array_equal(recordings.resize_mask(full, 192, 128)[:, ::2], full)
