"""Printed characters: classes, fonts and what varies."""

import numpy as np
import pytest

from reprise.data import characters
from reprise.data.arrays import open_prepared
from reprise.data.characters import CHARACTERS, GREEK, PLAIN, SERIFS, Options, draw


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("characters")
    characters.prepare(folder, folder / "out", Options(train=4, test=2, few=3), seed=0)
    return open_prepared(folder / "out")


def test_prepared(data):
    assert len(CHARACTERS) == len(set(CHARACTERS)) == 44
    assert len(GREEK) == len(set(GREEK)) == 23
    assert data.arrays["x"].shape == (44 * 8 + 23 * 3, 1, 16, 16)
    labels = data.arrays["labels"][:, 0]
    expected = {"iid/train": (4, range(44)), "renditions/test": (2, range(44)), "greek/few": (3, range(44, 67))}
    for split, (each, classes) in expected.items():
        assert np.array_equal(np.bincount(labels[data.rows(split)], minlength=67)[list(classes)], [each] * len(classes))
        assert set(labels[data.rows(split)]) == set(classes)
    assert data.arrays["x"].reshape(len(labels), -1).max(1).min() > 100  # something is drawn everywhere


def test_no_font_is_in_both():
    assert not set(PLAIN) & set(SERIFS)


@pytest.mark.parametrize("fonts", [PLAIN, SERIFS])
def test_every_character_is_in_every_font(fonts):
    """A font without it would draw the same box for all."""
    for font in fonts:
        images = {characters.draw(c, (font,), np.random.default_rng(0)).tobytes() for c in CHARACTERS + GREEK}
        assert len(images) == 67


def test_images_stay_within_the_canvas():
    random = np.random.default_rng(0)
    images = np.stack([draw("W", PLAIN, random) for _ in range(300)])
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], 1)
    assert (border.max(1) > 60).mean() < 0.15  # the widest letter seldom touches the edge
    assert len({image.tobytes() for image in images}) == 300


def test_the_seed_decides(tmp_path, data):
    characters.prepare(tmp_path, tmp_path / "again", Options(train=4, test=2, few=3), seed=0)
    characters.prepare(tmp_path, tmp_path / "other", Options(train=4, test=2, few=3), seed=1)
    again, other = (open_prepared(tmp_path / name).card["arrays"] for name in ("again", "other"))
    assert again == data.card["arrays"] != other
