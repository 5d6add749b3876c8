"""Progress of what takes long: a bar with rate and time left on a terminal, one line a minute in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

EVERY = 60.0  # seconds between two lines of a log

Item = TypeVar("Item")


class Bar:
    """Counts up to `total`; takes the place of a `tqdm` bar where a library wants one (pooch).

    A log gets nothing from what is over within a minute.
    """

    def __init__(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done, self.start = 0, time.monotonic()
        self.last = self.start
        self.bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, desc=name, unit=unit, unit_scale=unit == "B")

    def update(self, steps: int = 1, note: str = "") -> None:
        """Count `steps` more; `note` ends a line of the log."""
        self.done += steps
        if self.bar is not None:
            self.bar.update(steps)
        elif (now := time.monotonic()) - self.last >= EVERY:
            self.last = now
            print(f"{self.name}: {said(self.done, self.total, now - self.start, self.unit)}{note}", flush=True)

    def reset(self) -> None:
        """Count from nought again."""
        self.done = 0
        if self.bar is not None:
            self.bar.reset(self.total)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def track(items: Iterable[Item], name: str, total: int, unit: str) -> Iterator[Item]:
    """The items, counted as each is done with."""
    bar = Bar(name, total, unit)
    try:
        for item in items:
            yield item
            bar.update()
    finally:
        bar.close()


def said(done: int, total: int, seconds: float, unit: str) -> str:
    """ "3 of 12 jobs, 2.1 s/job, 18 s left"; bytes ("B") as MB."""
    left = _time((total - done) * seconds / max(done, 1))
    rate = done / seconds
    if unit == "B":
        return f"{done / 1e6:.0f} of {total / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s, {left} left"
    speed = f"{rate:.1f} {unit}s/s" if rate >= 1 else f"{seconds / max(done, 1):.1f} s/{unit}"
    return f"{done} of {total} {unit}s, {speed}, {left} left"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
