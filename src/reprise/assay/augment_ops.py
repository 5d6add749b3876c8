"""Pillow's image operations on batches of float images in [0, 1], with one argument per image (assay, Sec. 3).

Each function takes images (n, 3, h, w) and an argument (n,) and returns images in [0, 1]. They follow `PIL.ImageOps`,
`ImageEnhance` and `Image.transform`, without the rounding to 8 bits after every operation; those defined on the 256
levels of a pixel (equalize, posterize, solarize) round to them first.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Images = Float[Tensor, "n 3 h w"]
PerImage = Float[Tensor, " n"]
IMAGENET_MEAN = (124 / 255, 116 / 255, 104 / 255)  # as the 8-bit colour that fills uncovered corners


def luminance(x: Images) -> Float[Tensor, "n 1 h w"]:
    """ITU-R 601 luma, Pillow's conversion to mode L."""
    return (x * x.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)


def blend(origin: Tensor, x: Images, factor: PerImage | float) -> Images:
    """`origin` at factor 0, `x` at 1, beyond it above 1; clipped to [0, 1]."""
    weight = factor.view(-1, 1, 1, 1) if isinstance(factor, Tensor) else factor
    return (origin + weight * (x - origin)).clamp(0, 1)


def saturation(x: Images, factor: PerImage | float) -> Images:
    return blend(luminance(x), x, factor)


def contrast(x: Images, factor: PerImage | float) -> Images:
    return blend(luminance(x).mean((2, 3), keepdim=True), x, factor)


def brightness(x: Images, factor: PerImage | float) -> Images:
    return blend(torch.zeros_like(x), x, factor)


def sharpness(x: Images, factor: PerImage | float) -> Images:
    """Against a 3 x 3 mean whose centre counts 5 of 13; pixels at the border stay as they are."""
    smooth = x.clone()
    smooth[:, :, 1:-1, 1:-1] = (9 * functional.avg_pool2d(x, 3, 1) + 4 * x[:, :, 1:-1, 1:-1]) / 13
    return blend(smooth, x, factor)


def autocontrast(x: Images) -> Images:
    """Each channel stretched to [0, 1]; a constant channel stays."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    flat = high - low < 0.5 / 255
    return torch.where(flat, x, (x - low) / (high - low).masked_fill(flat, 1))


def equalize(x: Images) -> Images:
    """Each channel's histogram made flat; a channel whose darker levels hold fewer than 255 pixels stays."""
    levels = (x * 255).round().long().flatten(2)
    count = torch.zeros(*levels.shape[:2], 256, dtype=torch.long, device=x.device)
    count.scatter_add_(2, levels, torch.ones_like(levels))
    brightest = count.gather(2, levels.amax(2, keepdim=True))
    step = (levels.shape[2] - brightest) // 255
    table = (step // 2 + count.cumsum(2) - count) // step.clamp_min(1)
    equal = table.gather(2, levels).clamp_max(255) / 255
    return torch.where(step > 0, equal, x.flatten(2)).view_as(x)


def posterize(x: Images, bits: PerImage) -> Images:
    """Only the `bits` highest bits of each level are kept."""
    unit = (2 ** (8 - bits)).view(-1, 1, 1, 1)
    return (x * 255).round().div(unit, rounding_mode="floor") * unit / 255


def solarize(x: Images, threshold: PerImage) -> Images:
    """Levels (of 256) at or above `threshold` inverted."""
    return torch.where((x * 255).round() < threshold.view(-1, 1, 1, 1), x, 1 - x)


def solarize_add(x: Images, amount: PerImage) -> Images:
    """`amount` levels (of 256) added to those below 128."""
    return torch.where((x * 255).round() < 128, (x + amount.view(-1, 1, 1, 1) / 255).clamp_max(1), x)


def affine(x: Images, rows: Float[Tensor, "n 6"], fill: tuple[float, float, float] | None = None) -> Images:
    """Bilinear resampling along an affine map.

    Args:
        rows: (a, b, c, d, e, f): the output at (u, v) pixels from the centre shows the input at (a u + b v + c,
            d u + e v + f).
        fill: colour beyond the border; None repeats the border.
    """
    height, width = x.shape[2:]
    scale = [1, height / width, 2 / width, width / height, 1, 2 / height]  # to units of half the width and height
    theta = (rows * rows.new_tensor(scale)).view(-1, 2, 3)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    if fill is None:
        return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    colour = x.new_tensor(fill).view(3, 1, 1)
    return (functional.grid_sample(x - colour, grid, align_corners=False) + colour).clamp(0, 1)


def rotation(degrees: PerImage, zoom: PerImage | float = 1.0) -> tuple[Tensor, Tensor]:
    """Cosine and sine of a counter-clockwise rotation, divided by the magnification."""
    angle = degrees * (math.pi / 180)
    return angle.cos() / zoom, angle.sin() / zoom


def rotate(x: Images, degrees: PerImage) -> Images:
    cosine, sine = rotation(degrees)
    zero = torch.zeros_like(cosine)
    return affine(x, torch.stack([cosine, -sine, zero, sine, cosine, zero], 1), IMAGENET_MEAN)


def shear_x(x: Images, slope: PerImage) -> Images:
    """Rows moved in proportion to their distance from the top."""
    one, zero = torch.ones_like(slope), torch.zeros_like(slope)
    return affine(x, torch.stack([one, slope, slope * x.shape[2] / 2, zero, one, zero], 1), IMAGENET_MEAN)


def shear_y(x: Images, slope: PerImage) -> Images:
    """Columns moved in proportion to their distance from the left."""
    one, zero = torch.ones_like(slope), torch.zeros_like(slope)
    return affine(x, torch.stack([one, zero, zero, slope, one, slope * x.shape[3] / 2], 1), IMAGENET_MEAN)


def translate_x(x: Images, share: PerImage) -> Images:
    """Moved left by a share of the width."""
    one, zero = torch.ones_like(share), torch.zeros_like(share)
    return affine(x, torch.stack([one, zero, share * x.shape[3], zero, one, zero], 1), IMAGENET_MEAN)


def translate_y(x: Images, share: PerImage) -> Images:
    """Moved up by a share of the height."""
    one, zero = torch.ones_like(share), torch.zeros_like(share)
    return affine(x, torch.stack([one, zero, zero, zero, one, share * x.shape[2]], 1), IMAGENET_MEAN)
