"""Printed characters: every font draws every character, and turns, shifts and sizes stay in their ranges."""

import numpy as np
import pytest
from PIL import ImageFont

from reprise.data import glyphs
from reprise.data.glyphs import CANVAS, FONTS, LETTERS, POINTS, render

CHARACTERS = LETTERS + "0123456789"


def drawn(text, seed=0, size=16):
    return render(list(text), np.random.default_rng(seed), size)


def test_letters_are_both_cases_of_26():
    assert len(LETTERS) == len(set(LETTERS)) == 52
    assert LETTERS[:26].lower() == LETTERS[26:]


@pytest.mark.parametrize("size", [16, 24])
def test_images_are_bright_on_dark(size):
    images = drawn(CHARACTERS * 3, size=size)
    assert (images.shape, images.dtype) == ((3 * 62, size, size), np.float32)
    assert images.min() == 0.0
    assert images.max() <= 1.0
    assert (images.max(axis=(1, 2)) > 0.2).all()  # none is empty
    border = np.concatenate([images[:, 0].ravel(), images[:, :, 0].ravel()])
    assert border.mean() < 0.02 < images.mean() < 0.3


def test_draws_follow_the_generator():
    np.testing.assert_array_equal(drawn(CHARACTERS), drawn(CHARACTERS))
    assert not np.array_equal(drawn(CHARACTERS), drawn(CHARACTERS, seed=1))
    same = drawn("a" * 20)
    assert len(np.unique(same.reshape(20, -1), axis=0)) == 20


@pytest.mark.parametrize("font", FONTS)
def test_every_font_has_every_character(font):
    """A font without a character would draw the same box for each."""
    images = {np.asarray(glyphs._drawn(character, font, 36)).tobytes() for character in CHARACTERS}
    assert len(images) >= 61  # a font may draw one pair alike


def test_fonts_differ():
    images = {np.asarray(glyphs._drawn("g", font, 36)).tobytes() for font in FONTS}
    assert len(images) == len(FONTS) == 18


@pytest.mark.parametrize("font", FONTS)
def test_characters_fit_on_the_canvas(font):
    """Upright, the largest size keeps within the canvas, but for the last pixels of the widest letters."""
    widest = max(glyphs.font(font, POINTS[-1]).getbbox(character, anchor="mm")[2] for character in CHARACTERS)
    assert widest <= CANVAS / 2 + 3


def test_sizes_are_30_to_41_points():
    assert (POINTS[0], POINTS[-1]) == (30, 41)
    assert isinstance(glyphs.font(FONTS[0], 30), ImageFont.FreeTypeFont)
    ink = [np.asarray(glyphs._drawn("M", FONTS[0], points)).sum(dtype=float) for points in (30, 41)]
    assert ink[1] / ink[0] == pytest.approx((41 / 30) ** 2, rel=0.1)


def axis(images):
    """Angle of the long axis of each image (degrees from the vertical), and its centre in pixels."""
    y, x = np.mgrid[: images.shape[1], : images.shape[2]] + 0.5
    mass = images.sum(axis=(1, 2))
    centre = np.stack([(images * grid).sum(axis=(1, 2)) / mass for grid in (x, y)], axis=1)
    dx, dy = (grid - centre[:, k, None, None] for k, grid in enumerate((x, y)))
    xx, yy, xy = ((images * a * b).sum(axis=(1, 2)) / mass for a, b in ((dx, dx), (dy, dy), (dx, dy)))
    return np.degrees(0.5 * np.arctan2(2 * xy, yy - xx)), centre


def test_turns_and_shifts(monkeypatch):
    """A bar in one upright font, on the canvas's own pixels: +-12 degrees and +-3 pixels, evenly spread."""
    monkeypatch.setattr(glyphs, "FONTS", ("DejaVuSans",))
    angle, centre = axis(drawn("|" * 1500, size=CANVAS))
    assert np.abs(angle).max() == pytest.approx(12, abs=0.5)
    assert angle.std() == pytest.approx(24 / np.sqrt(12), rel=0.06)
    assert angle.mean() == pytest.approx(0, abs=0.7)
    shift = centre - np.median(centre, axis=0)
    assert (np.abs(shift).max(axis=0) < 4.5).all()
    assert shift.std(axis=0) == pytest.approx([2.0, 2.0], rel=0.1)  # of the integers -3 to 3


def test_resizing_keeps_the_brightness():
    small, large = drawn(CHARACTERS), drawn(CHARACTERS, size=CANVAS)  # the same draws
    means = large.reshape(-1, 16, 3, 16, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small, means, atol=1 / 255)  # boxes of 3x3, rounded to bytes twice
