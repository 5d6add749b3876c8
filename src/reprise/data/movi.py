"""MOViD-Amodal (Gao et al., C2F-Seg, ICCV 2023): rendered objects (Kubric's MOVi-D) under a moving camera.

What is known of the layout is what the authors' loader reads; their archive itself has not been seen here:

    MOViD_A/SPLIT_instance.txt                       lines VIDEO_OBJECT_VALUE, the objects in use
    MOViD_A/SPLIT/VIDEO/metadata.json                `metadata`: num_frames, height, width
    MOViD_A/SPLIT/VIDEO/rgba_full_00000.png          the frame
    MOViD_A/SPLIT/VIDEO/segmentation_full_00000.png  what is seen: 0 background, else an object's VALUE
    MOViD_A/SPLIT/VIDEO/segmentation_OBJECT_00000.png  that object alone, its VALUE where it is: the full mask

with SPLIT train and test; their loader uses 24 frames of 256 x 256 pixels. A track begins where the object is first
seen and ends where it is hidden or out of view. It is marked as occluded by SaVos' rule for test tracks, in both
splits: more than 10 frames, one of them (not the first or last) with an occlusion rate in (0.1, 0.7). No flow comes
with it.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from reprise.data.arrays import DataError
from reprise.data.flow import ESTIMATORS
from reprise.data.recordings import (
    Footage,
    Masks,
    Recording,
    Tracked,
    footage,
    occluded,
    open_image,
    read_images,
    write,
)
from reprise.data.sources import located, provenance
from reprise.params import Section

TOP = "MOViD_A"


class Options(Section):
    """`data.movi` in params.yaml."""

    height: Annotated[int, Field(ge=32, le=512, description="of the stored frames, pixels; natively 256")]
    width: Annotated[int, Field(ge=32, le=512, description="of the stored frames, pixels; natively 256")]
    flow: Annotated[Literal["dis", "raft"], Field(description="how the flow is estimated")]
    max_train: Annotated[int | None, Field(ge=1, description="videos in train, the first by number; null keeps all")]
    max_test: Annotated[int | None, Field(ge=1, description="videos in test; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write splits `train` and `test`. Raises DataError naming the file for anything missing or damaged."""
    folder = located(raw) / TOP

    def clips(split: str, limit: int | None) -> Iterator[Footage]:
        instances = _instances(folder / f"{split}_instance.txt")
        for video in sorted(instances)[:limit]:
            recording = _recording(folder / split / str(video), instances[video], options)
            yield from footage(recording, options.height, options.width, None)

    write(
        out,
        name="movi",
        height=options.height,
        width=options.width,
        splits={
            "train": partial(clips, "train", options.max_train),
            "test": partial(clips, "test", options.max_test),
        },
        flow_source=options.flow,
        truth="every frame",
        **provenance("movi", raw),
    )


def _recording(path: Path, instances: list[tuple[int, int]], options: Options) -> Recording:
    n, shape = _metadata(path / "metadata.json")

    def labels(kind: int | str, t: int) -> np.ndarray:
        file = path / f"segmentation_{kind}_{t:05}.png"
        values = np.asarray(open_image(file))  # a palette's indices, not its colours
        if values.shape != shape:
            found, stated = ("x".join(map(str, size)) for size in (values.shape, shape))
            raise DataError(f"{file} is {found}, its video is {stated}: unpack the archive again")
        return values

    def masks(thing: int, value: int, t: int) -> Masks:
        return labels("full", t) == value, labels(thing, t) == value

    def images(start: int, stop: int) -> np.ndarray:
        files = [path / f"rgba_full_{t:05}.png" for t in range(start, stop)]
        return read_images(files, shape, options.height, options.width)

    return Recording(
        name=str(path),
        n=n,
        objects=[Tracked(0, n, partial(masks, thing, value)) for thing, value in instances],
        hiding=lambda t: labels("full", t) != 0,
        images=images,
        flow=lambda start, stop, frames: ESTIMATORS[options.flow](frames),
        fit=occluded,
    )


def _instances(path: Path) -> dict[int, list[tuple[int, int]]]:
    """(object, value) by video."""
    instances: dict[int, list[tuple[int, int]]] = {}
    try:
        for line in path.read_text(encoding="utf-8").split():
            video, thing, value = map(int, line.split("_"))
            instances.setdefault(video, []).append((thing, value))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: unpack the archive again") from None
    except ValueError as failure:
        raise DataError(f"{path}: not lines VIDEO_OBJECT_VALUE ({failure}): unpack the archive again") from failure
    return instances


def _metadata(path: Path) -> tuple[int, tuple[int, int]]:
    """Number of frames, and their size."""
    try:
        facts = json.loads(path.read_bytes())["metadata"]
        return int(facts["num_frames"]), (int(facts["height"]), int(facts["width"]))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: unpack the archive again") from None
    except (ValueError, KeyError, TypeError) as failure:
        raise DataError(f"{path} is not the official file ({failure!r}): unpack the archive again") from failure
