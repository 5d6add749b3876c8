"""Snow, fog and spatter of ImageNet-C, batched ("Assaying OOD", Sec. 4, corruption error).

The random layers are white noise smoothed over a length. Scaled down to a small image the length nears one pixel and
smoothing lessens the noise by far less than at 224 pixels, where the thresholds were chosen; `smooth_noise` therefore
keeps the standard deviation of 224 pixels, so that the same share of the image lies above the threshold.
Calling convention as in `corruption_noise`.
"""

import functools
import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from reprise.assay.corruption_blur import (
    FLOOR,
    FULL_SIDE,
    along_axes,
    along_line,
    gaussian_operator,
    scaled,
    zoom_operator,
)
from reprise.assay.corruption_noise import Images, Seeds
from reprise.assay.corruption_random import normal, uniform

Layer = Float[Tensor, "n 1 h w"]
LUMA = (0.299, 0.587, 0.114)
WATER = (175 / 255, 238 / 255, 238 / 255)
MUD = (63 / 255, 42 / 255, 20 / 255)
PIXELS_AT_ONCE = 2**18  # of the finer grid: about 32 MiB of working memory
FARTHEST = 20  # pixels of 224: where the distance to the rim of a drop is cut off


Operator = Callable[[int, float], Tensor]


def smooth_noise(white: Layer, operator: Operator, length: float, here: float) -> Layer:
    """White noise smoothed over `here` pixels, with the standard deviation that `length` has in 224 pixels.

    `operator(size, length)` is the smoothing along an axis as a matrix.
    """
    h, w = white.shape[-2:]
    left = _noise_left(operator, h, here) * _noise_left(operator, w, here)
    gain = _noise_left(operator, FULL_SIDE, length) ** 2 / left
    return along_axes(white, operator(h, here), operator(w, here)).mul_(gain)


@functools.cache
def _noise_left(operator: Operator, size: int, length: float) -> float:
    """Standard deviation that smoothing along an axis leaves of white noise of variance 1."""
    return float(operator(size, length).double().square().sum(1).mean().sqrt())


def snow(
    x: Images,
    seeds: Seeds,
    mean: float,
    sd: float,
    zoom: float,
    threshold: float,
    radius: float,
    length: float,
    mix: float,
) -> Images:
    """Flakes (noise magnified by `zoom`, cut at `threshold`), blurred as they fall, on a whitened image."""
    white = normal(seeds, x[0, 0].numel()).view(-1, 1, *x.shape[-2:])
    layer = mean + sd * smooth_noise(white, zoom_operator, zoom, max(scaled(zoom, x), 1.0))
    layer = layer.masked_fill_(layer < threshold, 0).clamp_(0, 1).mul_(255).floor_().div_(255)
    angle = math.pi * (-0.75 + 0.5 * uniform(seeds, 1, draw=1)[:, 0])
    layer = along_line(layer, radius, length, angle)
    whitened = sum(1.5 * share * x[:, c : c + 1] for c, share in enumerate(LUMA)) + x.new_tensor(0.5)
    whitened = torch.maximum(x, whitened)
    return whitened.mul_(1 - mix).add_(x, alpha=mix).add_(layer).add_(layer.flip(-1, -2))


def fog(x: Images, seeds: Seeds, amount: float, decay: float) -> Images:
    """x + amount * plasma noise, brought back to the image's own maximum."""
    h, w = x.shape[-2:]
    size = 2 ** (max(h, w) - 1).bit_length()
    brightest = x.amax((1, 2, 3), keepdim=True)
    haze = plasma(uniform(seeds, size * size).view(-1, size, size), decay)[:, None, :h, :w]
    return (x + amount * haze) * (brightest / (brightest + amount))


def plasma(u: Float[Tensor, "n m m"], decay: float) -> Float[Tensor, "n m m"]:
    """Diamond-square fractals in [0, 1] that repeat at the borders, from uniform numbers in [0, 1); m a power of two.

    Each point is the mean of its four neighbours on the coarser grid plus noise whose width falls by decay^2 a level.
    """
    field = torch.zeros_like(u)
    step, width = u.shape[-1], 100.0
    while step >= 2:
        half = step // 2
        noise = width**2 * (2 * u[:, ::half, ::half] - 1)
        corner = field[:, ::step, ::step]
        pair = corner + corner.roll(-1, 1)
        centre = (pair + pair.roll(-1, 2)) / 4 + noise[:, 1::2, 1::2]
        across = (centre + centre.roll(1, 1) + corner + corner.roll(-1, 2)) / 4 + noise[:, ::2, 1::2]
        down = (centre + centre.roll(1, 2) + corner + corner.roll(-1, 1)) / 4 + noise[:, 1::2, ::2]
        field[:, half::step, half::step] = centre
        field[:, ::step, half::step] = across
        field[:, half::step, ::step] = down
        step, width = half, width / decay
    field -= field.amin((1, 2), keepdim=True)
    return field.div_(field.amax((1, 2), keepdim=True))


def spatter(
    x: Images, seeds: Seeds, mean: float, sd: float, length: float, threshold: float, mix: float, mud: bool
) -> Images:
    """Drops of water or mud where smooth noise exceeds `threshold`. Water shines at the rims, mud covers.

    Where `length` would be below the floor of 0.3 pixels, the drops are drawn on a grid finer by a whole factor and
    averaged: with its two thresholds and the smoothing between them, mud at the floor would cover half the image.
    """
    h, w = x.shape[-2:]
    finer = math.ceil(FLOOR / (length * min(h, w) / FULL_SIDE))
    layers = []
    for part in seeds.split(max(PIXELS_AT_ONCE // (h * w * finer**2), 1)):
        white = normal(part, h * w * finer**2).view(-1, 1, h * finer, w * finer)
        liquid = mean + sd * smooth_noise(white, gaussian_operator, length, scaled(length, white))
        layer = _cover(liquid > threshold, mix) if mud else mix * _shine(liquid.masked_fill(liquid < threshold, 0))
        layers.append(functional.avg_pool2d(layer, finer))
    layer = torch.cat(layers)
    if mud:
        return x * (1 - layer) + layer * x.new_tensor(MUD).view(3, 1, 1)
    return x + layer * x.new_tensor(WATER).view(3, 1, 1)


def _cover(wet: Bool[Tensor, "n 1 h w"], length: float) -> Layer:
    """How much of each pixel mud hides: the wet places smoothed over `length`, where that exceeds 0.8."""
    sd = scaled(length, wet)
    cover = along_axes(wet.float(), gaussian_operator(wet.shape[-2], sd), gaussian_operator(wet.shape[-1], sd))
    return cover.masked_fill_(cover < 0.8, 0)


def _shine(liquid: Layer) -> Layer:
    """How brightly each pixel of the drops shines, in [0, 1]: an embossed map of the distance to the rim.

    Unlike in the original, which runs a Canny detector, the rim of a drop is its own outermost pixels: after the
    threshold a drop is a step of at least 0.65, so there is no other edge to find.
    """
    liquid = (liquid.clamp(0, 1) * 255).floor()
    wet = liquid > 0
    rim = wet & ~_all_around(wet)
    distance = _distance(rim) * (FULL_SIDE / min(liquid.shape[-2:]))
    distance = _box(distance.clamp_(max=FARTHEST)).add_(1e-3).floor_()
    padded = functional.pad(_equalised(distance), (1,) * 4, mode="reflect")
    # The kernel (-2 -1 0; -1 1 1; 0 1 2): lit from the lower right.
    relief = padded[..., 1:-1, 1:-1].clone()
    for weight, y, x in ((-2, 0, 0), (-1, 0, 1), (-1, 1, 0), (1, 1, 2), (1, 2, 1), (2, 2, 2)):
        relief.add_(padded[..., y : y + liquid.shape[-2], x : x + liquid.shape[-1]], alpha=weight)
    relief = _box(relief.clamp_(0, 255)).round_()
    shine = liquid * relief
    return shine / shine.amax((2, 3), keepdim=True).clamp_(min=1)


def _distance(rim: Bool[Tensor, "n 1 h w"]) -> Layer:
    """Euclidean distance in pixels to the nearest rim pixel, exact up to FARTHEST and at least that beyond."""
    reach = min(math.ceil(FARTHEST * min(rim.shape[-2:]) / FULL_SIDE), min(rim.shape[-2:]) - 1)
    # Whole numbers of 16 bits hold the squares, and are twice as fast; 16000 stands for no rim in reach.
    squared = torch.full(rim.shape, 16000, dtype=torch.int16, device=rim.device).masked_fill_(rim, 0)
    for axis in (-2, -1):
        best, shifted = squared.clone(), torch.empty_like(squared)
        size = rim.shape[axis]
        for k in range(1, reach + 1):
            moved = shifted.narrow(axis, 0, size - k)
            for here, there in ((0, k), (k, 0)):
                nearest = best.narrow(axis, here, size - k)
                torch.add(squared.narrow(axis, there, size - k), k * k, out=moved)
                torch.minimum(nearest, moved, out=nearest)
        squared = best
    return squared.float().sqrt_()


def _box(layer: Layer) -> Layer:
    """3 x 3 mean, borders mirrored about the edge pixel."""
    padded = functional.pad(layer, (1,) * 4, mode="reflect")
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]).mul_(1 / 9)


def _all_around(wet: Bool[Tensor, "n 1 h w"]) -> Bool[Tensor, "n 1 h w"]:
    """Whether a pixel and its eight neighbours, as far as they are inside the image, are all wet."""
    padded = functional.pad(wet, (1,) * 4, value=True)
    rows = padded[..., :-2, :] & padded[..., 1:-1, :] & padded[..., 2:, :]
    return rows[..., :-2] & rows[..., 1:-1] & rows[..., 2:]


def _equalised(levels: Layer) -> Layer:
    """Histogram equalisation of whole numbers 0..FARTHEST to 0..255; an image of one level stays as it is."""
    index = levels.flatten(1).long()
    counts = torch.zeros(len(levels), FARTHEST + 1, device=levels.device)
    counts.scatter_add_(1, index, torch.ones_like(index, dtype=counts.dtype))
    total = counts.cumsum(1)
    least = counts.gather(1, index.amin(1, keepdim=True))
    room = index.shape[1] - least
    table = (255 * (total - least) / room.clamp(min=1)).round_().clamp_(min=0)
    table = torch.where(room > 0, table, torch.arange(FARTHEST + 1.0, device=levels.device))
    return table.gather(1, index).view(levels.shape)
