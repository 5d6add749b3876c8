"""IMDB's bytes, on tiny generated archives of the official layout and on a real sample."""

import numpy as np
import pytest

from reprise.data.arrays import DataError, open_prepared
from reprise.data.imdb import Options, prepare
from reprise.data.sources import fetch
from reprise.data.splits import shuffled
from samples_circuits import imdb, write_tar


def files():
    found = {
        "aclImdb/README": b"read me",
        "aclImdb/train/unsup/0_0.txt": b"unlabelled",
        "aclImdb/train/urls_pos.txt": b"u",
    }
    for part in ("test", "train"):
        for label, rating in (("pos", 9), ("neg", 2)):
            for k in range(3):
                found[f"aclImdb/{part}/{label}/{k}_{rating}.txt"] = (
                    f"{part} {label} {k} ".encode() + b"caf\xc3\xa9 " * k
                )
    return found


def run(raw, length=20, max_train=None, max_eval=None):
    prepare(raw, raw / "out", Options(length=length, max_train=max_train, max_eval=max_eval), seed=0)
    return open_prepared(raw / "out")


def test_official_layout(tmp_path):
    write_tar(tmp_path / "aclImdb_v1.tar.gz", files())
    data = run(tmp_path)
    assert data.card["splits"] == {"iid/train": [0, 6], "iid/test": [6, 12]}
    assert data.card["classes"] == ["neg", "pos"]
    names = sorted(name for name in files() if "/train/neg" in name or "/train/pos" in name)
    for row, k in enumerate(shuffled(6)):
        text = files()[names[k]][:20]
        assert data.arrays["x"][row].tobytes() == text + bytes(20 - len(text))
        assert data.arrays["labels"][row, 0] == ("pos" in names[k])
    capped = run(tmp_path, length=16, max_train=2, max_eval=1)
    assert capped.arrays["x"].shape == (3, 16)
    np.testing.assert_array_equal(capped.arrays["x"][:2], data.arrays["x"][:2, :16])


def test_damaged(tmp_path):
    with pytest.raises(DataError, match=r"aclImdb_v1\.tar\.gz is missing: run .*download@"):
        run(tmp_path)
    path = write_tar(tmp_path / "aclImdb_v1.tar.gz", {k: v for k, v in files().items() if "test/pos" not in k})
    with pytest.raises(DataError, match="lacks reviews in aclImdb/test/neg or pos"):
        run(tmp_path)
    write_tar(path, files())
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"aclImdb_v1\.tar\.gz is truncated or damaged"):
        run(tmp_path)
    assert not (tmp_path / "out").exists()


def test_real_sample(shared_data, tmp_path, monkeypatch):
    """Words give away more than chance what the reviewer thought."""
    monkeypatch.setenv("REPRISE_SOURCES", str(imdb(shared_data, tmp_path / "files", lambda number: number < 400)))
    fetch("imdb", tmp_path / "raw")
    data = run(tmp_path / "raw", length=4000)
    assert data.card["splits"] == {"iid/train": [0, 600], "iid/test": [600, 1200]}
    labels = data.arrays["labels"][:, 0]
    assert (np.bincount(labels[:600]) == 300).all()
    texts = [row.tobytes().rstrip(b"\0") for row in data.arrays["x"]]
    assert all(0 not in text and len(text) > 30 for text in texts)
    bad, great = (np.array([word in text for text in texts]) for word in (b" bad ", b" great "))
    assert bad[labels == 0].mean() > bad[labels == 1].mean() + 0.1
    assert great[labels == 1].mean() > great[labels == 0].mean() + 0.1
