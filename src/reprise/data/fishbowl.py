"""FISHBOWL (Tangemann et al. 2021: rendered fish in a tank), prepared as in the notebook of SaVos' release.

One folder per split, `train_data` and `test_data`, in either layout of the release's own preprocessing:

- as released (the test videos): `test_frames/VIDEO/*.png` and `test_data.pkl`, a dictionary ["VIDEO_OBJECT"][frame]
  of `FM` (full mask), `VM` (visible mask) and `loss_mask_weight` (1 where no other fish is seen);
- as generated (the training videos are not released): `train/VIDEO/video.mp4`, `objects.json` (a list of `id`,
  `type_name`, `masks`, one COCO mask per frame) and `recording.json`, and `train_objects/VIDEO_object*/objects.json`,
  the recording of one fish alone, whose masks are its full ones. Tracks are cut by the notebook's rules: full mask over
  20 x 20 pixels and at least 16 from the border, more than 8 x 8 of it visible, up to the first frame that fails.

FlowNet2's vectors lie in `SPLIT_flow/inference/run.epoch-0-flow-field/VIDEO/*.flo`, and `SPLIT_flow_reverse/...`.

A track of `train` is marked as occluded if it has more than 20 frames and the crop of its visible mask once has an IoU
under 0.6 with the one 4 frames earlier; one of `test` if it has more than 10 frames, one of them (not the first or
last) with an occlusion rate in (0.1, 0.7). Static things that hide fish are in nobody's mask.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from reprise.data import restricted_pickle, rle
from reprise.data.arrays import DataError
from reprise.data.flow import ESTIMATORS, stored
from reprise.data.recordings import (
    Footage,
    Masks,
    Recording,
    Tracked,
    first_run,
    flow_files,
    footage,
    numbered,
    occluded,
    read_images,
    resize_image,
    span,
    write,
)
from reprise.data.sources import located, provenance
from reprise.params import Section

FULL_AREA, VISIBLE_AREA, BORDER = 20 * 20, 8 * 8, 16  # pixels at the video's own size, 320x480
TRAIN_FRAMES, LAG, CHANGED = 20, 4, 0.6
FLOW = "inference/run.epoch-0-flow-field"

Entries = dict[int, dict[str, Any]]  # frame -> FM, VM


class Options(Section):
    """`data.fishbowl` in params.yaml."""

    height: Annotated[int, Field(ge=32, le=512, description="of the stored frames, pixels; natively 320")]
    width: Annotated[int, Field(ge=32, le=768, description="of the stored frames, pixels; natively 480")]
    flow: Annotated[Literal["flownet2", "dis", "raft"], Field(description="flownet2 reads the .flo files")]
    clip: Annotated[int | None, Field(ge=3, description="frames per stored video at most; null keeps all 128")]
    max_train: Annotated[int | None, Field(ge=1, description="recordings in train, the first by name; null keeps all")]
    max_test: Annotated[int | None, Field(ge=1, description="recordings in test; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write splits `train` and `test`. Raises DataError naming the file for anything missing or damaged."""
    folder = located(raw)

    def clips(split: str, limit: int | None, fit: Callable[[np.ndarray, np.ndarray], bool]) -> Iterator[Footage]:
        for recording in _recordings(folder / f"{split}_data", split, limit, options, fit):
            yield from footage(recording, options.height, options.width, options.clip)

    write(
        out,
        name="fishbowl",
        height=options.height,
        width=options.width,
        splits={
            "train": partial(clips, "train", options.max_train, trainable),
            "test": partial(clips, "test", options.max_test, occluded),
        },
        flow_source=options.flow,
        truth="every frame",
        **provenance("fishbowl", raw),
    )


def trainable(visible: np.ndarray, amodal: np.ndarray) -> bool:
    """SaVos' rule for training tracks: more than 20 frames, and a visible shape that once changes within 4 frames."""
    if len(visible) <= TRAIN_FRAMES:
        return False
    crops = [_crop(mask) for mask in visible]
    return any(_crop_iou(crop, before) < CHANGED for crop, before in zip(crops[LAG:], crops, strict=False))


def _crop(mask: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _crop_iou(one: np.ndarray, two: np.ndarray) -> float:
    """IoU of two crops laid over each other at their upper left corners."""
    canvas = np.zeros((2, *np.maximum(one.shape, two.shape)), bool)
    for layer, crop in zip(canvas, (one, two), strict=True):
        layer[: crop.shape[0], : crop.shape[1]] = crop
    return float(canvas.all(axis=0).sum() / canvas.any(axis=0).sum())


def _recordings(
    folder: Path, split: str, limit: int | None, options: Options, fit: Callable[[np.ndarray, np.ndarray], bool]
) -> Iterator[Recording]:
    """The videos of a split, by name, in whichever layout they are."""
    if (folder / f"{split}_data.pkl").exists():
        videos = _released(folder, split, limit, options)
    elif (folder / split).is_dir():
        videos = _generated(folder, split, limit, options)
    else:
        raise DataError(f"{folder} has neither {split}_data.pkl nor {split}/: unpack or generate the videos")
    for video in videos:
        yield Recording(
            name=video.where,
            n=video.n,
            objects=_tracked(video),
            hiding=video.hiding,
            images=video.images,
            flow=_flow(folder, split, video, options),
            fit=fit,
        )


@dataclass(frozen=True)
class _Video:
    """One video of either layout; the fields are those of `Recording`, but for the masks, which are still encoded."""

    name: str
    where: str
    n: int
    shape: tuple[int, int]
    objects: dict[str, Entries]
    hiding: Callable[[int], np.ndarray]
    images: Callable[[int, int], np.ndarray]


def _released(folder: Path, split: str, limit: int | None, options: Options) -> Iterator[_Video]:
    path = folder / f"{split}_data.pkl"
    videos: dict[str, dict[str, Entries]] = {}
    try:
        for key, entries in restricted_pickle.load(path).items():
            video, thing = key.split("_")
            if kept := {int(t): entry for t, entry in entries.items() if "VM" in entry}:
                videos.setdefault(video, {})[thing] = kept
    except (AttributeError, ValueError, TypeError) as failure:
        raise DataError(f"{path} is not the official file ({failure!r}): get it again") from failure
    for video in sorted(videos)[:limit]:
        files = numbered(folder / f"{split}_frames" / video, ".png")
        yield _released_video(video, f"{path}, video {video}", dict(sorted(videos[video].items())), files, options)


def _released_video(name: str, where: str, objects: dict[str, Entries], files: list[Path], options: Options) -> _Video:
    shape = _shape(next(iter(next(iter(objects.values())).values()))["VM"], where)

    def hiding(t: int) -> np.ndarray:
        try:
            weights = [entries[t]["loss_mask_weight"] for entries in objects.values() if t in entries]
        except KeyError as failure:
            raise DataError(f"{where}: frame {t} lacks {failure}: get the annotation again") from failure
        free = [rle.decode(weight, shape, where) for weight in weights]
        return ~np.all(free, axis=0) if free else np.zeros(shape, bool)

    def images(start: int, stop: int) -> np.ndarray:
        return read_images(files[start:stop], shape, options.height, options.width)

    return _Video(name, where, len(files), shape, objects, hiding, images)


def _generated(folder: Path, split: str, limit: int | None, options: Options) -> Iterator[_Video]:
    for path in sorted(path for path in (folder / split).iterdir() if path.is_dir())[:limit]:
        seen = _read_objects(path / "objects.json")
        full: dict[str, list[Any]] = {}
        for alone in sorted((folder / f"{split}_objects").glob(f"{path.name}_object*")):
            full |= _read_objects(alone / "objects.json")
        if any(masks for masks in seen.values()):
            yield _generated_video(path, seen, full, options)


def _generated_video(path: Path, seen: dict[str, list[Any]], full: dict[str, list[Any]], options: Options) -> _Video:
    where = str(path / "objects.json")
    n = max(map(len, seen.values()))
    if {len(masks) for masks in (*seen.values(), *full.values())} != {n}:
        raise DataError(f"{where}: the fish do not all have one mask per frame: generate this video again")
    shape = _shape(next(iter(seen.values()))[0], where)
    cut = {thing: _cut(seen[thing], full[thing], shape, where) for thing in sorted(seen.keys() & full.keys())}

    def hiding(t: int) -> np.ndarray:
        return rle.union([masks[t] for masks in seen.values()], shape, where)

    images = partial(_read_video, path / "video.mp4", n, shape, options)
    return _Video(path.name, where, n, shape, {thing: kept for thing, kept in cut.items() if kept}, hiding, images)


def _cut(seen: list[Any], full: list[Any], shape: tuple[int, int], where: str) -> Entries:
    """The first run of frames whose full mask is large and inside, and of that, the first that is seen."""

    def inside(mask: Any) -> bool:
        area, (top, bottom, left, right) = rle.extent(mask, shape, where)
        clear = min(top, left) >= BORDER and bottom <= shape[0] - BORDER and right <= shape[1] - BORDER
        return area > FULL_AREA and clear

    run = first_run([inside(mask) for mask in full])
    if run is None:
        return {}
    visible = first_run([rle.extent(mask, shape, where)[0] > VISIBLE_AREA for mask in seen[run]])
    if visible is None:
        return {}
    frames = range(run.start + visible.start, run.start + visible.stop)
    return {t: {"VM": seen[t], "FM": full[t]} for t in frames}


def _tracked(video: _Video) -> list[Tracked]:
    tracked = []
    for thing, entries in video.objects.items():
        where = f"{video.where}, object {thing}"
        start, stop = span(entries, where)
        if stop > video.n:
            raise DataError(f"{where}: a mask in frame {stop - 1}, but there are {video.n} frames: some are missing")
        tracked.append(Tracked(start, stop, partial(_masks, entries, video.shape, where)))
    return tracked


def _masks(entries: Entries, shape: tuple[int, int], where: str, t: int) -> Masks:
    try:
        visible, full = entries[t]["VM"], entries[t]["FM"]
    except KeyError as failure:
        raise DataError(f"{where}: frame {t} lacks {failure}: get the annotation again") from failure
    return rle.decode(visible, shape, where), rle.decode(full, shape, where)


def _shape(mask: Any, where: str) -> tuple[int, int]:
    """The size that the first mask states; all others, and the frames, are compared with it."""
    try:
        height, width = (mask[0] if isinstance(mask, list) else mask)["size"]
        return int(height), int(width)
    except (KeyError, IndexError, TypeError, ValueError) as failure:
        raise DataError(f"{where}: a mask without its size ({failure!r}): get the annotation again") from failure


def _flow(folder: Path, split: str, video: _Video, options: Options) -> Callable[[int, int, np.ndarray], np.ndarray]:
    def flow(start: int, stop: int, frames: np.ndarray) -> np.ndarray:
        if options.flow in ESTIMATORS:
            return ESTIMATORS[options.flow](frames)
        forward, backward = (
            flow_files(folder / f"{split}_{kind}" / FLOW / video.name, video.n) for kind in ("flow", "flow_reverse")
        )
        return stored(forward[start : stop - 1], backward[start : stop - 1], options.height, options.width)

    return flow


def _read_objects(path: Path) -> dict[str, list[Any]]:
    """Masks by the fish's id."""
    try:
        return {str(entry["id"]): list(entry["masks"]) for entry in json.loads(path.read_bytes())}
    except FileNotFoundError:
        raise DataError(f"{path} is missing: generate this video again") from None
    except (ValueError, KeyError, TypeError) as failure:
        raise DataError(f"{path} is not the generator's file ({failure!r}): generate this video again") from failure


def _read_video(path: Path, n: int, shape: tuple[int, int], options: Options, start: int, stop: int) -> np.ndarray:
    """Frames start to stop - 1 of an mp4, at the prepared size. Raises DataError if it ends before the last mask."""
    import cv2

    stream = cv2.VideoCapture(str(path))
    frames = []
    for t in range(stop):
        good, frame = stream.read()
        if not good:
            raise DataError(f"{path} is missing or has {t} frames, but {n} have masks: generate this video again")
        if t >= start:
            image = Image.fromarray(np.ascontiguousarray(frame[..., ::-1]))  # OpenCV's order is BGR
            frames.append(resize_image(image, shape, options.height, options.width, str(path)))
    stream.release()
    return np.stack(frames)
