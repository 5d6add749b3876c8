"""Batched image operations against Pillow's, one image at a time."""

from collections.abc import Callable

import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torch.nn import functional

from assay.images import in_pillow, noisy_images, smooth_images
from reprise.assay import augment_ops as ops

FILL = tuple(round(255 * value) for value in ops.IMAGENET_MEAN)


@pytest.mark.parametrize("factor", [0.1, 0.3, 1.0, 1.81])
@pytest.mark.parametrize(
    ("operation", "reference"),
    [
        (ops.saturation, ImageEnhance.Color),
        (ops.contrast, ImageEnhance.Contrast),
        (ops.brightness, ImageEnhance.Brightness),
        (ops.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_enhancements(operation: Callable, reference: Callable, factor: float) -> None:
    x = noisy_images(3)
    expected = in_pillow(x, lambda image: reference(image).enhance(factor))
    for given in (factor, torch.full((3,), factor)):
        torch.testing.assert_close(operation(x, given), expected, atol=2 / 255, rtol=0)  # Pillow rounds twice


def test_arguments_are_per_image() -> None:
    x = noisy_images(2)
    both = ops.brightness(x, torch.tensor([0.5, 0.2]))
    torch.testing.assert_close(both, torch.stack([x[0] * 0.5, x[1] * 0.2]))


@pytest.mark.parametrize("side", [16, 17, 32, 64])
def test_equalize(side: int) -> None:
    x = noisy_images(3, side)
    x[1] = (x[1] * 255).round().div(32, rounding_mode="floor") * 32 / 255  # few levels
    torch.testing.assert_close(ops.equalize(x), in_pillow(x, ImageOps.equalize), atol=1e-6, rtol=0)


def test_autocontrast() -> None:
    x = noisy_images(3)
    torch.testing.assert_close(ops.autocontrast(x), in_pillow(x, ImageOps.autocontrast), atol=1 / 255, rtol=0)


@pytest.mark.parametrize("bits", [0, 1, 3, 4])
def test_posterize(bits: int) -> None:
    x = noisy_images(3)
    expected = in_pillow(x, lambda image: image.point(lambda level: level & (256 - 2 ** (8 - bits))))
    torch.testing.assert_close(ops.posterize(x, torch.full((3,), float(bits))), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("threshold", [0, 26, 128, 256])
def test_solarize(threshold: int) -> None:
    x = noisy_images(3)
    expected = in_pillow(x, lambda image: ImageOps.solarize(image, threshold))
    torch.testing.assert_close(ops.solarize(x, torch.full((3,), float(threshold))), expected, atol=1e-6, rtol=0)


def test_solarize_add() -> None:
    x = noisy_images(3)
    expected = in_pillow(x, lambda image: image.point(lambda i: min(255, i + 99) if i < 128 else i))
    torch.testing.assert_close(ops.solarize_add(x, torch.full((3,), 99.0)), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("operation", "argument", "matrix"),
    [
        (ops.shear_x, 0.27, lambda v, w, h: (1, v, 0, 0, 1, 0)),
        (ops.shear_y, 0.27, lambda v, w, h: (1, 0, 0, v, 1, 0)),
        (ops.translate_x, 0.25, lambda v, w, h: (1, 0, v * w, 0, 1, 0)),
        (ops.translate_y, 0.25, lambda v, w, h: (1, 0, 0, 0, 1, v * h)),
    ],
)
def test_shears_and_translations(operation: Callable, argument: float, matrix: Callable, sign: int) -> None:
    x, value = smooth_images(3), sign * argument
    row = matrix(value, 48, 40)
    expected = in_pillow(
        x, lambda i: i.transform(i.size, Image.Transform.AFFINE, row, Image.Resampling.BILINEAR, fillcolor=FILL)
    )
    assert_warped_alike(operation(x, torch.full((3,), value)), expected)


@pytest.mark.parametrize("degrees", [-30, 8, 27])
def test_rotation(degrees: int) -> None:
    x = smooth_images(3)
    expected = in_pillow(x, lambda image: image.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=FILL))
    assert_warped_alike(ops.rotate(x, torch.full((3,), float(degrees))), expected)


def assert_warped_alike(found: Tensor, expected: Tensor) -> None:
    """Equal up to rounding, but for the last pixel before the fill, where ours blends and Pillow's does not."""
    different = (found - expected).abs().amax(1) > 2 / 255
    assert different.float().mean() < 0.05
    colour = torch.tensor(ops.IMAGENET_MEAN).view(3, 1, 1)
    filled = ((expected - colour).abs().amax(1) < 1e-6).float()
    nearby = functional.max_pool2d(filled, 3, 1, 1) > 0
    edge = torch.ones_like(nearby)
    edge[:, 1:-1, 1:-1] = False
    assert not (different & ~nearby & ~edge).any()
