"""FairFace (Karkkainen and Joo 2021): Flickr faces with perceived gender, race and age.

Reads the official layout: `fairface_label_train.csv` and `fairface_label_val.csv` (file, age, gender, race,
service_test), and the images with padding 1.25, as the archive or its unpacked `train/` and `val/`. The labels are
turned into the binary ones of the paper's released code (spec 4.1): male, any race but White, and three ages. The
paper cuts its test set out of the official train split; the wing does that, so only `train` and `val` are here.

CC BY 4.0, but these are photographs of people: never publish crops.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from reprise.data.arrays import DataError, Writer
from reprise.data.celeba import Options, subset
from reprise.data.images import Images, fill
from reprise.data.sources import located, provenance
from reprise.seeding import derive

ARCHIVE = "fairface-img-margin125-trainval.zip"
SPLITS = ("train", "val")
LABELS = ("male", "nonwhite", "below_20", "below_30", "below_40")
GENDERS = ("Female", "Male")
RACES = ("White", "Black", "East Asian", "Indian", "Latino_Hispanic", "Middle Eastern", "Southeast Asian")
AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")

__all__ = ["Options", "prepare"]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `x` (n, 3, s, s) uint8 and `labels` (n, 5) uint8, rows in the official order, splits `train` and `val`.

    Raises DataError naming the file for anything missing or corrupt.
    """
    folder = located(raw)
    parts = []
    splits: dict[str, tuple[int, int]] = {}
    start = 0
    for split in SPLITS:
        table = _read_labels(folder / f"fairface_label_{split}.csv")
        table = table.iloc[subset(len(table), options.per_split, derive(seed, "fairface", split))]
        splits[split] = (start, start + len(table))
        start += len(table)
        parts.append(table)
    table = pd.concat(parts)
    with Writer(out, name="fairface") as writer:
        writer.create("labels", (start, len(LABELS)), np.uint8)[...] = binary_labels(table)
        x = writer.create("x", (start, 3, options.image_size, options.image_size), np.uint8)
        fill(x, Images(folder, ARCHIVE), list(table["file"]))
        writer.finish(splits=splits, label_names=LABELS, **provenance("fairface", raw))


def binary_labels(table: pd.DataFrame) -> np.ndarray:
    """The official columns gender, race and age as bool (n, 5), in the order of `LABELS`."""
    age = table["age"].map(AGES.index)
    columns = [table["gender"] == "Male", table["race"] != "White"]
    columns += [age < AGES.index(first) for first in ("20-29", "30-39", "40-49")]
    return np.column_stack([column.to_numpy() for column in columns])


def _read_labels(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: put it there and run `dvc repro -f -s download@fairface`") from None
    for column, allowed in (("gender", GENDERS), ("race", RACES), ("age", AGES)):
        if column not in table or not table[column].isin(allowed).all():
            strange = sorted(set(table.get(column, pd.Series()).dropna().astype(str)) - set(allowed))[:3]
            raise DataError(f"{path}: column {column} is missing, incomplete or holds {strange}: get the official file")
    return table
