"""The corruptions against hand-computed values, the definitions of their distributions, and one-image versions."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats

from reference.corruption_reference import HashFields, corrupt_one
from reprise.assay import corruption_blur, corruption_random, corruption_weather, corruptions
from reprise.assay.corruptions import CORRUPTIONS, SEVERITIES, TYPES, corrupt, image_seeds
from reprise.errors import UserError

# Types that draw no random numbers.
FIXED = ("defocus_blur", "zoom_blur", "gaussian_blur", "brightness", "contrast", "saturate", "pixelate")
# Types whose distance to the clean image grows with the severity by definition. Not saturate and elastic_transform,
# whose severities are of two sorts, nor fog and spatter (other shapes of noise), pixelate (blocks may meet the edges).
GROWING = [kind for kind in TYPES if kind not in {"saturate", "elastic_transform", "fog", "spatter", "pixelate"}]


def picture(h, w, seed=0):
    """A smooth colour image (3, h, w) with a box, a black bar and a grey bar."""
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.random((3, h, w)), (0, max(1, h / 12), max(1, w / 12)), mode="wrap")
    image = (image - image.min()) / np.ptp(image)
    image[:, h // 4 : h // 2, w // 3 : w // 2] = np.array([0.9, 0.1, 0.3])[:, None, None]
    image[:, : h // 8] = 0
    image[:, -h // 8 :] = 0.5
    return np.floor(image * 255.99).astype(np.uint8)


def pictures(n, h, w):
    return torch.from_numpy(np.stack([picture(h, w, seed) for seed in range(n)]))


def flat(n, h, w, rgb=(128, 128, 128)):
    return torch.tensor(rgb, dtype=torch.uint8).view(1, 3, 1, 1).expand(n, 3, h, w).contiguous()


def corrupted(images, kind, severity, seed=0):
    return corrupt(images, kind, severity, image_seeds(seed, np.arange(len(images)), kind, severity))


def levels(images):
    return images.numpy().astype(float)


def test_there_are_seventeen_types_of_five_severities():
    assert len(TYPES) == 17
    assert all(len(constants) == len(SEVERITIES) == 5 for _, constants in CORRUPTIONS.values())


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(("h", "w"), [(16, 16), (20, 27), (32, 32), (72, 64)])
def test_agrees_with_the_version_for_one_image(kind, h, w):
    image = picture(h, w)
    for severity in SEVERITIES:
        seeds = image_seeds(1, [7], kind, severity)
        ours = corrupt(torch.from_numpy(image)[None], kind, severity, seeds)[0].numpy().astype(int)
        other = corrupt_one(image, kind, severity, HashFields(seeds[0])).astype(int)
        off = np.abs(ours - other)
        if kind == "jpeg_compression":  # a coefficient near a half may round the other way: its whole block differs
            assert off.mean() <= 2 and np.median(off) <= 1
        else:
            assert (off > 1).mean() <= 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", TYPES)
def test_agrees_with_the_version_for_one_image_at_full_size(kind):
    test_agrees_with_the_version_for_one_image(kind, 224, 224)


@pytest.mark.parametrize("kind", TYPES)
def test_an_image_does_not_depend_on_its_batch(kind, monkeypatch):
    images = pictures(7, 18, 18)
    for severity in (1, 5):
        seeds = image_seeds(0, np.arange(7), kind, severity)
        together = corrupt(images, kind, severity, seeds)
        assert torch.equal(together, corrupt(images, kind, severity, seeds))
        alone = torch.cat([corrupt(images[i : i + 1], kind, severity, seeds[i : i + 1]) for i in range(7)])
        assert torch.equal(together, alone)
        order = torch.tensor([3, 0, 6, 5, 1, 2, 4])
        assert torch.equal(together[order], corrupt(images[order], kind, severity, seeds[order]))
        with monkeypatch.context() as patch:
            patch.setattr(corruptions, "CHUNK_BYTES", 3 * 16 * corruptions.FLOATS_PER_VALUE * images[0].numel())
            patch.setattr(corruption_weather, "PIXELS_AT_ONCE", 1)
            assert torch.equal(together, corrupt(images, kind, severity, seeds))


@pytest.mark.parametrize("kind", TYPES)
def test_seeds_matter_only_to_random_types_and_the_input_stays(kind):
    images = pictures(2, 24, 24)
    before = images.clone()
    first, second = (corrupted(images, kind, 5, seed) for seed in (0, 1))
    assert torch.equal(first, second) == (kind in (*FIXED, "jpeg_compression"))
    assert torch.equal(images, before)
    assert first.dtype == torch.uint8 and first.shape == images.shape and not torch.equal(first, images)


@pytest.mark.parametrize("kind", GROWING)
@pytest.mark.parametrize("side", [16, 32, 64])
def test_distance_to_the_clean_image_grows_with_severity(kind, side):
    images = pictures(24, side, side)
    distance = np.array([np.abs(levels(corrupted(images, kind, s)) - levels(images)).mean() for s in SEVERITIES])
    # At 16 pixels several lengths meet the floor of 0.3 pixels, and jpeg's tables differ little.
    assert (np.diff(distance) >= -0.02 * distance[:-1]).all() and distance[-1] > distance[0]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_images(kind, value):
    for severity in SEVERITIES:
        out = corrupted(flat(2, 16, 16, (value,) * 3), kind, severity)
        if kind in {"defocus_blur", "motion_blur", "zoom_blur", "gaussian_blur", "contrast", "elastic_transform"}:
            assert (out == value).all()
        if kind in {"speckle_noise", "shot_noise"} and value == 0:
            assert (out == 0).all()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(("h", "w"), [(4, 5), (9, 7), (250, 30)])
def test_any_shape_works_and_no_images(kind, h, w):
    for severity in SEVERITIES:
        assert corrupted(pictures(1, h, w), kind, severity).shape == (1, 3, h, w)
        assert corrupted(pictures(1, h, w)[:0], kind, severity).shape == (0, 3, h, w)


def test_brightness_of_known_pixels():
    # (200, 100, 50): value 200/255 + 0.1 -> 225.5/255, all channels times 225.5/200; black becomes 25.5.
    assert corrupted(flat(1, 4, 4, (200, 100, 50)), "brightness", 1)[0, :, 0, 0].tolist() == [226, 113, 56]
    assert corrupted(flat(1, 4, 4, (0, 0, 0)), "brightness", 1)[0, :, 0, 0].tolist() == [26, 26, 26]
    # Value 200/255 + 0.5 is cut at 1.
    assert corrupted(flat(1, 4, 4, (200, 100, 50)), "brightness", 5)[0, :, 0, 0].tolist() == [255, 128, 64]


def test_saturation_of_known_pixels():
    # (200, 100, 50): saturation 0.75 -> 0.225: 200 (1 - 0.225) = 155; the middle keeps its place: 200 - 45 * 2/3.
    assert corrupted(flat(1, 4, 4, (200, 100, 50)), "saturate", 1)[0, :, 0, 0].tolist() == [200, 170, 155]
    # Grey has hue 0: saturation 0 * 20 + 0.2 makes it red.
    assert corrupted(flat(1, 4, 4, (100, 100, 100)), "saturate", 5)[0, :, 0, 0].tolist() == [100, 80, 80]


def test_contrast_of_a_constant_image_and_of_two_values():
    assert torch.equal(corrupted(flat(2, 9, 9), "contrast", 5), flat(2, 9, 9))
    image = flat(1, 4, 4, (50, 50, 50))
    image[:, :, 2:] = 150  # mean 100
    assert corrupted(image, "contrast", 1)[0, 0, :, 0].tolist() == [80, 80, 120, 120]


@pytest.mark.parametrize(("h", "w"), [(16, 16), (32, 32), (27, 20), (64, 64)])
def test_pixelate_is_exactly_pils_box_filter(h, w):
    images = torch.randint(0, 256, (3, 3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for severity, factor in zip(SEVERITIES, (0.6, 0.5, 0.4, 0.3, 0.25), strict=True):
        out = corrupted(images, "pixelate", severity)
        for image, mine in zip(images, out, strict=True):
            pil = Image.fromarray(image.permute(1, 2, 0).numpy())
            pil = pil.resize((int(w * factor), int(h * factor)), Image.Resampling.BOX)
            pil = pil.resize((w, h), Image.Resampling.BOX)
            assert np.array_equal(mine.permute(1, 2, 0).numpy(), np.asarray(pil))


def test_pixelate_by_hand():
    image = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(1, 3, 4, 4).contiguous()
    # Means of 2 x 2 by columns, then rows: 0.5 and 4.5 round to 1 and 5, their mean is 3.
    assert corrupted(image, "pixelate", 2)[0, 0].tolist() == [[3, 3, 5, 5]] * 2 + [[11, 11, 13, 13]] * 2


@pytest.mark.parametrize(("severity", "sd"), [(1, 0.08), (2, 0.12), (3, 0.18)])
def test_gaussian_noise_has_its_standard_deviation(severity, sd):
    noise = levels(corrupted(flat(8, 64, 64), "gaussian_noise", severity)) / 255 - 128 / 255
    clipped = stats.truncnorm(-128 / 255 / sd, 127 / 255 / sd)
    assert noise.std() == pytest.approx(sd * clipped.std(), rel=0.02)
    assert abs(noise.mean()) < 4 * sd / np.sqrt(noise.size)


def test_speckle_noise_is_proportional_to_the_pixel():
    for value in (30, 90):
        noise = levels(corrupted(flat(8, 64, 64, (value,) * 3), "speckle_noise", 2)) - value
        assert noise.std() == pytest.approx(0.2 * value, rel=0.02)


@pytest.mark.parametrize(("severity", "amount"), [(1, 0.03), (3, 0.09), (5, 0.27)])
def test_impulse_noise_hits_its_share_half_black_half_white(severity, amount):
    out = levels(corrupted(flat(16, 64, 64), "impulse_noise", severity))
    tolerance = 4 * np.sqrt(amount / out.size)
    assert (out == 0).mean() == pytest.approx(amount / 2, abs=tolerance)
    assert (out == 255).mean() == pytest.approx(amount / 2, abs=tolerance)
    assert np.isin(out, (0, 128, 255)).all()


@pytest.mark.parametrize("value", [40, 128, 250])
def test_shot_noise_is_poisson(value):
    rate = 12
    out = levels(corrupted(flat(16, 64, 64, (value,) * 3), "shot_noise", 3)).ravel()
    counts = np.bincount(np.round(out / 255 * rate).astype(int), minlength=rate + 1)
    expected = stats.poisson(rate * value / 255).pmf(np.arange(rate + 1))
    expected[-1] += 1 - expected.sum()  # counts above the rate are white
    seen = expected * out.size > 5
    assert stats.chisquare(counts[seen], expected[seen] / expected[seen].sum() * counts[seen].sum()).pvalue > 1e-3


@pytest.mark.parametrize("draw", [0, 1])
def test_random_numbers_pass_distribution_and_independence_checks(draw):
    seeds = torch.arange(200)  # neighbouring seeds: the worst case
    u, z = (deal(seeds, 4096, draw).double().numpy() for deal in (corruption_random.uniform, corruption_random.normal))
    assert u.min() >= 0 and u.max() < 1
    assert stats.kstest(u.ravel()[::7], "uniform").pvalue > 1e-3
    assert stats.kstest(z.ravel()[::7], "norm").pvalue > 1e-3
    for a, b in ((z[:-1], z[1:]), (z[:, :-1], z[:, 1:])):  # from image to image, from pixel to pixel
        assert abs((a * b).mean()) < 4 / np.sqrt(a.size)
    other = corruption_random.normal(seeds, 4096, draw + 1).double().numpy()
    assert abs((z * other).mean()) < 4 / np.sqrt(z.size)


def test_bits_are_the_published_hashes():
    # The first outputs of splitmix64 from state 0, as its author's program prints them.
    states = np.array([0, 0x9E3779B97F4A7C15], dtype=np.uint64)
    assert [hex(word) for word in corruption_random.splitmix64(states)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4"]

    def lowbias32(x):
        x = ((x ^ (x >> 16)) * 0x7FEB352D) % 2**32
        x = ((x ^ (x >> 15)) * 0x846CA68B) % 2**32
        return x ^ (x >> 16)

    seed = 2**62 + 12345
    twice = corruption_random.splitmix64(np.array([seed], dtype=np.uint64)) + np.uint64(3)
    key = int(corruption_random.splitmix64(twice)[0])
    expected = [
        lowbias32((lowbias32((i * 0x9E3779B9 % 2**32) ^ (key % 2**32)) + (key >> 32)) % 2**32) for i in range(50)
    ]
    bits = corruption_random.random_bits(torch.tensor([seed]), 50, draw=3)[0].numpy().view(np.uint32)
    assert bits.tolist() == expected


@pytest.mark.parametrize("sd", [0.3, 0.5, 1.0, 4.0])
def test_gaussian_weights_have_the_standard_deviation_asked_for(sd):
    row = corruption_blur.gaussian_operator(101, sd)[50].double().numpy()
    assert row.sum() == pytest.approx(1)
    assert np.sqrt((row * (np.arange(101) - 50) ** 2).sum()) == pytest.approx(sd, rel=0.01)


def test_at_full_size_the_gaussian_blur_is_scipys():
    image = picture(224, 224)
    blurred = ndimage.gaussian_filter(image / 255, (0, 3, 3), mode="nearest") * 255
    assert np.abs(levels(corrupted(torch.from_numpy(image)[None], "gaussian_blur", 3))[0] - blurred).max() <= 0.6


def test_at_full_size_the_zoom_blur_is_close_to_the_originals():
    image = ndimage.gaussian_filter(picture(224, 224) / 255, (0, 2, 2))
    total, factors = image.copy(), np.arange(1, 1.21, 0.02)
    for factor in factors:
        size = int(np.ceil(224 / factor))
        top = (224 - size) // 2
        zoomed = ndimage.zoom(image[:, top : top + size, top : top + size], (1, factor, factor), order=1)
        trim = (zoomed.shape[1] - 224) // 2
        total += zoomed[:, trim : trim + 224, trim : trim + 224]
    original = total / (len(factors) + 1) * 255
    ours = levels(corrupted(torch.from_numpy(np.round(image * 255).astype(np.uint8))[None], "zoom_blur", 3))[0]
    assert np.abs(ours - original).mean() < 1


def test_the_disc_at_whole_radii_is_the_hard_one():
    assert corruption_blur.disc(3, 0.01).astype(bool).sum() == 29  # lattice points within 3 of the origin
    assert corruption_blur.disc(0.7, 0.5).sum() == pytest.approx(1)


def test_a_point_is_smeared_to_one_side_along_the_line():
    point = torch.zeros(1, 1, 224, 224)
    point[..., 112, 112] = 1
    smeared = corruption_blur.along_line(point, 10, 3, torch.tensor([0.0]))[0, 0]
    assert smeared.sum() == pytest.approx(1, abs=1e-5)
    assert smeared[112, 112] > smeared[112, 111] > smeared[112, 106] > 0
    assert smeared[112, 113:].sum() == 0 and smeared[111].sum() == 0


def test_plasma_repeats_fills_and_gets_rougher_with_slow_decay():
    u = corruption_random.uniform(torch.arange(20), 64 * 64).view(20, 64, 64)
    smooth, rough = corruption_weather.plasma(u, 2.0), corruption_weather.plasma(u, 1.4)
    for field in (smooth, rough):
        assert (field.amin((1, 2)) == 0).all() and (field.amax((1, 2)) == 1).all()
    steps = [(f - f.roll(1, 2)).abs().mean() for f in (smooth, rough)]
    assert steps[0] < steps[1]


@pytest.mark.parametrize("kind", ["snow", "fog"])
def test_weather_is_as_strong_at_small_sizes_as_at_full_size(kind):
    for severity in (1, 3):
        strength = [levels(corrupted(flat(n, s, s), kind, severity)).mean() - 128 for s, n in ((224, 4), (16, 300))]
        assert strength[1] == pytest.approx(strength[0], rel=0.25)


def test_mud_covers_about_as_much_at_small_sizes_as_at_full_size():
    full, *small = [
        128 - levels(corrupted(flat(n, s, s), "spatter", 4)).mean() for s, n in ((224, 4), (32, 40), (16, 100))
    ]
    assert all(0.6 < strength / full < 1.8 for strength in small)  # with the floor on lengths it would be 4 times


@pytest.mark.parametrize(("h", "w"), [(16, 16), (30, 46)])
def test_jpeg_is_close_to_pil_on_noise(h, w):
    images = torch.randint(0, 256, (4, 3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for severity in SEVERITIES:
        out = corrupted(images, "jpeg_compression", severity)
        for image, mine in zip(images.numpy(), levels(out), strict=True):
            assert np.abs(mine - corrupt_one(image, "jpeg_compression", severity, None)).mean() < 2


def test_image_seeds_differ_by_everything_that_names_an_image():
    ids = np.arange(1000)
    seeds = image_seeds(0, ids, "fog", 1)
    assert seeds.dtype == torch.int64 and len(set(seeds.tolist())) == 1000
    for other in (image_seeds(1, ids, "fog", 1), image_seeds(0, ids, "snow", 1), image_seeds(0, ids, "fog", 2)):
        assert not set(seeds.tolist()) & set(other.tolist())
    assert torch.equal(image_seeds(0, ids[::-1].copy(), "fog", 1), seeds.flip(0))


def test_no_images():
    assert (
        corrupt(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "fog", 1, torch.zeros(0, dtype=torch.int64)).shape[0] == 0
    )


def test_errors_name_the_thing_and_the_remedy():
    images, seeds = flat(2, 8, 8), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(UserError, match="unknown corruption 'gausian_noise': did you mean gaussian_noise"):
        corrupt(images, "gausian_noise", 1, seeds)
    with pytest.raises(UserError, match="did you mean jpeg_compression"):
        image_seeds(0, [1], "jpeg", 1)
    for severity in (0, 6):
        with pytest.raises(UserError, match=f"severity {severity} of fog does not exist: choose 1, 2, 3, 4 or 5"):
            corrupt(images, "fog", severity, seeds)
    with pytest.raises(ValueError, match="8 x 3 pixels, expected sides of 4 to 1000"):
        corrupt(images[..., :3], "fog", 1, seeds)
    for wrong in (images.float(), images[0], images[:, :1]):
        with pytest.raises(ValueError, match="expected uint8"):
            corrupt(wrong, "fog", 1, seeds)
    for wrong in (seeds.int(), seeds[:1]):
        with pytest.raises(ValueError, match=r"expected int64 \(2,\)"):
            corrupt(images, "fog", 1, wrong)
