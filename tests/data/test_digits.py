"""The digits in six domains: each renderer by its definition, and one split for all domains."""

import gzip

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from reprise.data import digits, glyphs, sources
from reprise.data.arrays import DataError, open_prepared
from reprise.data.digits import DOMAINS, RENDER, SHARES, Options

BYTE = 1 / 255
N = 1797


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    sources.fetch("digits", folder / "digits")
    return folder


@pytest.fixture(scope="module")
def data(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "digits"
    digits.digits(raw / "digits", folder, Options(n=N), seed=5)
    return open_prepared(folder)


@pytest.fixture(scope="module")
def strokes(raw):
    return digits.base(raw / "digits", 300, 5)[0]


def prepared(raw, folder, seed):
    digits.digits(raw / "digits", folder, Options(n=120), seed=seed)
    return open_prepared(folder)


def part(data, split, name="x"):
    return np.asarray(data.arrays[name][data.rows(split)])


def whole(data, domain, name="x"):
    """All rows of a domain, in the same order for each."""
    return np.concatenate([part(data, f"{domain}/{split}", name) for split in SHARES])


def in_torch(small):
    """8x8 images to 16x16 by torch's bicubic interpolation with Pillow's kernel."""
    x = torch.from_numpy(small.astype(np.float32))[:, None]
    large = torch.nn.functional.interpolate(x, size=(16, 16), mode="bicubic", antialias=True)
    return large[:, 0].clamp(0, 1).numpy()


def rendered(domain, strokes, labels=None, seed=0):
    labels = np.zeros(len(strokes), np.uint8) if labels is None else labels
    return RENDER[domain](strokes, labels, np.random.default_rng(seed))


# ---------------------------------------------------------------- splits


def test_format(data):
    x, labels = data.arrays["x"], data.arrays["labels"]
    assert (x.shape, x.dtype) == ((6 * N, 3, 16, 16), np.uint8)
    assert (labels.shape, labels.dtype) == ((6 * N, 1), np.uint8)
    assert data.card["classes"] == [str(k) for k in range(10)]
    assert data.card["domains"] == list(DOMAINS)
    assert data.card["label_names"] == ["class"]
    assert list(data.card["sources"]) == ["digits.csv.gz"]
    assert set(data.card["splits"]) == {f"{domain}/{split}" for domain in DOMAINS for split in SHARES}


def test_splits_tile_the_rows(data):
    spans = sorted(tuple(span) for span in data.card["splits"].values())
    assert [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])]
    assert spans[-1][1] == 6 * N


def test_sizes_of_the_specification(data):
    """1078 / 179 / 540, up to the rounding of each class."""
    sizes = [len(part(data, f"pen/{split}")) for split in ("train", "val", "test")]
    assert sizes == pytest.approx([1078, 179, 540], abs=5)


def test_every_class_is_split_alike(data):
    total = np.bincount(whole(data, "pen", "labels")[:, 0])
    for split, share in SHARES.items():
        counts = np.bincount(part(data, f"pen/{split}", "labels")[:, 0], minlength=10)
        assert np.abs(counts - share * total).max() <= 1


def test_all_domains_share_the_labels_row_by_row(data):
    for split in SHARES:
        expected = part(data, f"pen/{split}", "labels")
        for domain in DOMAINS:
            np.testing.assert_array_equal(part(data, f"{domain}/{split}", "labels"), expected)


def test_each_digit_is_in_one_split_only(data):
    """Every image of `pen` is recognised among all 1,797 of scikit-learn, with its label."""
    source = load_digits()
    known = in_torch(source.images / 16).reshape(N, -1)
    shown = {split: part(data, f"pen/{split}")[:, 0].reshape(-1, 256) / 255 for split in SHARES}
    rows = {}
    for split, images in shown.items():
        squares = (images**2).sum(1)[:, None] + (known**2).sum(1) - 2 * images @ known.T
        rows[split] = squares.argmin(axis=1)
        assert np.abs(images - known[rows[split]]).max() < 2 * BYTE
        np.testing.assert_array_equal(part(data, f"pen/{split}", "labels")[:, 0], source.target[rows[split]])
    assert sorted(np.concatenate(list(rows.values()))) == list(range(N))
    assert not np.array_equal(rows["train"], np.sort(rows["train"]))  # shuffled: few-shot takes the first


def test_smaller_n_keeps_the_proportions(raw):
    strokes, labels, sizes = digits.base(raw / "digits", 200, 5)
    assert len(strokes) == len(labels) == sum(sizes.values()) == pytest.approx(200, abs=5)
    assert np.bincount(labels).min() >= 19
    assert [sizes[split] / len(labels) for split in SHARES] == pytest.approx(list(SHARES.values()), abs=0.03)


# ---------------------------------------------------------------- the domains show the same digits


def gray(data, domain):
    x = whole(data, domain)
    np.testing.assert_array_equal(x[:, 0], x[:, 1])
    np.testing.assert_array_equal(x[:, 0], x[:, 2])
    return x[:, 0] / 255


def test_outline_is_one_minus_the_gradient_of_the_pen(data):
    pen = gray(data, "pen")
    padded = np.pad(pen, ((0, 0), (1, 1), (1, 1)), mode="edge")
    windows = np.stack([padded[:, i : i + 16, j : j + 16] for i in range(3) for j in range(3)])
    expected = 1 - (windows.max(axis=0) - windows.min(axis=0))
    np.testing.assert_allclose(gray(data, "outline"), expected, atol=1.01 * BYTE)


def test_color_recovers_the_pen_and_two_colours_apart(data):
    pen, x = gray(data, "pen"), whole(data, "color") / 255
    flat, images = pen.reshape(N, -1), x.reshape(N, 3, -1)
    rows = np.arange(N)
    low, high = flat.argmin(axis=1), flat.argmax(axis=1)  # nearly every digit has pixels of 0 and of 1
    ground = images[rows, :, low]
    ink = ground + (images[rows, :, high] - ground) / (flat[rows, high] - flat[rows, low])[:, None]
    expected = ground[:, :, None] + (ink - ground)[:, :, None] * (flat - flat[rows, low][:, None])[:, None]
    np.testing.assert_allclose(images, expected, atol=4 * BYTE)  # the same digit, row by row
    gap = (ink - ground) @ [0.299, 0.587, 0.114]
    assert np.abs(gap).min() > 0.3 - 3 * BYTE
    assert 0.45 < np.mean(gap > 0) < 0.55  # bright on dark as often as dark on bright
    assert np.abs(gap).min() < 0.32  # and no farther apart than asked for
    assert ground.std(axis=0).min() > 0.2


def test_rotated_turns_the_pen_by_30_to_60_degrees(data):
    """The best angle of a search over all of them; not every digit has one (a zero is round)."""
    pen, turned = gray(data, "pen")[:40].astype(np.float32), gray(data, "rotated")[:40]
    angles = np.arange(-90, 90, 1.5)
    found = []
    for image, target in zip(pen, turned, strict=True):
        whole_turn = [np.asarray(Image.fromarray(image).rotate(a, Image.Resampling.BICUBIC)) for a in angles]
        errors = np.abs(np.clip(whole_turn, 0, 1) - target).mean(axis=(1, 2))
        assert errors.min() < 0.03
        found.append(angles[errors.argmin()])
    assert 28 <= min(found) < 36
    assert 54 < max(found) <= 62


def test_font_prints_the_label(data):
    """A classifier that knows printed digits of another draw reads them; the handwriting plays no part."""
    printed = np.random.default_rng(0).integers(10, size=2000)
    known = glyphs.render([str(k) for k in printed], np.random.default_rng(1))
    reader = KNeighborsClassifier(1).fit(known.reshape(2000, -1), printed)
    x, y = gray(data, "font").reshape(N, -1), whole(data, "font", "labels")[:, 0]
    assert reader.score(x, y) > 0.85  # printed in 18 fonts, known from 200 examples each; chance is 0.1


def test_texture_inverts_the_same_pen(data):
    """No pixel tells ink from paper by itself: both have the distribution of the texture, symmetric about 1/2."""
    pen, x = gray(data, "pen")[:, 4:12, 5:11], whole(data, "texture")[:, :, 4:12, 5:11] / 255
    ink, paper = pen > 0.98, pen < 0.02
    for channel in range(3):
        on, off = x[:, channel][ink], x[:, channel][paper]
        assert (on.mean(), off.mean()) == pytest.approx((0.5, 0.5), abs=0.04)
        assert on.std() == pytest.approx(off.std(), rel=0.05)
    half = np.abs(pen - 0.5) < 0.02  # |texture - 1/2| is at most one half, and small
    assert x[half.nonzero()[0], :, half.nonzero()[1], half.nonzero()[2]].max() <= 0.52 + BYTE


# ---------------------------------------------------------------- renderers by definition


def test_pen_is_bicubic(strokes):
    x = rendered("pen", strokes)
    assert x.shape == (len(strokes), 3, 16, 16)
    for channel in range(3):
        np.testing.assert_array_equal(x[:, channel], strokes)


def test_texture_is_smooth_noise_minus_the_stroke():
    blank, full = np.zeros((200, 16, 16), np.float32), np.ones((200, 16, 16), np.float32)
    texture = rendered("texture", blank)
    coarse = np.random.default_rng(0).random((200, 3, 4, 4), np.float32)
    for image, few in zip(texture[:5], coarse[:5], strict=True):
        for channel in range(3):
            smooth = ndimage.zoom(few[channel], 4, order=3, mode="nearest", grid_mode=True)
            np.testing.assert_allclose(image[channel], np.clip(smooth, 0, 1), atol=1e-5)
    np.testing.assert_allclose(rendered("texture", full), 1 - texture, atol=1e-6)  # symmetric in ink and paper
    half = rendered("texture", full / 2)
    np.testing.assert_allclose(half, np.abs(texture - 0.5), atol=1e-6)


def test_texture_has_no_preferred_direction():
    texture = rendered("texture", np.zeros((4000, 16, 16), np.float32))
    mean, sd = texture.mean(axis=(0, 1)), texture.std(axis=(0, 1))
    assert mean == pytest.approx(0.5, abs=0.02)
    for mirrored in (sd[::-1], sd[:, ::-1], sd.T):
        assert sd == pytest.approx(mirrored, abs=0.015)


def test_outline_of_a_square():
    square = np.zeros((1, 16, 16), np.float32)
    square[0, 4:12, 4:12] = 1
    x = rendered("outline", square)[0, 0]
    expected = np.ones((16, 16))
    expected[3:13, 3:13] = 0
    expected[5:11, 5:11] = 1  # the inside has no gradient
    np.testing.assert_array_equal(x, expected)


def test_rotated_turns_against_the_clock():
    bar = np.zeros((300, 16, 16), np.float32)
    bar[:, 7:9, 8:] = 1  # from the centre to the right
    x = rendered("rotated", bar)[:, 0].mean(axis=0)
    upper_right, others = x[:8, 8:].sum(), [x[:8, :7].sum(), x[9:, :7].sum(), x[9:, 9:].sum()]
    assert upper_right > 10 * max(others)


def test_color_keeps_its_distance_everywhere():
    ends = np.zeros((3000, 16, 16), np.float32)
    ends[:, 0, 0] = 1
    x = rendered("color", ends)
    gap = (x[:, :, 0, 0] - x[:, :, 1, 1]) @ [0.299, 0.587, 0.114]
    assert 0.3 - 1e-6 <= np.abs(gap).min() < 0.302
    assert x.min() >= 0 and x.max() <= 1


@pytest.mark.parametrize("domain", DOMAINS)
def test_pixels_lie_between_0_and_1_before_they_are_bytes(strokes, domain):
    """Rotation alone overshoots (bicubic), which is clipped when the bytes are made."""
    x = rendered(domain, strokes)
    slack = 0.2 if domain == "rotated" else 1e-6
    assert -slack <= x.min() and x.max() <= 1 + slack


# ---------------------------------------------------------------- seeds


def test_equal_seeds_give_equal_files(raw, tmp_path):
    first, again, other = (prepared(raw, tmp_path / k / "digits", seed) for k, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert first.card == again.card  # with the hashes of the arrays
    assert first.digest == again.digest
    for file in ("x.npy", "labels.npy"):
        assert first.card["arrays"][file]["sha256"] != other.card["arrays"][file]["sha256"]


def test_another_seed_is_another_split(raw):
    first, other = (digits.base(raw / "digits", N, seed)[0] for seed in (0, 1))
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(first.sum(axis=0), other.sum(axis=0), rtol=1e-4)  # of the same digits


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("n", [99, 20_001, 0, -1, 500.0, "500", None])
def test_n_out_of_range_is_refused(n):
    with pytest.raises(ValidationError):
        Options(n=n)


def table(rows=1797, columns=65):
    return gzip.compress(("\n".join([",".join(["1"] * columns)] * rows) + "\n").encode())


def flipped(content, position):
    return content[:position] + bytes([content[position] ^ 16]) + content[position + 1 :]


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda content: content[: len(content) // 2], "is missing or damaged"),
        (lambda content: b"", r"is missing or damaged|holds"),
        (lambda content: b"<html>not found</html>", "is missing or damaged"),
        (lambda content: gzip.compress(b"<html>not found</html>"), "is missing or damaged"),
        (lambda content: gzip.compress(b"1,2,3\n4,5\n"), "is missing or damaged"),
        (lambda content: table(rows=100), r"holds \(100, 65\), expected \(1797, 65\)"),
        (lambda content: table(columns=64), r"holds \(1797, 64\), expected \(1797, 65\)"),
        (lambda content: flipped(content, 20), "is missing or damaged"),
        *((lambda content, at=at: flipped(content, at), "is missing or damaged") for at in range(500, 57_000, 5000)),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt:UserWarning")
def test_damaged_source(raw, tmp_path, damage, part):
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "digits.csv.gz").write_bytes(damage((raw / "digits/digits.csv.gz").read_bytes()))
    with pytest.raises(DataError, match=part) as caught:
        digits.base(folder, 200, 0)
    assert str(caught.value).startswith(str(folder / "digits.csv.gz"))
    assert str(caught.value).endswith("run `dvc repro -f -s download@digits`")
    assert "\n" not in str(caught.value)


def test_missing_source_leaves_nothing_behind(tmp_path):
    (tmp_path / "raw/colored").mkdir(parents=True)
    with pytest.raises(DataError, match=r"is missing or damaged .* run `dvc repro -f -s download@colored`"):
        digits.digits(tmp_path / "raw/colored", tmp_path / "out", Options(n=200), seed=0)
    assert not (tmp_path / "out").exists()
