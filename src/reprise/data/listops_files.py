"""ListOps as published: the Long Range Arena's files (Tay et al. 2021) and those of Nangia and Bowman (2018).

    lra_listops   basic_train.tsv, basic_val.tsv, basic_test.tsv: Source and Target, 500 to 2,000 symbols
    nyu_listops   train_d20s.tsv, test_d20s.tsv: value and expression, mostly short, up to about a thousand symbols

Symbols are those of `reprise.data.listops`, parentheses dropped, "]" one of them. Every value is computed anew, and
one that differs from the file's stops the stage: the files are what they should be, or nothing is written.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from reprise.data.arrays import DataError, Writer, ranges
from reprise.data.listops import NUMBER, SYMBOLS, symbols_of, value
from reprise.data.sources import located, provenance
from reprise.params import Section


class Options(Section):
    """`data.lra_listops` and `data.nyu_listops` in params.yaml."""

    longest: Annotated[int, Field(ge=4, le=10_000, description="symbols; longer expressions are left out")]
    max_train: Annotated[int | None, Field(ge=1, description="training expressions; null keeps all")]
    max_eval: Annotated[int | None, Field(ge=1, description="expressions of each other split; null keeps all")]


def lra(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/lra_listops`, splits `iid/train`, `iid/val` and `iid/test`."""
    files = {f"iid/{part}": located(raw) / f"basic_{part}.tsv" for part in ("train", "val", "test")}
    _prepare("lra_listops", raw, out, options, files, _lra_row)


def nyu(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/nyu_listops`, splits `iid/train` and `iid/test`."""
    files = {f"iid/{part}": located(raw) / f"{part}_d20s.tsv" for part in ("train", "test")}
    _prepare("nyu_listops", raw, out, options, files, _nyu_row)


def _lra_row(line: int, first: str, second: str) -> tuple[str, str] | None:
    return None if line == 1 and (first, second) == ("Source", "Target") else (first, second)


def _nyu_row(line: int, first: str, second: str) -> tuple[str, str] | None:
    return second, first


def _prepare(
    name: str,
    raw: Path,
    out: Path,
    options: Options,
    files: dict[str, Path],
    row_of: Callable[[int, str, str], tuple[str, str] | None],
) -> None:
    """Write `x` (n, longest) uint8, zeros at the end, and `labels` (n, 1); rows in the order of the files.

    Files are read twice, once to count, so that no more than a line of them is held. Raises DataError with the line
    that is no expression or has another value.
    """

    def kept(split: str) -> Iterator[tuple[int, list[str], str]]:
        """(line, symbols, value) of the expressions that are short enough."""
        cap = options.max_train if split == "iid/train" else options.max_eval
        rows = _rows(files[split], row_of)
        return islice(((line, x, y) for line, x, y in rows if len(x) <= options.longest), cap)

    splits = ranges({split: sum(1 for _ in kept(split)) for split in files})
    for split, (start, stop) in splits.items():
        if start == stop:
            raise DataError(
                f"{files[split]} has no expression of at most {options.longest} symbols: raise data.{name}.longest"
            )
    n = max(stop for _, stop in splits.values())
    with Writer(out, name=name) as writer:
        x = writer.create("x", (n, options.longest), np.uint8)
        labels = writer.create("labels", (n, 1), np.uint8)
        for split, (start, _) in splits.items():
            for row, (line, symbols, expected) in enumerate(kept(split), start):
                where = f"{files[split]}, line {line}"
                try:
                    found = value(symbols)
                except DataError as failure:
                    raise DataError(f"{where}: {failure}: get the official file") from failure
                if str(found) != expected:
                    raise DataError(f"{where} has the value {found}, the file says {expected}: get the official file")
                x[row, : len(symbols)] = [NUMBER[symbol] for symbol in symbols]
                labels[row] = found
        writer.finish(
            splits=splits,
            label_names=["class"],
            classes=[str(k) for k in range(10)],
            domains=["iid"],
            symbols=list(SYMBOLS),
            **provenance(name, raw),
        )


def _rows(
    path: Path, row_of: Callable[[int, str, str], tuple[str, str] | None]
) -> Iterator[tuple[int, list[str], str]]:
    """(line, symbols, value) of a file of two columns."""
    try:
        with path.open(encoding="ascii") as stream:
            for line, text in enumerate(stream, 1):
                columns = text.rstrip("\n").split("\t")
                if len(columns) != 2:
                    raise DataError(f"{path}, line {line} has {len(columns)} columns, not 2: get the official file")
                if row := row_of(line, *columns):
                    yield line, symbols_of(row[0]), row[1]
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing: put it there and run `dvc repro -f -s download@{path.parent.name}`"
        ) from None
    except UnicodeDecodeError as failure:
        raise DataError(f"{path} is damaged ({failure}): get the official file") from failure
