"""Tiny ImageNet (200 classes at 64 pixels), and Tiny-ImageNet-R: renditions of 62 of its classes, never trained on.

`iid/train` is the official training set, `iid/test` the official validation set (the test set has no labels), read from
`tiny-imagenet-200.zip`. Where `imagenet-r.tar` (Hendrycks et al. 2021) lies beside it, `renditions/test` holds its
images of the classes that both have, squeezed into a square as in the NAC release. Networks tell all 200 classes
apart; on the renditions only the logits of the shared ones count, whose numbers are in the card's
`scored_classes`: {"renditions": [...]}.

Rows of every split are in the order of `reprise.data.splits.shuffled`, so a cap keeps its first ones.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from reprise.data.archives import contents, listing
from reprise.data.arrays import DataError, Writer, ranges
from reprise.data.images import Images, decode, fill
from reprise.data.sources import provenance
from reprise.data.splits import shuffled
from reprise.params import Section

TOP, ARCHIVE, RENDITIONS = "tiny-imagenet-200", "tiny-imagenet-200.zip", "imagenet-r.tar"

Items = list[tuple[str, str]]  # class (a WordNet id) and path of each image


class Options(Section):
    """`data.tiny_imagenet` in params.yaml."""

    image_size: Annotated[int, Field(ge=16, le=512, description="side of the square images, pixels; natively 64")]
    max_train: Annotated[int | None, Field(ge=1, description="training images; null keeps all")]
    max_eval: Annotated[int | None, Field(ge=1, description="images of each test set; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `x` uint8 (n, 3, s, s) and `labels` uint8 (n, 1), numbers of the WordNet ids in the card's `classes`.

    Raises DataError naming the file that is missing, damaged, or does not fit the list of classes.
    """
    images = Images(raw, ARCHIVE)
    classes = sorted(images.text(f"{TOP}/wnids.txt").split())
    names = dict(line.split("\t", 1) for line in images.text(f"{TOP}/words.txt").splitlines())
    sets = {"iid/train": _train(images), "iid/test": _validation(images)}
    if (raw / RENDITIONS).exists():
        sets["renditions/test"] = _renditions(raw / RENDITIONS, classes)
    for split, items in sets.items():
        if not items or (split != "renditions/test" and {label for label, _ in items} != set(classes)):
            raise DataError(f"{raw}: {split} does not hold the {len(classes)} classes of wnids.txt: get it again")
        cap = options.max_train if split == "iid/train" else options.max_eval
        sets[split] = [items[k] for k in shuffled(len(items))[:cap]]
    splits = ranges({split: len(items) for split, items in sets.items()})
    n = sum(len(items) for items in sets.values())
    extra: dict[str, Any] = {"domains": ["iid"]}
    if "renditions/test" in sets:
        shared = sorted({classes.index(label) for label, _ in sets["renditions/test"]})
        extra = {"domains": ["iid", "renditions"], "scored_classes": {"renditions": shared}}
    with Writer(out, name="tiny_imagenet") as writer:
        labels = writer.create("labels", (n, 1), np.uint8)
        number = {label: k for k, label in enumerate(classes)}
        labels[:, 0] = [number[label] for items in sets.values() for label, _ in items]
        x = writer.create("x", (n, 3, options.image_size, options.image_size), np.uint8)
        for split, items in sets.items():
            rows = x[slice(*splits[split])]
            paths = [path for _, path in items]
            if split == "renditions/test":
                _squeeze(rows, raw / RENDITIONS, {path: row for row, path in enumerate(paths)})
            else:
                fill(rows, images, paths)
        writer.finish(
            splits=splits,
            label_names=["class"],
            classes=classes,
            names=[names.get(label, label) for label in classes],
            **extra,
            **provenance("tiny_imagenet", raw),
        )


def _train(images: Images) -> Items:
    """train/WNID/images/*.JPEG."""
    paths = sorted(path for path in images.under(f"{TOP}/train") if path.endswith(".JPEG"))
    return [(PurePosixPath(path).parts[2], path) for path in paths]


def _validation(images: Images) -> Items:
    """val/images/*.JPEG, whose classes stand in val_annotations.txt."""
    lines = [line.split("\t") for line in images.text(f"{TOP}/val/val_annotations.txt").splitlines()]
    if any(len(line) != 6 for line in lines):
        raise DataError(
            f"{images.archive}: val_annotations.txt is not the list of images, classes and boxes it should be"
        )
    return [(label, f"{TOP}/val/images/{file}") for file, label, *_ in lines]


def _renditions(archive: Path, classes: list[str]) -> Items:
    """imagenet-r/WNID/*.jpg of the classes that Tiny ImageNet has too."""
    paths = [PurePosixPath(path) for path in sorted(listing(archive))]
    return [(path.parent.name, str(path)) for path in paths if path.parent.name in classes]


def _squeeze(x: np.ndarray, archive: Path, rows: Mapping[str, int]) -> None:
    """Fill x (n, 3, s, s) from the tar: the whole image, whatever its shape, made square (bicubic)."""
    for path, content in contents(archive, rows):
        image = decode(content, archive / path).resize(x.shape[-2:], Image.Resampling.BICUBIC)
        x[rows[path]] = np.asarray(image).transpose(2, 0, 1)
