"""ListOps (Nangia and Bowman 2018) with the semantics of the Long Range Arena (Tay et al. 2021): generator and readers.

An expression is an operator with arguments, digits or expressions: [MAX 2 9 [MIN 4 7 ] 0 ]. Operators are MIN, MAX, MED
(the median, truncated to an integer) and SM (the sum modulo 10); the value, a digit, is the class.
"""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from reprise.data import arrays
from reprise.data.arrays import DataError
from reprise.data.sources import provenance
from reprise.params import Section
from reprise.seeding import derive

OPERATORS = ("MIN", "MAX", "MED", "SM")
SYMBOLS = ("", *map(str, range(10)), *(f"[{name}" for name in OPERATORS), "]")  # number 0 is padding
NUMBER = {symbol: k for k, symbol in enumerate(SYMBOLS)}


class Options(Section):
    """`data.listops` in params.yaml."""

    n_train: Annotated[int, Field(ge=10, le=1_000_000)]
    n_test: Annotated[int, Field(ge=10, le=1_000_000)]
    depth: Annotated[int, Field(ge=1, le=20, description="greatest depth of an expression")]
    arguments: Annotated[int, Field(ge=2, le=20, description="greatest number of arguments; at least two")]
    shortest: Annotated[int, Field(ge=4, description="symbols of an expression, brackets included")]
    longest: Annotated[int, Field(le=10_000)]
    digit: Annotated[float, Field(gt=0, lt=1, description="probability that an argument is a digit")]

    @model_validator(mode="after")
    def _ordered(self) -> "Options":
        if self.shortest > self.longest:
            raise ValueError(f"shortest {self.shortest} is more than longest {self.longest}")
        return self


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/listops`: `x` (n, longest) uint8, numbers of `SYMBOLS`, all different, `labels` (n, 1)."""
    random = np.random.default_rng(derive(seed, "listops"))
    total = options.n_train + options.n_test
    found: dict[tuple[str, ...], int] = {}
    tried = 0
    while len(found) < total:
        tried += 1
        if tried > 1000 * total:
            raise DataError(
                f"listops: only {len(found)} different expressions of {options.shortest} to {options.longest} symbols "
                f"came up, {total} are wanted: allow more depth, arguments or length"
            )
        symbols = tuple(expression(random, options.depth, options.arguments, options.digit))
        if options.shortest <= len(symbols) <= options.longest:
            found.setdefault(symbols, value(symbols))
    # Short expressions come up first, so splits are drawn at random.
    pairs = list(found.items())
    pairs = [pairs[k] for k in random.permutation(total)]
    x = np.zeros((total, options.longest), np.uint8)
    for row, (symbols, _) in zip(x, pairs, strict=True):
        row[: len(symbols)] = [NUMBER[symbol] for symbol in symbols]
    arrays.write(
        out,
        name="listops",
        arrays={"x": x, "labels": np.array([answer for _, answer in pairs], np.uint8)[:, None]},
        splits={"iid/train": (0, options.n_train), "iid/test": (options.n_train, total)},
        label_names=["class"],
        classes=[str(k) for k in range(10)],
        domains=["iid"],
        symbols=list(SYMBOLS),
        **provenance("listops", raw),
    )


def expression(random: np.random.Generator, depth: int, arguments: int, digit: float) -> Iterator[str]:
    """Symbols of a random expression of at most `depth` operators inside each other."""
    yield f"[{OPERATORS[random.integers(len(OPERATORS))]}"
    for _ in range(random.integers(2, arguments + 1)):
        if depth == 1 or random.random() < digit:
            yield str(random.integers(10))
        else:
            yield from expression(random, depth - 1, arguments, digit)
    yield "]"


def value(symbols: Sequence[str]) -> int:
    """Of an expression. Raises DataError, with the place, for symbols that are none."""
    stack: list[tuple[str, list[int]]] = [("", [])]
    for place, symbol in enumerate(symbols):
        if symbol[:1] == "[" and symbol[1:] in OPERATORS:
            stack.append((symbol[1:], []))
        elif symbol == "]" and len(stack) > 1 and stack[-1][1]:
            name, numbers = stack.pop()
            stack[-1][1].append(_applied(name, numbers))
        elif symbol in NUMBER and symbol.isdigit():
            stack[-1][1].append(int(symbol))
        else:
            raise DataError(f"listops: {symbol!r} cannot stand at place {place} of {' '.join(symbols)[:80]}")
    if len(stack) != 1 or len(stack[0][1]) != 1:
        raise DataError(f"listops: {' '.join(symbols)[:80]} is no whole expression")
    return stack[0][1][0]


def _applied(name: str, numbers: list[int]) -> int:
    if name == "MED":
        return int(statistics.median(numbers))
    if name == "SM":
        return sum(numbers) % 10
    return min(numbers) if name == "MIN" else max(numbers)


def symbols_of(text: str) -> list[str]:
    """Symbols of a line of either release, whose parentheses only mark a binary tree."""
    return [part for part in text.replace("(", " ").replace(")", " ").split() if part]
