"""Caltech-UCSD Birds 200-2011 (Wah et al. 2011): photographs of 200 species of birds, in the official split.

Read from `CUB_200_2011.tgz`: images.txt, image_class_labels.txt, train_test_split.txt and classes.txt, each a number
and its value a line, and images/. Images are cropped square (shorter side at `image_size`); rows are in the order of
`reprise.data.splits.shuffled`, so a cap keeps its first ones.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from reprise.data.archives import contents
from reprise.data.arrays import DataError, Writer, ranges
from reprise.data.images import decode, square
from reprise.data.sources import provenance
from reprise.data.splits import shuffled
from reprise.params import Section

ARCHIVE, TOP = "CUB_200_2011.tgz", "CUB_200_2011"
TABLES = ("images", "image_class_labels", "train_test_split", "classes")


class Options(Section):
    """`data.cub` in params.yaml."""

    image_size: Annotated[int, Field(ge=16, le=512, description="side of the square images, pixels")]
    max_train: Annotated[int | None, Field(ge=1, description="training images; null keeps all")]
    max_eval: Annotated[int | None, Field(ge=1, description="test images; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `x` (n, 3, s, s) uint8 and `labels` (n, 1) uint8, splits `iid/train` and `iid/test`.

    Raises DataError naming the archive and what of it is missing, damaged or does not fit together.
    """
    archive = raw / ARCHIVE
    tables = _tables(archive)
    images, label_of, part_of, classes = (tables[name] for name in TABLES)
    numbers = sorted(images, key=int)
    if not (label_of.keys() == part_of.keys() == images.keys() and set(label_of.values()) <= classes.keys()):
        raise DataError(f"{archive}: {', '.join(TABLES)} do not list the same images and classes: get it again")
    chosen, sizes = [], {}
    for split, flag, cap in (("iid/train", "1", options.max_train), ("iid/test", "0", options.max_eval)):
        members = [number for number in numbers if part_of[number] == flag]
        part = [members[k] for k in shuffled(len(members))[:cap]]
        chosen += part
        sizes[split] = len(part)
    rows = {f"{TOP}/images/{images[number]}": row for row, number in enumerate(chosen)}
    order = sorted(classes, key=int)
    with Writer(out, name="cub") as writer:
        writer.create("labels", (len(chosen), 1), np.uint8)[:, 0] = [order.index(label_of[number]) for number in chosen]
        x = writer.create("x", (len(chosen), 3, options.image_size, options.image_size), np.uint8)
        for path, content in contents(archive, rows):
            x[rows.pop(path)] = square(decode(content, archive / path), options.image_size)
        if rows:
            raise DataError(f"{archive} lacks {len(rows)} images, {next(iter(rows))} is the first: get it again")
        writer.finish(
            splits=ranges(sizes),
            label_names=["class"],
            classes=[classes[number] for number in order],
            domains=["iid"],
            **provenance("cub", raw),
        )


def _tables(archive: Path) -> dict[str, dict[str, str]]:
    """The four tables, each from number to value."""
    wanted = {f"{TOP}/{name}.txt": name for name in TABLES}
    found = {}
    for path, content in contents(archive, wanted):
        lines = [line.split(" ", 1) for line in content.decode(errors="replace").splitlines() if line]
        if any(len(line) != 2 or not line[0].isdigit() for line in lines):
            raise DataError(f"{archive}: {path} is not a list of numbers and values: get the official archive")
        found[wanted[path]] = {number: value.strip() for number, value in lines}
    if missing := set(TABLES) - found.keys():
        raise DataError(f"{archive} lacks {TOP}/{min(missing)}.txt: get the official archive")
    return found
