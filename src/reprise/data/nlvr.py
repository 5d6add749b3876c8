"""NLVR (Suhr et al. 2017): is the sentence true of three boxes of coloured shapes?

Layout of the official repository: nlvr/PART/PART.json, an example a line, and nlvr/PART/images/DIRECTORY/*.png of
400x100 pixels, the boxes side by side. Every example has six pictures, its boxes in every order: `iid/train` holds all
of them, `iid/val` and `iid/test` only the first. The parts train, dev and test become train, val and test; where there
is no train.json, dev is trained on and there is no val. The card's `official` says which is which.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from reprise.data.arrays import DataError, Writer, ranges
from reprise.data.images import Images, fill
from reprise.data.sources import located, provenance
from reprise.data.splits import shuffled
from reprise.data.words import numbered, vocabulary
from reprise.params import Section

ORDERS = 6  # of three boxes
LABELS = {"false": 0, "true": 1}

Example = tuple[str, int, str]  # sentence, label, path of the picture without its number


class Options(Section):
    """`data.nlvr` in params.yaml."""

    height: Annotated[int, Field(ge=8, le=100, description="of the stored pictures, pixels; four times as wide")]
    max_train: Annotated[int | None, Field(ge=1, description="training pictures; null keeps all")]
    max_eval: Annotated[int | None, Field(ge=1, description="pictures of each other split; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/nlvr`.

    `x` (n, 3, h, 4 h) uint8, `text` (n, longest) uint16, numbers of the card's `words`, and `labels` (n, 1): 1 is true.
    Words that no training sentence has are number 1. Raises DataError for missing or damaged files.
    """
    images = Images(located(raw), "nlvr.zip")
    there = {part for path in images.under("nlvr") if path == f"nlvr/{(part := path.split('/')[1])}/{part}.json"}
    names = {"train": "iid/train", "dev": "iid/val" if "train" in there else "iid/train", "test": "iid/test"}
    official = {names[part]: part for part in names if part in there}
    if not {"iid/train", "iid/test"} <= official.keys():
        raise DataError(f"{raw} needs nlvr/test/test.json and one of nlvr/train/train.json and nlvr/dev/dev.json")
    rows: dict[str, list[tuple[str, int, str]]] = {}
    for split, part in official.items():
        orders, cap = (ORDERS, options.max_train) if split == "iid/train" else (1, options.max_eval)
        pictures = [
            (sentence, label, f"{path}-{order}.png")
            for sentence, label, path in _examples(images, part)
            for order in range(orders)
        ]
        rows[split] = [pictures[k] for k in shuffled(len(pictures))[:cap]]
    words = vocabulary(sentence for sentence, _, _ in rows["iid/train"])
    sentences, labels, paths = zip(*(row for part in rows.values() for row in part), strict=True)
    text = numbered(sentences, words)
    with Writer(out, name="nlvr") as writer:
        writer.create("labels", (len(labels), 1), np.uint8)[:, 0] = labels
        writer.create("text", text.shape, text.dtype)[...] = text
        fill(writer.create("x", (len(paths), 3, options.height, 4 * options.height), np.uint8), images, paths, fit=wide)
        writer.finish(
            splits=ranges({split: len(part) for split, part in rows.items()}),
            label_names=["answer"],
            classes=["no", "yes"],
            domains=["iid"],
            official=official,
            words=words,
            **provenance("nlvr", raw),
        )


def wide(image: Image.Image, width: int) -> np.ndarray:
    """Resized to width and a quarter of it (antialiased bilinear): uint8 (3, width / 4, width)."""
    return np.asarray(image.resize((width, width // 4), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def _examples(images: Images, part: str) -> list[Example]:
    found = []
    for line, text in enumerate(images.text(f"nlvr/{part}/{part}.json").splitlines(), 1):
        try:
            row = json.loads(text)
            path = f"nlvr/{part}/images/{row['directory']}/{part}-{row['identifier']}"
            found.append((row["sentence"], LABELS[row["label"]], path))
        except (ValueError, KeyError, TypeError) as failure:
            raise DataError(
                f"{images.folder}: line {line} of {part}.json is damaged or no example ({failure!r}): get it again"
            ) from failure
    return found
