"""IMDB reviews as bytes (Maas et al. 2011): the Long Range Arena's text task, whether a review is favourable.

Read from the official archive: aclImdb/{train,test}/{neg,pos}/ID_RATING.txt, a review each. `x` holds its first
`length` bytes, zeros at the end of shorter ones. Rows are in the order of `reprise.data.splits.shuffled`, so a cap
keeps its first ones; the unlabelled reviews are not used.
"""

import re
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from reprise.data.archives import contents, listing
from reprise.data.arrays import DataError, Writer, ranges
from reprise.data.sources import provenance
from reprise.data.splits import shuffled
from reprise.params import Section

ARCHIVE = "aclImdb_v1.tar.gz"
REVIEW = re.compile(r"aclImdb/(train|test)/(neg|pos)/\d+_\d+\.txt")
CLASSES = ("neg", "pos")


class Options(Section):
    """`data.imdb` in params.yaml."""

    length: Annotated[int, Field(ge=16, le=20_000, description="bytes of a review, from its beginning")]
    max_train: Annotated[int | None, Field(ge=1, description="training reviews; null keeps all")]
    max_eval: Annotated[int | None, Field(ge=1, description="test reviews; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `x` (n, length) uint8 and `labels` (n, 1), 1 for a favourable review; splits `iid/train`, `iid/test`."""
    archive = raw / ARCHIVE
    reviews = sorted(path for path in listing(archive) if REVIEW.fullmatch(path))
    paths: list[str] = []
    sizes = {}
    for part, cap in (("train", options.max_train), ("test", options.max_eval)):
        there = [path for path in reviews if path.split("/")[1] == part]
        if {path.split("/")[2] for path in there} != set(CLASSES):
            raise DataError(f"{archive} lacks reviews in aclImdb/{part}/neg or pos: get the official archive")
        chosen = [there[k] for k in shuffled(len(there))[:cap]]
        sizes[f"iid/{part}"] = len(chosen)
        paths += chosen
    rows = {path: row for row, path in enumerate(paths)}
    with Writer(out, name="imdb") as writer:
        writer.create("labels", (len(paths), 1), np.uint8)[:, 0] = [CLASSES.index(path.split("/")[2]) for path in paths]
        x = writer.create("x", (len(paths), options.length), np.uint8)
        for path, content in contents(archive, rows):
            text = np.frombuffer(content[: options.length], np.uint8)
            x[rows[path], : len(text)] = text
        writer.finish(
            splits=ranges(sizes),
            label_names=["favourable"],
            classes=list(CLASSES),
            domains=["iid"],
            **provenance("imdb", raw),
        )
