"""The assay paper's four WILDS sets (Koh et al. 2021): official archives and official splits, without their package.

Domains `train` and `ood`: a network is trained on `train/train`, chosen on `train/val` and judged in distribution on
`train/test`; `ood/val` and `ood/test` are the official shifted sets. FMoW and iWildCam come with in-distribution val
and test sets; Camelyon17 and RxRx1 with one of them, which the paper cuts into stratified halves. Rows of every split
are in the paper's order (Python's shuffle, seed 42), so a cap keeps its first rows.

Prepared: `x` uint8 (n, 3, s, s), `labels` uint8 or uint16 (n, 1), and `group` int32 (n,), the metadata by which WILDS
groups training data: hospital, year, location or experiment; its values are named in the card's `groups`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from reprise.data.arrays import DataError, Writer
from reprise.data.images import Images, fill
from reprise.data.sources import located, provenance
from reprise.data.splits import halves, shuffled, split
from reprise.params import Section

ORDER = ("train/train", "train/val", "train/test", "ood/val", "ood/test")
OFFICIAL = {
    "train": "train/train",
    "id_val": "train/val",
    "id_test": "train/test",
    "val": "ood/val",
    "test": "ood/test",
}
HOSPITAL_VAL, HOSPITAL_TEST = 1, 2  # Camelyon17: centers whose patches are all out of distribution
FMOW_VAL, FMOW_TEST = 2013, 2016  # FMoW: first years of the shifted validation and test sets


class Options(Section):
    """`data.camelyon17`, `data.fmow`, `data.iwildcam` and `data.rxrx1` in params.yaml."""

    image_size: Annotated[int, Field(ge=16, le=512, description="side of the square images, pixels")]
    max_train: Annotated[int | None, Field(ge=1, description="images of train/train; null keeps all")]
    max_eval: Annotated[int | None, Field(ge=1, description="images of every other split; null keeps all")]


def camelyon17(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Camelyon17: tumour in the patch's centre; hospitals 0, 3, 4 in distribution, 1 and 2 not; group = hospital."""
    folder = located(raw)
    table = _read(folder / "metadata.csv", ["patient", "node", "x_coord", "y_coord", "tumor", "center", "split"])
    parts = table["split"].map({0: "train/train", 1: "halves"})
    parts[table["center"] == HOSPITAL_VAL] = "ood/val"
    parts[table["center"] == HOSPITAL_TEST] = "ood/test"
    stem = "patient_" + table["patient"] + "_node_" + table["node"].astype(str)
    place = "_x_" + table["x_coord"].astype(str) + "_y_" + table["y_coord"].astype(str)
    chosen = pd.DataFrame(
        {
            "path": "patches/" + stem + "/patch_" + stem + place + ".png",
            "label": table["tumor"],
            "group": table["center"],
            "split": parts,
        }
    )
    groups = [f"hospital {number}" for number in range(int(table["center"].max()) + 1)]
    _prepare("camelyon17", raw, out, options, chosen, "patches.zip", ("normal", "tumor"), groups)


def fmow(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """FMoW: one of 62 uses of land; before 2013 in distribution, val 2013-2015, test from 2016; group = year."""
    folder = located(raw)
    table = _read(folder / "rgb_metadata.csv", ["split", "category", "timestamp"])
    year = pd.to_datetime(table["timestamp"], utc=True, format="ISO8601").dt.year
    early = year < FMOW_VAL
    parts = pd.Series("", index=table.index)  # late training images and `seq` stay without a split
    for official, part in (("train", "train/train"), ("val", "train/val"), ("test", "train/test")):
        parts[early & (table["split"] == official)] = part
    parts[(table["split"] == "val") & (year >= FMOW_VAL) & (year < FMOW_TEST)] = "ood/val"
    parts[(table["split"] == "test") & (year >= FMOW_TEST)] = "ood/test"
    classes = sorted(table["category"].unique())
    years = sorted(year.unique())
    chosen = pd.DataFrame(
        {
            "path": "images/rgb_img_" + table.index.astype(str) + ".png",  # numbered by row
            "label": table["category"].map(classes.index),
            "group": year.map(years.index),
            "split": parts,
        }
    )
    _prepare("fmow", raw, out, options, chosen, "images.zip", classes, [str(year) for year in years])


def iwildcam(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """iWildCam: one of 182 animals or an empty image; group = location of the camera."""
    folder = located(raw)
    table = _read(folder / "metadata.csv", ["split", "filename", "y", "location_remapped"])
    names = _read(folder / "categories.csv", ["y", "name"]).drop_duplicates("y").set_index("y")["name"]
    n_classes = int(table["y"].max()) + 1
    if absent := set(range(n_classes)) - set(names.index):
        raise DataError(f"{folder / 'categories.csv'} does not name class {min(absent)}: unpack the archive again")
    chosen = pd.DataFrame(
        {
            "path": "train/" + table["filename"],  # the folder of all splits
            "label": table["y"],
            "group": table["location_remapped"],
            "split": table["split"].map(OFFICIAL),
        }
    )
    groups = [f"location {number}" for number in range(int(table["location_remapped"].max()) + 1)]
    _prepare("iwildcam", raw, out, options, chosen, "train.zip", [names[y] for y in range(n_classes)], groups)


def rxrx1(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """RxRx1: one of 1,139 treatments; site 1 of the training experiments is trained on, site 2 is in distribution.

    Group = experiment (a batch).
    """
    folder = located(raw)
    table = _read(folder / "metadata.csv", ["dataset", "experiment", "plate", "well", "site", "sirna_id"])
    parts = table["dataset"].map({"train": "train/train", "val": "ood/val", "test": "ood/test"})
    parts[(table["dataset"] == "train") & (table["site"] == 2)] = "halves"
    experiments = list(table["experiment"].unique())
    plate = "/Plate" + table["plate"].astype(str) + "/"
    chosen = pd.DataFrame(
        {
            "path": "images/" + table["experiment"] + plate + table["well"] + "_s" + table["site"].astype(str) + ".png",
            "label": table["sirna_id"],
            "group": table["experiment"].map(experiments.index),
            "split": parts,
        }
    )
    classes = [f"siRNA {number}" for number in range(int(table["sirna_id"].max()) + 1)]
    _prepare("rxrx1", raw, out, options, chosen, "images.zip", classes, experiments)


def _prepare(
    name: str,
    raw: Path,
    out: Path,
    options: Options,
    table: pd.DataFrame,
    archive: str,
    classes: Sequence[str],
    groups: Sequence[str],
) -> None:
    """Write the rows of `table` (path, label, group, split) that are in a split; `halves` becomes val and test."""
    folder = located(raw)
    rows = []
    splits: dict[str, tuple[int, int]] = {}
    start = 0
    for part, members in _splits(table).items():
        kept = members[: options.max_train if part == "train/train" else options.max_eval]
        if not len(kept):
            raise DataError(f"{folder}: the metadata hold no image of {part}: unpack the archive again")
        splits[part] = (start, start + len(kept))
        start += len(kept)
        rows.append(kept)
    chosen = table.iloc[np.concatenate(rows)]
    border = splits["train/test"][1]
    labels = chosen["label"].to_numpy()
    present = {"train": set(labels[:border]), "ood": set(labels[border:])}
    missing = {domain: [classes[k] for k in range(len(classes)) if k not in found] for domain, found in present.items()}
    with Writer(out, name=name) as writer:
        dtype = np.uint8 if len(classes) <= 256 else np.uint16
        writer.create("labels", (start, 1), dtype)[:, 0] = labels
        writer.create("group", (start,), np.int32)[...] = chosen["group"]
        x = writer.create("x", (start, 3, options.image_size, options.image_size), np.uint8)
        fill(x, Images(folder, archive), list(chosen["path"]))
        writer.finish(
            splits=splits,
            label_names=("class",),
            classes=list(classes),
            domains=["train", "ood"],
            groups=list(groups),
            missing_classes=missing,
            **provenance(name, raw),
        )


def _splits(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Positions in `table` of every split, in the paper's shuffled order."""
    members = {}
    for part in (*ORDER, "halves"):
        positions = np.flatnonzero(table["split"] == part)
        members[part] = positions[shuffled(len(positions))]
    both = members.pop("halves")
    if len(both):
        test, val = split(table["label"].to_numpy()[both], halves)
        members |= {"train/val": both[val], "train/test": both[test]}
    return members


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    """These columns of an official metadata file, `patient` as text (it has leading zeros)."""
    try:
        return pd.read_csv(path, usecols=columns, dtype={"patient": str, "well": str})
    except (FileNotFoundError, ValueError) as failure:  # pandas raises ValueError for a column that is not there
        raise DataError(
            f"{path} is missing or not the official file ({failure}): unpack the archive again"
        ) from failure
