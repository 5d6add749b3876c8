"""Small pictures and four-word questions with the answers yes and no, after NLVR (Suhr et al. 2017).

A picture of 16x16 pixels has 4x4 cells and 2 to 7 objects, each of three colours and three shapes. Four types of
question, each answered equally often with yes and with no:

    exists red cross .     is there one?
    count blue is 2        are there so many of this colour?
    more red than green    are there more of the one colour than of the other?
    all cross are red      are all crosses red? (asked where there are any)
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float, Int, UInt8
from pydantic import Field

from reprise.data import arrays
from reprise.data.sources import provenance
from reprise.params import Section
from reprise.seeding import derive

COLOURS = ("red", "green", "blue")
SHAPES = ("square", "cross", "corner")
NUMBERS = ("1", "2", "3", "4")
WORDS = ("", *COLOURS, *SHAPES, *NUMBERS, "exists", "count", "more", "all", "is", "than", "are", ".")  # 0 is padding
WORD = {word: k for k, word in enumerate(WORDS)}
TYPES = ("exists", "count", "more", "all")
CELLS, CELL = 4, 4
BITMAPS = np.array(
    [
        [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]],
        [[0, 1, 0, 0], [1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]],
        [[1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]],
    ],
    dtype=np.float32,
)
NOISE = 0.05

Objects = Int[np.ndarray, "k 2"]  # colour and shape of each


class Options(Section):
    """`data.nlvr_mini` in params.yaml."""

    n_train: Annotated[int, Field(ge=8, le=1_000_000, multiple_of=8, description="two answers to four types")]
    n_test: Annotated[int, Field(ge=8, le=1_000_000, multiple_of=8)]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/nlvr_mini`.

    `x` (n, 3, 16, 16) uint8, `text` (n, 4) uint8 numbers of `WORDS`, `type` (n,) uint8 and `labels` (n, 1): 1 is yes.
    """
    random = np.random.default_rng(derive(seed, "nlvr_mini"))
    total = options.n_train + options.n_test
    quota = {(kind, yes): total // 8 for kind in range(len(TYPES)) for yes in (False, True)}
    found: list[tuple[np.ndarray, list[int], int, bool]] = []
    while quota:
        kind = int(random.integers(len(TYPES)))
        things = objects(random)
        words = QUESTIONS[TYPES[kind]](things, random)
        yes = bool(answer(things, words))
        if (kind, yes) in quota:
            found.append((picture(things, random), [WORD[word] for word in words], kind, yes))
            quota[kind, yes] -= 1
            if not quota[kind, yes]:
                del quota[kind, yes]
    # The last ones are all of the kinds that fill up slowly: splits are drawn at random.
    order = random.permutation(total)
    x, text, kinds, answers = (np.array([row[k] for row in found])[order] for k in range(4))
    arrays.write(
        out,
        name="nlvr_mini",
        arrays={
            "x": np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8),
            "text": text.astype(np.uint8),
            "type": kinds.astype(np.uint8),
            "labels": answers.astype(np.uint8)[:, None],
        },
        splits={"iid/train": (0, options.n_train), "iid/test": (options.n_train, total)},
        label_names=["answer"],
        classes=["no", "yes"],
        domains=["iid"],
        words=list(WORDS),
        types=list(TYPES),
        **provenance("nlvr_mini", raw),
    )


def objects(random: np.random.Generator) -> Objects:
    """Two to seven."""
    return random.integers(0, 3, (random.integers(2, 8), 2))


def picture(things: Objects, random: np.random.Generator) -> Float[np.ndarray, "3 16 16"]:
    """Each thing in a cell of its own, in pure colour, on black, with a little noise."""
    image = np.zeros((3, CELLS * CELL, CELLS * CELL), np.float32)
    for (colour, shape), cell in zip(things, random.permutation(CELLS**2), strict=False):
        row, column = CELL * (cell // CELLS), CELL * (cell % CELLS)
        image[colour, row : row + CELL, column : column + CELL] = BITMAPS[shape]
    return image + NOISE * random.standard_normal(image.shape).astype(np.float32)


def things_of(picture: UInt8[np.ndarray, "3 16 16"]) -> Objects:
    """What a prepared picture shows, in the order of the cells.

    Exact: half the brightness, where a pixel would be mistaken, is ten standard deviations of the noise away. Raises
    ValueError for a cell that holds something else.
    """
    cells = (picture > 127).reshape(3, CELLS, CELL, CELLS, CELL).transpose(1, 3, 0, 2, 4)  # row column colour y x
    found = (cells[..., None, :, :] == (BITMAPS > 0)).all((-2, -1))  # row column colour shape
    colours = cells.any((3, 4)).sum(2)
    if (colours > 1).any() or (found.sum((2, 3)) != colours).any():
        raise ValueError("a cell of the picture holds something that is no thing")
    return np.argwhere(found)[:, 2:]


def answer(things: Objects, words: Sequence[str]) -> bool | None:
    """To a question about these things; None where it cannot be asked, about all of a shape that is not there.

    Raises ValueError for words that are no question.
    """
    colours, shapes = things.T
    match words:
        case ["exists", colour, shape, "."]:
            return bool(((colours == COLOURS.index(colour)) & (shapes == SHAPES.index(shape))).any())
        case ["count", colour, "is", number]:
            return bool((colours == COLOURS.index(colour)).sum() == int(number))
        case ["more", one, "than", other]:
            return bool((colours == COLOURS.index(one)).sum() > (colours == COLOURS.index(other)).sum())
        case ["all", shape, "are", colour]:
            of_shape = colours[shapes == SHAPES.index(shape)]
            return bool((of_shape == COLOURS.index(colour)).all()) if len(of_shape) else None
    raise ValueError(f"no question: {' '.join(words)}")


def exists(things: Objects, random: np.random.Generator) -> list[str]:
    """Is there a thing of this colour and shape?"""
    colour, shape = random.integers(0, 3, 2)
    return ["exists", COLOURS[colour], SHAPES[shape], "."]


def count(things: Objects, random: np.random.Generator) -> list[str]:
    """Are there exactly so many of this colour?"""
    colour, number = random.integers(3), random.integers(1, len(NUMBERS) + 1)
    return ["count", COLOURS[colour], "is", str(number)]


def more(things: Objects, random: np.random.Generator) -> list[str]:
    """Are there more of the one colour than of the other?"""
    one, other = random.permutation(3)[:2]
    return ["more", COLOURS[one], "than", COLOURS[other]]


def every(things: Objects, random: np.random.Generator) -> list[str]:
    """Are all things of this shape of this colour? Asked of shapes that occur."""
    shape, colour = random.choice(things[:, 1]), random.integers(3)
    return ["all", SHAPES[shape], "are", COLOURS[colour]]


QUESTIONS: dict[str, Callable[[Objects, np.random.Generator], list[str]]] = {
    "exists": exists,
    "count": count,
    "more": more,
    "all": every,
}
