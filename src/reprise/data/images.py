"""Image files of a data set, in a zip or a folder, decoded into square uint8 arrays."""

import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from PIL import Image
from tqdm import tqdm

from reprise.data.arrays import DataError

CHUNK = 64  # images a thread decodes before it reports


class CorruptImage(DataError):
    """An image file that is there but cannot be decoded."""


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

    def under(self, path: str) -> list[str]:
        """All files below the folder `path`, in no order. Raises DataError if there are none."""
        if self._zip:
            found = [name for name in self._zip.namelist() if name.startswith(f"{path}/") and not name.endswith("/")]
        else:
            found = [
                Path(parent, name).relative_to(self.folder).as_posix()
                for parent, _, names in os.walk(self.folder / path, followlinks=True)
                for name in names
            ]
        if not found:
            where = self.archive / path if self._zip else self.folder / path
            raise DataError(f"{where} is missing or empty: unpack or download the images again")
        return found

    def read(self, name: str) -> Image.Image:
        """Decode one image as RGB. Raises DataError if it is missing, CorruptImage if corrupt. Safe in threads."""
        path = self.archive / name if self._zip else self.folder / name
        try:
            content = self._zip.read(name) if self._zip else path.read_bytes()
            return Image.open(io.BytesIO(content)).convert("RGB")
        except (FileNotFoundError, KeyError):
            raise DataError(f"the image {path} is missing: unpack or download the images again") from None
        except (OSError, SyntaxError, ValueError, zipfile.BadZipFile, zlib.error) as failure:
            raise CorruptImage(f"the image {path} is corrupt ({failure}): get it again") from failure


def square(image: Image.Image, size: int) -> np.ndarray:
    """Resize the shorter side to `size` pixels (antialiased bilinear), crop the centre: uint8 (3, size, size)."""
    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    cropped = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(cropped).transpose(2, 0, 1)


def fill(x: np.ndarray, images: Images, names: Sequence[str], corrupt: set[str] | None = None) -> None:
    """Fill x (n, 3, s, s) with the named images, decoding in threads (Pillow releases the GIL).

    A corrupt image raises; where `corrupt` is given, its name is added there and its row left as it is.
    """

    def decode(start: int) -> int:
        part = names[start : start + CHUNK]
        for row, name in enumerate(part, start):
            try:
                x[row] = square(images.read(name), x.shape[-1])
            except CorruptImage:
                if corrupt is None:
                    raise
                corrupt.add(name)
        return len(part)

    jobs = (delayed(decode)(start) for start in range(0, len(names), CHUNK))
    with tqdm(total=len(names), unit="image", disable=None) as bar:
        for done in Parallel(n_jobs=-1, prefer="threads", return_as="generator")(jobs):
            bar.update(done)
