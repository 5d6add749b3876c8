"""The digits of four data sets in their official formats, and MNIST and USPS on real samples."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.io import savemat
from sklearn.neighbors import KNeighborsClassifier

from reprise.data.arrays import DataError, open_prepared
from reprise.data.numerals import Options, prepare
from reprise.data.sources import SourceError, fetch
from reprise.data.splits import shuffled
from samples import add_to_overlay, numerals_files, write_idx, write_libsvm

N_TRAIN, N_TEST = 100, 20
DIGITS = np.arange(100) % 10


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("REPRISE_SOURCES", "REPRISE_MANUAL"):
        monkeypatch.delenv(name, raising=False)


def grey(side, n):
    """n grey images, digit d as 20 d + 5, with a white top left corner."""
    images = np.repeat(20 * DIGITS[:n].astype(np.uint8) + 5, side * side).reshape(n, side, side)
    images[:, : side // 4, : side // 4] = 255
    return images


def tensors(path, images, digits):
    stream = io.BytesIO()
    torch.save((torch.from_numpy(images), torch.from_numpy(digits)), stream)
    with tarfile.open(path, "w:gz") as bundle:
        info = tarfile.TarInfo(path.name.removesuffix(".tar.gz"))
        info.size = len(stream.getvalue())
        bundle.addfile(info, io.BytesIO(stream.getvalue()))
    return path


def write(folder):
    """All ten files; the colour sets are the grey images with a red plane of zeros."""
    folder.mkdir()
    files = []
    for part, other, n in (("train", "", N_TRAIN), ("t10k", ".t", N_TEST)):
        digits = DIGITS[:n]
        files.append(write_idx(folder / f"{part}-images-idx3-ubyte.gz", grey(28, n)))
        files.append(write_idx(folder / f"{part}-labels-idx1-ubyte.gz", digits.astype(np.uint8)))
        files.append(write_libsvm(folder / f"usps{other}.bz2", grey(16, n), digits))
        name = part.replace("t10k", "test")
        colour = np.stack([np.zeros_like(grey(32, n)), grey(32, n), grey(32, n)], axis=-1)
        files.append(folder / f"{name}_32x32.mat")
        savemat(files[-1], {"X": colour.transpose(1, 2, 3, 0), "y": np.where(digits == 0, 10, digits)[:, None]})
        files.append(tensors(folder / f"mnist_m_{name}.pt.tar.gz", colour[:, 2:30, 2:30].copy(), digits))
    return files


def run(*, use, max_train=None, max_eval=None, size=32):
    fetch("numerals", Path("raw"))
    options = Options(image_size=size, domains=list(use), max_train=max_train, max_eval=max_eval)
    prepare(Path("raw"), Path("out"), options, seed=0)
    return open_prepared(Path("out"))


@pytest.fixture
def overlay(tmp_path, monkeypatch):
    """The four sets' files, and a function that puts some of them in force."""
    files = write(tmp_path / "files")

    def choose(*parts):
        chosen = [file for file in files if not parts or any(part in file.name for part in parts)]
        monkeypatch.setenv("REPRISE_SOURCES", str(add_to_overlay(tmp_path / "files", "numerals", chosen)))

    return choose


def test_all_four(overlay):
    overlay()
    domains = ("mnist", "usps", "svhn", "mnist_m")
    data = run(use=domains)
    assert data.card["domains"] == list(domains)
    assert data.card["classes"] == list("0123456789")
    x, labels = data.arrays["x"], data.arrays["labels"][:, 0]
    assert (x.shape, x.dtype, data.arrays["labels"].dtype) == ((480, 3, 32, 32), np.uint8, np.uint8)
    for i, domain in enumerate(domains):
        start = 120 * i
        assert [data.card["splits"][f"{domain}/{part}"] for part in ("train", "val", "test")] == [
            [start, start + 90],
            [start + 90, start + 100],
            [start + 100, start + 120],
        ]
        part = x[start : start + 120]
        np.testing.assert_array_equal(part[:, 2, 16, 16], 20 * labels[start : start + 120] + 5)
        assert (part[:, 2, 0, 0] == 255).all() and (part[:, 2, 31, 0] < 255).all() and (part[:, 2, 0, 31] < 255).all()
        np.testing.assert_array_equal(part[:, 1], part[:, 2])
        assert (part[:, 0] == (0 if domain in ("svhn", "mnist_m") else part[:, 2])).all()
        assert np.bincount(labels[data.rows(f"{domain}/val")]).tolist() == [1] * 10
        assert labels[data.rows(f"{domain}/test")].tolist() == DIGITS[shuffled(N_TEST)].tolist()


def test_train_is_in_the_shuffled_order_and_caps_keep_the_first(overlay):
    overlay("ubyte")
    whole = run(use=["mnist"])
    order = DIGITS[shuffled(N_TRAIN)].tolist()
    last = {digit: 99 - order[::-1].index(digit) for digit in range(10)}  # the tenth of a class is val
    expected = [digit for i, digit in enumerate(order) if i != last[digit]]
    train = whole.arrays["labels"][whole.rows("mnist/train"), 0]
    assert train.tolist() == expected
    capped = run(use=["mnist"], max_train=30, max_eval=4)
    assert capped.card["splits"] == {"mnist/train": [0, 30], "mnist/val": [30, 34], "mnist/test": [34, 38]}
    assert capped.arrays["labels"][:30, 0].tolist() == expected[:30]


def test_other_sizes(overlay):
    overlay("usps")
    data = run(use=["usps"], size=16)
    assert set(np.unique(data.arrays["x"])) == {*range(5, 190, 20), 255}  # 16 pixels are stored as they are


def test_two_of_the_four(overlay):
    overlay("ubyte", "usps")
    assert run(use=["usps", "mnist"]).card["domains"] == ["usps", "mnist"]
    with pytest.raises(DataError, match=r"train_32x32.mat is missing: .* or take svhn out of data.numerals.domains"):
        run(use=["svhn"])


def test_an_overlay_may_not_list_others(overlay, tmp_path):
    overlay()
    (tmp_path / "files/extra_32x32.mat").write_bytes(b"")
    add_to_overlay(tmp_path / "files", "numerals", [tmp_path / "files/extra_32x32.mat"])
    with pytest.raises(SourceError, match=r"numerals lists extra_32x32.mat, it must list train-images"):
        run(use=["svhn"])


@pytest.mark.parametrize(
    ("domain", "file"),
    [
        ("mnist", "train-images-idx3-ubyte.gz"),
        ("mnist", "t10k-labels-idx1-ubyte.gz"),
        ("usps", "usps.t.bz2"),
        ("svhn", "train_32x32.mat"),
        ("mnist_m", "mnist_m_test.pt.tar.gz"),
    ],
)
@pytest.mark.parametrize("change", ["half", "other"])
def test_damaged_files(overlay, tmp_path, domain, file, change):
    path = tmp_path / "files" / file
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if change == "half" else b"something else, long enough" * 9)
    overlay()
    with pytest.raises(DataError, match=rf"{file} is damaged or not the official file"):
        run(use=[domain])


def test_unknown_domain():
    with pytest.raises(ValidationError, match="'mnist', 'usps', 'svhn' or 'mnist_m'"):
        Options(image_size=32, domains=["emnist"], max_train=None, max_eval=None)


# real samples


def test_samples(shared_data, tmp_path, monkeypatch):
    """Nearest neighbours at 16 pixels: about .87 within MNIST, less from MNIST to USPS, far above chance."""
    monkeypatch.setenv("REPRISE_SOURCES", str(numerals_files(shared_data, tmp_path / "files", 1000, 500)))
    data = run(use=["mnist", "usps"], size=16)
    sizes = {part: stop - start for part, (start, stop) in data.card["splits"].items()}
    assert sizes["mnist/test"] == sizes["usps/test"] == 500
    assert sizes["mnist/train"] + sizes["mnist/val"] == 1000
    x = data.arrays["x"][:, 0].reshape(len(data.arrays["x"]), -1).astype(np.float32)
    labels = data.arrays["labels"][:, 0]
    train = data.rows("mnist/train")
    model = KNeighborsClassifier(3).fit(x[train], labels[train])
    accuracy = {part: model.score(x[data.rows(part)], labels[data.rows(part)]) for part in ("mnist/test", "usps/test")}
    assert accuracy["mnist/test"] > 0.8
    assert 0.4 < accuracy["usps/test"] < accuracy["mnist/test"]


def test_usps_sample_keeps_its_pixels(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_SOURCES", str(numerals_files(shared_data, tmp_path / "files", 300, 100)))
    data = run(use=["usps"], size=16)
    with np.load(shared_data / "usps/usps_uint8.npz") as sample:
        expected = sample["test_x"][:100].reshape(100, 16, 16)[shuffled(100)]
        labels = sample["test_y"][:100][shuffled(100)]
    np.testing.assert_array_equal(data.arrays["x"][data.rows("usps/test")][:, 1], expected)
    np.testing.assert_array_equal(data.arrays["labels"][data.rows("usps/test"), 0], labels)
