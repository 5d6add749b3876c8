"""The format of a prepared video set: the arrays of `reprise.data.arrays`, whose rows are frames, and who is where.

The frames of all videos stand one after another, the videos of a split together. Per frame (F, H, W):

    frames  uint8 (F, 3, H, W)
    owner   uint8 (F, H, W): whose surface is seen, 0 background, k in 1..254 object k of that video, 255 (`OTHER`)
            something else that hides objects
    flow    float16 (F, 4, H, W): dx, dy of the surface seen to the next frame, then to the previous one, in pixels;
            0 where there is no such frame

and with rows of their own:

    videos  int32 (V, 2): first row and last row + 1
    tracks  int32 (N, 5): video, object k, first row, number of frames, 1 if it is fit to learn and to test occlusion on
    amodal  uint8 (K, H, ceil(W / 8)): full masks of all tracks, frame by frame, track after track, `packbits` along W

The visible mask of object k is owner == k, and what may hide it is (owner != 0) & (owner != k). `amodal` is the hidden
truth: nothing self-supervised opens it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Num, UInt8

from reprise.data.arrays import Writer

OTHER = 255  # owner of what hides objects and is none
BESIDE = ("amodal", "tracks", "videos")


@dataclass(frozen=True)
class Track:
    """One object of a video: its full masks from frame `start` of the video on, and whether occlusion makes it fit."""

    object_id: int
    amodal: Bool[np.ndarray, "t h w"]
    start: int = 0
    occluded: bool = True


class VideoWriter:
    """Writes a video set of known size, one video in memory at a time.

    A context manager around `Writer`: nothing appears under `folder` before `finish`, and a failure leaves what was
    there before. `frames` and `videos` count those of all splits, `track_frames` the frames of all `tracks`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        frames: int,
        height: int,
        width: int,
        videos: int,
        tracks: int,
        track_frames: int,
    ) -> None:
        self._writer = Writer(folder, name=name)
        self._shape = (height, width)
        self._rows = {
            "frames": ((frames, 3, height, width), np.uint8),
            "owner": ((frames, height, width), np.uint8),
            "flow": ((frames, 4, height, width), np.float16),
            "videos": ((videos, 2), np.int32),
            "tracks": ((tracks, 5), np.int32),
            "amodal": ((track_frames, height, -(-width // 8)), np.uint8),
        }
        self._written = {"frames": 0, "videos": 0, "tracks": 0, "amodal": 0}
        self._splits: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        self._writer.__enter__()
        self._arrays = {key: self._writer.create(key, shape, dtype) for key, (shape, dtype) in self._rows.items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._arrays.clear()
        self._writer.__exit__(kind, value, trace)

    def video(
        self,
        frames: UInt8[np.ndarray, "t 3 h w"],
        owner: UInt8[np.ndarray, "t h w"],
        flow: Num[np.ndarray, "t 4 h w"],
        tracks: Sequence[Track],
    ) -> None:
        """Append one video and its tracks (none is allowed).

        Raises ValueError for shapes that do not fit, a track that leaves the video or has an id of another meaning,
        and for more than was announced; the data set is then lost, as `Writer` loses it.
        """
        n = len(frames)
        expected = {"frames": (n, 3, *self._shape), "owner": (n, *self._shape), "flow": (n, 4, *self._shape)}
        for key, array in (("frames", frames), ("owner", owner), ("flow", flow)):
            if array.shape != expected[key] or not n:
                raise ValueError(f"{key} of a video are {array.shape}, expected {expected[key]}")
        number, rows = self._written["videos"], self._take("frames", n)
        for key, array in (("frames", frames), ("owner", owner), ("flow", flow)):
            self._arrays[key][rows] = array
        self._arrays["videos"][self._take("videos", 1)] = (rows.start, rows.stop)
        for track in tracks:
            length = len(track.amodal)
            if track.amodal.shape[1:] != self._shape or not 0 <= track.start < track.start + length <= n:
                raise ValueError(f"a track of {track.amodal.shape} from frame {track.start} on, in a video of {n}")
            if not 1 <= track.object_id < OTHER:
                raise ValueError(f"an object's id is {track.object_id}, it must be in 1..{OTHER - 1}")
            self._arrays["amodal"][self._take("amodal", length)] = np.packbits(track.amodal, axis=-1)
            entry = (number, track.object_id, rows.start + track.start, length, track.occluded)
            self._arrays["tracks"][self._take("tracks", 1)] = entry

    def split(self, name: str) -> None:
        """End a split: all videos written since the last call. Raises ValueError for an empty or a second one."""
        start = max((stop for _, stop in self._splits.values()), default=0)
        if name in self._splits or start == self._written["frames"]:
            raise ValueError(f"split {name!r} is empty or there already")
        self._splits[name] = (start, self._written["frames"])

    def finish(self, **card: Any) -> None:
        """Write the card with the keys of `card` (see `Writer.finish`).

        Raises ValueError if less was written than announced, or videos stand outside the splits.
        """
        for key, written in self._written.items():
            if written != len(self._arrays[key]):
                raise ValueError(f"{written} rows of {key} were written, {len(self._arrays[key])} announced")
        if max((stop for _, stop in self._splits.values()), default=0) != self._written["frames"]:
            raise ValueError("the last videos belong to no split")
        self._writer.finish(splits=self._splits, beside=list(BESIDE), **card)

    def _take(self, key: str, n: int) -> slice:
        """The next n rows of an array."""
        start = self._written[key]
        if start + n > len(self._arrays[key]):
            raise ValueError(f"more rows of {key} than the {len(self._arrays[key])} announced")
        self._written[key] = start + n
        return slice(start, start + n)
