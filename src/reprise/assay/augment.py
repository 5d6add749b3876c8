"""Augmenters of the training images, by name (assay, Sec. 3 "Augmenters" and Sec. 6 "Fine-tune").

An augmenter maps images (n, 3, h, w) in [0, 1] to images of the same shape and range. Every image draws its own
parameters, from torch's global generator on the device of the images.

    identity, random_color, random_color_as_code, random_augment, augmix    the sweep of the paper
    standard, rand                                                          the sweep of the small-scale version
    blur, gaussian_noise, pixelate, sharpen, grayscale, hflip, color_jitter in the paper's code, not in its sweep
"""

import difflib
import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from reprise.assay import augment_ops as ops
from reprise.assay.augment_ops import Images, PerImage
from reprise.errors import UserError

Augmenter = Callable[[Tensor], Tensor]


def augmenter(name: str) -> Augmenter:
    """The augmenter called `name`; UserError if there is none."""
    if name not in AUGMENTERS:
        close = difflib.get_close_matches(name, AUGMENTERS, 1, cutoff=0)
        raise UserError(f"no augmenter {name!r}; did you mean {close[0]!r}? There are: {', '.join(AUGMENTERS)}")
    return AUGMENTERS[name]


def identity(x: Images) -> Images:
    return x


def _spread(x: Images, rows: int) -> Float[Tensor, "rows n"]:
    """Uniform draws from [-1, 1]."""
    return torch.rand(rows, len(x), device=x.device) * 2 - 1


def _chance(x: Images, probability: float) -> Tensor:
    """(n, 1, 1, 1) booleans, true with `probability`."""
    return torch.rand(len(x), 1, 1, 1, device=x.device) < probability


# -- the small-scale version -----------------------------------------------------------------------------------------


def _warp(x: Images, degrees: float) -> Images:
    """Rotation up to +-`degrees`, scale +-15 % and shift +-7 % of the side, in one resampling; the border repeats."""
    angle, zoom, right, down = _spread(x, 4)
    cosine, sine = ops.rotation(degrees * angle, 1 + 0.15 * zoom)
    right, down = 0.07 * x.shape[3] * right, 0.07 * x.shape[2] * down
    return ops.affine(x, torch.stack([cosine, -sine, right, sine, cosine, down], 1))


def standard(x: Images) -> Images:
    """Rotation +-6 degrees, scale +-15 %, shift +-7 %."""
    return _warp(x, 6)


def rand(x: Images) -> Images:
    """Scale and shift of `standard`, rotation +-29 degrees, and changes of colour.

    Inversion (p .3), contrast .5-1.5 about the image's mean, brightness +-.2 (added), each channel scaled by its own
    factor .5-1.5 (p .5), Gaussian noise of sd .15 (p .3). What a pixel goes through before the noise is linear, so it
    is one multiplication and one addition, clipped once.
    """
    x = _warp(x, 29)
    inverted, scaled, noisy = (_chance(x, probability).float() for probability in (0.3, 0.5, 0.3))
    change = _spread(x, 5)[:, :, None, None, None]
    contrast, brightness = 1 + 0.5 * change[0], 0.2 * change[1]
    channels = 1 + 0.5 * scaled * change[2:, :, 0].movedim(0, 1)
    sign = 1 - 2 * inverted
    mean = inverted + sign * x.mean((1, 2, 3), keepdim=True)
    factor = channels * contrast * sign
    offset = channels * (contrast * (inverted - mean) + mean + brightness)
    noise = torch.randn_like(x).mul_(0.15 * noisy)
    return noise.add_(offset).addcmul_(x, factor).clamp_(0, 1)


# -- the paper -------------------------------------------------------------------------------------------------------


def _some_gray(x: Images) -> Images:
    """Luminance instead of colour, with probability 0.1."""
    return torch.where(_chance(x, 0.1), ops.luminance(x), x)


def random_color(x: Images) -> Images:
    """Brightness, contrast and saturation each times 1 +- 0.3, then gray with p 0.1: surely what the code meant."""
    brightness, contrast, saturation = 1 + 0.3 * _spread(x, 3)
    return _some_gray(ops.saturation(ops.contrast(ops.brightness(x, brightness), contrast), saturation))


def random_color_as_code(x: Images) -> Images:
    """What the code does: brightness, contrast and saturation of every image times 0.3, then gray with p 0.1."""
    return _some_gray(ops.saturation(ops.contrast(ops.brightness(x, 0.3), 0.3), 0.3))


def _signed(values: PerImage) -> PerImage:
    return torch.where(torch.rand_like(values) < 0.5, values, -values)


def _factor(magnitude: PerImage) -> PerImage:
    """Of an enhancement: 1 +- 0.09 for each unit of magnitude, at least 0.1."""
    return (1 + _signed(0.09 * magnitude)).clamp_min(0.1)


# timm's increasing operations: the argument of each at magnitude m in [0, 10]
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "AutoContrast": lambda x, m: ops.autocontrast(x),
    "Equalize": lambda x, m: ops.equalize(x),
    "Invert": lambda x, m: 1 - x,
    "Rotate": lambda x, m: ops.rotate(x, _signed(3 * m)),
    "PosterizeIncreasing": lambda x, m: ops.posterize(x, 4 - (0.4 * m).floor()),
    "SolarizeIncreasing": lambda x, m: ops.solarize(x, 256 - (25.6 * m).floor()),
    "SolarizeAdd": lambda x, m: ops.solarize_add(x, (11 * m).floor()),
    "ColorIncreasing": lambda x, m: ops.saturation(x, _factor(m)),
    "ContrastIncreasing": lambda x, m: ops.contrast(x, _factor(m)),
    "BrightnessIncreasing": lambda x, m: ops.brightness(x, _factor(m)),
    "SharpnessIncreasing": lambda x, m: ops.sharpness(x, _factor(m)),
    "ShearX": lambda x, m: ops.shear_x(x, _signed(0.03 * m)),
    "ShearY": lambda x, m: ops.shear_y(x, _signed(0.03 * m)),
    "TranslateXRel": lambda x, m: ops.translate_x(x, _signed(0.045 * m)),
    "TranslateYRel": lambda x, m: ops.translate_y(x, _signed(0.045 * m)),
}
RAND_AUGMENT = tuple(OPERATIONS)
AUGMIX = tuple(name for name in OPERATIONS if name not in ("Invert", "SolarizeAdd"))


def random_operation(x: Images, names: Sequence[str], magnitude: PerImage, probability: float) -> Images:
    """Each image goes through one of `names`, drawn with equal chances, with `probability`; else it stays."""
    drawn = torch.randint(len(names), (len(x),), device=x.device)
    drawn = torch.where(torch.rand(len(x), device=x.device) < probability, drawn, len(names))
    order = drawn.argsort()  # images of one operation side by side, so that each operation runs once
    counts = drawn.bincount(minlength=len(names) + 1).tolist()
    parts = list(zip(x[order].split(counts), magnitude[order].split(counts), strict=True))
    done = [OPERATIONS[name](*part) if len(part[0]) else part[0] for name, part in zip(names, parts[:-1], strict=True)]
    result = torch.empty_like(x)
    result[order] = torch.cat([*done, parts[-1][0]])
    return result


def random_augment(x: Images) -> Images:
    """timm's "rand-m9-mstd0.5-inc1": two operations of 15, each with p 0.5 and magnitude N(9, 0.5) in [0, 10]."""
    for _ in range(2):
        magnitude = (9 + 0.5 * torch.randn(len(x), device=x.device)).clamp(0, 10)
        x = random_operation(x, RAND_AUGMENT, magnitude, probability=0.5)
    return x


def augmix(x: Images) -> Images:
    """timm's "augmix-m5-w4-d2-b1": four chains of two operations, mixed, then mixed with the image itself.

    Magnitudes are uniform in [0, 5], the chains' weights Dirichlet(1), the share of the image Beta(1, 1). timm's
    "blended" sequence of two-image blends has these very weights; only its rounding differs.
    """
    n = len(x)
    chains = x.repeat(4, 1, 1, 1)
    for _ in range(2):
        chains = random_operation(chains, AUGMIX, 5 * torch.rand(4 * n, device=x.device), probability=1)
    weights = torch.empty(4, n, 1, 1, 1, device=x.device).exponential_()
    mixed = (chains.view(4, *x.shape) * (weights / weights.sum(0))).sum(0)
    return torch.lerp(x, mixed, torch.rand(n, 1, 1, 1, device=x.device)).clamp(0, 1)


# -- in the paper's code, not in its sweep ---------------------------------------------------------------------------


def blur(x: Images) -> Images:
    """Gaussian of sd 1 pixel, cut at 3 pixels."""
    kernel = (-0.5 * torch.arange(-3, 4, device=x.device, dtype=x.dtype) ** 2).exp()
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, 7)
    x = functional.conv2d(functional.pad(x, (3, 3, 3, 3), "replicate"), kernel, groups=3)
    return functional.conv2d(x, kernel.transpose(2, 3), groups=3).clamp(0, 1)


def gaussian_noise(x: Images) -> Images:
    """Of variance 0.01."""
    return (x + 0.1 * torch.randn_like(x)).clamp(0, 1)


def pixelate(x: Images) -> Images:
    """As few pixels as a share 0.1-1 of each side, each shown as a block."""
    share = 0.1 + 0.9 * torch.rand(len(x), 1, device=x.device)
    places = []
    for side in x.shape[2:]:
        blocks = (share * side).round().clamp_min(1)
        block = (torch.arange(side, device=x.device) * blocks / side).floor()
        places.append(((block + 0.5) * side / blocks).long())
    rows, columns = places[0][:, None, :, None], places[1][:, None, None, :]
    return x.gather(2, rows.expand_as(x)).gather(3, columns.expand_as(x))


def sharpen(x: Images) -> Images:
    return ops.sharpness(x, 8.0)


def grayscale(x: Images) -> Images:
    return ops.luminance(x).expand_as(x).clone()


def hflip(x: Images) -> Images:
    """Mirrored left to right with probability 0.5."""
    return torch.where(_chance(x, 0.5), x.flip(3), x)


def color_jitter(x: Images) -> Images:
    """Brightness, contrast and saturation of every image times 1.1."""
    return ops.saturation(ops.contrast(ops.brightness(x, 1.1), 1.1), 1.1)


_SMALL_SCALE: tuple[Augmenter, ...] = (standard, rand)
_PAPER: tuple[Augmenter, ...] = (identity, random_color, random_color_as_code, random_augment, augmix)
_FURTHER: tuple[Augmenter, ...] = (blur, gaussian_noise, pixelate, sharpen, grayscale, hflip, color_jitter)
AUGMENTERS = {function.__name__: function for function in (*_SMALL_SCALE, *_PAPER, *_FURTHER)}


# -- crops -----------------------------------------------------------------------------------------------------------


def random_resized_crop(
    x: Images, size: int, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)
) -> Float[Tensor, "n 3 size size"]:
    """A random part of each image, resized to `size` pixels a side (torchvision's RandomResizedCrop).

    The area is a uniform share in `scale`, width : height log-uniform in `ratio`; of ten draws the first that fits
    counts, or else the centre. Bilinear without antialiasing, so a strong reduction aliases a little.
    """
    top, left, height, width = _boxes(len(x), x.shape[2], x.shape[3], scale, ratio, x.device)
    steps = (torch.arange(size, device=x.device) + 0.5) / size
    places = []
    for start, length, side in ((left, width, x.shape[3]), (top, height, x.shape[2])):
        # positions of pixel centres inside the box, as if it had been cut out before the resize
        inside = (steps * length[:, None]).clamp(min=0.5).minimum(length[:, None] - 0.5)
        places.append((start[:, None] + inside) * 2 / side - 1)
    columns, rows = torch.broadcast_tensors(places[0][:, None, :], places[1][:, :, None])
    return functional.grid_sample(x, torch.stack([columns, rows], 3), align_corners=False)


def _boxes(
    n: int, rows: int, columns: int, scale: tuple[float, float], ratio: tuple[float, float], device: torch.device
) -> tuple[PerImage, PerImage, PerImage, PerImage]:
    """Top, left, height and width of n random boxes, in whole pixels."""
    area = rows * columns * torch.empty(n, 10, device=device).uniform_(*scale)
    shape = torch.empty(n, 10, device=device).uniform_(math.log(ratio[0]), math.log(ratio[1])).exp()
    widths, heights = (area * shape).sqrt().round(), (area / shape).sqrt().round()
    fits = (widths >= 1) & (widths <= columns) & (heights >= 1) & (heights <= rows)
    first = fits.int().argmax(1, keepdim=True)
    whole = min(max(columns / rows, ratio[0]), ratio[1])  # shape of the fallback, as close to the image's as allowed
    fallback_width, fallback_height = min(columns, round(rows * whole)), min(rows, round(columns / whole))
    found = fits.any(1)
    width = torch.where(found, widths.gather(1, first)[:, 0], fallback_width)
    height = torch.where(found, heights.gather(1, first)[:, 0], fallback_height)
    free = torch.rand(2, n, device=device)
    top = torch.where(found, (free[0] * (rows - height + 1)).floor(), (rows - height) // 2)
    left = torch.where(found, (free[1] * (columns - width + 1)).floor(), (columns - width) // 2)
    return top, left, height, width
