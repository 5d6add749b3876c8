"""Real digits for the assay paper's protocol: MNIST, USPS, SVHN and MNIST-M as four domains of one task.

Read in their official formats (idx, libsvm, MATLAB, PyTorch) and stored as RGB of one size (bilinear). `DOMAIN/test`
is the official test set: MNIST-M is blended out of MNIST's digits, so pooling and splitting anew, as the paper does for
its own sets, would put one digit into the training set of one domain and the test set of another. `DOMAIN/val` is a
tenth of each class of the official training set. Rows are in the order of `reprise.data.splits.shuffled`.
"""

import gzip
import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from PIL import Image
from pydantic import Field

from reprise.data import arrays
from reprise.data.archives import DAMAGED
from reprise.data.arrays import DataError
from reprise.data.images import square
from reprise.data.sources import provenance
from reprise.data.splits import shuffled, split
from reprise.params import Section

Content = TypeVar("Content")
Digits = tuple[np.ndarray, np.ndarray]  # images uint8 (n, h, w) or (n, h, w, 3), labels 0-9 (n,)


class Options(Section):
    """`data.numerals` in params.yaml."""

    image_size: Annotated[int, Field(ge=16, le=224, description="side of the square images, pixels")]
    domains: Annotated[
        list[Literal["mnist", "usps", "svhn", "mnist_m"]], Field(min_length=1, description="domains in use")
    ]
    max_train: Annotated[int | None, Field(ge=1, description="images of each training split; null keeps all")]
    max_eval: Annotated[int | None, Field(ge=1, description="images of each other split; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `x` uint8 (n, 3, s, s) and `labels` uint8 (n, 1), splits `DOMAIN/train`, `DOMAIN/val`, `DOMAIN/test`.

    Raises DataError naming the file that is missing or damaged, and how to do without its domain.
    """
    images, labels = [], []
    splits: dict[str, tuple[int, int]] = {}
    start = 0
    for domain in options.domains:
        train, test = READERS[domain](raw)
        fitted, validation = _validation(train[1])
        for part, (x, y), rows in (
            ("train", train, fitted[: options.max_train]),
            ("val", train, validation[: options.max_eval]),
            ("test", test, shuffled(len(test[1]))[: options.max_eval]),
        ):
            images.append(_resized(x[rows], options.image_size))
            labels.append(y[rows].astype(np.uint8))
            splits[f"{domain}/{part}"] = (start, start + len(rows))
            start += len(rows)
    arrays.write(
        out,
        name="numerals",
        arrays={"x": np.concatenate(images), "labels": np.concatenate(labels)[:, None]},
        splits=splits,
        label_names=("class",),
        classes=[str(digit) for digit in range(10)],
        domains=list(options.domains),
        **provenance("numerals", raw),
    )


def _validation(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of (train, val) in shuffled order: a tenth of every class is val."""
    order = shuffled(len(labels))
    train, val = split(labels[order], lambda n: (n - n // 10, n // 10))
    return order[train], order[val]


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 (n, h, w) or (n, h, w, 3) -> (n, 3, size, size)."""
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=-1)
    return np.stack([square(Image.fromarray(image), size) for image in images])


def mnist(raw: Path) -> tuple[Digits, Digits]:
    """(train, test) of MNIST, 28x28 grey."""
    parts = []
    for part in ("train", "t10k"):
        images = _checked(_idx, raw / f"{part}-images-idx3-ubyte.gz", "mnist")
        labels = _checked(_idx, raw / f"{part}-labels-idx1-ubyte.gz", "mnist")
        parts.append((images, labels))
    return parts[0], parts[1]


def usps(raw: Path) -> tuple[Digits, Digits]:
    """(train, test) of USPS, 16x16 grey; the files hold labels 1-10 and values in [-1, 1]."""
    return _checked(_libsvm, raw / "usps.bz2", "usps"), _checked(_libsvm, raw / "usps.t.bz2", "usps")


def svhn(raw: Path) -> tuple[Digits, Digits]:
    """(train, test) of the cropped SVHN, 32x32 RGB; the label 10 is the digit 0."""
    return _checked(_matlab, raw / "train_32x32.mat", "svhn"), _checked(_matlab, raw / "test_32x32.mat", "svhn")


def mnist_m(raw: Path) -> tuple[Digits, Digits]:
    """(train, test) of MNIST-M, 28x28 RGB, as tensors in a tar."""
    train, test = (raw / f"mnist_m_{part}.pt.tar.gz" for part in ("train", "test"))
    return _checked(_tensors, train, "mnist_m"), _checked(_tensors, test, "mnist_m")


READERS: dict[str, Callable[[Path], tuple[Digits, Digits]]] = {
    "mnist": mnist,
    "usps": usps,
    "svhn": svhn,
    "mnist_m": mnist_m,
}


def _idx(path: Path) -> np.ndarray:
    """uint8 array of an idx file: 0, 0, 8 (uint8), number of axes, their lengths as big-endian int32, the values."""
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\x00\x00\x08":
        raise ValueError("not an idx file of bytes")
    axes = content[3]
    shape = np.frombuffer(content, ">i4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _libsvm(path: Path) -> Digits:
    from sklearn.datasets import load_svmlight_file  # slow to import, only USPS needs it

    values, labels = load_svmlight_file(str(path), n_features=256)
    images = np.rint((values.toarray() + 1) / 2 * 255)
    return images.astype(np.uint8).reshape(-1, 16, 16), labels.astype(np.int64) - 1


def _matlab(path: Path) -> Digits:
    from scipy.io import loadmat  # slow to import, only SVHN needs it

    with path.open("rb") as stream:
        content = loadmat(stream)
    return content["X"].transpose(3, 0, 1, 2), content["y"][:, 0].astype(np.int64) % 10


def _tensors(path: Path) -> Digits:
    import torch  # slow to import, only MNIST-M needs it

    with tarfile.open(path) as bundle:
        (member,) = [member for member in bundle if member.isfile() and member.name.endswith(".pt")]
        content = bundle.extractfile(member).read()  # type: ignore[union-attr]  # a file has content
    images, labels = torch.load(io.BytesIO(content), weights_only=True)
    return images.numpy(), labels.numpy()


def _checked(read: Callable[[Path], Content], path: Path, domain: str) -> Content:
    again = f"run `dvc repro -f -s download@numerals`, or take {domain} out of data.numerals.domains"
    try:
        return read(path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {again}") from None
    except (*DAMAGED, OSError, ValueError, KeyError, RuntimeError, pickle.UnpicklingError) as failure:
        raise DataError(f"{path} is damaged or not the official file ({failure}): {again}") from failure
