"""Printed characters from the fonts that matplotlib ships, each a little turned and shifted.

Used by the assay's `font` domain, its upstream task (letters) and its planted-cue task.
"""

import string
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

# fmt: off
FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique", "DejaVuSansMono",
    "DejaVuSansMono-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta", "cmb10", "cmr10", "cmss10", "cmtt10",
)
# fmt: on
POINTS = range(30, 42)
CANVAS = 48  # pixels; each font size is drawn in its centre
LETTERS = string.ascii_uppercase + string.ascii_lowercase


@cache
def font(name: str, points: int) -> ImageFont.FreeTypeFont:
    """One of the fonts that matplotlib ships."""
    package = find_spec("matplotlib")  # its files are wanted, not its import
    assert package is not None and package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0], "mpl-data/fonts/ttf")
    return ImageFont.truetype(str(folder / f"{name}.ttf"), points)


@cache
def _drawn(character: str, name: str, points: int) -> Image.Image:
    image = Image.new("L", (CANVAS, CANVAS))
    place = (CANVAS / 2, CANVAS / 2)
    ImageDraw.Draw(image).text(place, character, fill=255, font=font(name, points), anchor="mm")
    return image


def render(characters: list[str], rng: np.random.Generator, size: int = 16) -> Float[np.ndarray, "n size size"]:
    """One image in [0, 1] per character, bright on dark: random font, 30-41 points, +-12 degrees, +-3 of 48 pixels."""
    n = len(characters)
    fonts, points = rng.integers(len(FONTS), size=n), rng.integers(POINTS.start, POINTS.stop, size=n)
    turns, shifts = rng.uniform(-12, 12, n), rng.integers(-3, 4, (n, 2))
    images = np.empty((n, size, size), np.float32)
    for i, character in enumerate(characters):
        upright = _drawn(character, FONTS[fonts[i]], int(points[i]))
        shift = (int(shifts[i, 0]), int(shifts[i, 1]))
        turned = upright.rotate(turns[i], Image.Resampling.BILINEAR, translate=shift)
        images[i] = np.asarray(turned.resize((size, size), Image.Resampling.BOX))
    return images / 255.0
