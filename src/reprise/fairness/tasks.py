"""What a network is trained and judged on: one target of one prepared data set, cut into train, val and test.

Official splits are used as they are. A split that a data set lacks is cut from the others at random, stratified on
(target, protected): a table without splits becomes 50/25/25, an official test set leaves 2/3 and 1/3 of the rest for
train and val, an official val set (FairFace) leaves 70/30 of train for train and test, as the release does.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reprise.data.arrays import DataError, Prepared, open_prepared
from reprise.seeding import derive


@dataclass(frozen=True)
class Split:
    """Inputs x (n, ...), target y (n,) and protected attribute a (n,), both uint8 in {0, 1}."""

    x: "Rows | np.ndarray"
    y: np.ndarray
    a: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


class Rows:
    """A view of some rows of a memory-mapped array: nothing is read before it is indexed."""

    def __init__(self, array: "Rows | np.ndarray", index: np.ndarray) -> None:
        self.array, self.index = array, index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        return self.array[self.index[rows]]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.index), *self.array.shape[1:])


def load(folder: Path, target: str, protected: str, *, draw: int, seed: int, prefix: str = "") -> dict[str, Split]:
    """The splits `train`, `val`, `test` and, where the data set has them, `pairs`.

    Args:
        folder: `data/prepared/NAME`.
        draw: number of the repetition; it picks the draw of generated data and the random cut of the rest.
        seed: `common.seed`.
        prefix: "fair_" picks the rows of the fair-target control of `faces`.
    """
    data = open_prepared(folder)
    names = data.card["label_names"]
    for name in (target, protected):
        if name not in names:
            raise DataError(f"{folder}: no label named {name}; it has {', '.join(names)}")
    labels = np.asarray(data.arrays["labels"])
    y, a = (np.ascontiguousarray(labels[:, names.index(name)]) for name in (target, protected))
    if max(y.max(), a.max()) > 1:
        raise DataError(f"{folder}: {target} and {protected} must be 0 or 1 for everybody")
    splits = data.card["splits"]
    drawn = f"{draw}/{prefix}"
    if any("/" in name for name in splits):
        if f"{drawn}train" not in splits:
            raise DataError(f"{folder}: no draw {draw}; add it to data.{data.name}.draws in params.yaml")
        rows = {
            name: slice(*splits[drawn + name]) for name in ("train", "val", "test", "pairs") if drawn + name in splits
        }
        return {name: Split(data.arrays["x"][part], y[part], a[part]) for name, part in rows.items()}
    index = _cut(data, y, a, derive(seed, "split", data.name, target, protected, draw))
    found = {name: Split(Rows(data.arrays["x"], part), y[part], a[part]) for name, part in index.items()}
    return _standardised(found) if data.arrays["x"].ndim == 2 else found


def _cut(data: Prepared, y: np.ndarray, a: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Row numbers of train, val and test (see the module's docstring)."""
    parts = {name: np.arange(start, stop) for name, (start, stop) in data.card["splits"].items()}
    rest = parts.pop("all") if "all" in parts else parts.pop("train")
    shares = {"val": 0.25, "test": 0.25}
    if "test" in parts:
        shares = {"val": 1 / 3}
    if "val" in parts:
        shares = {"test": 0.3}
    missing = {name: share for name, share in shares.items() if name not in parts}
    rng = np.random.default_rng(seed)
    taken = {name: [] for name in (*missing, "train")}  # type: dict[str, list[np.ndarray]]
    for cell in range(4):
        rows = rng.permutation(rest[(2 * y[rest] + a[rest]) == cell])
        start = 0
        for name, share in missing.items():
            stop = start + round(share * len(rows))
            taken[name].append(rows[start:stop])
            start = stop
        taken["train"].append(rows[start:])
    return parts | {name: np.sort(np.concatenate(rows)) for name, rows in taken.items()}


def _standardised(splits: dict[str, Split]) -> dict[str, Split]:
    """Table features with the mean and standard deviation of the training rows; constant columns become 0."""
    train = np.asarray(splits["train"].x[:], np.float64)
    mean, sd = train.mean(axis=0), train.std(axis=0)
    sd[sd == 0] = np.inf
    return {
        name: Split(((split.x[:] - mean) / sd).astype(np.float32), split.y, split.a) for name, split in splits.items()
    }
