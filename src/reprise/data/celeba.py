"""CelebA (Liu et al. 2015): aligned faces with the 40 official attributes and the official partition.

Reads the official layout: `img_align_celeba.zip` or its unpacked folder (178x218 jpg), `list_attr_celeba.txt`,
`list_eval_partition.txt`. The licence is for non-commercial research and forbids passing on the images or anything
derived from them: never publish crops, never push the prepared arrays to a shared remote.
"""

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from reprise.data.arrays import DataError, Writer
from reprise.data.images import Images, fill
from reprise.data.sources import located, provenance
from reprise.params import Section
from reprise.seeding import derive

# fmt: off
ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes",
    "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling",
    "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace",
    "Wearing_Necktie", "Young",
)
# fmt: on
SPLITS = ("train", "val", "test")  # the partition file's 0, 1, 2


class Options(Section):
    """`data.celeba` and `data.fairface` in params.yaml."""

    image_size: Annotated[int, Field(ge=16, le=512, description="side of the square images, pixels")]
    per_split: Annotated[int | None, Field(ge=1, description="images per split, drawn at random; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `x` (n, 3, s, s) uint8 and `labels` (n, 40) uint8 (1 = has the attribute), rows in the official order.

    Splits are the official `train`, `val`, `test`. Raises DataError naming the file for anything missing or corrupt.
    """
    folder = located(raw)
    attributes = _read_attributes(folder / "list_attr_celeba.txt")
    partition = _read_partition(folder / "list_eval_partition.txt")
    if not attributes.index.equals(partition.index):
        raise DataError(f"{folder}: the attribute and the partition file do not list the same images")
    names: list[str] = []
    splits: dict[str, tuple[int, int]] = {}
    for number, split in enumerate(SPLITS):
        members = partition.index[partition == number]
        chosen = subset(len(members), options.per_split, derive(seed, "celeba", split))
        splits[split] = (len(names), len(names) + len(chosen))
        names += list(members[chosen])
    with Writer(out, name="celeba") as writer:
        labels = writer.create("labels", (len(names), len(ATTRIBUTES)), np.uint8)
        labels[...] = attributes.loc[names].to_numpy() == 1
        x = writer.create("x", (len(names), 3, options.image_size, options.image_size), np.uint8)
        fill(x, Images(folder, "img_align_celeba.zip"), [f"img_align_celeba/{name}" for name in names])
        writer.finish(splits=splits, label_names=ATTRIBUTES, **provenance("celeba", raw))


def subset(n: int, keep: int | None, seed: int) -> np.ndarray:
    """Ascending indices: the first `keep` of a random permutation of n, so a smaller subset is part of a larger one."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:keep])


def _read_attributes(path: Path) -> pd.DataFrame:
    """Rows named by image file, columns the 40 attributes, values -1 and 1."""
    with _opened(path) as stream:
        count = stream.readline().strip()
        names = tuple(stream.readline().split())
        table = pd.read_csv(stream, sep=r"\s+", header=None, index_col=0)
    if names != ATTRIBUTES:
        raise DataError(f"{path}: its second line is not the 40 official attribute names; get the official file")
    if str(len(table)) != count or table.shape[1] != len(ATTRIBUTES) or not table.isin([-1, 1]).all(axis=None):
        raise DataError(
            f"{path}: {len(table)} whole rows of -1 and 1 instead of the {count} it announces; get it again"
        )
    return table


def _read_partition(path: Path) -> pd.Series:
    """0, 1 or 2 by image file."""
    with _opened(path) as stream:
        table = pd.read_csv(stream, sep=r"\s+", header=None, index_col=0)
    if table.shape[1] != 1 or not table.isin([0, 1, 2]).all(axis=None):
        raise DataError(f"{path}: not a list of image names with 0, 1 or 2; get it again")
    return table.iloc[:, 0]


def _opened(path: Path) -> io.TextIOWrapper:
    try:
        return path.open(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path} is missing: put it there and run `dvc repro -f -s download@celeba`") from None
