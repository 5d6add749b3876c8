"""The real samples of `shared_data` in the official layouts, with an overlay of the sources that names them."""

import bz2
import gzip
import hashlib
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
from ruamel.yaml import YAML

PACS_DOMAINS = ["art_painting", "photo", "sketch"]  # the sample has no cartoon, and no person among the photos


def pacs_archive(shared: Path, folder: Path, per_class: int | None = None) -> Path:
    """PACS.zip from the 96-pixel sample, the first `per_class` images of each class; adds `pacs` to the overlay.

    Returns the overlay, folder/overlay.yaml, for REPRISE_SOURCES; `domains` must be PACS_DOMAINS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken: Counter[PurePosixPath] = Counter()
    with (
        zipfile.ZipFile(shared / "pacs96/pacs96.zip") as sample,
        zipfile.ZipFile(folder / "PACS.zip", "w") as official,
    ):
        for name in sorted(sample.namelist()):
            parent = PurePosixPath(name).parent
            if name.endswith((".jpg", ".png")) and (per_class is None or taken[parent] < per_class):
                taken[parent] += 1
                official.writestr(name.replace("PACS/", "kfold/", 1), sample.read(name))
    return add_to_overlay(folder, "pacs", [folder / "PACS.zip"])


def numerals_files(shared: Path, folder: Path, n_train: int = 2000, n_test: int = 1000) -> Path:
    """MNIST's idx files and USPS's libsvm files; adds `numerals` to the overlay, which it returns.

    `domains` must be [mnist, usps]. MNIST's training images come from its test images, the only ones in the sample.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for kind in ("images-idx3", "labels-idx1"):
        content = gzip.decompress((shared / f"mnist_t10k/t10k-{kind}-ubyte.gz").read_bytes())
        axes = content[3]
        shape = np.frombuffer(content, ">i4", axes, offset=4)
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
        for part, chosen in (("train", values[:n_train]), ("t10k", values[-n_test:])):
            files.append(write_idx(folder / f"{part}-{kind}-ubyte.gz", chosen))
    with np.load(shared / "usps/usps_uint8.npz") as sample:
        files.append(write_libsvm(folder / "usps.bz2", sample["train_x"][:n_train], sample["train_y"][:n_train]))
        files.append(write_libsvm(folder / "usps.t.bz2", sample["test_x"][:n_test], sample["test_y"][:n_test]))
    return add_to_overlay(folder, "numerals", files)


def write_idx(path: Path, values: np.ndarray) -> Path:
    """uint8 values as a gzipped idx file."""
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    path.write_bytes(gzip.compress(header + values.tobytes(), compresslevel=1))
    return path


def write_libsvm(path: Path, images: np.ndarray, digits: np.ndarray) -> Path:
    """uint8 images as USPS's lines `label index:value ...`: labels from 1, values in [-1, 1]."""
    lines = []
    for image, digit in zip(images.reshape(len(images), -1), digits, strict=True):
        values = " ".join(f"{i}:{value / 127.5 - 1:.6f}" for i, value in enumerate(image, 1))
        lines.append(f"{digit + 1} {values}\n")
    path.write_bytes(bz2.compress("".join(lines).encode(), compresslevel=1))
    return path


def add_to_overlay(folder: Path, name: str, files: list[Path]) -> Path:
    """Put `name` with these files (in `folder`) into folder/overlay.yaml, and return that path."""
    overlay = folder / "overlay.yaml"
    content = YAML(typ="safe").load(overlay) if overlay.exists() else {}
    content[name] = [{"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()} for file in files]
    YAML().dump(content, overlay)
    return overlay
