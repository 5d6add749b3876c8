"""Pictures from masks: colour images, enlarged pixel by pixel, with outlines painted in, and sheets of many of them.

An image is uint8 (h, w, 3). Colours are chosen to be told apart by colour-blind readers and in grey: what is predicted
is orange, what is true is blue, and what both agree on is dark.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from scipy.ndimage import binary_erosion

from reprise.figures import BLUE, ORANGE

Image = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]

PREDICTED, TRUE, AGREED = ORANGE, BLUE, "#3a3a3a"
VISIBLE, OTHERS, EMPTY = "#9c9c9c", "#d2d2d2", "#f4f4f4"
HEAT = "viridis"
GAP = 3  # white pixels between the images of a sheet


def rgb(color: str) -> UInt8[np.ndarray, "3"]:
    return np.rint(255 * np.array(to_rgb(color))).astype(np.uint8)


def photo(frame: UInt8[np.ndarray, "3 h w"]) -> Image:
    return frame.transpose(1, 2, 0)


def faded(image: Image) -> Image:
    """The image half way to white, so that outlines stand out."""
    return 127 + image // 2


def layers(shape: tuple[int, int], *painted: tuple[Mask, str]) -> Image:
    """Masks painted one over another on an empty ground."""
    image = np.empty((*shape, 3), np.uint8)
    image[:] = rgb(EMPTY)
    for mask, color in painted:
        image[mask] = rgb(color)
    return image


def heat(probability: UInt8[np.ndarray, "h w"]) -> Image:
    return np.rint(255 * colormaps[HEAT](probability / 255)[..., :3]).astype(np.uint8)


def difference(visible: Mask, hidden: Mask, truth: Mask) -> Image:
    """What of the true hidden part was predicted, what was missed, and what was added."""
    return layers(
        visible.shape,
        (visible, VISIBLE),
        (hidden & truth, AGREED),
        (truth & ~hidden, TRUE),
        (hidden & ~truth, PREDICTED),
    )


def enlarged(image: np.ndarray, scale: int) -> np.ndarray:
    """Every pixel as a square of `scale` pixels; images or masks."""
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def outlined(image: Image, mask: Mask, color: str, *, width: int = 2, dash: int = 0) -> Image:
    """The image with the inner border of the mask painted, in dashes of `dash` pixels if that is not 0."""
    border = mask & ~binary_erosion(mask, iterations=width, border_value=0)
    if dash:
        down, right = np.indices(mask.shape)
        border &= (down + right) // dash % 2 == 0
    painted = image.copy()
    painted[border] = rgb(color)
    return painted


def sheet(rows: Sequence[Sequence[Image]]) -> Image:
    """Images of one size, in rows and columns on white."""
    height, width, _ = rows[0][0].shape
    columns = max(map(len, rows))
    page = np.full((len(rows) * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            top, left = r * (height + GAP), c * (width + GAP)
            page[top : top + height, left : left + width] = image
    return page
