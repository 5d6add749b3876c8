"""Printed letters, on which networks are pretrained: both cases, on black, on colour or textured, some inverted."""

import json

import numpy as np
import pytest

from reprise.data import arrays, digits, glyphs
from reprise.data.arrays import open_prepared
from reprise.data.digits import Options
from reprise.seeding import derive


def prepared(folder, *, n=120, seed=5):
    digits.letters(folder.with_name("no-raw"), folder, Options(n=n), seed=seed)
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
    """Images and their grounds: their border is seldom touched by ink, and of textures no two pixels are alike.

    With them, which images are on black, on white, on another colour; all others are textured.
    """
    x = np.asarray(letters.arrays["x"]).astype(float)
    border = np.concatenate([x[:, :, 0], x[:, :, -1], x[:, :, :, 0], x[:, :, :, -1]], axis=2)
    paper = np.median(border, axis=2)
    plain = (x == paper[:, :, None, None]).all(axis=1).mean(axis=(1, 2)) > 0.25
    black, white = (paper == 0).all(1), (paper == 255).all(1)
    return x, paper, black, white, plain & ~black & ~white


def test_some_letters_are_textured_and_some_inverted(letters):
    """Half of the others are on black, before they are inverted."""
    x, _, black, white, coloured = grounds(letters)
    textured = ~(black | white | coloured)
    assert (digits.TEXTURED, digits.INVERTED) == (0.15, 0.3)
    assert textured.mean() == pytest.approx(0.15, abs=0.035)
    assert coloured.mean() == pytest.approx(0.425, abs=0.045)
    assert white.sum() / (black | white).sum() == pytest.approx(0.3, abs=0.06)
    assert x.reshape(1000, -1).std(axis=1).min() > 5  # none is blank
    # Textures are ground and stroke alike: no colour prevails.
    assert x[textured].mean() / 255 == pytest.approx(0.5, abs=0.03)


def test_letters_on_colour_are_of_two_random_colours(letters):
    """Mixtures of ground and stroke, well apart in luminance, either of them the lighter one."""
    x, paper, _, _, coloured = grounds(letters)
    apart = (x - paper[:, :, None, None])[coloured].reshape(-1, 3, 256)
    u, s, v = np.linalg.svd(apart, full_matrices=False)
    assert np.abs(apart - u[:, :, :1] * s[:, None, :1] * v[:, :1]).max() < 2
    lighter = np.einsum("c,ncp->np", digits.LUMINANCE, apart) / 255
    contrast = np.abs(lighter).max(axis=1)  # 0.3 or more, less where no pixel is wholly ink
    assert np.percentile(contrast, 5) > 0.25
    assert contrast.min() > 0.15
    assert (lighter.sum(axis=1) > 0).mean() == pytest.approx(0.5, abs=0.08)
    assert paper[coloured].std(axis=0).min() > 50  # grounds of all colours
    assert np.corrcoef(paper[coloured].T)[np.triu_indices(3, 1)].max() < 0.5


def test_other_letters_are_of_one_bright_colour(letters):
    x, _, black, white, _ = grounds(letters)
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
