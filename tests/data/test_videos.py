"""The format of video sets: what is written comes back, and what does not fit is refused and leaves nothing."""

import numpy as np
import pytest

from reprise.data.arrays import open_prepared
from reprise.data.videos import OTHER, Track, VideoWriter

HEIGHT, WIDTH = 5, 11  # a width that is no multiple of 8
SIZES = {"frames": 9, "height": HEIGHT, "width": WIDTH, "videos": 3, "tracks": 3, "track_frames": 8}


def video(n, seed):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (n, 3, HEIGHT, WIDTH), np.uint8)
    owner = rng.choice(np.array([0, 1, 2, OTHER], np.uint8), (n, HEIGHT, WIDTH))
    return frames, owner, rng.normal(size=(n, 4, HEIGHT, WIDTH)).astype(np.float32)


def mask(n, seed):
    return np.random.default_rng(seed).random((n, HEIGHT, WIDTH)) < 0.5


def write(folder, sizes=SIZES, **card):
    """Three videos of 4, 3 and 2 frames in two splits; the second has no track, the first two."""
    with VideoWriter(folder, name="toy", **sizes) as writer:
        writer.video(*video(4, 0), [Track(2, mask(4, 10)), Track(1, mask(2, 11), start=1, occluded=False)])
        writer.video(*video(3, 1), [])
        writer.split("train")
        writer.video(*video(2, 2), [Track(254, mask(2, 12))])
        writer.split("test")
        writer.finish(**card)


def test_round_trip(tmp_path):
    write(tmp_path / "toy", flow_source="exact", licence="none")
    data = open_prepared(tmp_path / "toy")
    assert data.card["splits"] == {"train": [0, 7], "test": [7, 9]}
    assert data.card["beside"] == ["amodal", "tracks", "videos"]
    assert (data.card["flow_source"], data.card["licence"]) == ("exact", "none")
    dtypes = {"frames": "u1", "owner": "u1", "flow": "f2", "videos": "i4", "tracks": "i4", "amodal": "u1"}
    assert {key: array.dtype for key, array in data.arrays.items()} == {k: np.dtype(v) for k, v in dtypes.items()}
    np.testing.assert_array_equal(data.arrays["videos"], [[0, 4], [4, 7], [7, 9]])
    np.testing.assert_array_equal(data.arrays["tracks"], [[0, 2, 0, 4, 1], [0, 1, 1, 2, 0], [2, 254, 7, 2, 1]])
    for k, (start, stop) in enumerate(data.arrays["videos"]):
        frames, owner, flow = video(stop - start, k)
        np.testing.assert_array_equal(data.arrays["frames"][start:stop], frames)
        np.testing.assert_array_equal(data.arrays["owner"][start:stop], owner)
        np.testing.assert_array_equal(data.arrays["flow"][start:stop], flow.astype(np.float16))
    masks = np.unpackbits(data.arrays["amodal"], axis=-1, count=WIDTH).astype(bool)
    np.testing.assert_array_equal(masks, np.concatenate([mask(4, 10), mask(2, 11), mask(2, 12)]))


def test_equal_videos_give_equal_bytes(tmp_path):
    write(tmp_path / "one")
    write(tmp_path / "two")
    assert open_prepared(tmp_path / "one").digest == open_prepared(tmp_path / "two").digest


@pytest.mark.parametrize("key", ["frames", "videos", "tracks", "track_frames"])
@pytest.mark.parametrize(
    ("difference", "message"), [(-1, "more rows of .* announced"), (1, "were written, .* announced")]
)
def test_another_number_than_announced(tmp_path, key, difference, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "toy", SIZES | {key: SIZES[key] + difference})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(frames=a["frames"][:, :2]), "frames of a video are"),
        (lambda a: a.update(frames=a["frames"].transpose(0, 2, 3, 1)), "frames of a video are"),
        (lambda a: a.update(owner=a["owner"][:3]), "owner of a video are"),
        (lambda a: a.update(flow=a["flow"][:, :2]), "flow of a video are"),
        (lambda a: a.update({k: a[k][:0] for k in ("frames", "owner", "flow")}), "frames of a video are"),
        (lambda a: a.update(tracks=[Track(1, mask(4, 0), start=1)]), "from frame 1 on, in a video of 4"),
        (lambda a: a.update(tracks=[Track(1, mask(2, 0), start=-1)]), "from frame -1 on"),
        (lambda a: a.update(tracks=[Track(1, mask(0, 0))]), "a track of"),
        (lambda a: a.update(tracks=[Track(1, mask(4, 0)[:, :, :8])]), "a track of"),
        (lambda a: a.update(tracks=[Track(0, mask(4, 0))]), r"id is 0, it must be in 1\.\.254"),
        (lambda a: a.update(tracks=[Track(OTHER, mask(4, 0))]), "id is 255"),
    ],
)
def test_what_does_not_fit(tmp_path, change, message):
    arguments = dict(zip(("frames", "owner", "flow"), video(4, 0), strict=True)) | {"tracks": []}
    change(arguments)
    with pytest.raises(ValueError, match=message), VideoWriter(tmp_path / "toy", name="toy", **SIZES) as writer:
        writer.video(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_splits_hold_all_videos_once(tmp_path):
    sizes = SIZES | {"frames": 4, "videos": 2, "tracks": 1, "track_frames": 2}
    with VideoWriter(tmp_path / "toy", name="toy", **sizes) as writer:
        with pytest.raises(ValueError, match="'train' is empty or there already"):
            writer.split("train")
        writer.video(*video(2, 0), [Track(1, mask(2, 0))])
        writer.split("train")
        writer.video(*video(2, 1), [])
        with pytest.raises(ValueError, match="'train' is empty or there already"):
            writer.split("train")
        with pytest.raises(ValueError, match="the last videos belong to no split"):
            writer.finish()
        writer.split("test")
        writer.finish()
    assert open_prepared(tmp_path / "toy").card["splits"] == {"train": [0, 2], "test": [2, 4]}


def test_leaving_without_finish_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="without finish"), VideoWriter(tmp_path / "toy", name="toy", **SIZES):
        pass
    assert list(tmp_path.iterdir()) == []
