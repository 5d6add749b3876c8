"""CelebA (Liu et al. 2015): aligned faces with the 40 official attributes and the official partition.

Reads the official layout: `img_align_celeba.zip` or its unpacked folder (178x218 jpg), `list_attr_celeba.txt`,
`list_eval_partition.txt`. The licence is for non-commercial research and forbids passing on the images or anything
derived from them: never publish crops, never push the prepared arrays to a shared remote.

The reading of face images (`Images`, `square`, `fill`) is FairFace's too.
"""

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from PIL import Image
from pydantic import Field
from tqdm import tqdm

from reprise.data.arrays import DataError, Writer
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
CHUNK = 64  # images a thread decodes before it reports


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


class Images:
    """Reads image files by their path in an archive, from the archive if it is there, else from its unpacked folder."""

    def __init__(self, folder: Path, archive: str) -> None:
        self.folder = folder
        self.archive = folder / archive
        self._zip: zipfile.ZipFile | None = None
        if self.archive.exists():
            try:
                self._zip = zipfile.ZipFile(self.archive)
            except zipfile.BadZipFile as failure:
                raise DataError(f"{self.archive} is truncated or damaged ({failure}): get it again") from failure

    def read(self, name: str) -> Image.Image:
        """Decode one image as RGB. Raises DataError naming it when it is missing or corrupt. Safe in threads."""
        path = self.archive / name if self._zip else self.folder / name
        try:
            content = self._zip.read(name) if self._zip else path.read_bytes()
            return Image.open(io.BytesIO(content)).convert("RGB")
        except (FileNotFoundError, KeyError):
            raise DataError(f"the image {path} is missing: unpack or download the images again") from None
        except (OSError, SyntaxError, ValueError, zipfile.BadZipFile, zlib.error) as failure:
            raise DataError(f"the image {path} is corrupt ({failure}): get it again") from failure


def square(image: Image.Image, size: int) -> np.ndarray:
    """Resize the shorter side to `size` pixels (antialiased bilinear), crop the centre: uint8 (3, size, size)."""
    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    cropped = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(cropped).transpose(2, 0, 1)


def fill(x: np.ndarray, images: Images, names: Sequence[str]) -> None:
    """Fill x (n, 3, s, s) with the named images, decoding in threads (Pillow releases the GIL)."""

    def decode(start: int) -> int:
        part = names[start : start + CHUNK]
        for row, name in enumerate(part, start):
            x[row] = square(images.read(name), x.shape[-1])
        return len(part)

    jobs = (delayed(decode)(start) for start in range(0, len(names), CHUNK))
    with tqdm(total=len(names), unit="image", disable=None) as bar:
        for done in Parallel(n_jobs=-1, prefer="threads", return_as="generator")(jobs):
            bar.update(done)


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
