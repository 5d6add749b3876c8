"""CelebA's loader on a tiny generated folder of the official layout."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from reprise.data import images
from reprise.data.arrays import DataError, open_prepared
from reprise.data.celeba import ATTRIBUTES, Options, prepare, subset
from reprise.data.images import square

PARTITION = [0, 2, 0, 1, 0, 2, 1, 0]  # by image; out of order on purpose
WIDTH, HEIGHT = 178, 218


def colour(number):
    return (20 * number, 255 - 20 * number, 100)


@pytest.fixture
def raw(tmp_path):
    """Image i is of one colour; attribute j of image i is present where (i + j) % 3 == 0."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    lines = [str(len(PARTITION)), " ".join(ATTRIBUTES) + " "]
    for i in range(len(PARTITION)):
        Image.new("RGB", (WIDTH, HEIGHT), colour(i)).save(folder / f"img_align_celeba/{i + 1:06}.jpg", quality=95)
        values = "".join(f"{1 if (i + j) % 3 == 0 else -1:3d}" for j in range(len(ATTRIBUTES)))
        lines.append(f"{i + 1:06}.jpg {values}")
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    partition = [f"{i + 1:06}.jpg {part}" for i, part in enumerate(PARTITION)]
    (folder / "list_eval_partition.txt").write_text("\n".join(partition) + "\n")
    return folder


def run(raw, out, size=32, per_split=None):
    prepare(raw, out, Options(image_size=size, per_split=per_split), seed=0)
    return open_prepared(out)


def zip_images(raw):
    with zipfile.ZipFile(raw / "img_align_celeba.zip", "w") as bundle:
        for path in sorted((raw / "img_align_celeba").iterdir()):
            bundle.write(path, f"img_align_celeba/{path.name}")
            path.unlink()
    (raw / "img_align_celeba").rmdir()


def test_official_attributes():
    assert len(ATTRIBUTES) == 40
    numbers = {"Attractive": 2, "Bangs": 5, "Black_Hair": 8, "Eyeglasses": 15, "Male": 20, "Smiling": 31, "Young": 39}
    assert {name: ATTRIBUTES.index(name) for name in numbers} == numbers


@pytest.mark.parametrize("zipped", [False, True])
def test_rows_labels_and_pixels(raw, tmp_path, zipped):
    if zipped:
        zip_images(raw)
    data = run(raw, tmp_path / "out")
    assert data.card["splits"] == {"train": [0, 4], "val": [4, 6], "test": [6, 8]}
    assert data.card["label_names"] == list(ATTRIBUTES)
    assert "list_attr_celeba.txt" in data.card["sources"]
    order = [0, 2, 4, 7, 3, 6, 1, 5]  # train, val, test, each in the official order
    x, labels = data.arrays["x"], data.arrays["labels"]
    assert (x.shape, x.dtype) == ((8, 3, 32, 32), np.uint8)
    for row, i in enumerate(order):
        np.testing.assert_array_equal(labels[row], [(i + j) % 3 == 0 for j in range(40)])
        np.testing.assert_allclose(x[row].mean(axis=(1, 2)), colour(i), atol=3)  # JPEG rounds


def test_zip_and_folder_agree(raw, tmp_path):
    folder = run(raw, tmp_path / "folder").arrays["x"]
    zip_images(raw)
    np.testing.assert_array_equal(folder, run(raw, tmp_path / "zip").arrays["x"])


def test_per_split_is_seeded_and_nested(raw, tmp_path):
    one, two = (run(raw, tmp_path / name, per_split=2) for name in ("one", "two"))
    assert one.card["splits"] == {"train": [0, 2], "val": [2, 4], "test": [4, 6]}
    assert one.digest == two.digest
    small, large = subset(100, 10, 7), subset(100, 30, 7)
    assert set(small) < set(large)
    assert (np.diff(large) > 0).all()
    assert list(subset(5, None, 1)) == list(range(5))
    assert list(subset(5, 9, 1)) == list(range(5))


@pytest.mark.parametrize("wide", [False, True])
def test_square_keeps_the_centre(wide):
    """Red bars at both ends of the longer side lie outside the central square."""
    pixels = np.zeros((218, 178, 3), np.uint8)
    pixels[..., 2] = 255
    pixels[:18] = pixels[-18:] = (255, 0, 0)
    image = Image.fromarray(pixels.swapaxes(0, 1).copy() if wide else pixels)
    cropped = square(image, 89)
    assert cropped.shape == (3, 89, 89)
    assert cropped[0].max() == 0
    assert cropped[2].min() == 255


def test_missing_image(raw, tmp_path):
    (raw / "img_align_celeba/000003.jpg").unlink()
    with pytest.raises(DataError, match=r"000003.jpg is missing"):
        run(raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"not an image", "half"])
def test_corrupt_image(raw, tmp_path, content):
    path = raw / "img_align_celeba/000003.jpg"
    path.write_bytes(path.read_bytes()[:400] if content == "half" else content)
    with pytest.raises(DataError, match=r"the image .*000003.jpg is corrupt"):
        run(raw, tmp_path / "out")


def test_corrupt_image_in_a_later_chunk(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "CHUNK", 2)
    (raw / "img_align_celeba/000006.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"000006.jpg is corrupt"):
        run(raw, tmp_path / "out")


def test_truncated_zip(raw, tmp_path):
    zip_images(raw)
    path = raw / "img_align_celeba.zip"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"img_align_celeba.zip is truncated or damaged"):
        run(raw, tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("list_attr_celeba.txt", lambda text: text[: len(text) // 2], "instead of the 8 it announces"),
        ("list_attr_celeba.txt", lambda text: text.replace("Male", "Man"), "not the 40 official attribute names"),
        ("list_attr_celeba.txt", lambda text: text.replace("-1\n", " 5\n"), "rows of -1 and 1"),
        ("list_eval_partition.txt", lambda text: text.replace("jpg 2", "jpg 3"), "0, 1 or 2"),
        ("list_eval_partition.txt", lambda text: text[:-13], "do not list the same images"),
    ],
)
def test_damaged_lists(raw, tmp_path, file, change, message):
    (raw / file).write_text(change((raw / file).read_text()))
    with pytest.raises(DataError, match=message):
        run(raw, tmp_path / "out")


def test_missing_list(raw, tmp_path):
    (raw / "list_eval_partition.txt").unlink()
    with pytest.raises(DataError, match=r"list_eval_partition.txt is missing"):
        run(raw, tmp_path / "out")
