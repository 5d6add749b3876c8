"""The format of `data/prepared/NAME/`: plain `.npy` arrays, opened as memory maps, and one `card.json`.

The card holds the format's version, the arrays' shapes, dtypes and sha256, the splits (contiguous row ranges
`[start, stop)` of every array's first axis, but for those with rows of their own, named in `beside`), the label names,
licence, citation, the hashes of the source files, and whatever else a data set wants to say. It is written with sorted
keys and no timestamps: equal data, equal card.

By convention `x` is uint8 images (n, 3, h, w) or float32 table features (n, d), not standardised, and `labels` is
uint8 (uint16 for many classes) (n, k) with `label_names`.
"""

import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import DTypeLike

from reprise.errors import UserError, disk_problem

FORMAT = 1
CARD = "card.json"
ARRAY_FILE = re.compile(r"[a-z][a-z0-9_]*\.npy")
CARD_KEYS = {"format", "name", "arrays", "splits", "label_names"}


class DataError(UserError):
    """Data that cannot be read or written; the message is one line that names the file and the remedy."""


@contextmanager
def aside(folder: Path, error: type[DataError] = DataError) -> Iterator[Path]:
    """Yield an empty sibling folder that takes the place of `folder` when the block ends well, and vanishes if not.

    A full or read-only disk is raised as `error`. A killed process leaves only the hidden sibling, which the next run
    clears away.
    """
    partial, previous = (folder.with_name(f".{folder.name}.{end}") for end in ("partial", "previous"))
    try:
        for leftover in (partial, previous):
            if leftover.exists():
                shutil.rmtree(leftover)
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rename(previous)  # a folder cannot be renamed over one that is not empty
        partial.rename(folder)
        shutil.rmtree(previous, ignore_errors=True)
    except BaseException as failure:
        shutil.rmtree(partial, ignore_errors=True)
        reason = disk_problem(failure, folder)
        if reason is None:
            raise
        raise error(reason) from failure


class Writer:
    """Writes one prepared data set, array by array, for arrays too large for memory.

    A context manager: nothing appears under `folder` before `finish`, and a failure leaves what was there before.
    """

    def __init__(self, folder: Path, *, name: str) -> None:
        self.folder = folder
        self.name = name
        self._arrays: dict[str, np.memmap] = {}
        self._finished = False
        self._aside = aside(folder)

    def __enter__(self) -> Self:
        self._partial = self._aside.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._arrays.clear()
        if value is None and not self._finished:
            value = RuntimeError(f"{self.folder}: left without finish(), nothing is written")
            self._aside.__exit__(RuntimeError, value, None)
            raise value
        self._aside.__exit__(kind, value, trace)

    def create(self, key: str, shape: Sequence[int], dtype: DTypeLike) -> np.memmap:
        """A new array of zeros on disk, to be filled in place; `key` is how `Prepared.arrays` will call it."""
        file = f"{key}.npy"
        if not ARRAY_FILE.fullmatch(file) or key in self._arrays:
            raise ValueError(f"array name {key!r} is taken or not of the form {ARRAY_FILE.pattern}")
        if np.dtype(dtype).hasobject or not shape or min(shape) < 1:
            raise ValueError(f"array {key!r}: {np.dtype(dtype)} {tuple(shape)} is not a plain array with rows")
        path = self._partial / file
        array = open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=tuple(shape))
        if hasattr(os, "posix_fallocate"):
            # A write into a mapped hole of a full disk kills the process (SIGBUS); asking for the blocks raises ENOSPC.
            with path.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
        self._arrays[key] = array
        return array

    def finish(self, *, splits: Mapping[str, tuple[int, int]], label_names: Sequence[str] = (), **extra: Any) -> None:
        """Hash the arrays and write the card; the folder appears when the `with` block ends.

        `extra` becomes top-level keys of the card and must be JSON. Raises ValueError when a split is out of range
        or the label names do not fit `labels`.
        """
        if taken := CARD_KEYS & extra.keys():
            raise ValueError(f"{sorted(taken)} are the card's own keys")
        card: dict[str, Any] = {
            **extra,
            "format": FORMAT,
            "name": self.name,
            "splits": {split: [int(start), int(stop)] for split, (start, stop) in splits.items()},
            "label_names": list(label_names),
            "arrays": {},
        }
        for key, array in self._arrays.items():
            array.flush()
            digest = sha256(self._partial / f"{key}.npy")
            card["arrays"][f"{key}.npy"] = {"shape": list(array.shape), "dtype": array.dtype.str, "sha256": digest}
        if problem := card_problem(card):
            raise ValueError(f"{self.folder}: {problem}")
        text = json.dumps(card, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (self._partial / CARD).write_text(text + "\n", encoding="utf-8", newline="\n")
        self._finished = True


def write(
    folder: Path,
    *,
    name: str,
    arrays: Mapping[str, np.ndarray],
    splits: Mapping[str, tuple[int, int]],
    label_names: Sequence[str] = (),
    **extra: Any,
) -> None:
    """Write a whole data set that fits in memory (see `Writer`)."""
    with Writer(folder, name=name) as writer:
        for key, array in arrays.items():
            writer.create(key, array.shape, array.dtype)[...] = array
        writer.finish(splits=splits, label_names=label_names, **extra)


def ranges(sizes: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Row ranges of splits that follow one another."""
    ends = [0, *itertools.accumulate(sizes.values())]
    return dict(zip(sizes, itertools.pairwise(ends), strict=True))


@dataclass(frozen=True)
class Prepared:
    """A prepared data set: its card, its arrays as read-only memory maps, and one hash that stands for all of it."""

    name: str
    card: dict[str, Any]
    arrays: dict[str, np.ndarray]
    digest: str

    def rows(self, split: str) -> slice:
        """The rows of `split`, for the first axis of every array. Raises DataError for an unknown split."""
        try:
            return slice(*self.card["splits"][split])
        except KeyError:
            known = ", ".join(self.card["splits"])
            raise DataError(f"{self.name} has no split {split!r}; it has {known}") from None


def open_prepared(folder: Path) -> Prepared:
    """Open `data/prepared/NAME` and check that the arrays are the ones its card describes.

    Shapes, dtypes and file sizes are checked, the hashes are not (DVC does that, and arrays may be huge). Raises
    DataError, with the command that repairs it, for anything missing, truncated or inconsistent.
    """
    path = folder / CARD
    again = remedy(folder)
    try:
        text = path.read_bytes()
        card = json.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path} is missing: {remedy(folder, options='')}") from None
    except ValueError:
        raise DataError(f"{path} is not valid JSON: {again}") from None
    if problem := card_problem(card):
        raise DataError(f"{path}: {problem}: {again}")
    arrays = {}
    for file, facts in card["arrays"].items():
        try:
            array = np.load(folder / file, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise DataError(f"{folder / file} is missing: {again}") from None
        except (ValueError, EOFError) as failure:
            raise DataError(f"{folder / file} is truncated or not a .npy file ({failure}): {again}") from None
        found = (list(array.shape), array.dtype.str)
        if found != (facts["shape"], facts["dtype"]):
            raise DataError(f"{folder / file} is {found}, the card says {facts['shape'], facts['dtype']}: {again}")
        if (folder / file).stat().st_size != array.offset + array.nbytes:
            raise DataError(f"{folder / file} is longer than its array: {again}")
        arrays[file.removesuffix(".npy")] = array
    return Prepared(card["name"], card, arrays, hashlib.sha256(text).hexdigest())


def remedy(folder: Path, options: str = "-f -s ") -> str:
    """How to make `folder` again, for a message. Whether its data set is fetched or generated is not known here."""
    return f"run `dvc repro {options}prepare@{folder.name}` (`generate@{folder.name}` if it is a generated data set)"


def card_problem(card: Any) -> str | None:
    """What is wrong with a card, or None."""
    if not isinstance(card, dict) or not card.keys() >= CARD_KEYS:
        return f"not a card: it lacks some of {', '.join(sorted(CARD_KEYS))}"
    if card["format"] != FORMAT:
        return f"format {card['format']}, this version of reprise reads format {FORMAT}"
    rows, beside = set(), set(card.get("beside", ()))
    for file, facts in card["arrays"].items():
        if (
            not ARRAY_FILE.fullmatch(file)
            or not isinstance(facts, dict)
            or facts.keys() != {"shape", "dtype", "sha256"}
        ):
            return f"array {file!r} is not described by shape, dtype and sha256"
        if file.removesuffix(".npy") not in beside:
            rows.add(facts["shape"][0])
    if len(rows) != 1:
        return f"the arrays do not share one number of rows: {sorted(rows)}"
    (n,) = rows
    for split, (start, stop) in card["splits"].items():
        if not 0 <= start < stop <= n:
            return f"split {split!r} is [{start}, {stop}), outside the {n} rows or empty"
    labels = card["arrays"].get("labels.npy")
    if card["label_names"] and (labels is None or labels["shape"][1:] != [len(card["label_names"])]):
        return f"{len(card['label_names'])} label names, but labels are {labels and labels['shape']}"
    return None


def sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
