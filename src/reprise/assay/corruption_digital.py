"""The digital corruptions of ImageNet-C, batched ("Assaying OOD", Sec. 4, corruption error).

Brightness, saturation, contrast, elastic transform, pixelation and JPEG compression. Calling convention as in
`corruption_noise`.
"""

import functools
import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from reprise.assay.corruption_blur import FULL_SIDE, along_axes, along_columns, along_rows, gaussian_operator, scaled
from reprise.assay.corruption_noise import Images, Seeds
from reprise.assay.corruption_random import uniform
from reprise.assay.corruption_weather import LUMA, smooth_noise

# The example tables of the JPEG standard (ITU-T T.81, Annex K.1), which libjpeg scales for each quality.
LUMA_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA_STEPS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


def brightness(x: Images, seeds: Seeds, amount: float) -> Images:
    """HSV value (the largest channel) + amount, at most 1; hue and saturation stay, black becomes grey."""
    value = x.amax(1, keepdim=True)
    target = (value + amount).clamp_(max=1)
    return torch.where(value > 0, x * (target / value.clamp(min=1e-6)), target)


def saturate(x: Images, seeds: Seeds, factor: float, amount: float) -> Images:
    """HSV saturation * factor + amount, within [0, 1]. Grey has hue 0: with an amount it turns reddish."""
    value = x.amax(1, keepdim=True)
    chroma = value - x.amin(1, keepdim=True)
    saturation = chroma / value.clamp(min=1e-6)
    target = (saturation * factor + amount).clamp_(0, 1)
    lack = (value - x) * (target / saturation.clamp(min=1e-6))
    red_lack = value * target * x.new_tensor([0.0, 1.0, 1.0]).view(3, 1, 1)
    return value - torch.where(chroma > 0, lack, red_lack)


def contrast(x: Images, seeds: Seeds, factor: float) -> Images:
    """Distance from the channel's mean times `factor`."""
    mean = x.flatten(2).mean(2)[..., None, None]
    return torch.lerp(mean, x, factor)


def elastic_transform(x: Images, seeds: Seeds, amplitude: float, length: float, jitter: float) -> Images:
    """A random affine map (three points moved by up to `jitter`), then smooth random displacements.

    Displacements are amplitude times uniform noise in [-1, 1] smoothed over `length`; amplitude and jitter scale with
    the image without a floor, and the noise keeps its standard deviation of 224 pixels (`smooth_noise`). The image is
    interpolated once for both maps, the original does it twice.
    """
    n, _, h, w = x.shape
    scale = min(h, w) / FULL_SIDE
    white = 2 * uniform(seeds, 2 * h * w).view(n, 2, h, w) - 1
    shift = smooth_noise(white, _mirrored_gaussian, length, scaled(length, x)) * (amplitude * scale)
    row = torch.arange(h, device=x.device)[:, None] + shift[:, 1]
    column = torch.arange(w, device=x.device) + shift[:, 0]

    side = min(h, w) // 3
    corners = torch.tensor([[side, side], [side, -side], [-side, -side]], device=x.device)
    corners = corners + torch.tensor([w // 2, h // 2], device=x.device)
    moved = corners + jitter * scale * (2 * uniform(seeds, 6, draw=1).view(n, 3, 2) - 1)
    # Where a pixel comes from: the affine map that takes the moved points back.
    edges = (moved[:, 1:] - moved[:, :1]).mT
    back = (corners[1:] - corners[:1]).float().T @ _inverse(edges)
    column, row = column - moved[:, 0, 0, None, None], row - moved[:, 0, 1, None, None]
    source_x, source_y = (
        back[:, k, 0, None, None] * column + back[:, k, 1, None, None] * row + corners[0, k] for k in (0, 1)
    )
    grid = torch.stack((source_x * (2 / max(w - 1, 1)) - 1, source_y * (2 / max(h - 1, 1)) - 1), dim=-1)
    return functional.grid_sample(x, grid, padding_mode="reflection", align_corners=True)


def _mirrored_gaussian(size: int, sd: float) -> Float[Tensor, "size size"]:
    return gaussian_operator(size, sd, truncate=3.0, mirror=True)


def _inverse(m: Float[Tensor, "n 2 2"]) -> Float[Tensor, "n 2 2"]:
    determinant = m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] * m[:, 1, 0]
    adjugate = torch.stack((m[:, 1, 1], -m[:, 0, 1], -m[:, 1, 0], m[:, 0, 0]), -1).view(-1, 2, 2)
    return adjugate / determinant[:, None, None]


def pixelate(x: Images, seeds: Seeds, factor: float) -> Images:
    """Reduced to int(side * factor) pixels by box means and enlarged again by repetition, as PIL's BOX filter does."""
    h, w = x.shape[-2:]
    small = (max(int(h * factor), 1), max(int(w * factor), 1))
    levels = x * 255
    # PIL rounds to whole grey levels after each axis, columns first.
    levels = _rounded(along_columns(levels, _box_means(w, small[1])))
    levels = _rounded(along_rows(levels, _box_means(h, small[0])))
    row, column = (_repeated(size, reduced).to(x.device) for size, reduced in ((h, small[0]), (w, small[1])))
    return levels[:, :, row][..., column] / 255


def _rounded(levels: Tensor) -> Tensor:
    """Nearest whole number, halves upwards whatever the last bit of a mean says."""
    return levels.add_(0.5 + 2**-12).floor_()


@functools.cache
def _box_means(length: int, reduced: int) -> Float[Tensor, "reduced length"]:
    """Mean of the pixels whose centres lie within each of `reduced` equal parts, as a matrix."""
    part = length / reduced
    centre = (np.arange(reduced)[:, None] + 0.5) * part
    offset = (np.arange(length) + 0.5 - centre) / part
    inside = (offset > -0.5) & (offset <= 0.5)
    return torch.from_numpy((inside / inside.sum(1, keepdims=True)).astype(np.float32))


def _repeated(length: int, reduced: int) -> Tensor:
    return torch.from_numpy(((np.arange(length) + 0.5) * (reduced / length)).astype(np.int64))


def jpeg_compression(x: Images, seeds: Seeds, quality: int) -> Images:
    """Baseline JPEG there and back: YCbCr, colour halved in both directions (4:2:0), 8 x 8 DCT, rounded to the steps.

    As libjpeg in PIL's defaults, with its triangular interpolation of colour; entropy coding loses nothing and is left
    out. Differs from PIL by rounding in libjpeg's integer DCT and colour conversion.
    """
    h, w = x.shape[-2:]
    red, green, blue = (x * 255).unbind(1)
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    chroma = torch.stack(((blue - luma) / 1.772, (red - luma) / 1.402), dim=1).add_(128).round_()
    luma = _compressed(_extended(luma.round_()[:, None], 8, 8), LUMA_STEPS, quality)[..., :h, :w]
    # libjpeg repeats the last column before halving and the last row after; it rounds means down and up in turn.
    halves = functional.avg_pool2d(_extended(chroma, 2, 16), 2)
    halves += torch.where(torch.arange(halves.shape[-1], device=x.device) % 2 == 0, 0.25, 0.5)
    small = ((h + 1) // 2, (w + 1) // 2)
    halved = _compressed(_extended(halves.floor_(), 8, 8), CHROMA_STEPS, quality)[..., : small[0], : small[1]]
    chroma = along_axes(halved, _doubling(small[0])[:h], _doubling(small[1])[:w]).round_()
    blueness, redness = (
        along_axes(halved, _doubling(small[0])[:h], _doubling(small[1])[:w]).round_().sub_(128).unbind(1)
    )
    luma = luma[:, 0]
    decoded = (luma + 1.402 * redness, luma - 0.344136 * blueness - 0.714136 * redness, luma + 1.772 * blueness)
    return torch.stack(decoded, dim=1).div_(255)


def _extended(planes: Float[Tensor, "n c h w"], rows: int, columns: int) -> Float[Tensor, "n c k l"]:
    """Bottom and right edge repeated until the height is a multiple of `rows` and the width one of `columns`."""
    h, w = planes.shape[-2:]
    return functional.pad(planes, (0, -w % columns, 0, -h % rows), mode="replicate")


def _compressed(planes: Float[Tensor, "n c h w"], steps: tuple, quality: int) -> Float[Tensor, "n c h w"]:
    """Whole grey levels after DCT, division by the quality's steps, rounding and back."""
    n, c, h, w = planes.shape
    transform, step = _block_transform().to(planes.device), _quantisation(steps, quality).to(planes.device)
    blocks = planes.sub(128).view(n, c, h // 8, 8, w // 8, 8).transpose(3, 4).reshape(n, -1, 64)
    # The hair above 1 sends halves away from zero, as libjpeg does.
    coefficients = torch.bmm(blocks, transform.T.expand(n, -1, -1)).mul_((1 + 2**-20) / step).round_().mul_(step)
    blocks = torch.bmm(coefficients, transform.expand(n, -1, -1)).add_(128).round_().clamp_(0, 255)
    return blocks.view(n, c, h // 8, w // 8, 8, 8).transpose(3, 4).reshape(n, c, h, w)


@functools.cache
def _block_transform() -> Float[Tensor, "64 64"]:
    """Orthonormal two-dimensional DCT-II of a flattened 8 x 8 block."""
    k = np.arange(8)
    rows = np.cos((2 * k + 1) * k[:, None] * math.pi / 16) * np.where(k == 0, math.sqrt(1 / 8), 0.5)[:, None]
    return torch.from_numpy(np.kron(rows, rows).astype(np.float32))


@functools.cache
def _quantisation(steps: tuple, quality: int) -> Float[Tensor, " 64"]:
    """The steps at `quality` in 1..100 (libjpeg's scale: 50 leaves the table as it is)."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return torch.from_numpy(((np.array(steps).ravel() * percent + 50) // 100).clip(1, 255).astype(np.float32))


@functools.cache
def _doubling(length: int) -> Float[Tensor, "twice length"]:
    """Interpolation to twice the length: 3/4 of the nearest value and 1/4 of the next; two or less are repeated."""
    k = np.arange(2 * length)
    operator = np.zeros((2 * length, length))
    share = 0.25 if length > 2 else 0.0
    np.add.at(operator, (k, k // 2), 1 - share)
    np.add.at(operator, (k, (k // 2 + 2 * (k % 2) - 1).clip(0, length - 1)), share)
    return torch.from_numpy(operator.astype(np.float32))
