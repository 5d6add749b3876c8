"""Omniglot (Lake et al. 2015): handwritten characters, and new alphabets to learn from few examples.

    iid/train, iid/test   characters of the background alphabets, drawn by drawers 1-15 and by 16-20
    new/few               all drawings of the evaluation alphabets

Every character of an alphabet was drawn by the same 20 people. Images are grey, bright on dark (the files are dark on
bright), resized to `image_size`.
"""

from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
from pydantic import Field

from reprise.data.arrays import DataError, Writer, ranges
from reprise.data.images import Images, fill
from reprise.data.sources import provenance
from reprise.params import Section

TRAIN_DRAWERS = 15  # of 20


class Options(Section):
    """`data.omniglot` in params.yaml."""

    image_size: Annotated[int, Field(ge=16, le=105, description="side of the square images, pixels; natively 105")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `x` (n, 1, s, s) uint8 and `labels` (n, 1) uint16, numbers of the card's `classes`: Alphabet/character01.

    Classes of new alphabets follow the others; the card's `alphabets` names both kinds. Raises DataError for a missing
    or damaged archive, or an image that is not where it should be.
    """
    background, evaluation = Images(raw, "images_background.zip"), Images(raw, "images_evaluation.zip")
    known, new = _drawings(background, "images_background"), _drawings(evaluation, "images_evaluation")
    if both := {path.parts[1] for path in known} & {path.parts[1] for path in new}:
        raise DataError(
            f"{raw}: {', '.join(sorted(both))} is both a background and a new alphabet: get the archives again"
        )
    sets = {
        "iid/train": [path for path in known if _drawer(path) <= TRAIN_DRAWERS],
        "iid/test": [path for path in known if _drawer(path) > TRAIN_DRAWERS],
        "new/few": new,
    }
    classes = [*dict.fromkeys(map(_character, known)), *dict.fromkeys(map(_character, new))]
    number = {character: k for k, character in enumerate(classes)}
    paths = [path for part in sets.values() for path in part]
    splits = ranges({split: len(part) for split, part in sets.items()})
    with Writer(out, name="omniglot") as writer:
        writer.create("labels", (len(paths), 1), np.uint16)[:, 0] = [number[_character(path)] for path in paths]
        x = writer.create("x", (len(paths), 1, options.image_size, options.image_size), np.uint8)
        for split, images in (("iid/train", background), ("iid/test", background), ("new/few", evaluation)):
            fill(x[slice(*splits[split])], images, [str(path) for path in sets[split]])
        np.subtract(255, x, out=x)
        writer.finish(
            splits=splits,
            label_names=["character"],
            classes=classes,
            domains=["iid", "new"],
            alphabets={
                "iid": sorted({path.parts[1] for path in known}),
                "new": sorted({path.parts[1] for path in new}),
            },
            **provenance("omniglot", raw),
        )


def _drawings(images: Images, top: str) -> list[PurePosixPath]:
    """TOP/ALPHABET/CHARACTER/NUMBER_DRAWER.png, sorted."""
    paths = sorted(PurePosixPath(path) for path in images.under(top) if path.endswith(".png"))
    if strange := [path for path in paths if len(path.parts) != 4 or not path.stem[-2:].isdigit()]:
        raise DataError(f"{images.archive}: {strange[0]} is not named as a drawing: get the official archive")
    return paths


def _character(path: PurePosixPath) -> str:
    return "/".join(path.parts[1:3])


def _drawer(path: PurePosixPath) -> int:
    return int(path.stem[-2:])
