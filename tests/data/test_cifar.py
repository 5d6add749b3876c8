"""CIFAR-10 and CIFAR-100, as pickles of Python 2 in tars, with made-up images and with real ones."""

import numpy as np
import pytest

from reprise.data import cifar
from reprise.data.arrays import DataError, open_prepared
from reprise.data.cifar import Options
from reprise.data.sources import fetch
from samples_circuits import cifar10, python2_pickle, write_tar


def images(n, seed=0):
    """Rows as in the files: 1024 reds, greens, blues."""
    return np.random.default_rng(seed).integers(0, 256, (n, 3072), dtype=np.uint8)


def ten():
    files = {"batches.meta": {b"label_names": [b"plane", b"car"], b"num_cases_per_batch": 4}}
    for k in range(1, 6):
        files[f"data_batch_{k}"] = {b"batch_label": b"b", b"labels": [0, 1, 1, 0], b"data": images(4, k)}
    files["test_batch"] = {b"labels": [1, 0, 1], b"data": images(3, 9), b"filenames": [b"a", b"b", b"c"]}
    return {f"cifar-10-batches-py/{name}": python2_pickle(content) for name, content in files.items()}


def hundred():
    part = {b"fine_labels": [5, 2], b"coarse_labels": [0, 1], b"data": images(2)}
    meta = {b"fine_label_names": [b"apple"] * 6, b"coarse_label_names": [b"fruit"] * 2}
    files = {"train": part, "test": part, "meta": meta}
    return {f"cifar-100-python/{name}": python2_pickle(content) for name, content in files.items()}


def run(name, raw, size=32, max_train=None, max_eval=None):
    options = Options(image_size=size, max_train=max_train, max_eval=max_eval)
    getattr(cifar, name)(raw, raw / "out", options, seed=0)
    return open_prepared(raw / "out")


def test_cifar10(tmp_path):
    write_tar(tmp_path / "cifar-10-python.tar.gz", ten())
    data = run("cifar10", tmp_path)
    assert data.card["classes"] == ["plane", "car"]
    assert data.card["splits"] == {"iid/train": [0, 20], "iid/test": [20, 23]}
    expected = np.concatenate([*(images(4, k) for k in range(1, 6)), images(3, 9)]).reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(data.arrays["x"], expected)  # 32 pixels are stored as they are
    np.testing.assert_array_equal(data.arrays["labels"][:, 0], [0, 1, 1, 0] * 5 + [1, 0, 1])
    fewer = run("cifar10", tmp_path, size=64, max_train=6, max_eval=1)
    assert fewer.card["splits"] == {"iid/train": [0, 6], "iid/test": [6, 7]}
    assert fewer.arrays["x"].shape == (7, 3, 64, 64)
    np.testing.assert_allclose(fewer.arrays["x"][0].mean(), expected[0].mean(), atol=2)


def test_cifar100(tmp_path):
    write_tar(tmp_path / "cifar-100-python.tar.gz", hundred())
    data = run("cifar100", tmp_path)
    assert data.arrays["labels"][:, 0].tolist() == [5, 2, 5, 2]
    assert data.card["classes"] == ["apple"] * 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.pop("cifar-10-batches-py/data_batch_3"), "lacks 'cifar-10-batches-py/data_batch_3'"),
        (lambda files: files.update({"cifar-10-batches-py/test_batch": b"junk"}), "test_batch is damaged"),
        (
            lambda files: files.update({"cifar-10-batches-py/test_batch": python2_pickle({b"data": images(2)})}),
            "lacks 'labels'",
        ),
    ],
)
def test_damaged(tmp_path, change, message):
    files = ten()
    change(files)
    write_tar(tmp_path / "cifar-10-python.tar.gz", files)
    with pytest.raises(DataError, match=message):
        run("cifar10", tmp_path)
    assert not (tmp_path / "out").exists()


def test_missing_and_truncated(tmp_path):
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz is missing: run"):
        run("cifar10", tmp_path)
    path = write_tar(tmp_path / "cifar-10-python.tar.gz", ten())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz is truncated or damaged"):
        run("cifar10", tmp_path)


def test_real_sample(shared_data, tmp_path, monkeypatch):
    """The official form with real pictures; ships and planes have blue around them, frogs and deer have not."""
    monkeypatch.setenv("REPRISE_SOURCES", str(cifar10(shared_data, tmp_path / "files", 500, 100)))
    fetch("cifar10", tmp_path / "raw")
    data = run("cifar10", tmp_path / "raw")
    assert data.card["splits"] == {"iid/train": [0, 500], "iid/test": [500, 600]}
    assert data.card["classes"][8] == "ship"
    blue = data.arrays["x"][:, 2].mean((1, 2)) - data.arrays["x"][:, 0].mean((1, 2))
    labels = data.arrays["labels"][:, 0]
    assert blue[np.isin(labels, [0, 8])].mean() > 5 > blue[np.isin(labels, [4, 6])].mean()
