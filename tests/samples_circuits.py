"""Real samples of the circuits' public sets in their official layouts, with an overlay of the sources that names them.

Each function returns the overlay, folder/overlay.yaml, for REPRISE_SOURCES.
"""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from samples import add_to_overlay


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    """A tar, compressed if its name says so."""
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as bundle:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            bundle.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return path


class _Python2(pickle._Pickler):
    """Writes bytes as Python 2 wrote its `str`, and arrays under numpy 1's names."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_bytes(self, content: bytes) -> None:
        self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)
        self.memoize(content)

    dispatch[bytes] = save_bytes


def python2_pickle(content: Any) -> bytes:
    """A pickle as Python 2 would have written it, with protocol 2; texts are given as bytes."""
    stream = io.BytesIO()
    _Python2(stream, 2).dump(content)
    return stream.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def tiny_imagenet(shared: Path, folder: Path) -> Path:
    """The sample's archive as it is: 30 training and 15 validation images of each class."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "tiny-imagenet-200.zip"
    archive.symlink_to(shared / "tiny_imagenet/tiny-imagenet-200.zip")
    return add_to_overlay(folder, "tiny_imagenet", [archive])


def cifar10(shared: Path, folder: Path, n_train: int, n_test: int) -> Path:
    """The JPEG sample's first images of each class as the pickles of the official archive, classes in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(shared / "cifar10_jpg/cifar10_jpg.zip") as sample:
        classes = sorted({name.split("/")[1] for name in sample.namelist() if name.endswith(".jpg")})

        def batch(part: str, start: int, stop: int) -> bytes:
            names = [f"{part}/{label}/{k:04}.jpg" for k in range(start, stop) for label in classes]
            images = [np.asarray(Image.open(io.BytesIO(sample.read(name)))) for name in names]
            data = np.stack(images).transpose(0, 3, 1, 2).reshape(len(names), -1)
            return python2_pickle({b"data": data, b"labels": [k % len(classes) for k in range(len(names))]})

        per_batch = n_train // 50
        files = {f"data_batch_{k}": batch("train", (k - 1) * per_batch, k * per_batch) for k in range(1, 6)}
        files |= {"test_batch": batch("test", 0, n_test // 10)}
        files |= {"batches.meta": python2_pickle({b"label_names": [label.encode() for label in classes]})}
    official = {f"cifar-10-batches-py/{name}": content for name, content in files.items()}
    return add_to_overlay(folder, "cifar10", [write_tar(folder / "cifar-10-python.tar.gz", official)])


def omniglot(shared: Path, folder: Path, new: tuple[str, ...] = ("Greek", "Korean")) -> Path:
    """The small background set, some of its alphabets as the evaluation set."""
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, dict[str, bytes]] = {"images_background": {}, "images_evaluation": {}}
    with zipfile.ZipFile(shared / "omniglot_small/images_background_small1.zip") as sample:
        for name in sample.namelist():
            if name.endswith(".png"):
                path = name.split("/", 1)[1]
                part = "images_evaluation" if path.startswith(new) else "images_background"
                parts[part][f"{part}/{path}"] = sample.read(name)
    return add_to_overlay(folder, "omniglot", [write_zip(folder / f"{part}.zip", parts[part]) for part in parts])


def nyu_listops(shared: Path, folder: Path) -> Path:
    """The official test file's even rows, 4,000 for training and the rest to test."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = gzip.decompress((shared / "listops/test_d20s_even_rows.tsv.gz").read_bytes()).splitlines(keepends=True)
    files = [folder / "train_d20s.tsv", folder / "test_d20s.tsv"]
    for file, part in zip(files, (lines[:4000], lines[4000:]), strict=True):
        file.write_bytes(b"".join(part))
    return add_to_overlay(folder, "nyu_listops", files)


def imdb(shared: Path, folder: Path, keep: Callable[[int], bool]) -> Path:
    """The reviews of the sample whose number is to be kept."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    with tarfile.open(shared / "imdb/aclImdb_100_2099.tar.xz") as sample:
        for member in sample:
            if member.isfile() and keep(int(Path(member.name).stem.split("_")[0])):
                files[member.name] = sample.extractfile(member).read()
    return add_to_overlay(folder, "imdb", [write_tar(folder / "aclImdb_v1.tar.gz", files)])


def nlvr(shared: Path, folder: Path) -> Path:
    """The official dev and test parts."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for part in ("dev", "test"):
        with zipfile.ZipFile(shared / f"nlvr/nlvr_{part}.zip") as sample:
            files |= {name: sample.read(name) for name in sample.namelist() if not name.endswith("/")}
    return add_to_overlay(folder, "nlvr", [write_zip(folder / "nlvr.zip", files)])


def modelnet40(shared: Path, folder: Path) -> Path:
    """The five bathtubs, of which two are tested on."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    with zipfile.ZipFile(shared / "modelnet10_sample/ModelNet10_bathtub5.zip") as sample:
        for k, name in enumerate(sorted(sample.namelist())):
            part = "test" if k > 2 else "train"
            files[f"ModelNet40/bathtub/{part}/{Path(name).name}"] = sample.read(name)
    return add_to_overlay(folder, "modelnet40", [write_zip(folder / "ModelNet40.zip", files)])
