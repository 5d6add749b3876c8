"""Image files of a data set, in a zip or a folder, decoded into square uint8 arrays."""

import io
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from PIL import Image

from reprise.data.arrays import DataError
from reprise.progress import Bar

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
        """All files below the folder `path` ("" is the top), in no order. Raises DataError if there are none."""
        if self._zip:
            top = f"{path}/" if path else ""
            found = [name for name in self._zip.namelist() if name.startswith(top) and not name.endswith("/")]
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
            return decode(self._zip.read(name) if self._zip else path.read_bytes(), path)
        except (FileNotFoundError, KeyError):
            raise DataError(f"the image {path} is missing: unpack or download the images again") from None
        except (OSError, zipfile.BadZipFile, zlib.error) as failure:
            raise CorruptImage(f"the image {path} is corrupt ({failure}): get it again") from failure

    def text(self, name: str) -> str:
        """A text file beside the images. Raises DataError if it is missing or damaged."""
        path = self.archive / name if self._zip else self.folder / name
        try:
            return (self._zip.read(name) if self._zip else path.read_bytes()).decode()
        except (OSError, KeyError, UnicodeDecodeError, zipfile.BadZipFile, zlib.error) as failure:
            raise DataError(f"{path} is missing or damaged ({failure}): unpack or download it again") from failure


def decode(content: bytes, path: Path) -> Image.Image:
    """The content of an image file as RGB. Raises CorruptImage, naming `path`."""
    try:
        return Image.open(io.BytesIO(content)).convert("RGB")
    except (OSError, SyntaxError, ValueError) as failure:
        raise CorruptImage(f"the image {path} is corrupt ({failure}): get it again") from failure


def square(image: Image.Image, size: int) -> np.ndarray:
    """Resize the shorter side to `size` pixels (antialiased bilinear), crop the centre: uint8 (3, size, size)."""
    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    cropped = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(cropped).transpose(2, 0, 1)


def fill(
    x: np.ndarray,
    images: Images,
    names: Sequence[str],
    corrupt: set[str] | None = None,
    fit: Callable[[Image.Image, int], np.ndarray] = square,
) -> None:
    """Fill x (n, 3, h, w) with the named images, decoding in threads (Pillow releases the GIL).

    `fit` makes an image of width w into a row; x (n, 1, h, w) takes the first channel, for images that are grey. A
    corrupt image raises; where `corrupt` is given, its name is added there and its row left as it is.
    """

    def fill_from(start: int) -> int:
        part = names[start : start + CHUNK]
        for row, name in enumerate(part, start):
            try:
                x[row] = fit(images.read(name), x.shape[-1])[: x.shape[1]]
            except CorruptImage:
                if corrupt is None:
                    raise
                corrupt.add(name)
        return len(part)

    jobs = (delayed(fill_from)(start) for start in range(0, len(names), CHUNK))
    bar = Bar("images", len(names), "image")
    for done in Parallel(n_jobs=-1, prefer="threads", return_as="generator")(jobs):
        bar.update(done)
    bar.close()
