"""Printed letters, on which the networks are pretrained: 26 classes, both cases, coloured or textured."""

import json

import numpy as np
import pytest

from reprise.data import arrays, digits, glyphs, sources
from reprise.data.arrays import open_prepared
from reprise.data.digits import Options
from reprise.seeding import derive


def prepared(folder, *, n=120, seed=5):
    raw = folder.with_name(f"{folder.name}.raw")
    if not raw.exists():
        sources.fetch("letters", raw)
    digits.letters(raw, folder, Options(n=n), seed=seed)
    return open_prepared(folder)


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("prepared") / "letters", n=1000)


def test_the_classes_are_26_letters(letters):
    assert letters.card["classes"] == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert np.bincount(letters.arrays["labels"][:, 0], minlength=26).min() > 15
    assert letters.arrays["labels"].max() == 25
    assert letters.arrays["x"].shape == (1000, 3, 16, 16)
    assert letters.card["splits"] == {"letters/train": [0, 800], "letters/test": [800, 1000]}
    assert letters.card["domains"] == ["letters"]


def test_letters_come_in_both_cases(letters):
    """The generator's first draw picks among 52 characters; the class is the letter, whatever its case."""
    drawn = np.random.default_rng(derive(5, "letters")).integers(52, size=1000)
    names = [glyphs.LETTERS[k].upper() for k in drawn]
    assert names == [letters.card["classes"][k] for k in letters.arrays["labels"][:, 0]]
    assert 0.45 < np.mean(drawn < 26) < 0.55


def test_letters_are_coloured_or_textured(letters):
    """Corners show the paper: of one colour in most images, textured in a share of them."""
    x = np.asarray(letters.arrays["x"]).astype(int)
    flat = np.abs(x[:, :, 0, :] - x[:, :, :1, 0]).max(axis=(1, 2)) <= 1  # the top row is seldom touched by ink
    assert 0.7 < flat.mean() < 1 - digits.TEXTURED + 0.05
    assert x.reshape(1000, -1).std(axis=1).min() > 5  # none is blank


def test_four_fifths_are_for_training(tmp_path):
    assert prepared(tmp_path / "letters", n=101).card["splits"] == {"letters/train": [0, 81], "letters/test": [81, 101]}


def test_equal_seeds_give_equal_files(tmp_path):
    first, again, other = (prepared(tmp_path / name, seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert first.card == again.card  # with the hashes of the arrays
    for file in ("x.npy", "labels.npy"):
        assert first.card["arrays"][file]["sha256"] != other.card["arrays"][file]["sha256"]


def test_an_interrupted_write_keeps_the_old_data(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    prepared(tmp_path / "letters")
    before = json.loads((tmp_path / "letters/card.json").read_text())
    monkeypatch.setattr(arrays.Writer, "finish", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path / "letters", seed=6)
    assert json.loads((tmp_path / "letters/card.json").read_text()) == before
