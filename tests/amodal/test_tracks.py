"""Readers of video sets: clips of tracks, padding, and who opens the hidden truth."""

import numpy as np
import pytest

from amodal import tiny
from reprise.amodal.tracks import Tracks, Truth, visible_digest, windows
from reprise.data.arrays import DataError, open_prepared


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.prepare(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def scrambled(tmp_path_factory):
    return tiny.prepare(tmp_path_factory.mktemp("scrambled") / "tiny", scrambled=True)


def test_tracks_of_a_split(data):
    train, test = Tracks(data, "train"), Tracks(data, "test")
    assert train.numbers.tolist() == [0, 2, 4, 6]  # the second object of each video is not fit for use
    assert train.table[:, 1].tolist() == [1] * 4
    assert train.lengths.tolist() == [6, 3, 6, 6]
    assert test.lengths.tolist() == [6, 1, 2]
    assert len(Tracks(data, "train", occluded=False)) == 8
    assert Tracks(data, "test", occluded=False).lengths.tolist() == [6, 6, 1, 6, 2, 6, 4, 6]


def test_a_split_without_tracks_is_named(data):
    with pytest.raises(DataError, match="no split 'val'; it has"):
        Tracks(data, "val")


def test_a_split_without_occluded_tracks_is_named(data, monkeypatch):
    monkeypatch.setitem(tiny.VIDEOS, "train", 1)
    monkeypatch.setitem(tiny.TRACKS, ("train", 0), (0, 6, False))
    folder = tiny.prepare(data.parent / "bare")
    with pytest.raises(DataError, match=r"bare: no track of an occluded object in split 'train'"):
        Tracks(folder, "train")


def test_clips_are_rows_of_the_arrays(data):
    tracks = Tracks(data, "train")
    samples = np.array([[0, 0], [2, 2], [0, 1]])
    columns = tracks.columns(samples, 4)
    assert set(columns) == {"frames", "owner", "flow", "object", "count"}
    rows = [[0, 1, 2, 3], [14, 15, 16, 17], [1, 2, 3, 4]]
    everything = np.array([0, 1, 2])
    for name in ("frames", "owner", "flow"):
        assert len(columns[name]) == 3
        np.testing.assert_array_equal(columns[name][everything], tracks.data.arrays[name][np.array(rows)])
        np.testing.assert_array_equal(columns[name][everything[1:2]], tracks.data.arrays[name][np.array(rows[1:2])])
    np.testing.assert_array_equal(columns["object"][everything], [1, 1, 1])
    np.testing.assert_array_equal(columns["count"][everything], [4, 4, 4])


def test_short_tracks_are_padded_with_their_last_frame(data):
    tracks = Tracks(data, "train")
    samples = np.array([[1, 0], [1, 1]])  # three frames, from the third one of the second video on
    columns = tracks.columns(samples, 5, truth=True)
    assert tracks.rows(samples, 5).tolist() == [[8, 9, 10, 10, 10], [9, 10, 10, 10, 10]]
    both = np.array([0, 1])
    np.testing.assert_array_equal(columns["count"][both], [3, 2])
    _, _, _, full = tiny.video(1, left=2)
    np.testing.assert_array_equal(columns["amodal"][both], full[0][np.array([[2, 3, 4, 4, 4], [3, 4, 4, 4, 4]])])


def test_the_truth_of_every_track(data):
    for split, occluded in (("train", True), ("test", True), ("test", False), ("unseen", False)):
        tracks = Tracks(data, split, occluded=occluded)
        for k, (video, number, first, length, _) in enumerate(tracks.table):
            start, stop = tracks.data.arrays["videos"][video]
            _, _, _, full = tiny.video(video, left=1 + (video - {"train": 0, "test": 4, "unseen": 9}[split]))
            expected = full[number - 1, first - start : first - start + length]
            assert stop - start == tiny.FRAMES
            np.testing.assert_array_equal(Truth(tracks).track(k), expected)


def test_the_digest_of_what_can_be_seen(data, scrambled):
    """Does not change with the hidden truth, and does with anything else."""
    one, other = open_prepared(data), open_prepared(scrambled)
    assert one.digest != other.digest
    assert visible_digest(one) == visible_digest(other) == Tracks(data, "test").digest()
    changed = other.card["arrays"] | {"flow.npy": other.card["arrays"]["flow.npy"] | {"sha256": "0" * 64}}
    other.card["arrays"] = changed
    assert visible_digest(one) != visible_digest(other)


def test_tracks_never_open_the_truth(data, monkeypatch):
    tracks = Tracks(data, "train")
    del tracks.data.arrays["amodal"]
    columns = tracks.columns(np.array([[0, 0]]), 5)
    assert all(len(column[np.array([0])]) == 1 for column in columns.values())
    with pytest.raises(KeyError):
        Truth(tracks)


def test_windows_visit_tracks_equally_and_stay_inside():
    lengths = np.array([20, 12, 5, 30])
    found = windows(lengths, 12, 400, np.random.default_rng(0))
    assert np.bincount(found[:, 0]).tolist() == [100] * 4
    for number, (latest, distinct) in enumerate(((8, 9), (0, 1), (0, 1), (18, 19))):
        starts = found[found[:, 0] == number, 1]
        assert starts.min() == 0 and starts.max() == latest
        assert len(set(starts.tolist())) == distinct
    assert len(windows(lengths, 12, 7, np.random.default_rng(0))) == 7
    np.testing.assert_array_equal(found, windows(lengths, 12, 400, np.random.default_rng(0)))
