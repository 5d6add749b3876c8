"""CUB-200-2011 on tiny generated archives of the official layout."""

import io

import numpy as np
import pytest
from PIL import Image

from reprise.data.arrays import DataError, open_prepared
from reprise.data.cub import Options, prepare
from reprise.data.splits import shuffled
from samples_circuits import write_tar

CLASSES = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "010.Red_winged_Blackbird")
LABELS = [1, 1, 2, 3, 3, 3, 2, 1]
TRAIN = [1, 0, 1, 1, 0, 1, 0, 0]


def files():
    """Image k is of brightness 20 k; the numbers of images run from 1."""
    names = [f"{CLASSES[label - 1]}/bird_{k:04}.jpg" for k, label in enumerate(LABELS)]
    tables = {
        "images": [f"{k} {name}" for k, name in enumerate(names, 1)],
        "image_class_labels": [f"{k} {label}" for k, label in enumerate(LABELS, 1)],
        "train_test_split": [f"{k} {flag}" for k, flag in enumerate(TRAIN, 1)],
        "classes": [f"{k} {name}" for k, name in enumerate(CLASSES, 1)],
        "bounding_boxes": ["1 60.0 27.0 325.0 304.0"],
    }
    found = {f"CUB_200_2011/{name}.txt": "\n".join(lines).encode() + b"\n" for name, lines in tables.items()}
    for k, name in enumerate(names):
        stream = io.BytesIO()
        Image.new("L", (50, 40), 20 * k).save(stream, "JPEG")
        found[f"CUB_200_2011/images/{name}"] = stream.getvalue()
    return {"attributes.txt": b"1 has_bill_shape"} | found


def run(raw, max_train=None, max_eval=None):
    prepare(raw, raw / "out", Options(image_size=16, max_train=max_train, max_eval=max_eval), seed=0)
    return open_prepared(raw / "out")


def test_official_layout(tmp_path):
    write_tar(tmp_path / "CUB_200_2011.tgz", files())
    data = run(tmp_path)
    assert data.card["classes"] == list(CLASSES)
    assert data.card["splits"] == {"iid/train": [0, 4], "iid/test": [4, 8]}
    order = np.concatenate([np.flatnonzero(np.array(TRAIN) == flag)[shuffled(4)] for flag in (1, 0)])
    np.testing.assert_allclose(data.arrays["x"].mean((1, 2, 3)), 20 * order, atol=1)
    np.testing.assert_array_equal(data.arrays["labels"][:, 0] + 1, np.array(LABELS)[order])
    capped = run(tmp_path, max_train=2, max_eval=1)
    np.testing.assert_array_equal(capped.arrays["x"], data.arrays["x"][[0, 1, 4]])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("classes.txt", None, r"lacks CUB_200_2011/classes\.txt"),
        ("classes.txt", b"1 one\n2 two\n", "do not list the same images and classes"),
        ("image_class_labels.txt", b"1 1\n2 1\n", "do not list the same images and classes"),
        ("train_test_split.txt", b"1 0\nbird", r"train_test_split\.txt is not a list"),
        (f"images/{CLASSES[0]}/bird_0000.jpg", None, r"lacks 1 images, .*bird_0000\.jpg is the first"),
        (f"images/{CLASSES[0]}/bird_0000.jpg", b"x", r"bird_0000\.jpg is corrupt"),
    ],
)
def test_damaged(tmp_path, name, content, message):
    changed = files()
    changed.pop(f"CUB_200_2011/{name}")
    if content is not None:
        changed[f"CUB_200_2011/{name}"] = content
    write_tar(tmp_path / "CUB_200_2011.tgz", changed)
    with pytest.raises(DataError, match=message):
        run(tmp_path)
    assert not (tmp_path / "out").exists()


def test_missing_and_truncated(tmp_path):
    with pytest.raises(DataError, match=r"CUB_200_2011\.tgz is missing"):
        run(tmp_path)
    path = write_tar(tmp_path / "CUB_200_2011.tgz", files())
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"CUB_200_2011\.tgz is truncated or damaged"):
        run(tmp_path)
