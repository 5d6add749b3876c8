"""NLVR and NLVR2: layouts of the official releases, generated small, and NLVR's real dev and test parts."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from reprise.data import nlvr, nlvr2
from reprise.data.arrays import DataError, open_prepared
from reprise.data.sources import SourceError, fetch
from reprise.data.splits import shuffled
from samples_circuits import nlvr as nlvr_overlay
from samples_circuits import write_zip

SENTENCES = ("there is a red box .", "two blue boxes", "No box is green", "the left box is red")


def png(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def pattern(number, order):
    """400x100; the boxes are red as the example's number says, one is blue: the order of the boxes."""
    image = Image.new("RGBA", (400, 100), (200, 200, 200, 255))
    for box in range(3):
        image.paste((20 * number, 0, 255 if box == order % 3 else 0, 255), (150 * box, 0, 150 * box + 100, 100))
    return png(image)


def part(name, labels):
    files, lines = {}, []
    for k, label in enumerate(labels):
        row = {
            "sentence": SENTENCES[k % 4],
            "label": label,
            "identifier": f"{k}-1",
            "directory": str(k % 2),
            "evals": {},
        }
        lines.append(json.dumps(row))
        for order in range(6):
            files[f"nlvr/{name}/images/{k % 2}/{name}-{k}-1-{order}.png"] = pattern(k, order)
    return files | {f"nlvr/{name}/{name}.json": "\n".join(lines).encode() + b"\n"}


def run(raw, height=20, max_train=None, max_eval=None):
    nlvr.prepare(raw, raw / "out", nlvr.Options(height=height, max_train=max_train, max_eval=max_eval), seed=0)
    return open_prepared(raw / "out")


def sentences(data):
    return [" ".join(data.card["words"][k] for k in row if k) for row in data.arrays["text"]]


def test_nlvr_all_parts(tmp_path):
    """Three training examples with six pictures each, and one picture of every other example."""
    files = part("train", ["true", "false", "true"]) | part("dev", ["false"] * 4) | part("test", ["true", "false"])
    write_zip(tmp_path / "nlvr.zip", files)
    data = run(tmp_path)
    assert data.card["splits"] == {"iid/train": [0, 18], "iid/val": [18, 22], "iid/test": [22, 24]}
    assert data.card["official"] == {"iid/train": "train", "iid/val": "dev", "iid/test": "test"}
    assert data.arrays["x"].shape == (24, 3, 20, 80)
    x, labels = data.arrays["x"], data.arrays["labels"][:, 0]
    example, order = shuffled(18) // 6, shuffled(18) % 6
    np.testing.assert_array_equal(x[:18, 0, 10, 10], 20 * example)
    np.testing.assert_array_equal(x[np.arange(18), 2, 10, 10 + 30 * (order % 3)], 255)
    np.testing.assert_array_equal(labels[:18], np.array([1, 0, 1])[example])
    assert (x[18:, 2, 10, 10] == 255).all()  # the first order
    expected = [["there is a red box .", "two blue boxes", "no box is green"][k] for k in example]
    assert sentences(data)[:18] == expected
    assert sentences(data)[18:22] == [
        ["there is a red box .", "two blue boxes", "no box is green", "<unknown> <unknown> box is red"][k]
        for k in shuffled(4)
    ]


def test_nlvr_without_train(tmp_path):
    write_zip(tmp_path / "nlvr.zip", part("dev", ["false", "true"]) | part("test", ["true"]))
    data = run(tmp_path, max_train=5)
    assert data.card["splits"] == {"iid/train": [0, 5], "iid/test": [5, 6]}
    assert data.card["official"] == {"iid/train": "dev", "iid/test": "test"}


def test_nlvr_folder_as_it_is_cloned(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "manual"))
    with pytest.raises(SourceError, match=r"lil-lab/nlvr.*Still missing: nlvr.zip or the unpacked nlvr/"):
        fetch("nlvr", tmp_path / "raw")
    files = part("dev", ["false", "true"]) | part("test", ["true"])
    for name, content in files.items():
        path = tmp_path / "manual/nlvr" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    fetch("nlvr", tmp_path / "raw")
    unpacked = run(tmp_path / "raw")
    write_zip(tmp_path / "nlvr.zip", files)
    np.testing.assert_array_equal(unpacked.arrays["x"], run(tmp_path).arrays["x"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nlvr/test/test.json", None, r"needs nlvr/test/test\.json and one of"),
        ("nlvr/dev/dev.json", b'{"sentence": "a", "label": "true"}', r"line 1 of dev\.json is damaged"),
        ("nlvr/dev/dev.json", b'{"sentence": "a', r"line 1 of dev\.json is damaged"),
        ("nlvr/dev/images/0/dev-0-1-2.png", None, r"dev-0-1-2\.png is missing"),
        ("nlvr/test/images/0/test-0-1-0.png", b"x", r"test-0-1-0\.png is corrupt"),
    ],
)
def test_nlvr_damaged(tmp_path, name, content, message):
    files = part("dev", ["false", "true"]) | part("test", ["true"])
    files.pop(name)
    if content is not None:
        files[name] = content
    write_zip(tmp_path / "nlvr.zip", files)
    with pytest.raises(DataError, match=message):
        run(tmp_path)
    assert not (tmp_path / "out").exists()


def test_nlvr_real_sample(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_SOURCES", str(nlvr_overlay(shared_data, tmp_path / "files")))
    fetch("nlvr", tmp_path / "raw")
    data = run(tmp_path / "raw", height=8, max_train=1200, max_eval=200)
    assert data.card["splits"] == {"iid/train": [0, 1200], "iid/test": [1200, 1400]}
    labels = data.arrays["labels"][:, 0]
    assert 0.45 < labels.mean() < 0.65
    assert data.card["words"][:2] == ["", "<unknown>"] and {"yellow", "tower", "box"} <= set(data.card["words"])
    assert (data.arrays["text"][data.rows("iid/test")] == 1).mean() < 0.02
    assert (data.arrays["text"][:, 0] > 0).all()
    gaps = data.arrays["x"][:, :, :, [10, 22]]  # between the boxes all pictures are alike
    assert np.ptp(gaps, axis=0).max() == 0


def pair(files, split, number, left, right):
    for side, colour in enumerate((left, right)):
        files[f"images/{split}/7/{split}-{number}-0-img{side}.png"] = png(Image.new("RGB", (90, 60), colour))


@pytest.fixture
def photographs(tmp_path):
    """Two examples on one pair in train, and one each in dev and test1; green is 10 times the number of the pair."""
    rows = {
        "train": [("train-3-0-0", "True", "Two dogs run."), ("train-3-0-1", "False", "A cat.")],
        "dev": [("dev-1-0-0", "True", "Two cats.")],
        "test1": [("test1-2-0-0", "False", "A dog.")],
    }
    for name, examples in rows.items():
        lines = [
            json.dumps({"identifier": i, "label": label, "sentence": s, "writer": "1"}) for i, label, s in examples
        ]
        (tmp_path / f"{name}.json").write_text("\n".join(lines) + "\n")
        files = {}
        for identifier, _, _ in examples:
            number = int(identifier.split("-")[1])
            pair(files, name, number, (250, 10 * number, 0), (0, 10 * number, 250))
        write_zip(tmp_path / f"{name}_img.zip", files)
    return tmp_path


def run2(raw, **changes):
    options = {"image_size": 16, "max_train": None, "max_eval": None, **changes}
    nlvr2.prepare(raw, raw / "out", nlvr2.Options(**options), seed=0)
    return open_prepared(raw / "out")


def test_nlvr2(photographs):
    data = run2(photographs)
    assert data.card["splits"] == {"iid/train": [0, 2], "iid/val": [2, 3], "iid/test": [3, 4]}
    x = data.arrays["x"]
    assert x.shape == (4, 3, 16, 32)
    assert (x[:, 0, :, :16] == 250).all() and (x[:, 2, :, 16:] == 250).all() and (x[:, 0, :, 16:] == 0).all()
    assert x[:, 1, 0, 0].tolist() == [30, 30, 10, 20]
    assert sorted(zip(sentences(data)[:2], data.arrays["labels"][:2, 0].tolist(), strict=True)) == [
        ("a cat .", 0),
        ("two dogs run .", 1),
    ]
    assert sentences(data)[2:] == ["two <unknown> .", "a <unknown> ."]
    assert data.arrays["labels"][2:, 0].tolist() == [1, 0]


def test_nlvr2_damaged(photographs):
    (photographs / "dev.json").write_text('{"identifier": "dev-1-0-0", "label": "true", "sentence": "x"}')
    with pytest.raises(DataError, match=r"dev\.json: line 1 is damaged"):
        run2(photographs)
    (photographs / "dev.json").write_text('{"identifier": "dev-8-0-0", "label": "True", "sentence": "x"}')
    with pytest.raises(DataError, match=r"dev_img\.zip lacks 1 images, dev-8-0-img0\.png is the first"):
        run2(photographs)
    (photographs / "dev.json").unlink()
    with pytest.raises(DataError, match=r"dev\.json is missing"):
        run2(photographs)


def test_nlvr2_is_gated(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "manual"))
    with pytest.raises(SourceError, match=r"goo\.gl.*Still missing: train\.json.*test1_img\.zip"):
        fetch("nlvr2", tmp_path / "raw")


def test_nlvr2_real_sentences(shared_data, photographs):
    """300 real lines of dev.json: their pairs, labels and words."""
    path = shared_data / "nlvr2_text_sample/nlvr2_dev_first300.json"
    (photographs / "dev.json").write_bytes(path.read_bytes())
    files = {}
    for line in path.read_text().splitlines():
        _, one, two, _ = json.loads(line)["identifier"].split("-")
        for side in range(2):
            files[f"dev/dev-{one}-{two}-img{side}.png"] = png(Image.new("RGB", (20, 20), (0, 0, 0)))
    write_zip(photographs / "dev_img.zip", files)
    data = run2(photographs)
    assert data.card["splits"]["iid/val"] == [2, 302]
    labels = data.arrays["labels"][2:302, 0]
    assert 0.4 < labels.mean() < 0.6
    lengths = (data.arrays["text"][2:302] > 0).sum(1)
    assert lengths.min() >= 3 and lengths.max() < 60
