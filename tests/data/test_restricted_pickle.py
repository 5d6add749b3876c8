"""Only plain data leave a pickle; code in it is not run."""

import pickle
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from reprise.data.arrays import DataError
from reprise.data.restricted_pickle import load, loads
from samples_circuits import python2_pickle

PLAIN = {
    "text": ["ä", b"\x00\xff", bytearray(b"x")],
    ("tuple", 1): {1.5, 2.5},
    "ordered": OrderedDict(a=None, b=True),
    "array": np.arange(6, dtype=np.int16).reshape(2, 3),
    "fortran": np.asfortranarray(np.ones((2, 3))),
    "scalar": np.float64(0.25),
    "nested": {0: {"VM": [{"size": [2, 3], "counts": b"06"}], "box": [np.int64(7)]}},
}


def put(tmp_path, content: bytes) -> Path:
    path = tmp_path / "data.pkl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("protocol", "numpy"), [*((p, b"numpy._core.") for p in range(2, 6)), (3, b"numpy.core.")])
def test_plain_data(tmp_path, protocol, numpy):
    """In every protocol, and under the names that numpy 1 wrote (protocol 3 has no lengths that they would change)."""
    content = pickle.dumps(PLAIN, protocol).replace(b"numpy._core.", numpy)
    assert numpy in content or protocol > 3
    loaded = load(put(tmp_path, content))
    assert loaded.keys() == PLAIN.keys()
    for key, value in PLAIN.items():
        np.testing.assert_equal(loaded[key], value)
    assert loaded["array"].dtype == np.int16


class Evil:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_not_run(tmp_path, protocol):
    import os

    witness = tmp_path / "witness"
    path = put(tmp_path, pickle.dumps({"a": [Evil(os.mkdir, str(witness))]}, protocol))
    with pytest.raises(DataError, match=r"data\.pkl is damaged.*mkdir is not allowed"):
        load(path)
    assert not witness.exists()


@pytest.mark.parametrize(
    "content",
    [Fraction(1, 2), np.load, eval, getattr, Evil(eval, "1"), Evil(getattr, "a", "upper"), np.random.default_rng(0)],
)
def test_everything_else_is_refused(tmp_path, content):
    with pytest.raises(DataError, match="is not allowed"):
        load(put(tmp_path, pickle.dumps(content)))


def test_no_codec_but_the_one_for_bytes(tmp_path):
    import codecs

    with pytest.raises(DataError, match="codec 'rot13' is not allowed"):
        load(put(tmp_path, pickle.dumps(Evil(codecs.encode, "abc", "rot13"))))


@pytest.mark.parametrize(
    "content", [b"", b"no pickle", pickle.dumps(PLAIN)[:-20], b"\x80\x05\x95" + b"\xff" * 8 + b"."]
)
def test_damaged(tmp_path, content):
    with pytest.raises(DataError, match=r"data\.pkl is damaged"):
        load(put(tmp_path, content))


def test_missing(tmp_path):
    with pytest.raises(DataError, match="is missing"):
        load(tmp_path / "none.pkl")


def test_python_2(tmp_path):
    """Text and bytes are one there; arrays keep their values, whatever bytes those are."""
    array = np.arange(256, dtype=np.uint8).reshape(16, 16)
    content = python2_pickle({b"data": array, b"labels": [1, 2], b"name": b"caf\xe9"})
    assert b"numpy.core.multiarray" in content
    loaded = loads(content, tmp_path / "batch", "latin1")
    assert loaded["name"] == "caf\xe9" and loaded["labels"] == [1, 2]
    np.testing.assert_array_equal(loaded["data"], array)
    with pytest.raises(DataError, match="batch is damaged"):
        loads(content[:50], tmp_path / "batch", "latin1")
    with pytest.raises(DataError, match="mkdir is not allowed"):
        loads(pickle.dumps(Evil(__import__("os").mkdir, "x"), 2), tmp_path / "batch", "latin1")
