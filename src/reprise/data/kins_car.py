"""KINS-Video-Car: cars in KITTI's raw drives, as SaVos' release holds them.

Visible masks and tracks are estimates (PointTrack), so a visible mask may leave its full mask. Layout, as released:

    car_data/{train,val,test}_data.pkl   [drive][object][frame] -> `VM` (visible mask), `loss_mask` (others' masks)
    Kitti/raw_video/DATE/DRIVE/*.png     frames, numbered as KITTI does
    Kitti/Kitti_flow/DATE/DRIVE/*.flo    FlowNet2, and Kitti/Kitti_reverse_flow
    Kins/training/image_2/*.png, Kins/instances_train.json

Full masks are known where a frame of a test drive is, byte by byte, an annotated image of KINS: an annotated object
belongs to the track whose visible mask agrees best with its own, if their IoU is 0.5 or more. Everywhere else the
stored full mask is empty. In `train` and `val` a track of 10 frames is marked as occluded (the release's minimum;
nothing is known of its occlusion), in `test` one with a known full mask besides its first and last frame.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from reprise.data import restricted_pickle, rle
from reprise.data.arrays import DataError
from reprise.data.flow import ESTIMATORS, stored
from reprise.data.recordings import (
    Footage,
    Masks,
    Recording,
    Tracked,
    flow_files,
    footage,
    numbered,
    read_images,
    span,
    write,
)
from reprise.data.sources import located, provenance
from reprise.params import Section

SPLITS = ("train", "val", "test")
KEYS = ("VM", "loss_mask")
SHORTEST = 10  # frames of a track
AGREEMENT = 0.5  # IoU of the visible masks

Drive = dict[str, dict[int, dict[str, Any]]]  # object -> frame -> VM, loss_mask
Truth = Mapping[tuple[str, str, int], np.ndarray]  # (drive, object, frame) -> full mask


class Options(Section):
    """`data.kins_car` in params.yaml."""

    height: Annotated[int, Field(ge=32, le=384, description="of the stored frames, pixels; natively about 375")]
    width: Annotated[int, Field(ge=32, le=1280, description="of the stored frames, pixels; natively about 1242")]
    flow: Annotated[Literal["flownet2", "dis", "raft"], Field(description="flownet2 reads the .flo files")]
    clip: Annotated[int | None, Field(ge=3, description="frames per stored video at most; null keeps whole drives")]
    max_train: Annotated[int | None, Field(ge=1, description="drives in train, the first by name; null keeps all")]
    max_test: Annotated[int | None, Field(ge=1, description="drives in val and in test each; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write splits `train`, `val` and `test`. Raises DataError naming the file for anything missing or damaged."""
    folder = located(raw)
    drives = {}
    for split in SPLITS:
        content = _read_drives(folder / f"car_data/{split}_data.pkl")
        limit = options.max_train if split == "train" else options.max_test
        drives[split] = {drive: content[drive] for drive in sorted(content)[:limit]}
    truth = _truth(folder, drives["test"])

    def clips(split: str) -> Iterator[Footage]:
        for drive, objects in drives[split].items():
            recording = _recording(folder, drive, objects, options, truth if split == "test" else None)
            yield from footage(recording, options.height, options.width, options.clip)

    write(
        out,
        name="kins_car",
        height=options.height,
        width=options.width,
        splits={split: partial(clips, split) for split in SPLITS},
        flow_source=options.flow,
        truth="some frames of test",
        **provenance("kins_car", raw),
    )


def _recording(folder: Path, drive: str, objects: Drive, options: Options, truth: Truth | None) -> Recording:
    files = _frames(folder, drive)
    shape = _shape(objects, drive)

    def masks(thing: str, t: int) -> Masks:
        known = None if truth is None else truth.get((drive, thing, t))
        return _visible(objects, thing, t, shape, drive), np.zeros(shape, bool) if known is None else known

    def hiding(t: int) -> np.ndarray:
        others = [entries[t]["loss_mask"] for entries in objects.values() if t in entries]
        return rle.union(others, shape, f"drive {drive}, frame {t}")

    def images(start: int, stop: int) -> np.ndarray:
        return read_images(files[start:stop], shape, options.height, options.width)

    def flow(start: int, stop: int, frames: np.ndarray) -> np.ndarray:
        if options.flow in ESTIMATORS:
            return ESTIMATORS[options.flow](frames)
        forward, backward = (
            flow_files(folder / f"Kitti/{kind}" / _date(drive) / drive, len(files))[start : stop - 1]
            for kind in ("Kitti_flow", "Kitti_reverse_flow")
        )
        return stored(forward, backward, options.height, options.width)

    def fit(visible: np.ndarray, amodal: np.ndarray) -> bool:
        return len(visible) >= SHORTEST if truth is None else bool(amodal[1:-1].any())

    tracked = []
    for thing, entries in objects.items():
        start, stop = span(entries, f"drive {drive}, object {thing}")
        if stop > len(files):
            raise DataError(
                f"drive {drive}, object {thing}: a mask in frame {stop - 1}, but there are {len(files)} frames: "
                "some are missing, unpack the archive again"
            )
        tracked.append(Tracked(start, stop, partial(masks, thing)))
    return Recording(f"drive {drive}", len(files), tracked, hiding, images, flow, fit)


def _read_drives(path: Path) -> dict[str, Drive]:
    """The drives that have an object; frames are counted from 0, whatever numbers their files have."""
    drives: dict[str, Drive] = {}
    try:
        for drive, objects in restricted_pickle.load(path).items():
            kept: Drive = {}
            for thing, entries in sorted(objects.items(), key=lambda item: int(item[0])):
                kept[str(thing)] = {int(t): {key: entry[key] for key in KEYS} for t, entry in entries.items()}
            if kept:
                drives[str(drive)] = kept
    except (AttributeError, ValueError, TypeError, KeyError) as failure:
        raise DataError(f"{path} is not the official file ({failure!r}): get it again") from failure
    return drives


def _shape(objects: Drive, drive: str) -> tuple[int, int]:
    """The size that the first mask states (it differs between days)."""
    try:
        height, width = next(iter(next(iter(objects.values())).values()))["VM"]["size"]
        return int(height), int(width)
    except (StopIteration, KeyError, TypeError, ValueError) as failure:
        raise DataError(f"drive {drive}: a mask without its size ({failure!r}): get the annotation again") from failure


def _visible(objects: Drive, thing: str, t: int, shape: tuple[int, int], drive: str) -> np.ndarray:
    return rle.decode(objects[thing][t]["VM"], shape, f"drive {drive}, object {thing}, frame {t}")


def _date(drive: str) -> str:
    """2011_09_26 of 2011_09_26_drive_0001_sync."""
    return "_".join(drive.split("_")[:3])


def _frames(folder: Path, drive: str) -> list[Path]:
    return numbered(folder / "Kitti/raw_video" / _date(drive) / drive, ".png")


def _truth(folder: Path, drives: dict[str, Drive]) -> Truth:
    """Full masks by drive, object and frame, where KINS has annotated that very image.

    Raises DataError if KINS' files are missing or damaged, or no frame is one of its images.
    """
    annotated, images = _read_kins(folder / "Kins/instances_train.json"), folder / "Kins/training/image_2"
    by_digest = {_md5(path): path.name for path in numbered(images, ".png") if path.name in annotated}
    truth: dict[tuple[str, str, int], np.ndarray] = {}
    for drive, objects in drives.items():
        shape = _shape(objects, drive)
        for t, path in enumerate(_frames(folder, drive)):
            image = by_digest.get(_md5(path))
            here = [thing for thing, entries in objects.items() if t in entries]
            if image is None or not here:
                continue
            visible = np.stack([_visible(objects, thing, t, shape, drive) for thing in here])
            for annotation in annotated[image]:
                where = f"{folder / 'Kins/instances_train.json'}, {image}"
                modal = rle.decode(annotation["inmodal_seg"], shape, where)
                overlap = (visible & modal).sum(axis=(1, 2)) / np.maximum((visible | modal).sum(axis=(1, 2)), 1)
                if overlap.max() >= AGREEMENT:
                    thing = here[int(overlap.argmax())]
                    truth[drive, thing, t] = rle.polygons(annotation["segmentation"], shape, where)
    if not truth:
        raise DataError(f"{images}: no annotated image is a frame of the test drives: unpack the archive again")
    return truth


def _read_kins(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Annotations (`inmodal_seg`, `segmentation`) by the image's file name."""
    try:
        content = json.loads(path.read_bytes())
        names = {image["id"]: image["file_name"] for image in content["images"]}
        annotated: dict[str, list[dict[str, Any]]] = {}
        for entry in content["annotations"]:
            fields = {key: entry[key] for key in ("inmodal_seg", "segmentation")}
            annotated.setdefault(names[entry["image_id"]], []).append(fields)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: unpack the archive again") from None
    except (ValueError, KeyError, TypeError) as failure:
        raise DataError(f"{path} is not the official file ({failure!r}): get it again") from failure
    return annotated


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
