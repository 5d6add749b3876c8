"""NLVR2 (Suhr et al. 2019): is the sentence true of two photographs?

Sentences and labels are in the official repository (train.json, dev.json, test1.json, an example a line), photographs
in three archives that one is given on request. Images are found by their names, SPLIT-SET-PAIR-img0.png (left) and
-img1.png (right), wherever they lie in their archive; each is cropped square, and the two stand side by side.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
from pydantic import Field

from reprise.data.arrays import DataError, Writer, ranges
from reprise.data.images import Images, fill
from reprise.data.sources import located, provenance
from reprise.data.splits import shuffled
from reprise.data.words import numbered, vocabulary
from reprise.params import Section

PARTS = {"iid/train": "train", "iid/val": "dev", "iid/test": "test1"}
LABELS = {"False": 0, "True": 1}

Example = tuple[str, int, str]  # sentence, label, SPLIT-SET-PAIR


class Options(Section):
    """`data.nlvr2` in params.yaml."""

    image_size: Annotated[int, Field(ge=16, le=512, description="side of each of the two images, pixels")]
    max_train: Annotated[int | None, Field(ge=1, description="training examples; null keeps all")]
    max_eval: Annotated[int | None, Field(ge=1, description="examples of each other split; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/nlvr2`.

    `x` (n, 3, s, 2 s) uint8, left image and right image, `text` (n, longest) uint16, numbers of the card's `words`, and
    `labels` (n, 1): 1 is true. Words that no training sentence has are number 1. Raises DataError for missing or
    damaged files.
    """
    folder = located(raw)
    rows = {}
    for split, part in PARTS.items():
        examples = _examples(folder / f"{part}.json")
        cap = options.max_train if split == "iid/train" else options.max_eval
        rows[split] = [examples[k] for k in shuffled(len(examples))[:cap]]
    splits = ranges({split: len(part) for split, part in rows.items()})
    words = vocabulary(sentence for sentence, _, _ in rows["iid/train"])
    text = numbered([sentence for part in rows.values() for sentence, _, _ in part], words)
    size = options.image_size
    with Writer(out, name="nlvr2") as writer:
        labels = writer.create("labels", (len(text), 1), np.uint8)
        labels[:, 0] = [label for part in rows.values() for _, label, _ in part]
        writer.create("text", text.shape, text.dtype)[...] = text
        x = writer.create("x", (len(text), 3, size, 2 * size), np.uint8)
        for split, part in PARTS.items():
            images = Images(folder, f"{part}_img.zip")
            paths = {PurePosixPath(path).name: path for path in images.under("")}
            for side in range(2):
                names = [f"{pair}-img{side}.png" for _, _, pair in rows[split]]
                if missing := [name for name in names if name not in paths]:
                    raise DataError(
                        f"{images.archive} lacks {len(missing)} images, {missing[0]} is the first: get it again"
                    )
                half = x[slice(*splits[split]), :, :, side * size : (side + 1) * size]
                fill(half, images, [paths[name] for name in names])
        writer.finish(
            splits=splits,
            label_names=["answer"],
            classes=["no", "yes"],
            domains=["iid"],
            words=words,
            **provenance("nlvr2", raw),
        )


def _examples(path: Path) -> list[Example]:
    """All lines of a file."""
    found: list[Example] = []
    try:
        for text in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(text)
            found.append((row["sentence"], LABELS[row["label"]], row["identifier"].rpartition("-")[0]))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: put it there and run `dvc repro -f -s download@nlvr2`") from None
    except (ValueError, KeyError, TypeError, AttributeError) as failure:
        where = f"line {len(found) + 1}"
        raise DataError(f"{path}: {where} is damaged or no example ({failure!r}): get it again") from failure
    return found
