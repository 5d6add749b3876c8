"""Bytes of the standard library: nothing gives the package away, and no file is in both splits."""

import numpy as np
import pytest

from reprise.data import source_bytes
from reprise.data.arrays import open_prepared
from reprise.data.source_bytes import PACKAGES, Options, strip


def test_strip():
    text = '"""About asyncio."""\nimport email.Email as e  # the email package\nx = "# no comment"\n'
    assert strip(text) == b'"""About ."""\nimport . as e  \nx = "# no comment"\n'
    assert strip("x = 'é'\n") == b"x = '?'\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bytes")
    source_bytes.prepare(folder, folder / "out", Options(n_train=600, n_test=120), seed=0)
    return open_prepared(folder / "out")


def test_prepared(data):
    assert data.arrays["x"].shape == (720, 256)
    assert (np.bincount(data.arrays["labels"][data.rows("iid/train"), 0]) == 100).all()
    assert data.card["classes"] == list(PACKAGES)
    assert data.card["python"].startswith("3.")
    for row in data.arrays["x"]:
        assert row.max() < 128
        assert not any(name in row.tobytes().decode().lower() for name in PACKAGES)


def test_no_line_of_the_test_files_is_trained_on(data):
    """Long lines of test windows, which chance does not repeat, are hardly ever in training windows."""
    train = b"\n".join(row.tobytes() for row in data.arrays["x"][data.rows("iid/train")])
    test = [line for row in data.arrays["x"][data.rows("iid/test")] for line in row.tobytes().split(b"\n")[1:-1]]
    long = [line for line in test if len(line.strip()) > 50]
    assert len(long) > 50
    assert np.mean([line in train for line in long]) < 0.02


def test_the_seed_decides(tmp_path, data):
    source_bytes.prepare(tmp_path, tmp_path / "again", Options(n_train=600, n_test=120), seed=0)
    source_bytes.prepare(tmp_path, tmp_path / "other", Options(n_train=600, n_test=120), seed=1)
    again, other = (open_prepared(tmp_path / name).card["arrays"] for name in ("again", "other"))
    assert again == data.card["arrays"] != other
