"""Every measurement of a video set, from stored probabilities and the hidden truth alone (Sec. 2.8, 4).

Scored are the inner frames of occluded tracks whose occlusion rate lies strictly between two bounds. Hidden parts are
thresholded, and confined to what hides, here and nowhere else. Two baselines need no training: `visible` predicts
nothing, `convex` the convex hull of the visible mask (Sec. 5).

A split is read track by track, all runs side by side, so that no more than one track is ever in memory.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from reprise.amodal import metrics, plan
from reprise.amodal.metrics import LEVELS, ObjectFrames
from reprise.amodal.params import Evaluation, Params
from reprise.amodal.plan import COMPLETIONS, IMAGE
from reprise.amodal.tracks import HIDDEN_TRUTH, Tracks, Truth
from reprise.data.arrays import DataError, open_prepared, remedy
from reprise.progress import track
from reprise.results import ResultsError, setting

Row = dict[str, Any]
Counts = Int[np.ndarray, "n 8"]
Levels = Int[np.ndarray, "2 256"]
SPLITS = ("test", "unseen")
BASELINES = ("visible", "convex")


@dataclass(frozen=True)
class Prediction:
    """The file with the probabilities of one run, and how it is judged.

    `adapted` counts the steps on the new distribution, if it took any; `threshold` stands in for the method's own.

    Arrays `<split>/probability` uint8 (k, h, w), round(255 P) for all frames of the split's occluded tracks in order,
    and `n_params` (), the size of the network.
    """

    path: Path
    method: str
    seed: int
    adapted: int | None = None
    threshold: float | None = None

    @property
    def keys(self) -> Row:
        """What its rows have in `setting`."""
        found = {"adapted": self.adapted, "threshold": self.threshold}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def about(self) -> Row:
        model = "unet" if self.method in IMAGE else "savos"
        return {"method": self.method, "model": model, "seed": self.seed}


def predictions(block: Params, folder: Path, dataset: Path) -> list[Prediction]:
    """The runs of the block: those trained, and those adapted where the data set has a new distribution.

    SaVos is also judged at the lower threshold of PCNet-M, for a comparison on equal terms.

    Args:
        folder: of the prediction files.
        dataset: the prepared video set.
    """
    runs = plan.runs(block, dataset.name)
    if "unseen" in open_prepared(dataset).card["splits"]:
        runs += plan.adapted(block, dataset.name)
    found = [Prediction(folder / f"{run.label}.npz", run.method, run.seed, run.adapted) for run in runs]
    equal = block.evaluation.completion_threshold
    return found + [replace(one, threshold=equal) for one in found if one.method == "savos" and one.adapted is None]


def evaluate(folder: Path, runs: Sequence[Prediction], settings: Evaluation, seed: int) -> Iterator[Row]:
    """Rows of the results table.

    Args:
        folder: the prepared video set, with its hidden truth.
        seed: of the bootstrap over videos.

    Raises:
        DataError: the set lacks the truth, or a track to judge.
        ResultsError: a prediction is missing or of other frames.
    """
    data = open_prepared(folder)
    if HIDDEN_TRUTH not in data.arrays:
        raise DataError(
            f"{folder} has no hidden truth ({HIDDEN_TRUTH}.npy), without which predictions cannot be judged: "
            f"{remedy(folder)}"
        )
    for split in SPLITS:
        if split not in data.card["splits"]:
            continue
        common = {"paper": "amodal", "dataset": folder.name, "train_domain": "train", "split": "test"}
        common |= {"test_domain": split, "shift": "unseen" if split == "unseen" else ""}
        judged = [run for run in runs if split == "unseen" or run.adapted is None]
        for row in _split_rows(Tracks(folder, split), split, judged, settings, seed):
            yield common | row


def _split_rows(
    tracks: Tracks, split: str, runs: Sequence[Prediction], settings: Evaluation, seed: int
) -> Iterator[Row]:
    frames, counts, levels = measure(tracks, split, runs, settings)
    chosen = scored(frames.inner, frames.rate, settings)
    if not chosen.any():
        raise DataError(
            f"{tracks.data.name}: no inner frame of split {split!r} has an occlusion rate between "
            f"{settings.occlusion[0]} and {settings.occlusion[1]}: widen evaluation.occlusion or prepare more videos"
        )
    untrained: Row = {"model": "none", "seed": 0}
    for row in _facts(tracks, frames):
        yield untrained | {"method": "data"} | row
    for name in BASELINES:
        for row in _run_rows(counts[name], frames, chosen, settings.bootstrap, seed, {}):
            yield untrained | {"method": name} | row
    for run in runs:
        rows = list(_run_rows(counts[run], frames, chosen, settings.bootstrap, seed, run.keys))
        if run.threshold is None:
            rows += _reliability_rows(levels[run], run.keys)
        if split == "test" and run.threshold is None:
            rows.append({"setting": "", "metric": "n_params", "value": _n_params(run.path), "n": 1})
        for row in rows:
            yield run.about | row


# ---------------------------------------------------------------- counting


def measure(
    tracks: Tracks, split: str, runs: Sequence[Prediction], settings: Evaluation
) -> tuple[ObjectFrames, dict[Prediction | str, Counts], dict[Prediction, Levels]]:
    """Count everything in one pass over the tracks.

    Returns: the object-frames; the predicted pixels of each kind in each of them, for baselines and runs; how often
    each probability occurs in scored frames, for runs.
    """
    truth, arrays = Truth(tracks), tracks.data.arrays
    judges = []
    methods: list[Prediction | str] = [*BASELINES, *runs]
    counts: dict[Prediction | str, list[Counts]] = {method: [] for method in methods}
    levels = {run: np.zeros((2, LEVELS), dtype=np.int64) for run in runs}
    with ExitStack() as stack:
        shape = (int(tracks.lengths.sum()), *arrays["owner"].shape[1:])
        stored = {run: stack.enter_context(Probabilities(run.path, split, shape)) for run in runs}
        table = track(tracks.table, f"amodal-evaluate: {split}", len(tracks.table), "object")
        for number, (_, name, first, length, _) in enumerate(table):
            rows = slice(first, first + length)
            owner = np.asarray(arrays["owner"][rows])
            visible = owner == name
            judge = metrics.judge(visible, (owner != 0) & ~visible, truth.track(number), arrays["flow"][rows, :2])
            judges.append(judge)
            counts["visible"].append(judge.count(np.zeros(len(judge.pixels), dtype=bool)))
            counts["convex"].append(judge.count(convex_hull(visible).reshape(-1)[judge.pixels]))
            chosen = scored(inner(length), judge.rate, settings)
            for run in runs:
                probability = stored[run].read(length).reshape(-1)[judge.pixels]
                above = threshold(run.method, settings) if run.threshold is None else run.threshold
                counts[run].append(judge.count(probability > level(above)))
                levels[run] += judge.levels(probability, chosen)
    return object_frames(tracks, judges), {key: np.concatenate(found) for key, found in counts.items()}, levels


def object_frames(tracks: Tracks, judges: Sequence[metrics.Judge]) -> ObjectFrames:
    """The rows of all tracks, one after another."""

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(judge, name) for judge in judges])

    lengths, rate = tracks.lengths, joined("rate")
    # An empty full mask says that the truth of that frame is not known.
    within = np.concatenate([inner(length) for length in lengths]) & (joined("full") > 0)
    return ObjectFrames(
        image=np.concatenate([first + np.arange(length) for first, length in tracks.table[:, 2:4]]),
        video=np.repeat(tracks.table[:, 0], lengths),
        inner=within,
        visible=joined("visible"),
        full=joined("full"),
        both=joined("both"),
        hidden_outside=joined("hidden_outside"),
        candidates=np.concatenate([judge.count(np.ones(len(judge.pixels), dtype=bool)) for judge in judges]),
        subsets={
            "box_grows": joined("box_grows"),
            "never_revealed": joined("never_revealed"),
            "shape_changes": metrics.lowest(joined("shape_iou"), rate, within),
            "fast": metrics.lowest(joined("flow_iou"), rate, within),
        },
    )


def scored(
    inside: Bool[np.ndarray, " n"], rate: Float[np.ndarray, " n"], settings: Evaluation
) -> Bool[np.ndarray, " n"]:
    """The inner frames whose occlusion rate lies strictly between the bounds."""
    low, high = settings.occlusion
    return inside & (low < rate) & (rate < high)


def inner(length: int) -> Bool[np.ndarray, " length"]:
    """Neither the first nor the last frame, which have a prediction from one side only."""
    place = np.arange(length)
    return (place > 0) & (place < length - 1)


def convex_hull(masks: Bool[np.ndarray, "n h w"]) -> Bool[np.ndarray, "n h w"]:
    """The convex hull of each mask's pixels, its outline included; empty for an empty mask."""
    hulls = np.zeros(masks.shape, dtype=np.uint8)
    for mask, hull in zip(masks, hulls, strict=True):
        points = cv2.findNonZero(mask.view(np.uint8))
        if points is not None:
            cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return hulls.view(bool)


def threshold(method: str, settings: Evaluation) -> float:
    """Probability above which a pixel counts as hidden part of the object; PCNet-M brings its own for the test."""
    return settings.completion_threshold if method in COMPLETIONS else settings.threshold


def level(probability: float) -> int:
    """The stored value such that just the greater ones stand for a greater probability."""
    return int(probability * (LEVELS - 1))


class Probabilities:
    """The probabilities of one run on one split, read track by track: an archive may be larger than the memory."""

    def __init__(self, path: Path, split: str, shape: tuple[int, ...]) -> None:
        if not path.exists():
            raise ResultsError(f"{path} is missing: run `dvc repro` for the stage that predicts it")
        self._path, self._frame = path, shape[1:]
        with ExitStack() as stack:
            try:
                archive = stack.enter_context(zipfile.ZipFile(path))
            except zipfile.BadZipFile as error:
                raise ResultsError(f"{path} is damaged ({error}): predict it again") from None
            try:
                self._stream = stack.enter_context(archive.open(f"{split}/probability.npy"))
            except KeyError:
                raise ResultsError(f"{path} holds no prediction for split {split!r}: predict it again") from None
            np.lib.format.read_magic(self._stream)
            found, _, dtype = np.lib.format.read_array_header_1_0(self._stream)
            if (found, dtype) != (shape, np.uint8):
                raise ResultsError(
                    f"{path}: {split}/probability is {dtype} {found}, the video set has {shape}: predict it again"
                )
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def read(self, frames: int) -> UInt8[np.ndarray, "frames h w"]:
        """The next frames."""
        count = frames * int(np.prod(self._frame))
        try:
            found = self._stream.read(count)
        except (zipfile.BadZipFile, EOFError) as error:
            raise ResultsError(f"{self._path} is damaged ({error}): predict it again") from None
        return np.frombuffer(found, dtype=np.uint8).reshape(frames, *self._frame)


def _n_params(path: Path) -> float:
    with np.load(path, allow_pickle=False) as archive:
        if "n_params" not in archive.files:
            raise ResultsError(f"{path} does not say how many parameters the network has: predict it again")
        return float(archive["n_params"])


# ---------------------------------------------------------------- rows


def _facts(tracks: Tracks, frames: ObjectFrames) -> Iterator[Row]:
    """What the occluded tracks of a split are like, all their frames taken together."""
    outside = frames.hidden_outside.sum()
    hidden = metrics.of_kind(frames.candidates, metrics.HIDDEN).sum()
    never = metrics.of_kind(frames.candidates, metrics.HIDDEN, metrics.REVEALED).sum()
    known = frames.full > 0
    facts = {
        "occlusion_rate": (frames.rate[known].mean(), known.sum()),
        "never_revealed": (never / max(hidden, 1), known.sum()),
        "hidden_outside_occluders": (outside / max(hidden + outside, 1), known.sum()),
        "tracks": (len(tracks), len(tracks)),
        "short_tracks": (np.count_nonzero(tracks.lengths <= 2), len(tracks)),
        "videos": (len(np.unique(frames.video)), len(tracks)),
        "frames": (len(known), len(known)),
    }
    for metric, (value, n) in facts.items():
        yield {"setting": "", "metric": metric, "value": float(value), "n": int(n)}


def _run_rows(
    predicted: Counts,
    frames: ObjectFrames,
    chosen: Bool[np.ndarray, " n"],
    draws: int,
    seed: int,
    keys: Mapping[str, Any],
) -> Iterator[Row]:
    """IoUs in all averages, bins and subsets, and the shares of hidden pixels found."""

    def row(metric: str, value: float, n: int, **more: Any) -> Row:
        return {"setting": setting(**keys, **more), "metric": metric, "value": float(value), "n": int(n)}

    bins = metrics.rate_bins(frames.rate)
    for metric, iou in {
        "iou_full": frames.iou_full(predicted),
        "iou_occluded": frames.iou_occluded(predicted),
    }.items():
        images = metrics.group_means(iou[chosen], frames.image[chosen])
        videos = metrics.group_means(iou[chosen], frames.video[chosen])
        low, high = metrics.bootstrap(videos, draws, seed)
        yield row(metric, iou[chosen].mean(), chosen.sum(), by="frame")
        yield row(metric, images.mean(), len(images), by="image")
        yield row(metric, videos.mean(), len(videos), by="video")
        yield row(f"{metric}_low", low, len(videos), by="video")
        yield row(f"{metric}_high", high, len(videos), by="video")
        for k, rate in enumerate(metrics.RATES):
            if (those := frames.inner & (bins == k)).any():
                yield row(metric, iou[those].mean(), those.sum(), rate=float(rate))
        for name, members in frames.subsets.items():
            if (those := chosen & members).any():
                yield row(metric, iou[those].mean(), those.sum(), by="frame", subset=name)
    for metric, share in metrics.shares(predicted[chosen], frames.candidates[chosen]).items():
        yield row(metric, share, chosen.sum())


def _reliability_rows(levels: Levels, keys: Mapping[str, Any]) -> Iterator[Row]:
    """Mean probability and share of hidden pixels, bin by bin; n is the bin's pixels."""
    for k, (confidence, accuracy, n) in enumerate(zip(*metrics.reliability(levels), strict=True)):
        if n:
            about = {"setting": setting(**keys, bin=k), "n": int(n)}
            yield about | {"metric": "reliability_confidence", "value": float(confidence)}
            yield about | {"metric": "reliability_accuracy", "value": float(accuracy)}
