"""Tracks of objects through videos, as the prepared data hold them; the hidden truth has a reader of its own.

A prepared video set has one row per frame: `frames` uint8 (f, 3, h, w), `owner` uint8 (f, h, w), the number of the
object whose surface is visible (0 background, 255 something that hides others and is no object), and `flow` float16
(f, 4, h, w), the motion in pixels to the next and to the previous frame. Beside them stand `videos` (v, 2), their first
row and last row + 1, `tracks` (n, 5): video, object, first row, length, 1 if the object is partly hidden in some inner
frame, and `amodal`, the full masks of all tracks one after another, packed to bits. `Tracks` never opens the last.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from reprise.data.arrays import DataError, Prepared, open_prepared

HIDDEN_TRUTH = "amodal"


class Tracks:
    """The tracks of one split.

    Attributes:
        table: (n, 5) as above, first rows counted from the start of the data set.
        numbers: (n,) their places among all tracks of the data set.
    """

    def __init__(self, folder: Path, split: str, *, occluded: bool = True) -> None:
        self.data = open_prepared(folder)
        rows, table = self.data.rows(split), self.data.arrays["tracks"]
        chosen = (table[:, 2] >= rows.start) & (table[:, 2] < rows.stop)
        if occluded:
            chosen &= table[:, 4] == 1
        self.numbers = np.flatnonzero(chosen)
        self.table = np.array(table[chosen])
        if len(self.table) == 0:
            raise DataError(f"{folder}: no track of an occluded object in split {split!r}: nothing to learn or judge")

    def __len__(self) -> int:
        return len(self.table)

    @property
    def lengths(self) -> np.ndarray:
        return self.table[:, 3]

    def digest(self) -> str:
        """Stands for all that self-supervised training may read: everything but the hidden truth."""
        return visible_digest(self.data)

    def columns(self, samples: np.ndarray, length: int, *, truth: bool = False) -> Mapping[str, "Column"]:
        """Clips as lazy arrays for `reprise.training.fit`.

        Args:
            samples: (m, 2) number of a track (a row of `table`) and the first frame of the clip within it.
            length: frames of a clip; tracks that end before are padded with their last frame.
            truth: add `amodal`, for supervised baselines.

        Returns: `frames` (m, t, 3, h, w), `owner` (m, t, h, w), `flow` (m, t, 4, h, w), `object` (m,), `count` (m,).
        """
        names = ["frames", "owner", "flow", "object", "count", *([HIDDEN_TRUTH] if truth else [])]
        return {name: Column(self, name, samples, length) for name in names}

    def rows(self, samples: np.ndarray, length: int) -> np.ndarray:
        """(m, t) rows of the frames of clips."""
        _, _, first, available, _ = self.table[samples[:, 0]].T
        steps = np.minimum(samples[:, 1, None] + np.arange(length), available[:, None] - 1)
        return first[:, None] + steps


class Column:
    """One array of clips, gathered when asked for."""

    def __init__(self, tracks: Tracks, name: str, samples: np.ndarray, length: int) -> None:
        self.tracks, self.name, self.samples, self.length = tracks, name, samples, length

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        chosen, tracks = self.samples[rows], self.tracks
        if self.name == "object":
            return tracks.table[chosen[:, 0], 1]
        if self.name == "count":
            return np.minimum(tracks.lengths[chosen[:, 0]] - chosen[:, 1], self.length)
        if self.name == HIDDEN_TRUTH:
            return Truth(tracks).clips(chosen, self.length)
        return tracks.data.arrays[self.name][tracks.rows(chosen, self.length)]


class Truth:
    """Full masks of tracks: for evaluation and for supervised baselines, never for self-supervised training."""

    def __init__(self, tracks: Tracks) -> None:
        self.tracks = tracks
        everything = tracks.data.arrays["tracks"]
        self.starts = (np.cumsum(everything[:, 3]) - everything[:, 3])[tracks.numbers]
        self.packed = tracks.data.arrays[HIDDEN_TRUTH]
        self.width = tracks.data.arrays["owner"].shape[2]

    def track(self, number: int) -> np.ndarray:
        """bool (t, h, w), all frames of one track (a row of `Tracks.table`)."""
        start = self.starts[number]
        return self._unpacked(self.packed[start : start + self.tracks.lengths[number]])

    def clips(self, samples: np.ndarray, length: int) -> np.ndarray:
        """bool (m, t, h, w), as `Tracks.columns`."""
        steps = np.minimum(samples[:, 1, None] + np.arange(length), self.tracks.lengths[samples[:, 0], None] - 1)
        return self._unpacked(self.packed[self.starts[samples[:, 0], None] + steps])

    def _unpacked(self, bits: np.ndarray) -> np.ndarray:
        return np.unpackbits(bits, axis=-1, count=self.width).astype(bool)


def visible_digest(data: Prepared) -> str:
    """A hash of all arrays but the hidden truth."""
    facts = sorted((file, about["sha256"]) for file, about in data.card["arrays"].items())
    return hashlib.sha256(repr([fact for fact in facts if fact[0] != f"{HIDDEN_TRUTH}.npy"]).encode()).hexdigest()


def windows(lengths: np.ndarray, clip: int, count: int, random: np.random.Generator) -> np.ndarray:
    """(count, 2) tracks, each equally often, and random first frames of clips of `clip` frames (0 for shorter ones)."""
    rounds = -(-count // len(lengths))
    track = np.concatenate([random.permutation(len(lengths)) for _ in range(rounds)])[:count]
    latest = np.maximum(lengths[track] - clip, 0)
    return np.stack([track, random.integers(0, latest + 1)], 1)
