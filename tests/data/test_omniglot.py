"""Omniglot, on tiny generated archives of the official layout and on a real sample."""

import io

import numpy as np
import pytest
from PIL import Image

from reprise.data.arrays import DataError, open_prepared
from reprise.data.omniglot import Options, prepare
from reprise.data.sources import fetch
from samples_circuits import omniglot, write_zip


def drawing(number, drawer):
    """White, with a black bar whose place tells the character and a pixel row that tells the drawer."""
    image = Image.new("1", (105, 105), 1)
    image.paste(0, (10 * number, 20, 10 * number + 8, 105))
    image.paste(0, (0, 0, 5 * drawer, 3))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def files(top, alphabets, first=0):
    found = {f"{top}/": b""}
    for alphabet, n in alphabets.items():
        for k in range(1, n + 1):
            first += 1
            for drawer in range(1, 21):
                found[f"{top}/{alphabet}/character{k:02}/{first:04}_{drawer:02}.png"] = drawing(first, drawer)
    return found


@pytest.fixture
def raw(tmp_path):
    write_zip(tmp_path / "images_background.zip", files("images_background", {"Greek": 2, "Latin": 1}))
    write_zip(tmp_path / "images_evaluation.zip", files("images_evaluation", {"Angelic": 2}, first=3))
    return tmp_path


def run(raw, size=105):
    prepare(raw, raw / "out", Options(image_size=size), seed=0)
    return open_prepared(raw / "out")


def test_official_layout(raw):
    data = run(raw)
    x, labels = data.arrays["x"], data.arrays["labels"][:, 0]
    assert (x.shape, labels.dtype) == ((100, 1, 105, 105), np.uint16)
    assert data.card["splits"] == {"iid/train": [0, 45], "iid/test": [45, 60], "new/few": [60, 100]}
    assert data.card["classes"] == [
        "Greek/character01",
        "Greek/character02",
        "Latin/character01",
        "Angelic/character01",
        "Angelic/character02",
    ]
    assert data.card["alphabets"] == {"iid": ["Greek", "Latin"], "new": ["Angelic"]}
    assert set(np.unique(x)) == {0, 255}  # natively nothing is interpolated
    bar = (x[:, 0, 50] > 0).argmax(1) // 10
    np.testing.assert_array_equal(labels + 1, bar)  # bright on dark
    drawer = (x[:, 0, 1] > 0).sum(1) // 5
    assert set(drawer[:45]) == set(range(1, 16)) and set(drawer[45:60]) == set(range(16, 21))
    assert set(drawer[60:]) == set(range(1, 21))


def test_smaller(raw):
    assert run(raw, size=28).arrays["x"].shape == (100, 1, 28, 28)


def test_one_alphabet_in_both(raw):
    write_zip(raw / "images_evaluation.zip", files("images_evaluation", {"Greek": 1}))
    with pytest.raises(DataError, match="Greek is both a background and a new alphabet"):
        run(raw)


def test_damaged(raw):
    path = raw / "images_evaluation.zip"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"images_evaluation\.zip is truncated or damaged"):
        run(raw)
    path.unlink()
    with pytest.raises(DataError, match=r"images_evaluation is missing or empty"):
        run(raw)
    write_zip(path, {"images_evaluation/Angelic/drawing.png": b""})
    with pytest.raises(DataError, match=r"drawing\.png is not named as a drawing"):
        run(raw)


def test_real_sample(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_SOURCES", str(omniglot(shared_data, tmp_path / "files")))
    fetch("omniglot", tmp_path / "raw")
    data = run(tmp_path / "raw", size=28)
    assert len(data.card["classes"]) == 136
    assert data.card["alphabets"] == {"iid": ["Balinese", "Early_Aramaic", "Latin"], "new": ["Greek", "Korean"]}
    counts = np.bincount(data.arrays["labels"][:, 0])
    assert (counts == 20).all()
    assert 0.03 < data.arrays["x"].mean() / 255 < 0.15  # thin strokes
