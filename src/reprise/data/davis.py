"""DAVIS 2016 (Perazzi et al. 2016) with something pasted in front: real video whose full masks are known.

DAVIS has one mask per frame, of what is visible. A second annotated object, cut from another sequence of the same
split, is moved across the target: the full mask M is DAVIS' own (as far as the frame goes), the visible one V is M
without the paste, whose pixels have owner 255. Flow is estimated on the composite, as it would be on any video.

Every sequence is cut into clips, and every clip is used `draws` times. The paste plays its own sequence, forwards and
back, with 0.4 to 1 times the target's area, and passes it on a straight line within 0.4 rad of the horizontal. A paste
is drawn anew until it leaves the target visible in all frames, and hides more than 0.1 and less than 0.7 of it in one
(not the first or last); a clip for which 50 draws do not is left out, as is one that does not always show its target.
All tracks are marked as occluded.

Layout, in the official archive or its folder: DAVIS/JPEGImages/RESOLUTION/SEQUENCE/*.jpg, DAVIS/Annotations/.../*.png.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image
from pydantic import Field

from reprise.data.arrays import DataError
from reprise.data.flow import ESTIMATORS
from reprise.data.images import Images
from reprise.data.recordings import Footage, cuts, occluded, resize_image, resize_mask, write
from reprise.data.sources import located, provenance
from reprise.data.videos import OTHER, Track
from reprise.params import Section
from reprise.seeding import derive

ARCHIVE = "DAVIS-data.zip"
SHORTEST = 3  # frames of a clip: one with a neighbour on each side
TRIES = 50
AREA = (0.4, 1.0)  # of the paste, in target areas
MEETING = (0.3, 0.7)  # when the paste is at the target's centre, in lengths of the clip
TRAVEL = (0.5, 1.5)  # way relative to the target during the clip, in sums of both widths
LATERAL = 0.25  # how far it passes beside the centre at most, in heights of the target
SLOPE = 0.4  # rad
ENLARGED = 1.5  # a paste is at most, or its pixels would show


class Options(Section):
    """`data.davis` in params.yaml."""

    height: Annotated[int, Field(ge=32, le=480, description="of the stored frames, pixels; natively 480")]
    width: Annotated[int, Field(ge=32, le=854, description="of the stored frames, pixels; natively 854")]
    resolution: Annotated[str, Field(min_length=1, description="folder of the frames: 480p, 1080p")]
    test: Annotated[list[str], Field(min_length=2, description="sequences tested on; all others are trained on")]
    clip: Annotated[int, Field(ge=SHORTEST, description="frames per stored video")]
    draws: Annotated[int, Field(ge=1, description="pastes per clip")]
    flow: Annotated[Literal["dis", "raft"], Field(description="how the flow is estimated")]
    max_train: Annotated[int | None, Field(ge=2, description="sequences in train, the first by name; null keeps all")]
    max_test: Annotated[int | None, Field(ge=2, description="sequences in test; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write splits `train` and `test`. Raises DataError naming the file for anything missing or damaged."""
    sequences = Sequences(Images(located(raw), ARCHIVE), options)
    if unknown := set(options.test) - set(sequences.names):
        known = ", ".join(sequences.names)
        raise DataError(f"data.davis.test: no sequence {', '.join(sorted(unknown))}; known: {known}")
    members = {
        "train": [name for name in sequences.names if name not in options.test][: options.max_train],
        "test": sorted(options.test)[: options.max_test],
    }
    if len(members["train"]) < 2:
        raise DataError("data.davis.test leaves fewer than two sequences to train on: a paste needs another sequence")

    def clips(split: str) -> Iterator[Footage]:
        for name in members[split]:
            others = [other for other in members[split] if other != name]
            for start, stop in cuts(len(sequences.masks(name)), options.clip):
                for draw in range(options.draws):
                    rng = np.random.default_rng(derive(seed, "davis", name, start, draw))
                    if clip := _composite(sequences, name, start, stop, others, options, rng):
                        yield clip

    write(
        out,
        name="davis",
        height=options.height,
        width=options.width,
        splits={split: partial(clips, split) for split in members},
        flow_source=options.flow,
        truth="every frame",
        sequences=members,
        **provenance("davis", raw),
    )


class Sequences:
    """The annotated sequences of one resolution, at the prepared size."""

    def __init__(self, images: Images, options: Options) -> None:
        self._images = images
        self._size = (options.height, options.width)
        self._top = {kind: f"DAVIS/{kind}/{options.resolution}" for kind in ("JPEGImages", "Annotations")}
        found = [PurePosixPath(path) for path in images.under(self._top["Annotations"])]
        self.names = sorted({path.parent.name for path in found if path.suffix == ".png"})
        self._stems = {
            name: sorted(path.stem for path in found if path.parent.name == name and path.suffix == ".png")
            for name in self.names
        }
        self.masks = lru_cache(maxsize=16)(self._read_masks)

    def _read_masks(self, name: str) -> Bool[np.ndarray, "t h w"]:
        """All masks of a sequence. Raises DataError if its object is in no frame."""
        masks = []
        for stem in self._stems[name]:
            annotation = np.asarray(self._images.read(f"{self._top['Annotations']}/{name}/{stem}.png"))
            masks.append(resize_mask(annotation.max(axis=-1) > 0, *self._size))
        if not np.any(masks):
            raise DataError(f"{self._top['Annotations']}/{name}: no frame shows its object: get the annotation again")
        return np.stack(masks)

    def frames(self, name: str, numbers: Sequence[int]) -> UInt8[np.ndarray, "t 3 h w"]:
        """These frames of a sequence. Raises DataError for one that is missing or not of its mask's size."""
        frames = []
        for number in numbers:
            stem = self._stems[name][number]
            mask = self._images.read(f"{self._top['Annotations']}/{name}/{stem}.png")
            path = f"{self._top['JPEGImages']}/{name}/{stem}.jpg"
            frames.append(resize_image(self._images.read(path), mask.size[::-1], *self._size, path))
        return np.stack(frames)


@dataclass(frozen=True)
class Paste:
    """What is pasted: a box of each frame `numbers` of `sequence`, resized, with its upper left corner at `corners`."""

    sequence: str
    numbers: list[int]
    boxes: list[tuple[int, int, int, int]]  # first row, last row + 1, first column, last column + 1
    sizes: list[tuple[int, int]]
    corners: list[tuple[int, int]]

    def cover(self, masks: Bool[np.ndarray, "t h w"], shape: tuple[int, int]) -> Bool[np.ndarray, "t h w"]:
        """Where the paste lies; `masks` are those of the frames `numbers`."""
        covered = np.zeros((len(masks), *shape), bool)
        for t, mask in enumerate(masks):
            top, bottom, left, right = self.boxes[t]
            self._put(t, covered[t], resize_mask(mask[top:bottom, left:right], *self.sizes[t]))
        return covered

    def onto(
        self,
        frames: UInt8[np.ndarray, "t 3 h w"],
        pasted: UInt8[np.ndarray, "t 3 h w"],
        cover: Bool[np.ndarray, "t h w"],
    ) -> UInt8[np.ndarray, "t 3 h w"]:
        """The composite; `pasted` are the frames `numbers` of the paste's sequence."""
        moved = np.zeros_like(frames)
        for t, frame in enumerate(pasted):
            top, bottom, left, right = self.boxes[t]
            box = Image.fromarray(np.ascontiguousarray(frame[:, top:bottom, left:right].transpose(1, 2, 0)))
            resized = np.asarray(box.resize(self.sizes[t][::-1], Image.Resampling.BILINEAR)).transpose(2, 0, 1)
            self._put(t, moved[t], resized)
        return np.where(cover[:, None], moved, frames)

    def _put(self, t: int, canvas: np.ndarray, patch: np.ndarray) -> None:
        """Put (..., h, w) at its place in frame t, as far as it is inside."""
        (top, left), (height, width) = self.corners[t], canvas.shape[-2:]
        rows = slice(max(top, 0), max(min(top + patch.shape[-2], height), 0))
        columns = slice(max(left, 0), max(min(left + patch.shape[-1], width), 0))
        if rows.start < rows.stop and columns.start < columns.stop:
            inside = patch[..., rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            canvas[..., rows, columns] = inside


def draw_paste(
    sequences: Sequences, others: Sequence[str], target: Bool[np.ndarray, "t h w"], rng: np.random.Generator
) -> Paste | None:
    """A random object on its way across the target, as the module says; None if it is too small or not always there."""
    sequence = others[int(rng.integers(len(others)))]
    masks = sequences.masks(sequence)
    n, last = len(target), max(len(masks) - 1, 1)
    steps = (rng.integers(2 * last) + np.arange(n)) % (2 * last)
    numbers = np.minimum(np.minimum(steps, 2 * last - steps), len(masks) - 1)  # forwards and back
    areas = masks[numbers].sum(axis=(1, 2))
    if not areas.all():
        return None
    scale = float(np.sqrt(rng.uniform(*AREA) * np.median(target.sum(axis=(1, 2))) / np.median(areas)))
    if scale > ENLARGED:
        return None
    boxes = [_box(mask) for mask in masks[numbers]]
    sizes = [
        (max(1, round(scale * (bottom - top))), max(1, round(scale * (right - left))))
        for top, bottom, left, right in boxes
    ]
    t = np.arange(n)
    around = np.array([_box(mask) for mask in target])
    centres = np.stack([around[:, :2].mean(axis=1), around[:, 2:].mean(axis=1)], axis=1)
    steady = np.stack([np.polyval(np.polyfit(t, axis, 1), t) for axis in centres.T], axis=1)  # no jitter of its outline
    angle = rng.choice([0.0, np.pi]) + rng.uniform(-SLOPE, SLOPE)
    ahead, aside = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
    width = np.median(around[:, 3] - around[:, 2]) + np.median([size[1] for size in sizes])
    speed = rng.uniform(*TRAVEL) * width / max(n - 1, 1)
    offset = rng.uniform(-LATERAL, LATERAL) * np.median(around[:, 1] - around[:, 0])
    way = steady + np.outer(speed * (t - rng.uniform(*MEETING) * (n - 1)), ahead) + offset * aside
    corners = [(round(y - height / 2), round(x - wide / 2)) for (y, x), (height, wide) in zip(way, sizes, strict=True)]
    return Paste(sequence, numbers.tolist(), boxes, sizes, corners)


def _composite(
    sequences: Sequences,
    name: str,
    start: int,
    stop: int,
    others: Sequence[str],
    options: Options,
    rng: np.random.Generator,
) -> Footage | None:
    """One clip with its paste; None if the clip is too short, its object not always there, or no paste was good."""
    amodal = sequences.masks(name)[start:stop]
    if len(amodal) < SHORTEST or not amodal.any(axis=(1, 2)).all():
        return None
    for _ in range(TRIES):
        paste = draw_paste(sequences, others, amodal, rng)
        if paste is None:
            continue
        cover = paste.cover(sequences.masks(paste.sequence)[paste.numbers], amodal.shape[1:])
        visible = amodal & ~cover
        if visible.any(axis=(1, 2)).all() and occluded(visible, amodal, longer_than=0):
            break
    else:
        return None

    def read() -> tuple[np.ndarray, np.ndarray]:
        frames = sequences.frames(name, range(start, stop))
        frames = paste.onto(frames, sequences.frames(paste.sequence, paste.numbers), cover)
        return frames, ESTIMATORS[options.flow](frames)

    owner = np.where(cover, OTHER, amodal).astype(np.uint8)
    return Footage(owner, [Track(1, amodal)], read)


def _box(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """First row, last row + 1, first column, last column + 1 of a mask that is not empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
