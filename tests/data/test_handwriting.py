"""Handwritten digits at 8x8: an honest split, and shifts that are what they say."""

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from reprise.data import handwriting
from reprise.data.arrays import DataError, open_prepared
from reprise.data.handwriting import Options
from reprise.data.sources import fetch

SHIFTS = ["rotated", "noisy", "shifted", "inverted", "printed"]


def run(folder, seed=0, n_train=1297, n_test=500):
    fetch("handwriting", folder / "raw")
    handwriting.prepare(folder / "raw", folder / "out", Options(n_train=n_train, n_test=n_test), seed=seed)
    return open_prepared(folder / "out")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return run(tmp_path_factory.mktemp("handwriting"))


def part(data, split):
    rows = data.rows(split)
    return data.arrays["x"][rows, 0], data.arrays["labels"][rows, 0]


def test_layout(data):
    assert (data.arrays["x"].shape, data.arrays["x"].dtype) == ((1297 + 6 * 500, 1, 8, 8), np.uint8)
    assert list(data.card["splits"].items())[:2] == [("iid/test", [1297, 1797]), ("iid/train", [0, 1297])]
    assert data.card["domains"] == ["iid", *SHIFTS]
    assert set(data.card["splits"]) == {"iid/train", "iid/test", *(f"{shift}/test" for shift in SHIFTS)}
    assert data.card["sources"].keys() == {"digits.csv.gz"}


def test_every_digit_is_in_one_split(data):
    """The 1,797 of scikit-learn, each once, with its label; the classes of the test set as in the whole."""
    official = load_digits()
    pixels = np.rint(official.images / 16 * 255).astype(np.uint8)
    expected = sorted((image.tobytes(), label) for image, label in zip(pixels, official.target, strict=True))
    parts = [part(data, split) for split in ("iid/train", "iid/test")]
    found = sorted((image.tobytes(), label) for x, y in parts for image, label in zip(x, y, strict=True))
    assert found == expected
    share = np.bincount(official.target) * 500 / 1797
    assert abs(np.bincount(parts[1][1]) - share).max() <= 1


def test_shifts_are_of_the_test_digits(data):
    clean, labels = part(data, "iid/test")
    clean = clean.astype(int)
    for shift in SHIFTS[:-1]:
        np.testing.assert_array_equal(part(data, f"{shift}/test")[1], labels)
    np.testing.assert_allclose(part(data, "inverted/test")[0], 255 - clean, atol=1)  # halves are rounded
    noise = part(data, "noisy/test")[0] - clean
    inner = (clean > 100) & (clean < 156)  # where clipping takes little away
    assert abs(noise[inner]).mean() == pytest.approx(0.25 * 255 * np.sqrt(2 / np.pi), rel=0.1)
    moved = part(data, "shifted/test")[0]
    padded = np.pad(clean, ((0, 0), (1, 1), (1, 1)))
    options = [padded[:, 1 + r : 9 + r, 1 + c : 9 + c] for r, c in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    fits = np.array([(moved == option).all((1, 2)) for option in options])
    assert fits.any(0).all() and (fits.mean(1) > 0.15).all()


def test_rotations_go_both_ways(data):
    """A vertical bar of the same making leans as far as 25 degrees, as often left as right."""
    bars = np.zeros((400, 8, 8), np.float32)
    bars[:, :, 3:5] = 1
    turned, _ = handwriting.rotated(bars, np.zeros(400, int), np.random.default_rng(0))
    column = (turned * np.arange(8)).sum(2) / np.maximum(turned.sum(2), 1e-9)
    lean = np.rad2deg(np.arctan((column[:, 6] - column[:, 1]) / 5))
    assert set(np.round(abs(lean) / 5)) == {5}
    assert 0.4 < (lean > 0).mean() < 0.6
    clean, again = part(data, "iid/test")[0] / 255, part(data, "rotated/test")[0] / 255
    assert 0.05 < abs(clean - again).mean() < 0.3
    assert clean[:, 2:6, 2:6].mean() == pytest.approx(again[:, 2:6, 2:6].mean(), abs=0.05)  # about the middle


def test_printed_digits_are_balanced_and_look_like_digits(data):
    assert (np.bincount(part(data, "printed/test")[1]) == 50).all()
    accuracy = {}
    train, answers = part(data, "iid/train")
    model = KNeighborsClassifier(5).fit(train.reshape(len(train), -1), answers)
    for split in data.card["splits"]:
        images, truth = part(data, split)
        accuracy[split] = model.score(images.reshape(len(images), -1), truth)
    assert accuracy["iid/test"] > 0.97
    assert all(accuracy[f"{shift}/test"] < accuracy["iid/test"] for shift in SHIFTS)
    assert accuracy["printed/test"] > 0.5 and accuracy["rotated/test"] > 0.5 and accuracy["noisy/test"] > 0.9


def test_the_seed_decides(tmp_path, data):
    assert run(tmp_path / "again").digest == data.digest
    assert run(tmp_path / "other", seed=1).card["arrays"] != data.card["arrays"]


def test_fewer(tmp_path):
    data = run(tmp_path, n_train=100, n_test=50)
    assert data.card["splits"]["printed/test"] == [350, 400]
    with pytest.raises(ValidationError, match="n_train 1297 and n_test 501 are more than the 1797 digits"):
        Options(n_train=1297, n_test=501)


def test_missing_file(tmp_path):
    (tmp_path / "handwriting").mkdir()
    with pytest.raises(DataError, match=r"digits.csv.gz is missing or damaged .* download@handwriting"):
        handwriting.prepare(tmp_path / "handwriting", tmp_path / "out", Options(n_train=100, n_test=50), seed=0)
