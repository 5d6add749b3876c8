"""The four blurs of ImageNet-C, batched ("Assaying OOD", Sec. 4, corruption error).

Lengths are given for 224 pixels and scaled by side/224, with a floor of 0.3 pixels (`scaled`). Blurs along the axes are
products with small banded matrices, one per axis: exact at the borders for any radius, and fast for small images.
Calling convention as in `corruption_noise`.
"""

import functools
import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from reprise.assay.corruption_noise import Images, Seeds
from reprise.assay.corruption_random import uniform

FULL_SIDE, FLOOR = 224, 0.3


def scaled(length: float, x: Tensor) -> float:
    """A length given for 224 pixels, in pixels of `x`, at least 0.3; the side is the shorter one."""
    return max(length * min(x.shape[-2:]) / FULL_SIDE, FLOOR)


def along_axes(x: Float[Tensor, "n c h w"], rows: Tensor, columns: Tensor) -> Float[Tensor, "n c k l"]:
    """rows @ x @ columns.T for each image and channel; rows (k, h), columns (l, w)."""
    return along_rows(along_columns(x, columns), rows)


def along_columns(x: Float[Tensor, "n c h w"], operator: Float[Tensor, "l w"]) -> Float[Tensor, "n c h l"]:
    """x @ operator.T for each image and channel.

    A product per plane, never one over the whole batch: its rounding would depend on the batch's size.
    """
    planes = x.flatten(0, 1)
    product = torch.bmm(planes, operator.to(x.device).T.expand(len(planes), -1, -1))
    return product.view(*x.shape[:2], *product.shape[1:])


def along_rows(x: Float[Tensor, "n c h w"], operator: Float[Tensor, "k h"]) -> Float[Tensor, "n c k w"]:
    """operator @ x for each image and channel."""
    planes = x.flatten(0, 1)
    product = torch.bmm(operator.to(x.device).expand(len(planes), -1, -1), planes)
    return product.view(*x.shape[:2], *product.shape[1:])


@functools.cache
def gaussian_width(sd: float) -> float:
    """Width to sample exp(-k^2 / 2 width^2) with at the integers so that the weights' standard deviation is `sd`.

    From sd = 0.8 up the two agree; below, plain sampling would collapse to the identity (sd 0.3 would become 0.09).
    """
    low, high = 0.01, sd + 1.0
    for _ in range(60):
        width = (low + high) / 2
        k = np.arange(-int(8 * high) - 1, int(8 * high) + 2)
        weights = np.exp(-0.5 * (k / width) ** 2)
        low, high = (width, high) if (weights * k**2).sum() < sd**2 * weights.sum() else (low, width)
    return high


@functools.cache
def gaussian_operator(
    length: int, sd: float, truncate: float = 4.0, mirror: bool = False
) -> Float[Tensor, "length length"]:
    """Gaussian blur of `length` pixels as a matrix; beyond the border the edge pixel, or the mirrored image."""
    radius = int(truncate * sd + 0.5) or 1
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / gaussian_width(sd)) ** 2)
    source = np.arange(length)[:, None] + offsets
    if mirror:
        source = source % (2 * length)
        source = np.minimum(source, 2 * length - 1 - source)
    return _operator(source.clip(0, length - 1), weights / weights.sum(), length)


def _operator(
    source: Int[np.ndarray, "k taps"], weights: Float[np.ndarray, "..."], length: int
) -> Float[Tensor, "k length"]:
    """The matrix whose row i sums `weights` times the pixels `source[i]`."""
    operator = np.zeros((len(source), length))
    np.add.at(operator, (np.arange(len(source))[:, None], source), weights)
    return torch.from_numpy(operator.astype(np.float32))


@functools.cache
def zoom_operator(length: int, factor: float) -> Float[Tensor, "length length"]:
    """Linear interpolation of the central 1/factor of `length` pixels, as a matrix."""
    centre = (length - 1) / 2
    position = centre + (np.arange(length) - centre) / factor
    left = np.floor(position).astype(int).clip(0, length - 2)
    share = position - left
    return _operator(np.stack((left, left + 1), axis=1), np.stack((1 - share, share), axis=1), length)


def gaussian_blur(x: Images, seeds: Seeds, sd: float) -> Images:
    """Gaussian blur, edges repeated."""
    sd = scaled(sd, x)
    return along_axes(x, gaussian_operator(x.shape[-2], sd), gaussian_operator(x.shape[-1], sd))


def zoom_blur(x: Images, seeds: Seeds, largest: float, step: float) -> Images:
    """Mean of x and of x zoomed by 1, 1 + step, ... up to `largest`.

    The zoom is about the exact centre; the original first crops to whole pixels, which at small sizes shifts the image.
    """
    count = int((largest - 1) / step + 1e-6) + 1
    total = 2 * x  # the image itself and its zoom by 1
    for k in range(1, count):
        factor = 1 + k * step
        total += along_axes(x, zoom_operator(x.shape[-2], factor), zoom_operator(x.shape[-1], factor))
    return total.div_(count + 1)


@functools.cache
def disc(radius: float, soften: float) -> Float[np.ndarray, "k k"]:
    """Uniform disc of `radius` pixels, softened by a 3 x 3 Gaussian (5 x 5 above radius 8) of width `soften`, sum 1.

    Between whole radii the two neighbours are mixed linearly in radius^2, so that the blur grows steadily from none.
    """
    small, large = math.floor(radius), math.ceil(radius)
    reach = 2 if radius > 8 else 1
    size = large + reach
    squared = np.add.outer(np.arange(-size, size + 1) ** 2, np.arange(-size, size + 1) ** 2)
    outer, inner = ((squared <= r**2) / (squared <= r**2).sum() for r in (large, small))
    share = (radius**2 - small**2) / (large**2 - small**2) if large > small else 0.0
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / soften) ** 2)
    kernel = share * outer + (1 - share) * inner
    for axis in (0, 1):
        kernel = np.apply_along_axis(np.convolve, axis, kernel, taps / taps.sum(), "same")
    return kernel


@functools.cache
def _disc_operators(h: int, w: int, radius: float, soften: float) -> list[tuple[Tensor, Tensor]]:
    """The disc as a sum of a few separable kernels, each as two matrices; edges mirrored about the edge pixel."""
    left, size, right = np.linalg.svd(disc(radius, soften))
    reach = len(size) // 2
    operators = []
    for k in np.flatnonzero(size > 1e-6 * size[0]):
        parts = []
        for length, weights in ((h, left[:, k] * size[k]), (w, right[k])):
            source = np.abs(np.arange(length)[:, None] + np.arange(-reach, reach + 1)) % (2 * length - 2)
            parts.append(_operator(np.minimum(source, 2 * length - 2 - source), weights, length))
        operators.append((parts[0], parts[1]))
    return operators


def defocus_blur(x: Images, seeds: Seeds, radius: float, soften: float) -> Images:
    """Convolution with a disc; `soften` takes the steps off its rim and is in pixels of an image of any size."""
    total = torch.zeros_like(x)
    for rows, columns in _disc_operators(*x.shape[-2:], scaled(radius, x), soften):
        total += along_axes(x, rows, columns)
    return total


def motion_blur(x: Images, seeds: Seeds, radius: float, sd: float) -> Images:
    """Blur along a line at a random angle in +-45 degrees."""
    return along_line(x, radius, sd, math.pi / 4 * (2 * uniform(seeds, 1)[:, 0] - 1))


def along_line(
    x: Float[Tensor, "n c h w"], radius: float, sd: float, angle: Float[Tensor, " n"]
) -> Float[Tensor, "n c h w"]:
    """One-sided Gaussian blur of each image along its own `angle` (radians), edges repeated.

    As ImageMagick does it: 2 radius + 1 taps at steps of one pixel, each at the nearest pixel. Taps beyond 4 sd, with
    less than 1/10,000 of the weight together, are left out.
    """
    radius, sd = scaled(radius, x), scaled(sd, x)
    n, channels, h, w = x.shape
    taps = min(2 * math.ceil(radius) + 1, math.ceil(4 * sd) + 1)
    weights = np.exp(-0.5 * (np.arange(taps) / gaussian_width(sd)) ** 2)
    weights = (weights / weights.sum()).tolist()
    planes = x.flatten(2)
    row, column = torch.arange(h, device=x.device), torch.arange(w, device=x.device)
    down, right = torch.sin(angle)[:, None], torch.cos(angle)[:, None]
    total = x * weights[0]
    for k in range(1, taps):
        y = (row + torch.ceil(k * down - 0.5).long()).clamp_(0, h - 1) * w
        z = (column + torch.ceil(k * right - 0.5).long()).clamp_(0, w - 1)
        source = (y[:, :, None] + z[:, None, :]).view(n, 1, h * w).expand(-1, channels, -1)
        total.add_(planes.gather(2, source).view(x.shape), alpha=weights[k])
    return total
