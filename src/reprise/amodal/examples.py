"""Examples: a few tracks of the test videos, cut out, for the figures that show pictures.

Which tracks these are follows from the scores of SaVos alone, by rule. Scored frames are those of `evaluate`; a track
stands for itself by its mean IoU of the occluded part over its scored frames. Among tracks with at least half as many
scored frames as the track that has the most:

    typical         the median of these means (the lower of two): neither a good nor a bad one is picked
    revealed        the most hidden pixels, over scored frames, that another frame shows, minus those that none shows
    never_revealed  the most hidden pixels that none shows

and among all tracks with a scored frame

    failure         the six lowest means, worst first, each with its worst scored frame alone (of equal ones the frame
                    with the most hidden pixels)

Ties go to the earlier track. Of a long track the stretch of `LONGEST` frames with the most scored ones is kept. Arrays
are cut to a window, the same for all frames of an example, that holds the object and every predicted hidden part: the
scores of a cut-out are those of the whole frames.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from reprise.amodal.evaluate import Probabilities, inner, level, scored, threshold
from reprise.amodal.metrics import HIDDEN, REVEALED, area, iou, judge, occlusion_rate
from reprise.amodal.params import Evaluation
from reprise.amodal.tracks import Tracks, Truth
from reprise.results import ResultsError

LONGEST = 20
FAILURES = 6
MARGIN = 4  # pixels about the window
CHOSEN_BY = "savos"
SPLIT = "test"
ROLES = ("typical", "revealed", "never_revealed", "failure")


@dataclass(frozen=True)
class Example:
    """A cut-out of one track: t frames, h x w pixels.

    `first` is the place of its first frame in the video. `revealed` are the hidden pixels whose point of the body
    another frame of the track shows. `flow` leads to the next frame, in pixels (x, y). By method: `probability`
    (round(255 P)) and `hidden`, the predicted hidden part. Of SaVos: `weight` (255 times the mean share of the forward
    pass), `gap` (mean difference of both passes) and `motion` (x, y), the mean amodal motion into the frame beyond that
    of the visible part, in pixels.
    """

    dataset: str
    role: str
    video: int
    object_id: int
    first: int
    frames: UInt8[np.ndarray, "t 3 h w"]
    visible: Bool[np.ndarray, "t h w"]
    occluders: Bool[np.ndarray, "t h w"]
    full: Bool[np.ndarray, "t h w"]
    revealed: Bool[np.ndarray, "t h w"]
    scored: Bool[np.ndarray, " t"]
    flow: Float[np.ndarray, "t 2 h w"]
    weight: UInt8[np.ndarray, " t"]
    gap: Float[np.ndarray, " t"]
    motion: Float[np.ndarray, "t 2"]
    probability: Mapping[str, UInt8[np.ndarray, "t h w"]]
    hidden: Mapping[str, Bool[np.ndarray, "t h w"]]

    @property
    def rate(self) -> Float[np.ndarray, " t"]:
        """Occlusion rate of each frame."""
        return occlusion_rate(area(self.visible), area(self.full))

    def iou_full(self, method: str) -> Float[np.ndarray, " t"]:
        """IoU(V | H, M) in each frame."""
        return iou(self.visible | self.hidden[method], self.full)

    def iou_occluded(self, method: str) -> Float[np.ndarray, " t"]:
        """IoU(H, M & O) in each frame."""
        return iou(self.hidden[method], self.full & self.occluders)


PLAIN = ("frames", "visible", "occluders", "full", "revealed", "scored", "flow", "weight", "gap", "motion")
BY_METHOD = ("probability", "hidden")


# ---------------------------------------------------------------- choosing


@dataclass(frozen=True)
class Facts:
    """What the choice of a track rests on, per frame; areas in pixels."""

    scored: Bool[np.ndarray, " t"]
    iou: Float[np.ndarray, " t"]  # of the occluded part
    hidden: Int[np.ndarray, " t"]
    revealed: Int[np.ndarray, " t"]  # hidden ones that another frame shows


def choose(facts: Sequence[Facts]) -> Iterator[tuple[str, int, slice]]:
    """(role, number of the track, its frames) of every example, by the rules above; none without a scored frame."""
    counts = np.array([track.scored.sum() for track in facts])
    if not counts.any():
        return
    means = np.array([track.iou[track.scored].mean() if track.scored.any() else np.inf for track in facts])
    enough = np.flatnonzero(2 * counts >= counts.max())
    shown, all_hidden = (
        np.array([getattr(track, name)[track.scored].sum() for track in facts])[enough]
        for name in ("revealed", "hidden")
    )
    by_mean = enough[np.argsort(means[enough], kind="stable")]
    chosen = {
        "typical": by_mean[(len(by_mean) - 1) // 2],
        "revealed": enough[(2 * shown - all_hidden).argmax()],
        "never_revealed": enough[(all_hidden - shown).argmax()],
    }
    for role, number in chosen.items():
        yield role, int(number), stretch(facts[number].scored)
    for number in map(int, np.argsort(means, kind="stable")[: min(FAILURES, np.count_nonzero(counts))]):
        track = facts[number]
        worst = int(np.lexsort((-track.hidden, track.iou, ~track.scored))[0])
        yield "failure", number, slice(worst, worst + 1)


def stretch(chosen: Bool[np.ndarray, " t"]) -> slice:
    """The `LONGEST` frames in a row with the most chosen ones; of equal stretches the middle one."""
    if len(chosen) <= LONGEST:
        return slice(0, len(chosen))
    counts = np.convolve(chosen, np.ones(LONGEST, int), mode="valid")
    best = np.flatnonzero(counts == counts.max())
    start = int(best[len(best) // 2])
    return slice(start, start + LONGEST)


# ---------------------------------------------------------------- cutting out


def collect(folder: Path, predictions: Mapping[str, Path], settings: Evaluation) -> list[Example]:
    """Choose and cut out the examples of one data set; none where no frame is scored.

    Args:
        folder: the prepared video set, with its hidden truth.
        predictions: method -> file of its predictions (`reprise.amodal.predict`); SaVos must be there.
    """
    tracks = Tracks(folder, SPLIT)
    truth = Truth(tracks)
    facts = []
    shape = (int(tracks.lengths.sum()), *tracks.data.arrays["owner"].shape[1:])
    with Probabilities(predictions[CHOSEN_BY], SPLIT, shape) as stored:
        for number, length in enumerate(tracks.lengths):
            predicted = stored.read(length) > level(threshold(CHOSEN_BY, settings))
            facts.append(_truths(tracks, truth, number, settings).facts(predicted))
    chosen = list(choose(facts))

    wanted = {number for _, number, _ in chosen}
    probability: dict[int, dict[str, np.ndarray]] = {number: {} for number in wanted}
    for method, path in predictions.items():
        with Probabilities(path, SPLIT, shape) as stored:
            for number, length in enumerate(tracks.lengths):
                found = stored.read(length)
                if number in wanted:
                    probability[number][method] = found
    with np.load(predictions[CHOSEN_BY], allow_pickle=False) as archive:
        about = {name: archive[f"{SPLIT}/{name}"] for name in ("weight", "gap", "motion")}
    starts = np.cumsum(tracks.lengths) - tracks.lengths
    return [
        _cut(
            role,
            tracks,
            number,
            frames,
            _truths(tracks, truth, number, settings),
            probability[number],
            {name: values[starts[number] : starts[number] + tracks.lengths[number]] for name, values in about.items()},
            settings,
        )
        for role, number, frames in chosen
    ]


@dataclass(frozen=True)
class Truths:
    """V, O and M of a whole track, the hidden pixels whose point another frame shows, and the scored frames."""

    visible: Bool[np.ndarray, "t h w"]
    occluders: Bool[np.ndarray, "t h w"]
    full: Bool[np.ndarray, "t h w"]
    revealed: Bool[np.ndarray, "t h w"]
    scored: Bool[np.ndarray, " t"]

    def facts(self, predicted: Bool[np.ndarray, "t h w"]) -> Facts:
        hidden = self.full & self.occluders
        return Facts(self.scored, iou(predicted & self.occluders, hidden), area(hidden), area(self.revealed))


def _truths(tracks: Tracks, truth: Truth, number: int, settings: Evaluation) -> Truths:
    _, name, first, length, _ = tracks.table[number]
    rows = slice(first, first + length)
    owner = np.asarray(tracks.data.arrays["owner"][rows])
    visible, full = owner == name, truth.track(number)
    occluders = (owner != 0) & ~visible
    judged = judge(visible, occluders, full, tracks.data.arrays["flow"][rows, :2])
    revealed = np.zeros(full.shape, dtype=bool)
    both = HIDDEN | REVEALED
    revealed.reshape(-1)[judged.pixels[judged.codes & both == both]] = True
    return Truths(visible, occluders, full, revealed, scored(inner(length), judged.rate, settings))


def _cut(
    role: str,
    tracks: Tracks,
    number: int,
    frames: slice,
    truths: Truths,
    probability: Mapping[str, UInt8[np.ndarray, "t h w"]],
    about: Mapping[str, np.ndarray],
    settings: Evaluation,
) -> Example:
    """The `frames` of a track, from arrays of all its frames."""
    video, object_id, start, _, _ = map(int, tracks.table[number])
    occluders = truths.occluders[frames]
    hidden = {
        method: (values[frames] > level(threshold(method, settings))) & occluders
        for method, values in probability.items()
    }
    rows, columns = window([truths.visible[frames], truths.full[frames], *hidden.values()])
    arrays = tracks.data.arrays
    there = slice(start + frames.start, start + frames.stop)
    return Example(
        dataset=tracks.data.name,
        role=role,
        video=video,
        object_id=object_id,
        first=there.start - int(arrays["videos"][video, 0]),
        frames=np.array(arrays["frames"][there, :, rows, columns]),
        visible=truths.visible[frames, rows, columns],
        occluders=truths.occluders[frames, rows, columns],
        full=truths.full[frames, rows, columns],
        revealed=truths.revealed[frames, rows, columns],
        scored=truths.scored[frames],
        flow=np.array(arrays["flow"][there, :2, rows, columns]),
        **{name: values[frames] for name, values in about.items()},
        probability={method: values[frames, rows, columns] for method, values in probability.items()},
        hidden={method: mask[:, rows, columns] for method, mask in hidden.items()},
    )


def window(masks: Sequence[Bool[np.ndarray, "t h w"]]) -> tuple[slice, slice]:
    """Rows and columns of the box about all masks, with a margin."""
    union = np.any([mask.any(axis=0) for mask in masks], axis=0)
    rows, columns = (np.flatnonzero(union.any(axis=axis)) for axis in (1, 0))
    height, width = union.shape
    return (
        slice(max(int(rows[0]) - MARGIN, 0), min(int(rows[-1]) + 1 + MARGIN, height)),
        slice(max(int(columns[0]) - MARGIN, 0), min(int(columns[-1]) + 1 + MARGIN, width)),
    )


# ---------------------------------------------------------------- storing


def write(examples: Sequence[Example], path: Path) -> None:
    """Write the examples of one data set as one compressed `.npz`, the same bytes for the same examples."""
    arrays: dict[str, np.ndarray] = {}
    for k, example in enumerate(examples):
        where = (ROLES.index(example.role), example.video, example.object_id, example.first)
        arrays[f"{k}/where"] = np.array(where, np.int32)
        arrays |= {f"{k}/{name}": getattr(example, name) for name in PLAIN}
        for name in BY_METHOD:
            arrays |= {f"{k}/{name}/{method}": array for method, array in getattr(example, name).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    np.savez_compressed(aside, **arrays)  # type: ignore[arg-type]
    aside.replace(path)


def read(path: Path, dataset: str) -> list[Example]:
    """The examples of one file, in the order of their choice. Raises ResultsError where there is no such file."""
    if not path.exists():
        raise ResultsError(f"{path} is missing: run `dvc repro` for the stage that evaluates it")
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    found = []
    for k in range(sum(name.endswith("/where") for name in arrays)):
        role, video, object_id, first = map(int, arrays[f"{k}/where"])
        by_method: dict[str, Any] = {
            name: {key.split("/")[2]: array for key, array in arrays.items() if key.startswith(f"{k}/{name}/")}
            for name in BY_METHOD
        }
        plain: dict[str, Any] = {name: arrays[f"{k}/{name}"] for name in PLAIN}
        found.append(Example(dataset, ROLES[role], video, object_id, first, **plain, **by_method))
    return found
