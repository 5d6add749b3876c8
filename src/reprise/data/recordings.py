"""What the loaders of recorded video share: from masks and images at their own size to a prepared video set.

A loader describes every video as a `Recording` and `write` does the rest, in two passes: the number of rows must be
known before the first is written, and no more than one clip is ever in memory. Frames and flow are interpolated to
the size asked for; masks are sampled at the nearest point, all at the same ones, so a visible mask stays inside its
full mask and a hidden pixel stays under what hides it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image

from reprise.data.arrays import DataError
from reprise.data.videos import OTHER, Track, VideoWriter
from reprise.progress import Bar

LOWEST, HIGHEST = 0.1, 0.7  # occlusion rates between which a frame is scored, both excluded
TEST_FRAMES = 10  # a track must be longer to be tested on

Masks = tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]


@dataclass(frozen=True)
class Tracked:
    """One object over an unbroken run of frames; `masks(t)` is its visible and its full mask, at the video's size.

    A full mask without a pixel says that the truth of that frame is not known.
    """

    start: int
    stop: int
    masks: Callable[[int], Masks]


@dataclass(frozen=True)
class Recording:
    """One video of `n` frames at its own size; everything in it is read only when it is needed.

    `hiding(t)` is the union of whatever may hide an object in frame t (the objects' own masks may be in it, and win);
    `images(start, stop)` are those frames and `flow(start, stop, frames)` their flow, both at the prepared size;
    `fit(visible, amodal)` says whether a piece of a track, (t, h, w) at the video's size, is marked as occluded.
    """

    name: str
    n: int
    objects: Sequence[Tracked]
    hiding: Callable[[int], Bool[np.ndarray, "h w"]]
    images: Callable[[int, int], UInt8[np.ndarray, "t 3 h w"]]
    flow: Callable[[int, int, np.ndarray], Shaped[np.ndarray, "t 4 h w"]]
    fit: Callable[[np.ndarray, np.ndarray], bool]


@dataclass(frozen=True)
class Footage:
    """One clip, ready to be written; `read` gives its frames and its flow."""

    owner: UInt8[np.ndarray, "t h w"]
    tracks: Sequence[Track]
    read: Callable[[], tuple[np.ndarray, np.ndarray]]


def write(
    out: Path,
    *,
    name: str,
    height: int,
    width: int,
    splits: Mapping[str, Callable[[], Iterable[Footage]]],
    **card: Any,
) -> None:
    """Write all clips that have a track, split by split. Every reader is called twice and must repeat itself.

    Raises DataError for a split without a track.
    """
    frames = videos = tracks = track_frames = 0
    for split, clips in splits.items():
        before = tracks
        for clip in _tracked(clips()):
            frames, videos, tracks = frames + len(clip.owner), videos + 1, tracks + len(clip.tracks)
            track_frames += sum(len(track.amodal) for track in clip.tracks)
        if tracks == before:
            raise DataError(f"{name}: {split} holds no object that can be tracked: allow more videos or a larger size")
    counts = {"frames": frames, "videos": videos, "tracks": tracks, "track_frames": track_frames}
    with VideoWriter(out, name=name, height=height, width=width, **counts) as writer:
        bar = Bar(name, videos, "clip")
        for split, clips in splits.items():
            for clip in _tracked(clips()):
                images, flow = clip.read()
                writer.video(images, clip.owner, flow, clip.tracks)
                bar.update()
            writer.split(split)
        bar.close()
        writer.finish(**card)


def _tracked(clips: Iterable[Footage]) -> Iterator[Footage]:
    return (clip for clip in clips if clip.tracks)


def footage(recording: Recording, height: int, width: int, clip: int | None) -> Iterator[Footage]:
    """The clips of a recording. A track is cut where its clip ends, and ends where nothing of it can be seen.

    Raises DataError if more than 254 objects are in one clip.
    """
    for start, stop in cuts(recording.n, clip):
        owner = np.stack([OTHER * resize_mask(recording.hiding(t), height, width) for t in range(start, stop)])
        tracks: list[Track] = []
        for thing in recording.objects:
            first, last = max(start, thing.start), min(stop, thing.stop)
            if first >= last:
                continue
            if len(tracks) == OTHER - 1:
                raise DataError(f"{recording.name}: more than {OTHER - 1} objects in one clip: choose a shorter `clip`")
            visible, amodal = (np.stack(masks) for masks in zip(*map(thing.masks, range(first, last)), strict=True))
            small, whole = (resize_mask(masks, height, width) for masks in (visible, amodal))
            run = first_run([bool(mask.any()) for mask in small])
            if run is None:
                continue  # never visible, or too small to be seen at this size
            number = len(tracks) + 1
            owner[first - start : last - start][small] = number
            fit = recording.fit(visible[run], amodal[run])
            tracks.append(Track(number, whole[run], first - start + run.start, occluded=fit))

        def read(start: int = start, stop: int = stop) -> tuple[np.ndarray, np.ndarray]:
            images = recording.images(start, stop)
            return images, recording.flow(start, stop, images)

        yield Footage(owner, tracks, read)


def cuts(n: int, clip: int | None) -> list[tuple[int, int]]:
    """First frame and last + 1 of consecutive clips of at most `clip` frames; None makes one of all."""
    length = clip or n
    return [(start, min(start + length, n)) for start in range(0, n, length)]


def first_run(good: Sequence[bool]) -> slice | None:
    """The first unbroken run of true values; None if there is none."""
    edges = np.flatnonzero(np.diff([False, *good, False]))
    return slice(int(edges[0]), int(edges[1])) if len(edges) else None


def span(frames: Iterable[Any], where: str) -> tuple[int, int]:
    """First frame and last + 1 of a track. Raises DataError if frames between them are missing, or all are."""
    numbers = sorted(int(frame) for frame in frames)
    if not numbers or numbers[-1] - numbers[0] != len(numbers) - 1:
        raise DataError(f"{where}: the track is empty or has gaps: get the annotation again")
    return numbers[0], numbers[-1] + 1


def occlusion_rate(visible: Bool[np.ndarray, "t h w"], amodal: Bool[np.ndarray, "t h w"]) -> Float[np.ndarray, " t"]:
    """r = 1 - |V| / |M| of every frame; 0 where the full mask is not known (or the object not there)."""
    seen, whole = (masks.sum(axis=(1, 2)) for masks in (visible, amodal))
    return np.where(whole > 0, 1 - seen / np.maximum(whole, 1), 0)


def occluded(visible: np.ndarray, amodal: np.ndarray, longer_than: int = TEST_FRAMES) -> bool:
    """SaVos' rule for test tracks: more than 10 frames, one of them scored (no end of the track) and 0.1 < r < 0.7."""
    rate = occlusion_rate(visible, amodal)[1:-1]
    return len(visible) > longer_than and bool(((rate > LOWEST) & (rate < HIGHEST)).any())


def resize_mask(mask: Shaped[np.ndarray, "*t h w"], height: int, width: int) -> Shaped[np.ndarray, "*t height width"]:
    """Masks or labels at the nearest of the centres of height x width equal fields."""
    rows, columns = (
        ((np.arange(n) + 0.5) * length / n).astype(int)
        for n, length in zip((height, width), mask.shape[-2:], strict=True)
    )
    return mask[..., rows[:, None], columns]


def read_images(
    paths: Sequence[Path], shape: tuple[int, int], height: int, width: int
) -> UInt8[np.ndarray, "t 3 height width"]:
    """Decode image files as RGB at this size. Raises DataError for one that is missing, corrupt, or not of `shape`."""
    return np.stack([resize_image(open_image(path).convert("RGB"), shape, height, width, str(path)) for path in paths])


def open_image(path: Path) -> Image.Image:
    """Decode one image file, in its own mode. Raises DataError if it is missing or corrupt."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise DataError(f"the image {path} is missing: unpack the archive again") from None
    except (OSError, SyntaxError, ValueError) as failure:
        raise DataError(f"the image {path} is corrupt ({failure}): unpack the archive again") from failure


def resize_image(
    image: Image.Image, shape: tuple[int, int], height: int, width: int, where: str
) -> UInt8[np.ndarray, "3 height width"]:
    """An RGB image at this size (antialiased bilinear). Raises DataError if it is not of `shape`, as its masks are."""
    if image.size != shape[::-1]:
        raise DataError(
            f"{where} is {image.size[1]}x{image.size[0]}, its masks are {'x'.join(map(str, shape))}: "
            "masks and frames are not of one release, get them again"
        )
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def numbered(folder: Path, suffix: str) -> list[Path]:
    """The files of a folder that end in `suffix`, by the last number in their names.

    Raises DataError if there are none, or one is missing between the first and the last.
    """
    files = {}
    for path in folder.glob(f"*{suffix}"):
        if digits := re.findall(r"\d+", path.stem):
            files[int(digits[-1])] = path
    if not files:
        raise DataError(f"{folder} holds no *{suffix}: unpack the archive again")
    order = sorted(files)
    for number, following in pairwise(order):
        if following != number + 1:
            raise DataError(f"{folder}: frame {number + 1} (after {files[number].name}) is missing: get it again")
    return [files[number] for number in order]


def flow_files(folder: Path, n: int) -> list[Path]:
    """The n - 1 `.flo` files between n frames. Raises DataError for another number of them."""
    files = numbered(folder, ".flo") if n > 1 else []
    if len(files) != max(n - 1, 0):
        raise DataError(f"{folder} holds {len(files)} files for {n} frames, expected {n - 1}: unpack them again")
    return files
