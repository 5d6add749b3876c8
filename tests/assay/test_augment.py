"""Augmenters: closed forms, Pillow as the reference, shares of images changed, crops."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.nn import functional

from assay.images import in_pillow, noisy_images, smooth_images
from reprise.assay import augment
from reprise.assay import augment_ops as ops
from reprise.assay.augment import AUGMENTERS, OPERATIONS, augmenter, random_operation, random_resized_crop
from reprise.errors import UserError

# -- the table of timm -----------------------------------------------------------------------------------------------


def test_arguments_at_magnitude_nine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values timm computes for magnitude 9 of 10."""
    seen: dict[str, list[float]] = {}

    def note(name: str) -> Callable[[Tensor, Tensor], Tensor]:
        def operation(x: Tensor, argument: Tensor) -> Tensor:
            seen[name] = sorted({round(value, 4) for value in argument.tolist()})
            return x

        return operation

    for name in ("rotate", "posterize", "solarize", "solarize_add", "saturation", "contrast", "brightness"):
        monkeypatch.setattr(ops, name, note(name))
    for name in ("sharpness", "shear_x", "shear_y", "translate_x", "translate_y"):
        monkeypatch.setattr(ops, name, note(name))
    for operation in OPERATIONS.values():
        operation(noisy_images(60, 4), torch.full((60,), 9.0))
    assert seen["rotate"] == [-27, 27]
    assert seen["posterize"] == [1] and seen["solarize"] == [26] and seen["solarize_add"] == [99]
    for name in ("saturation", "contrast", "brightness", "sharpness"):
        assert seen[name] == [0.19, 1.81]
    assert seen["shear_x"] == seen["shear_y"] == [-0.27, 0.27]
    assert seen["translate_x"] == seen["translate_y"] == [-0.405, 0.405]
    assert len(augment.RAND_AUGMENT) == 15 and len(augment.AUGMIX) == 13


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_magnitude_zero_changes_little(name: str) -> None:
    """Increasing operations start at (nearly) nothing; three have no magnitude, and posterize starts at 4 bits."""
    x = noisy_images(8)
    changed = OPERATIONS[name](x, torch.zeros(8))
    assert changed.shape == x.shape and changed.min() >= 0 and changed.max() <= 1
    if name not in ("AutoContrast", "Equalize", "Invert"):
        assert (changed - x).abs().max() <= (16 / 255 if name == "PosterizeIncreasing" else 1e-5)


def test_each_image_goes_through_one_operation() -> None:
    x, n = noisy_images(1, 8).repeat(600, 1, 1, 1), 600
    torch.manual_seed(0)
    done = random_operation(x, ["Invert", "AutoContrast"], torch.zeros(n), probability=0.6)
    inverted = (done == 1 - x).flatten(1).all(1)
    stretched = (done == ops.autocontrast(x)).flatten(1).all(1)
    same = (done == x).flatten(1).all(1)
    assert (inverted.int() + stretched.int() + same.int() == 1).all()
    assert abs(same.float().mean() - 0.4) < 0.08 and abs(inverted.float().mean() - 0.3) < 0.08


def test_operations_keep_the_order_of_the_images() -> None:
    x = (torch.arange(200) / 400)[:, None, None, None].expand(200, 3, 4, 4).contiguous()
    done = random_operation(x, ["Invert"], torch.zeros(200), probability=0.5)
    assert torch.minimum((done - x).abs(), (done - (1 - x)).abs()).max() < 1e-6


def test_random_augment_leaves_a_quarter() -> None:
    """Two operations, each skipped with p 0.5; some of the others (no bits lost, no colour) change nothing either."""
    x = noisy_images(1, 24).repeat(1500, 1, 1, 1)
    torch.manual_seed(0)
    same = (augmenter("random_augment")(x) == x).flatten(1).all(1).float().mean()
    assert 0.20 < same < 0.33


def test_augmix_stays_between_image_and_chains() -> None:
    """The mixture moves each image by a uniform share of the way to its chains, so by less than they moved."""
    x = torch.full((2000, 3, 4, 4), 0.4)
    torch.manual_seed(0)
    mixed = augmenter("augmix")(x)
    assert (mixed - x).abs().max() <= 0.6
    assert mixed.mean() == pytest.approx(0.4, abs=0.06)
    assert (mixed != x).flatten(1).any(1).float().mean() > 0.9


# -- augmenters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(AUGMENTERS))
def test_shape_range_and_seed(name: str) -> None:
    for x in (noisy_images(6, 16), smooth_images(5), noisy_images(1, 16)):
        torch.manual_seed(3)
        before = x.clone()
        first = augmenter(name)(x)
        assert torch.equal(x, before)
        assert first.shape == x.shape and first.dtype == x.dtype
        assert first.min() >= 0 and first.max() <= 1
        torch.manual_seed(3)
        assert torch.equal(first, augmenter(name)(x))


@pytest.mark.parametrize("name", ["standard", "rand", "random_color", "random_augment", "augmix", "hflip"])
def test_images_draw_for_themselves(name: str) -> None:
    torch.manual_seed(0)
    done = augmenter(name)(noisy_images(1, 16).repeat(12, 1, 1, 1))
    assert len(torch.unique(done, dim=0)) > 1


def test_unknown_name() -> None:
    with pytest.raises(UserError, match="did you mean 'random_color'"):
        augmenter("random_colour")


def test_random_color_as_code() -> None:
    """Brightness 0.3: x -> .3 x; contrast 0.3: .3 x + .7 m, with m the mean luma; saturation 0.3: .3 x + .7 luma."""
    x = noisy_images(400, 4)
    torch.manual_seed(0)
    done = augmenter("random_color_as_code")(x)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    dark = 0.3 * x
    flat = 0.3 * dark + 0.7 * (dark * luma).sum(1).mean((1, 2))[:, None, None, None]
    gray = (flat * luma).sum(1, keepdim=True).expand_as(x)
    expected = 0.3 * flat + 0.7 * gray
    as_gray = (done - gray).abs().flatten(1).amax(1) < 1e-5
    as_colour = (done - expected).abs().flatten(1).amax(1) < 1e-5
    assert (as_gray | as_colour).all()
    assert 0.05 < as_gray.float().mean() < 0.15


def test_random_color_as_code_in_pillow() -> None:
    x = noisy_images(30)

    def reference(image: Image.Image) -> Image.Image:
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhance(image).enhance(0.3)
        return image

    torch.manual_seed(0)
    gap = (augmenter("random_color_as_code")(x) - in_pillow(x, reference)).abs().flatten(1).amax(1)
    assert (gap < 3 / 255).float().mean() > 0.7  # the rest turned gray


def test_random_color_keeps_the_mean_brightness() -> None:
    x = torch.full((3000, 3, 2, 2), 0.5)
    torch.manual_seed(0)
    level = augmenter("random_color")(x).mean((1, 2, 3))
    assert level.min() >= 0.35 - 1e-5 and level.max() <= 0.65 + 1e-5
    assert level.mean() == pytest.approx(0.5, abs=0.01)


def test_standard_moves_a_blob_as_far_as_said() -> None:
    """The centre of a small blob stays within the extreme shift, rotation and scale; its mean does not move."""
    side = 32
    x = torch.zeros(800, 3, side, side)
    x[:, :, 15:17, 23:25] = 1  # 8 pixels right of the centre
    torch.manual_seed(0)
    done = augmenter("standard")(x)[:, 0]
    axis = torch.arange(side) + 0.5 - side / 2
    mass = done.sum((1, 2))
    right = (done.sum(1) @ axis) / mass
    down = (done.sum(2) @ axis) / mass
    shift, zoom = 0.07 * side * 1.15, 1.15
    assert right.max() <= 8 * zoom + shift + 0.1 and right.min() >= 8 * 0.85 * np.cos(np.radians(6)) - shift - 0.1
    assert down.abs().max() <= 8 * zoom * np.sin(np.radians(6)) + shift + 0.1
    assert right.mean() == pytest.approx(8, abs=0.25) and down.mean() == pytest.approx(0, abs=0.25)
    assert right.max() > 10 and down.max() > 2
    assert mass.min() >= 4 * 0.85**2 - 0.5 and mass.max() <= 4 * 1.15**2 + 0.5


def test_standard_repeats_the_border() -> None:
    x = torch.full((50, 3, 16, 16), 0.7)
    torch.testing.assert_close(augmenter("standard")(x), x)


def test_rand_without_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colour part against its definition step by step, with the draws made visible through constant images."""
    monkeypatch.setattr(augment, "_warp", lambda x, degrees: x)
    n = 6000
    x = torch.full((n, 3, 4, 4), 0.3)
    torch.manual_seed(0)
    done = augmenter("rand")(x)
    sd = done.flatten(1).view(n, 3, 16).std(2).mean(1)
    noisy = sd > 0.02
    assert abs(noisy.float().mean() - 0.3) < 0.03
    quiet = done[~noisy][:, :, 0, 0]
    plain = (quiet.amax(1) - quiet.amin(1)) < 1e-6  # no scaling of channels
    assert abs(plain.float().mean() - 0.5) < 0.03
    level = quiet[plain & (quiet[:, 0] < 1), 0]  # contrast does not move a constant image: .3 or .7, +- .2
    inverted = level > 0.5 + 1e-6
    assert abs(inverted.float().mean() - 0.3) < 0.03
    assert level.min() >= 0.1 - 1e-5 and level.max() <= 0.9 + 1e-5
    assert level[~inverted].mean() == pytest.approx(0.3, abs=0.02) and level[~inverted].std() > 0.1


def test_rand_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without channel scaling and noise, rand is 'mean + contrast * (x - mean) + brightness' of x or 1 - x."""
    monkeypatch.setattr(augment, "_warp", lambda x, degrees: x)
    monkeypatch.setattr(augment, "_chance", lambda x, p: torch.full((len(x), 1, 1, 1), p == 0.3 and inverted))
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    x = 0.4 + 0.1 * torch.rand(500, 3, 6, 6)
    for inverted in (False, True):
        source = 1 - x if inverted else x
        done = augmenter("rand")(x)
        mean = source.mean((1, 2, 3), keepdim=True)
        factor = (done - done.mean((1, 2, 3), keepdim=True)).std((1, 2, 3)) / source.std((1, 2, 3))
        assert 0.5 <= factor.min() < 0.55 and 1.45 < factor.max() <= 1.5
        change = done.mean((1, 2, 3), keepdim=True) - mean
        assert change.abs().max() <= 0.2 + 1e-5
        torch.testing.assert_close(done, mean + factor.view(-1, 1, 1, 1) * (source - mean) + change)


def test_further_augmenters() -> None:
    x = noisy_images(4, 20)
    assert torch.equal(augmenter("identity")(x), x)
    gray = augmenter("grayscale")(x)
    torch.testing.assert_close(gray[:, 0], (x * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1))
    assert torch.equal(gray[:, 0], gray[:, 2])
    flipped = augmenter("hflip")(x.repeat(100, 1, 1, 1))
    moved = (flipped != x.repeat(100, 1, 1, 1)).flatten(1).any(1)
    assert torch.equal(flipped[moved], x.repeat(100, 1, 1, 1)[moved].flip(3)) and 0.4 < moved.float().mean() < 0.6
    sharp = in_pillow(x, lambda image: ImageEnhance.Sharpness(image).enhance(8))
    assert (augmenter("sharpen")(x) - sharp).abs().mean() < 4 / 255  # Pillow's rounding times 7
    noise = augmenter("gaussian_noise")(torch.full((20, 3, 20, 20), 0.5))
    assert noise.std() == pytest.approx(0.1, rel=0.03)


def test_blur() -> None:
    scipy = pytest.importorskip("scipy.ndimage")
    x = noisy_images(2)
    expected = scipy.gaussian_filter(x.numpy(), (0, 0, 1, 1), mode="nearest", truncate=3)
    torch.testing.assert_close(augmenter("blur")(x), torch.from_numpy(expected), atol=1e-5, rtol=0)


def test_pixelate(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a quarter of the pixels a side, 16 blocks of 4 x 4, each one pixel of the image."""
    monkeypatch.setattr(torch, "rand", lambda *shape, device: torch.full(shape, (0.25 - 0.1) / 0.9))
    x = noisy_images(2, 16)
    torch.testing.assert_close(
        augmenter("pixelate")(x), x[:, :, 2::4, 2::4].repeat_interleave(4, 2).repeat_interleave(4, 3)
    )


# -- crops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [12, 64])
def test_random_resized_crop_is_crop_then_resize(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    x = smooth_images(6)
    boxes: list[tuple[Tensor, ...]] = []
    draw = augment._boxes
    monkeypatch.setattr(augment, "_boxes", lambda *args: boxes.append(draw(*args)) or boxes[-1])
    done = random_resized_crop(x, size)
    assert done.shape == (6, 3, size, size)
    for image, found, top, left, height, width in zip(x, done, *boxes[0], strict=True):
        part = image[:, int(top) : int(top + height), int(left) : int(left + width)]
        expected = functional.interpolate(part[None], size=(size, size), mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_boxes() -> None:
    torch.manual_seed(0)
    top, left, height, width = augment._boxes(4000, 200, 240, (0.08, 1.0), (3 / 4, 4 / 3), torch.device("cpu"))
    assert top.min() >= 0 and left.min() >= 0 and (top + height).max() <= 200 and (left + width).max() <= 240
    share, shape = height * width / (200 * 240), width / height
    assert share.min() > 0.075 and share.max() <= 1 and 0.3 < share.mean() < 0.55
    assert shape.min() > 0.74 and shape.max() < 1.35
    for box in ((top, 200 - height), (left, 240 - width)):
        assert (box[0] / box[1].clamp_min(1)).mean() == pytest.approx(0.5, abs=0.02)


def test_boxes_fall_back_to_the_centre() -> None:
    """An image ten times as long as wide holds no box of 90 % of its area: the middle at the closest allowed shape."""
    top, left, height, width = augment._boxes(3, 10, 100, (0.9, 1.0), (3 / 4, 4 / 3), torch.device("cpu"))
    assert height.tolist() == [10] * 3 and width.tolist() == [13] * 3
    assert top.tolist() == [0] * 3 and left.tolist() == [43] * 3
