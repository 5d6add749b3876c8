"""DAVIS with pasted objects, on tiny archives of the official layout and on the real sample."""

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

import samples_video as samples
from reprise.data.arrays import DataError, open_prepared
from reprise.data.davis import Options, Paste, prepare
from reprise.data.recordings import occlusion_rate
from reprise.data.sources import SourceError, fetch

SEQUENCES = {"bear": 12, "camel": 14, "dog": 9, "goat": 12, "rhino": 7}
TEST = ["rhino", "dog"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_SOURCES", str(samples.davis(tmp_path / "official", SEQUENCES)))
    return tmp_path / "official"


def run(tmp_path, out="out", seed=0, **changes):
    defaults = {"height": 48, "width": 80, "resolution": "480p", "test": TEST, "clip": 6, "draws": 2, "flow": "dis"}
    options = Options(**{**defaults, "max_train": None, "max_test": None, **changes})
    fetch("davis", tmp_path / "raw")
    prepare(tmp_path / "raw", tmp_path / out, options, seed=seed)
    return open_prepared(tmp_path / out)


def check(data):
    """What must hold of every composite; returns visible and full masks (F, H, W)."""
    arrays = data.arrays
    amodal = np.unpackbits(arrays["amodal"], axis=-1, count=arrays["owner"].shape[-1]).astype(bool)
    visible, other = arrays["owner"] == 1, arrays["owner"] == 255
    np.testing.assert_array_equal(visible, amodal & ~other)  # V = M without the paste
    assert set(np.unique(arrays["owner"])) == {0, 1, 255}
    videos, tracks = arrays["videos"], arrays["tracks"]
    np.testing.assert_array_equal(tracks[:, 0], np.arange(len(videos)))
    np.testing.assert_array_equal(tracks[:, 2], videos[:, 0])
    np.testing.assert_array_equal(tracks[:, 3], videos[:, 1] - videos[:, 0])
    assert (tracks[:, [1, 4]] == 1).all()
    for start, stop in videos:
        assert visible[start:stop].any(axis=(1, 2)).all()
        rate = occlusion_rate(visible[start:stop], amodal[start:stop])[1:-1]
        assert ((rate > 0.1) & (rate < 0.7)).any()
    return visible, amodal


def test_composites(folder, tmp_path):
    data = run(tmp_path)
    check(data)
    assert data.card["sequences"] == {"train": ["bear", "camel", "goat"], "test": ["dog", "rhino"]}
    assert data.card["flow_source"] == "dis"
    assert data.card["sources"].keys() == {"DAVIS-data.zip"}
    lengths = np.diff(data.arrays["videos"], axis=1)[:, 0]
    # Clips of 6, twice each: bear 2, camel 2 (the rest of 2 frames is too short), goat 2; dog 6 + 3, rhino 6 (1 left).
    assert lengths[: 2 * 6].tolist() == [6] * 12
    assert lengths[2 * 6 :].tolist() == [6, 6, 3, 3, 6, 6]


def test_pixels_come_from_where_they_should(folder, tmp_path):
    """Behind the paste the target's own frame, unchanged; in it, only bright pixels of the other sequence's box."""
    data = run(tmp_path)
    owner, frames = data.arrays["owner"], data.arrays["frames"]
    for t in range(6):  # the first clip is bear's first six frames
        original = np.asarray(Image.open(folder / f"DAVIS/JPEGImages/480p/bear/{t:05}.jpg")).transpose(2, 0, 1)
        kept = owner[t] != 255
        np.testing.assert_array_equal(frames[t][:, kept], original[:, kept])
    pasted = frames.transpose(0, 2, 3, 1)[owner == 255]
    assert pasted.mean() > 150  # boxes are 130 to 255, the ground 0 to 120


def test_full_masks_are_the_annotation(folder, tmp_path):
    _, amodal = check(run(tmp_path))
    for t in range(6):
        annotation = np.asarray(Image.open(folder / f"DAVIS/Annotations/480p/bear/{t:05}.png"))
        np.testing.assert_array_equal(amodal[t], annotation > 0)


def test_seed_and_draws(folder, tmp_path):
    one, same, other = run(tmp_path, "one"), run(tmp_path, "same"), run(tmp_path, "other", seed=1)
    assert one.digest == same.digest
    assert not np.array_equal(one.arrays["owner"], other.arrays["owner"])
    assert not np.array_equal(one.arrays["owner"][:6], one.arrays["owner"][6:12])  # two draws of one clip
    fewer = run(tmp_path, "fewer", draws=1)
    np.testing.assert_array_equal(fewer.arrays["owner"][:6], one.arrays["owner"][:6])


def test_limits(folder, tmp_path):
    data = run(tmp_path, max_train=2, max_test=2)
    assert data.card["sequences"]["train"] == ["bear", "camel"]


def test_unpacked_by_hand(folder, tmp_path, monkeypatch):
    zipped = run(tmp_path, "zipped")
    monkeypatch.delenv("REPRISE_SOURCES")
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "manual"))
    with pytest.raises(SourceError, match=r"DAVIS-data\.zip.*Still missing"):
        run(tmp_path)
    (tmp_path / "manual/davis").mkdir(parents=True)
    (folder / "DAVIS").rename(tmp_path / "manual/davis/DAVIS")
    unpacked = run(tmp_path, "unpacked")
    for key, array in zipped.arrays.items():
        np.testing.assert_array_equal(array, unpacked.arrays[key])


def blank(folder, name, keep=()):
    for path in (folder / "DAVIS/Annotations/480p" / name).iterdir():
        if int(path.stem) not in keep:
            Image.new("L", (80, 48)).save(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: blank(folder, "bear"), "bear: no frame shows its object"),
        (lambda folder: (folder / "DAVIS/JPEGImages/480p/bear/00003.jpg").unlink(), r"bear/00003\.jpg is missing"),
        (
            lambda folder: Image.new("RGB", (40, 24)).save(folder / "DAVIS/JPEGImages/480p/bear/00003.jpg"),
            "is 24x40, its",
        ),
        (lambda folder: (folder / "DAVIS/Annotations/480p/bear/00003.png").write_bytes(b"x"), "is corrupt"),
    ],
)
def test_damaged(folder, tmp_path, change, message):
    change(folder)
    samples.davis_archive(folder)
    with pytest.raises(DataError, match=message):
        run(tmp_path)


def test_clips_without_their_object_are_left_out(folder, tmp_path):
    """Bear is in its frames 0 to 7 only, so its second clip of 6 is not used."""
    blank(folder, "bear", keep=range(8))
    samples.davis_archive(folder)
    data = run(tmp_path)
    check(data)
    assert data.card["splits"]["train"] == [0, 2 * 5 * 6]


def test_one_frame_sequences(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_SOURCES", str(samples.davis(tmp_path / "o", {"a": 1, "b": 1, "c": 5, "d": 1})))
    with pytest.raises(DataError, match="test holds no object that can be tracked"):
        run(tmp_path, test=["a", "b"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": ["dog", "cat"]}, "no sequence cat; known: bear, camel"),
        ({"test": ["dog", "goat", "rhino", "camel"]}, "fewer than two sequences"),
        ({"resolution": "1080p"}, "1080p is missing or empty"),
    ],
)
def test_wrong_options(folder, tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        run(tmp_path, **changes)
    with pytest.raises(ValidationError):
        run(tmp_path, clip=2)


def test_a_paste_is_clipped_at_the_border():
    masks = np.ones((4, 6, 6), bool)
    corners = [(-2, -3), (4, 5), (1, 1), (20, 0)]
    paste = Paste("x", [0, 1, 2, 3], [(0, 6, 0, 6)] * 4, [(4, 4)] * 4, corners)
    cover = paste.cover(masks, (8, 8))
    expected = np.zeros((4, 8, 8), bool)
    expected[0, :2, :1] = expected[1, 4:, 5:] = expected[2, 1:5, 1:5] = True
    np.testing.assert_array_equal(cover, expected)
    frames = np.zeros((4, 3, 8, 8), np.uint8)
    composite = paste.onto(frames, np.full((4, 3, 6, 6), 9, np.uint8), cover)
    np.testing.assert_array_equal(composite[:, 1] == 9, expected)


def test_real_sample(shared_data, tmp_path, monkeypatch):
    """240p frames through fetch; the background moves by less than the animals, and DIS sees the paste move."""
    sequences = {"blackswan": 12, "camel": 12, "dog": 12, "goat": 12}
    monkeypatch.setenv("REPRISE_SOURCES", str(samples.davis_sample(shared_data, tmp_path / "official", sequences)))
    data = run(tmp_path, height=72, width=128, resolution="240p", test=["dog", "goat"], clip=12, draws=1)
    check(data)
    assert data.card["splits"] == {"train": [0, 24], "test": [24, 48]}
    assert data.arrays["frames"].std() > 30
    flow, other = data.arrays["flow"].astype(float), data.arrays["owner"] == 255
    speed = np.hypot(flow[:-1, 0], flow[:-1, 1])
    inner = np.diff(np.arange(48) // 12) == 0  # frames with a next one
    assert speed[inner][other[:-1][inner]].mean() > 1.0
