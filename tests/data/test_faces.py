"""Procedural faces: the rates, cues and pairs of the specification, and what must never leak between splits."""

from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from reprise.data.arrays import open_prepared
from reprise.data.faces import FACTORS, LABELS, SIZE, Options, draw_people, prepare, render

CUES = [FACTORS.index(name) for name in ("jaw", "hair_length", "brow")]
OTHERS = [i for i in range(len(FACTORS)) if i not in CUES]
BIASED = {"mouth": -0.35, "glasses": 0.7}
SIZES = {"n_pretrain": 60, "n_train": 50, "n_val": 30, "n_test": 40}


def options(**changes):
    fixed = {"draws": [0, 3], **SIZES, "d_mouth": -0.35, "d_glasses": 0.7, "d_fair": -0.03}
    return Options(**{**fixed, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    prepare(folder, folder / "prepared", options(), seed=5)
    return open_prepared(folder / "prepared")


@pytest.fixture(scope="module")
def crowd():
    return draw_people(np.random.default_rng(1), 40_000, BIASED)


def part(data, split, name):
    return np.asarray(data.arrays[name][data.rows(split)])


# ---------------------------------------------------------------- the people


def within(share, expected, n):
    return abs(share - expected) <= 3 * np.sqrt(expected * (1 - expected) / n)


def test_rates_of_the_specification(crowd):
    """Positive rates 0.62 and 0.37 for the mouth (group 0 is ahead); a gap of 0.54 for the glasses."""
    mouth, glasses = crowd.labels.T
    members = [crowd.group == k for k in (0, 1)]
    n = 20_000
    assert within(crowd.group.mean(), 0.5, 2 * n)
    # Exactly Phi(+-0.35 / sqrt(1 + 0.35^2)) = 0.6294 and 0.3706; the specification's 0.62 is rounded down.
    assert within(mouth[members[0]].mean(), 0.6294, n)
    assert within(mouth[members[1]].mean(), 0.3706, n)
    # Exactly 2 Phi(0.7 / sqrt(1 + 0.35^2)) - 1 = 0.4912; the specification's 0.54 came from one calibration run.
    gap = glasses[members[1]].mean() - glasses[members[0]].mean()
    assert abs(gap - 0.4912) <= 3 * np.sqrt(2 * 0.25 * 0.75 / n)


def test_fair_target_hardly_depends_on_the_group():
    people = draw_people(np.random.default_rng(2), 40_000, {"mouth": -0.03, "glasses": 0.0})
    gaps = people.labels[people.group == 1].mean(axis=0) - people.labels[people.group == 0].mean(axis=0)
    assert gaps == pytest.approx([-0.0226, 0.0], abs=3 * np.sqrt(2 * 0.25 / 20_000))


def test_cues_by_group(crowd):
    """Means and standard deviations of Sec. 5.1: jaw 0.55 -+ 0.05, hair 0.25 +- 0.30, brow 0.05 -+ 0.015."""
    factors = crowd.factors(crowd.group)[:, CUES]
    for group, mean in ((0, [0.50, 0.55, 0.035]), (1, [0.60, -0.05, 0.065])):
        cues = factors[crowd.group == group]
        sd = np.array([0.05, 0.30, 0.02])
        assert (np.abs(cues.mean(axis=0) - mean) < 3.5 * sd / np.sqrt(len(cues))).all()
        assert cues.std(axis=0) == pytest.approx(sd, rel=0.03)


def test_nuisance_factors(crowd):
    f = dict(zip(FACTORS, crowd.factors(crowd.group).T, strict=True))
    for name in ("shift_x", "shift_y"):
        assert (f[name].mean(), f[name].std()) == pytest.approx((0.0, 0.06), abs=0.002)
    assert (f["scale"].mean(), f["scale"].std()) == pytest.approx((1.0, 0.06), abs=0.002)
    for name, low, high in (("skin", 0.55, 0.85), ("hair_tone", 0.1, 0.5), *((f"background_{c}", 0, 1) for c in "rgb")):
        assert low <= f[name].min() < low + 0.01
        assert high - 0.01 < f[name].max() <= high
        assert f[name].mean() == pytest.approx((low + high) / 2, abs=0.01)
    nuisance = np.stack([f[name] for name in FACTORS if name not in ("jaw", "hair_length", "brow", "mouth", "glasses")])
    correlation = np.corrcoef(np.vstack([nuisance, crowd.group, crowd.labels.T]))[: len(nuisance), len(nuisance) :]
    assert np.abs(correlation).max() < 4 / np.sqrt(40_000)


def test_shown_value_and_label_share_the_latent_but_not_the_noise(crowd):
    """Within a group var(shown) = 1 + 0.35^2, and the sign of the shown value errs as two noises of 0.35 make it."""
    factors = crowd.factors(crowd.group)
    s = 2.0 * crowd.group - 1
    for k, target in enumerate(("mouth", "glasses")):
        shown = factors[:, FACTORS.index(target)]
        centred = shown - BIASED[target] * s
        assert centred.mean() == pytest.approx(0, abs=0.02)
        assert centred.var() == pytest.approx(1 + 0.35**2, rel=0.03)
        agree = np.mean((shown > 0) == crowd.labels[:, k])
        assert 0.83 < agree < 0.90  # without label noise it would be 1


def test_label_noise_by_hand(crowd):
    """For a fair target P(signs agree) = 1/2 + arcsin(rho) / pi with rho = 1 / (1 + 0.35^2)."""
    people = draw_people(np.random.default_rng(3), 40_000, {"mouth": 0.0, "glasses": 0.0})
    agree = np.mean((people.factors(people.group)[:, FACTORS.index("mouth")] > 0) == people.labels[:, 0])
    expected = 0.5 + np.arcsin(1 / (1 + 0.35**2)) / np.pi
    assert within(agree, expected, 40_000)


# ---------------------------------------------------------------- the renderer


def plain(**changes):
    middle = {"shift_x": 0, "shift_y": 0, "scale": 1, "jaw": 0.55, "hair_length": 0.25, "brow": 0.05, "skin": 0.7}
    middle |= {
        "hair_tone": 0.2,
        "background_r": 0.2,
        "background_g": 0.5,
        "background_b": 0.9,
        "mouth": 0,
        "glasses": 0,
    }
    return np.array([[{**middle, **changes}[name] for name in FACTORS]], np.float32)


def faces(n=200, **changes):
    """n renderings of one face, averaged: the pixel noise (0.08) leaves 0.006 at n = 200."""
    return render(np.repeat(plain(**changes), n, axis=0), 0).mean(axis=0) / 255


def test_images_show_the_colours_they_should():
    image = faces()
    assert image.shape == (3, SIZE, SIZE)
    assert image[:, 31, 0] == pytest.approx([0.2, 0.5, 0.9], abs=0.02)  # a corner: background
    cheek = faces(glasses=-1.5)[:, 17, 16]
    assert cheek == pytest.approx(0.7 * np.array([1.0, 0.82, 0.7]), abs=0.04)


def test_noise_has_the_standard_deviation_of_the_specification():
    images = render(np.repeat(plain(), 500, axis=0), 1) / 255
    corner = images[:, 1, 28:, :4]  # background 0.5: far from clipping
    assert corner.std(axis=0).mean() == pytest.approx(0.08, rel=0.05)


@pytest.mark.parametrize(
    ("factor", "values"), [("jaw", (0.5, 0.6)), ("hair_length", (-0.05, 0.55)), ("brow", (0.02, 0.08))]
)
def test_every_cue_can_be_seen(factor, values):
    low, high = (faces(**{factor: value}) for value in values)
    assert np.abs(high - low).max() > 0.05


def test_mouth_bends_upwards_and_glasses_darken():
    rows = np.arange(SIZE) + 0.5

    def height_of_the_lips(image, columns):
        red = (image[0] - image[1] - image[2])[18:28, columns].mean(axis=1)
        weight = np.clip(red - red.min(), 0, None) ** 4
        return (weight * rows[18:28]).sum() / weight.sum()

    smile, frown = faces(mouth=2.0), faces(mouth=-2.0)
    corners, centre = [12, 19], [15, 16]
    # Image rows grow downwards: in a smile the corners lie above the centre.
    assert height_of_the_lips(smile, corners) < height_of_the_lips(smile, centre) - 0.5
    assert height_of_the_lips(frown, corners) > height_of_the_lips(frown, centre) + 0.5
    assert faces(glasses=1.4)[:, 10:18].mean() < faces(glasses=-1.4)[:, 10:18].mean() - 0.01


def test_a_face_does_not_depend_on_its_neighbours():
    factors = draw_people(np.random.default_rng(0), 600, BIASED).factors(np.zeros(600))
    whole, first = render(factors, 9), render(factors[:550], 9)
    np.testing.assert_array_equal(whole[:550], first)


# ---------------------------------------------------------------- the prepared data set


def test_format_and_range(data):
    n = 60 + 2 * 2 * (50 + 30 + 40 + 80)
    assert data.card["label_names"] == list(LABELS)
    assert data.card["factor_names"] == list(FACTORS)
    x, labels, factors = (data.arrays[name] for name in ("x", "labels", "factors"))
    assert (x.shape, x.dtype) == ((n, 3, SIZE, SIZE), np.uint8)
    assert (labels.shape, labels.dtype) == ((n, 3), np.uint8)
    assert (factors.shape, factors.dtype) == ((n, 13), np.float32)
    assert set(np.unique(labels)) == {0, 1}
    assert np.isfinite(factors).all()
    assert x.min() == 0
    assert x.max() == 255
    assert 80 < x.mean() < 175


def test_splits_tile_the_rows(data):
    spans = sorted(data.card["splits"].values())
    assert spans[0][0] == 0
    assert all(stop == start for (_, stop), (start, _) in pairwise(spans))
    sizes = {"train": 50, "val": 30, "test": 40, "pairs": 80}
    expected = {f"{k}/{prefix}{name}": n for k in (0, 3) for prefix in ("", "fair_") for name, n in sizes.items()}
    found = {name: stop - start for name, (start, stop) in data.card["splits"].items()}
    assert found == expected | {"pretrain": 60}


def test_no_face_stands_in_two_splits(data):
    splits = ["pretrain", *(f"{k}/{name}" for k in (0, 3) for name in ("train", "val", "test"))]
    seen = [row.tobytes() for split in splits for row in part(data, split, "factors")]
    assert len(set(seen)) == len(seen)
    pixels = [row.tobytes() for split in splits for row in part(data, split, "x")]
    assert len(set(pixels)) == len(pixels)


def test_pretraining_targets_do_not_depend_on_the_group(tmp_path):
    prepare(tmp_path, tmp_path / "out", options(draws=[0], n_pretrain=4000, n_train=1, n_val=1, n_test=1), seed=0)
    labels = part(open_prepared(tmp_path / "out"), "pretrain", "labels")
    gaps = labels[labels[:, 0] == 1].mean(axis=0) - labels[labels[:, 0] == 0].mean(axis=0)
    assert np.abs(gaps[1:]).max() < 4 * np.sqrt(2 * 0.25 / 2000)


def test_pairs_differ_by_the_cues_alone(data):
    x, labels, factors = (part(data, "0/pairs", name) for name in ("x", "labels", "factors"))
    assert labels[0::2, 0].tolist() == [0] * 40
    assert labels[1::2, 0].tolist() == [1] * 40
    np.testing.assert_array_equal(labels[0::2, 1:], labels[1::2, 1:])
    np.testing.assert_array_equal(factors[0::2, OTHERS], factors[1::2, OTHERS])
    steps = factors[1::2, CUES] - factors[0::2, CUES]
    np.testing.assert_allclose(steps, np.broadcast_to([0.10, -0.60, 0.03], (40, 3)), atol=1e-6)
    difference = x[1::2].astype(int) - x[0::2]
    assert (np.abs(difference).max(axis=(1, 2, 3)) > 20).all()  # the cues can be seen
    short = factors[0::2, FACTORS.index("hair_length")] < 0.5
    corners = difference[short][:, :, -2:, [0, -1]]  # below the hair, beside the face: the same background and noise
    assert short.sum() >= 10
    assert np.abs(corners).max() <= 1


def test_pairs_are_the_people_of_the_test_split(data):
    """One of the two is the test face itself; the other shows the same person with the other group's cues."""
    group = part(data, "0/test", "labels")[:, 0]
    rows = 2 * np.arange(40) + group
    np.testing.assert_array_equal(part(data, "0/pairs", "x")[rows], part(data, "0/test", "x"))
    np.testing.assert_array_equal(part(data, "0/pairs", "labels")[rows], part(data, "0/test", "labels"))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_fair_control_shows_the_same_people(data, split):
    """Equal but for the mouth and the glasses, whose dependence on the group is taken out."""
    ours, fair = (part(data, f"0/{prefix}{split}", "factors") for prefix in ("", "fair_"))
    shown = [FACTORS.index("mouth"), FACTORS.index("glasses")]
    rest = [i for i in range(len(FACTORS)) if i not in shown]
    group = part(data, f"0/{split}", "labels")[:, 0]
    np.testing.assert_array_equal(ours[:, rest], fair[:, rest])
    np.testing.assert_array_equal(group, part(data, f"0/fair_{split}", "labels")[:, 0])
    s = 2.0 * group - 1
    np.testing.assert_allclose(fair[:, shown] - ours[:, shown], np.outer(s, [0.32, -0.7]), atol=1e-5)


def test_equal_seeds_give_equal_files(tmp_path, data):
    prepare(tmp_path, tmp_path / "again", options(), seed=5)
    again = open_prepared(tmp_path / "again")
    assert again.digest == data.digest
    prepare(tmp_path, tmp_path / "other", options(), seed=6)
    assert (open_prepared(tmp_path / "other").arrays["x"][0] != data.arrays["x"][0]).any()


def test_a_draw_does_not_depend_on_the_others(tmp_path, data):
    prepare(tmp_path, tmp_path / "one", options(draws=[3], n_pretrain=1), seed=5)
    one = open_prepared(tmp_path / "one")
    for split in ("3/train", "3/fair_test", "3/pairs"):
        np.testing.assert_array_equal(part(one, split, "x"), part(data, split, "x"))


@pytest.mark.parametrize(
    "changes",
    [{"draws": []}, {"n_val": 0}, {"d_mouth": 4.0}, {"d_fair": float("nan")}, {"n_trian": 3}, {"draws": [-1]}],
)
def test_options_are_checked(changes):
    with pytest.raises(ValidationError):
        options(**changes)
