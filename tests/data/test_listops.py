"""ListOps: semantics by hand and against the official labels, and the generator."""

import gzip

import numpy as np
import pytest
from pydantic import ValidationError

from reprise.data import listops
from reprise.data.arrays import DataError, open_prepared
from reprise.data.listops import SYMBOLS, Options, value

OPTIONS = {"n_train": 300, "n_test": 60, "depth": 3, "arguments": 4, "shortest": 5, "longest": 24, "digit": 0.65}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[MIN 4 2 9 ]", 2),
        ("[MAX 4 2 9 ]", 9),
        ("[MED 4 2 9 ]", 4),
        ("[MED 4 7 ]", 5),  # 5.5, truncated
        ("[SM 4 7 9 ]", 0),
        ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9),
        ("[SM [MED 1 2 8 ] [MAX [MIN 6 7 ] 3 ] 5 ]", 3),
        ("7", 7),
    ],
)
def test_values_by_hand(text, expected):
    assert value(text.split()) == expected


@pytest.mark.parametrize("text", ["[MIN ]", "[MIN 1 2", "1 2", "[AVG 1 2 ]", "]", "[MIN 1 12 ]", "MIN 1 2 ]"])
def test_what_is_no_expression(text):
    with pytest.raises(DataError, match="listops"):
        value(text.split())


def test_official_labels(shared_data):
    """Nangia and Bowman's own test set, whose lines are a label and a binary tree."""
    with gzip.open(shared_data / "listops" / "test_d20s_even_rows.tsv.gz", "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    assert len(rows) > 4000
    for label, text in rows:
        assert value(listops.symbols_of(text)) == int(label)


def test_prepared(tmp_path):
    listops.prepare(tmp_path, tmp_path / "out", Options(**OPTIONS), seed=0)
    data = open_prepared(tmp_path / "out")
    x, y = data.arrays["x"], data.arrays["labels"][:, 0]
    assert x.shape == (360, 24)
    assert data.card["splits"] == {"iid/train": [0, 300], "iid/test": [300, 360]}
    for row, label in zip(x, y, strict=True):
        symbols = [SYMBOLS[k] for k in row if k]
        assert 5 <= len(symbols) <= 24
        assert not row[len(symbols) :].any()  # padding stands at the end
        assert value(symbols) == label
    assert len(np.unique(x, axis=0)) == 360
    depth = (np.cumsum(np.isin(x, range(11, 15)).astype(int) - (x == len(SYMBOLS) - 1), axis=1)).max()
    assert depth == 3


def test_the_seed_decides(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        listops.prepare(tmp_path, tmp_path / name, Options(**OPTIONS), seed=seed)
    a, b, c = (open_prepared(tmp_path / name) for name in "abc")
    assert a.card["arrays"] == b.card["arrays"] != c.card["arrays"]


def test_too_few_expressions(tmp_path):
    narrow = OPTIONS | {"depth": 1, "arguments": 2, "shortest": 4, "longest": 4, "n_train": 350}  # of 400 there are
    with pytest.raises(DataError, match=r"only \d+ different expressions of 4 to 4 symbols"):
        listops.prepare(tmp_path, tmp_path / "out", Options(**narrow), seed=0)
    assert not (tmp_path / "out").exists()


def test_options():
    with pytest.raises(ValidationError, match="shortest 30 is more than longest 24"):
        Options(**OPTIONS | {"shortest": 30})
