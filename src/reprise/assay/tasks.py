"""What a network of the assay is trained and judged on: domains of one prepared data set, as memory-mapped rows.

Splits are `<domain>/train`, `<domain>/val`, `<domain>/test`. A few-shot regime takes the first k images of each class
in the (already shuffled) order of the training split, as the official code does: one fixed subset per domain and k.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reprise.data.arrays import DataError, Prepared, open_prepared
from reprise.seeding import derive


@dataclass(frozen=True)
class Split:
    """Images x (n, c, h, w) uint8, classes y (n,) int64 and the rows of the prepared arrays they come from."""

    x: np.ndarray
    y: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


class Task:
    """One prepared data set with the classes and domains of its card."""

    def __init__(self, folder: Path) -> None:
        self.data: Prepared = open_prepared(folder)
        self.labels = np.asarray(self.data.arrays["labels"])[:, 0].astype(np.int64)
        self.classes = len(self.data.card["classes"])
        self.shape: tuple[int, ...] = self.data.arrays["x"].shape[1:]

    def split(self, domain: str, name: str) -> Split:
        """One split of a domain; x stays on disk. Raises DataError for one the data set lacks."""
        return self._take(np.arange(*self._range(domain, name)))

    def train(self, domain: str, regime: str) -> Split:
        """The training images of a domain: all of them, or the first k per class."""
        start, stop = self._range(domain, "train")
        rows = np.arange(start, stop)
        if regime != "full":
            rows = rows[first_per_class(self.labels[rows], int(regime.removeprefix("fewshot_")))]
        return self._take(rows)

    def sample(self, domain: str, name: str, n: int | None, seed: int) -> Split:
        """The split, or n images of it drawn once for all runs, in the order of the rows."""
        start, stop = self._range(domain, name)
        rng = np.random.default_rng(derive(seed, "assay", self.data.name, "sample", domain, name))
        return self._take(start + np.sort(rng.permutation(stop - start)[:n]))

    def _range(self, domain: str, name: str) -> tuple[int, int]:
        rows = self.data.rows(f"{domain}/{name}")
        return rows.start, rows.stop

    def _take(self, rows: np.ndarray) -> Split:
        x = self.data.arrays["x"]
        whole = len(rows) and len(rows) == rows[-1] - rows[0] + 1
        return Split(x[rows[0] : rows[-1] + 1] if whole else x[rows], self.labels[rows], rows)


def first_per_class(y: np.ndarray, k: int) -> np.ndarray:
    """Indices, ascending, of the first k rows of each class; of all its rows where a class has fewer."""
    order = np.argsort(y, kind="stable")
    starts = np.searchsorted(y[order], y[order])  # of each row's class, in the sorted order
    return np.sort(order[np.arange(len(y)) - starts < k])


def check_domains(task: Task, domains: list[str], splits: tuple[str, ...]) -> None:
    """Raise DataError, before any work, if a domain of the parameters is not in the data."""
    known = task.data.card["splits"]
    absent = sorted({f"{domain}/{split}" for domain in domains for split in splits} - set(known))
    if absent:
        has = ", ".join(task.data.card["domains"])
        raise DataError(f"data set {task.data.name} has no {', '.join(absent[:3])}; its domains: {has}")
