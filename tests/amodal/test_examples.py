"""Examples: which tracks are chosen, and that a cut-out scores as the whole frames do."""

from pathlib import Path

import numpy as np
import pytest

from amodal import toy_examples
from reprise.amodal import examples
from reprise.amodal.examples import Facts, choose, stretch
from reprise.amodal.tracks import Tracks
from reprise.results import ResultsError


def facts(iou: list[float], *, scored: int = 4, hidden: int = 10, revealed: int = 5) -> Facts:
    """A track of `iou` per frame, the first `scored` inner frames of which are scored."""
    n = len(iou)
    mask = np.zeros(n, bool)
    mask[1 : 1 + scored] = True
    return Facts(mask, np.array(iou), np.full(n, hidden), np.full(n, revealed))


def flat(iou: float, **options: int) -> Facts:
    return facts([1.0, iou, iou, iou, iou, 1.0], **options)


def chosen(tracks: list[Facts]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for role, number, _ in choose(tracks):
        found.setdefault(role, []).append(number)
    return found


def test_the_typical_track_is_the_lower_median():
    tracks = [flat(0.9), flat(0.1), flat(0.4), flat(0.6)]
    assert chosen(tracks)["typical"] == [2]
    assert chosen([*tracks, flat(0.8)])["typical"] == [3]


def test_tracks_with_few_scored_frames_stand_for_nothing_but_failure():
    tracks = [flat(0.0, scored=1, revealed=10), flat(0.5), flat(0.6)]
    found = chosen(tracks)
    assert found["typical"] == [1]
    assert found["revealed"] == [1]
    assert found["failure"] == [0, 1, 2]


def test_the_two_priors_are_shown_by_hidden_pixels_seen_and_never_seen():
    tracks = [flat(0.5, hidden=10, revealed=10), flat(0.5, hidden=40, revealed=25), flat(0.5, hidden=20, revealed=8)]
    found = chosen(tracks)
    assert found["revealed"] == [0]  # 10 a frame, against 10 and -4
    assert found["never_revealed"] == [1]


def test_failures_are_the_lowest_means_in_their_worst_scored_frame():
    worst = facts([0.0, 0.3, 0.1, 0.1, 0.2, 0.0])
    worst = Facts(worst.scored, worst.iou, np.array([99, 1, 2, 3, 4, 99]), worst.revealed)
    tracks = [flat(0.5 + k / 10) for k in range(4)] + [worst] + [flat(0.5)] * 4
    found = [(number, frames) for role, number, frames in choose(tracks) if role == "failure"]
    assert [number for number, _ in found] == [4, 0, 5, 6, 7, 8]
    assert found[0][1] == slice(3, 4)  # of two frames at 0.1 the one that hides more; unscored ones do not count


def test_nothing_is_chosen_where_nothing_is_scored():
    assert list(choose([flat(0.5, scored=0)])) == []


def test_of_a_long_track_the_stretch_with_the_most_scored_frames_is_kept():
    assert stretch(np.ones(20, bool)) == slice(0, 20)
    late = np.arange(50) >= 35
    assert stretch(late) == slice(30, 50)
    assert stretch((np.arange(51) >= 25) & (np.arange(51) < 26)) == slice(16, 36)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[examples.Example]]:
    folder = tmp_path_factory.mktemp("toy")
    return folder, toy_examples.make(folder)


def test_cut_outs_hold_what_the_whole_frames_hold(toy: tuple[Path, list[examples.Example]]):
    folder, found = toy
    tracks = Tracks(folder / "squares", "test")
    for example in found:
        number = example.video - 1  # the first video is to train on
        full = toy_examples.truth(number)
        hidden = full.copy()
        hidden[:, :, : toy_examples.BAR.start] = False
        hidden[:, :, toy_examples.BAR.stop :] = False
        guess = (toy_examples.predicted(number) > 0) & hidden
        t = slice(example.first, example.first + len(example.frames))
        assert (example.full.sum(axis=(1, 2)) == full[t].sum(axis=(1, 2))).all()
        union = (guess | hidden)[t].sum(axis=(1, 2))
        both = (guess & hidden)[t].sum(axis=(1, 2))
        np.testing.assert_allclose(example.iou_occluded("savos"), (both + 1e-6) / (union + 1e-6))
        np.testing.assert_allclose(example.rate, hidden[t].sum(axis=(1, 2)) / 64)
        assert example.frames.shape[1:] == (3, *example.full.shape[1:])
        assert example.frames.shape[2] < tracks.data.arrays["frames"].shape[2]
        assert set(example.probability) == set(toy_examples.METHODS)


def test_every_method_has_its_own_threshold(toy: tuple[Path, list[examples.Example]]):
    for example in toy[1]:
        assert example.probability["completion"].max() == 63  # below a half, above a fifth
        np.testing.assert_array_equal(example.hidden["completion"], example.hidden["savos"])


def test_first_and_last_frame_are_never_scored(toy: tuple[Path, list[examples.Example]]):
    whole = [example for example in toy[1] if len(example.frames) == toy_examples.T]
    assert whole
    for example in whole:
        inside = (example.rate > 0.1) & (example.rate < 0.7)
        inside[[0, -1]] = False
        np.testing.assert_array_equal(example.scored, inside)


def test_squares_are_revealed_before_the_bar(toy: tuple[Path, list[examples.Example]]):
    for example in toy[1]:
        np.testing.assert_array_equal(example.revealed, example.full & example.occluders)


def test_examples_are_read_as_they_were_written(toy: tuple[Path, list[examples.Example]], tmp_path: Path):
    for name in ("one", "two"):
        examples.write(toy[1], tmp_path / name / "examples.npz")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["examples.npz"]
    assert (tmp_path / "one/examples.npz").read_bytes() == (tmp_path / "two/examples.npz").read_bytes()
    back = examples.read(tmp_path / "one/examples.npz", "squares")
    assert [example.role for example in back] == [example.role for example in toy[1]]
    for old, new in zip(toy[1], back, strict=True):
        assert (old.dataset, old.video, old.object_id, old.first) == (new.dataset, new.video, new.object_id, new.first)
        for name in examples.PLAIN:
            np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
        for name in examples.BY_METHOD:
            assert list(getattr(old, name)) == list(getattr(new, name))
            for method, array in getattr(old, name).items():
                np.testing.assert_array_equal(array, getattr(new, name)[method])


def test_a_missing_file_is_told():
    with pytest.raises(ResultsError, match=r"examples\.npz is missing"):
        examples.read(Path("nowhere/examples.npz"), "squares")


def test_no_example_is_a_file_too(tmp_path: Path):
    examples.write([], tmp_path / "examples.npz")
    assert examples.read(tmp_path / "examples.npz", "squares") == []
