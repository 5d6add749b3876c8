"""Printed letters, on which the networks are pretrained: 26 classes, both cases, coloured or textured, or inverted."""

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


def grounds(letters):
    """Images, and which of them are on black and on white: their border is seldom touched by ink, a texture varies."""
    x = np.asarray(letters.arrays["x"]).astype(float)
    border = np.concatenate([x[:, :, 0], x[:, :, -1], x[:, :, :, 0], x[:, :, :, -1]], axis=2)
    paper = np.median(border, axis=2)
    return x, (paper == 0).all(1), (paper == 255).all(1)


def test_some_letters_are_textured_and_some_inverted(letters):
    x, black, white = grounds(letters)
    assert digits.TEXTURED == digits.INVERTED == 0.3
    assert (black | white).mean() == pytest.approx(0.7, abs=0.05)
    assert white.sum() / (black | white).sum() == pytest.approx(0.3, abs=0.06)
    assert x.reshape(1000, -1).std(axis=1).min() > 5  # none is blank
    # Textures are ground and stroke alike: no colour prevails.
    assert x[~(black | white)].mean() / 255 == pytest.approx(0.5, abs=0.03)


def test_other_letters_are_of_one_bright_colour(letters):
    x, black, white = grounds(letters)
    ink = np.where(white[:, None, None, None], 255 - x, x)[black | white]
    brightest = ink.max(axis=(2, 3))
    # Every pixel has the letter's colour, more or less of it.
    weight = ink.mean(axis=1, keepdims=True) / brightest.mean(axis=1)[:, None, None, None]
    assert np.abs(ink - weight * brightest[:, :, None, None]).max() < 2
    share = brightest / brightest.max(axis=1, keepdims=True)
    assert 0.29 < share.min() < 0.35  # channels are between 0.3 and 1
    assert np.median(brightest.max(axis=1)) > 200
    assert np.median(share.min(axis=1)) < 0.7  # colours, not shades of grey
    assert np.bincount(brightest.argmax(axis=1), minlength=3).min() > 0.25 * len(ink)


def test_inverted_letters_are_inverted_as_a_whole(tmp_path, monkeypatch):
    """With the same draws, the shares decide alone."""
    made = {}
    for inverted in (0.0, 0.3, 1.0):
        monkeypatch.setattr(digits, "INVERTED", inverted)
        made[inverted] = np.asarray(prepared(tmp_path / f"letters{inverted}").arrays["x"]).astype(int)
    assert np.abs(made[1.0] - (255 - made[0.0])).max() <= 1
    turned = (np.abs(made[0.3] - made[1.0]) <= 1).all(axis=(1, 2, 3))
    assert 0.15 < turned.mean() < 0.45
    np.testing.assert_array_equal(made[0.3][~turned], made[0.0][~turned])


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
