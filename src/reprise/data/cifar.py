"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from the official archives of Python pickles.

`iid/train` and `iid/test` are the official sets in the official order, which is random; a cap keeps its first rows.
"""

import itertools
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from reprise.data.archives import contents
from reprise.data.arrays import DataError, Writer, ranges
from reprise.data.images import square
from reprise.data.restricted_pickle import loads
from reprise.data.sources import provenance
from reprise.params import Section

SIDE = 32
ARCHIVES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}


class Options(Section):
    """`data.cifar10` and `data.cifar100` in params.yaml."""

    image_size: Annotated[int, Field(ge=16, le=512, description="side of the images, pixels; natively 32")]
    max_train: Annotated[int | None, Field(ge=1, description="training images; null keeps all")]
    max_eval: Annotated[int | None, Field(ge=1, description="test images; null keeps all")]


def cifar10(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """CIFAR-10: five training batches and a test batch."""
    sets = {"iid/train": [f"data_batch_{k}" for k in range(1, 6)], "iid/test": ["test_batch"]}
    _prepare(raw, out, options, "cifar10", "cifar-10-batches-py", sets, "labels", ("batches.meta", "label_names"))


def cifar100(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """CIFAR-100: its hundred fine classes."""
    sets = {"iid/train": ["train"], "iid/test": ["test"]}
    _prepare(raw, out, options, "cifar100", "cifar-100-python", sets, "fine_labels", ("meta", "fine_label_names"))


def _prepare(
    raw: Path,
    out: Path,
    options: Options,
    name: str,
    top: str,
    sets: dict[str, list[str]],
    key: str,
    meta: tuple[str, str],
) -> None:
    """Write `x` uint8 (n, 3, s, s) and `labels` uint8 (n, 1). Raises DataError naming the archive and the pickle."""
    archive = raw / ARCHIVES[name]
    file, names = meta
    wanted = {f"{top}/{part}" for part in (file, *itertools.chain(*sets.values()))}
    found = {path: loads(content, archive / path, "latin1") for path, content in contents(archive, wanted)}
    try:
        classes = [str(label) for label in found[f"{top}/{file}"][names]]
        parts = {
            split: (
                np.concatenate([found[f"{top}/{part}"]["data"] for part in batches]).reshape(-1, 3, SIDE, SIDE)[:cap],
                np.concatenate([found[f"{top}/{part}"][key] for part in batches])[:cap],
            )
            for (split, batches), cap in zip(sets.items(), (options.max_train, options.max_eval), strict=True)
        }
    except (KeyError, TypeError, ValueError) as failure:
        raise DataError(f"{archive} lacks {failure}, or it is of another form: get the official file") from failure
    n = sum(len(labels) for _, labels in parts.values())
    with Writer(out, name=name) as writer:
        writer.create("labels", (n, 1), np.uint8)[:, 0] = np.concatenate([labels for _, labels in parts.values()])
        x = writer.create("x", (n, 3, options.image_size, options.image_size), np.uint8)
        for row, image in enumerate(itertools.chain(*(images for images, _ in parts.values()))):
            x[row] = square(Image.fromarray(image.transpose(1, 2, 0)), options.image_size)
        writer.finish(
            splits=ranges({split: len(labels) for split, (_, labels) in parts.items()}),
            label_names=["class"],
            classes=classes,
            domains=["iid"],
            **provenance(name, raw),
        )
