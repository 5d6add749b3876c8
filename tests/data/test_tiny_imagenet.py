"""Tiny ImageNet and its renditions, on tiny generated archives of the official layout and on a real sample."""

import io

import numpy as np
import pytest
from PIL import Image

from reprise.data.arrays import DataError, open_prepared
from reprise.data.sources import fetch
from reprise.data.splits import shuffled
from reprise.data.tiny_imagenet import Options, prepare
from samples_circuits import tiny_imagenet, write_tar, write_zip

# fmt: off
SHARED = [  # the shared classes that the NAC release lists (data/process_imnet_r.py)
    "n01443537", "n01770393", "n01774750", "n01784675", "n01855672", "n01882714", "n01910747", "n01944390", "n01983481",
    "n02056570", "n02085620", "n02094433", "n02099601", "n02099712", "n02106662", "n02113799", "n02123045", "n02129165",
    "n02165456", "n02190166", "n02206856", "n02226429", "n02233338", "n02236044", "n02268443", "n02279972", "n02364673",
    "n02395406", "n02410509", "n02423022", "n02480495", "n02481823", "n02486410", "n02769748", "n02793495", "n02802426",
    "n02808440", "n02814860", "n02841315", "n02843684", "n02883205", "n02906734", "n02909870", "n02948072", "n02950826",
    "n03424325", "n03649909", "n04118538", "n04133789", "n04146614", "n04275548", "n04465501", "n07614500", "n07695742",
    "n07720875", "n07734744", "n07749582", "n07753592", "n07768694", "n07873807", "n07920052", "n12267677",
]
# fmt: on
OTHERS = ["n01484850", "n01494475", "n07693725", "n09472597"]  # some of ImageNet-R's that Tiny ImageNet has not
WNIDS = ["n03", "n01", "n04", "n02"]  # wnids.txt is in no order


def picture(number, size=(64, 64), kind="JPEG"):
    stream = io.BytesIO()
    Image.new("RGB", size, (40 * number, 0, 200 - 40 * number)).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def files():
    """Three training and two validation images a class; class n0K is of colour K."""
    top = "tiny-imagenet-200"
    content = {
        f"{top}/wnids.txt": "\n".join(WNIDS).encode() + b"\n",
        f"{top}/words.txt": b"n00\tentity\nn01\tgoldfish, Carassius auratus\nn02\tfrog\nn03\tcat\nn04\tdog\n",
    }
    annotations = []
    for label in WNIDS:
        number = int(label[1:])
        content[f"{top}/train/{label}/{label}_boxes.txt"] = b"boxes"
        for k in range(3):
            content[f"{top}/train/{label}/images/{label}_{k}.JPEG"] = picture(number)
    for k in range(8):
        annotations.append(f"val_{k}.JPEG\t{WNIDS[k % 4]}\t0\t1\t62\t63\n")
        content[f"{top}/val/images/val_{k}.JPEG"] = picture(int(WNIDS[k % 4][1:]))
    content[f"{top}/val/val_annotations.txt"] = "".join(annotations).encode()
    return content


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "tiny_imagenet"
    folder.mkdir()
    return folder


def renditions(raw):
    """Two classes that Tiny ImageNet has and one that it has not; images of any shape, red on the left."""
    content = {"imagenet-r/README.txt": b"ImageNet-R"}
    for label in ("n04", "n09", "n02"):
        image = Image.new("RGB", (120, 30), (0, 0, 255))
        image.paste((255, 0, 0), (0, 0, 60, 30))
        for k in range(2):
            stream = io.BytesIO()
            image.save(stream, "PNG")
            content[f"imagenet-r/{label}/art_{k}.jpg"] = stream.getvalue()
    write_tar(raw / "imagenet-r.tar", content)


def run(raw, size=64, max_train=None, max_eval=None):
    prepare(raw, raw / "out", Options(image_size=size, max_train=max_train, max_eval=max_eval), seed=0)
    return open_prepared(raw / "out")


def colours(data):
    return np.round(data.arrays["x"][:, 0].mean((1, 2)) / 40).astype(int)


def test_official_layout(raw, files):
    write_zip(raw / "tiny-imagenet-200.zip", files)
    data = run(raw)
    assert data.card["classes"] == ["n01", "n02", "n03", "n04"]
    assert data.card["names"] == ["goldfish, Carassius auratus", "frog", "cat", "dog"]
    assert data.card["splits"] == {"iid/train": [0, 12], "iid/test": [12, 20]}
    assert data.card["domains"] == ["iid"] and "scored_classes" not in data.card
    labels = data.arrays["labels"][:, 0]
    np.testing.assert_array_equal(labels + 1, colours(data))
    order = np.repeat([0, 1, 2, 3], 3)[shuffled(12)]  # sorted by path, then shuffled
    np.testing.assert_array_equal(labels[:12], order)
    capped = run(raw, max_train=5, max_eval=2)
    assert capped.card["splits"] == {"iid/train": [0, 5], "iid/test": [5, 7]}
    np.testing.assert_array_equal(capped.arrays["x"][:5], data.arrays["x"][:5])


def test_renditions(raw, files):
    """Only the shared classes, the whole image squeezed into the square, and the mask of the logits that count."""
    write_zip(raw / "tiny-imagenet-200.zip", files)
    renditions(raw)
    data = run(raw, size=16)
    assert data.card["domains"] == ["iid", "renditions"]
    assert data.card["scored_classes"] == {"renditions": [1, 3]}
    rows = data.rows("renditions/test")
    assert sorted(data.arrays["labels"][rows, 0]) == [1, 1, 3, 3]
    x = data.arrays["x"][rows]
    assert (x[:, 0, :, :6] > 250).all() and (x[:, 0, :, 10:] < 5).all() and (x[:, 2, :, 10:] > 250).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("wnids.txt", None, r"wnids\.txt is missing or damaged"),
        ("wnids.txt", b"n01\nn02\nn03\nn04\nn05", "iid/train does not hold the 5 classes"),
        ("wnids.txt", b"n01\nn02\nn03", "iid/train does not hold the 3 classes"),
        ("val/val_annotations.txt", b"val_0.JPEG n01", "val_annotations.txt is not the list"),
        ("val/val_annotations.txt", b"val_0.JPEG\tn01\t0\t0\t1\t1", "iid/test does not hold the 4 classes"),
        ("val/images/val_3.JPEG", None, r"val_3\.JPEG is missing"),
        ("train/n01/images/n01_0.JPEG", b"nothing", r"n01_0\.JPEG is corrupt"),
    ],
)
def test_damaged(raw, files, name, content, message):
    if content is None:
        del files[f"tiny-imagenet-200/{name}"]
    else:
        files[f"tiny-imagenet-200/{name}"] = content
    write_zip(raw / "tiny-imagenet-200.zip", files)
    with pytest.raises(DataError, match=message):
        run(raw)
    assert not (raw / "out").exists()


def test_truncated_archives(raw, files):
    path = write_zip(raw / "tiny-imagenet-200.zip", files)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"tiny-imagenet-200\.zip is truncated or damaged"):
        run(raw)
    path.write_bytes(whole)
    renditions(raw)
    path = raw / "imagenet-r.tar"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"imagenet-r\.tar is truncated or damaged"):
        run(raw)


def test_real_sample(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_SOURCES", str(tiny_imagenet(shared_data, tmp_path / "files")))
    fetch("tiny_imagenet", tmp_path / "tiny_imagenet")
    data = run(tmp_path / "tiny_imagenet", max_train=400, max_eval=100)
    assert len(data.card["classes"]) == 200
    assert data.card["names"][0] == "goldfish, Carassius auratus"
    assert data.card["splits"] == {"iid/train": [0, 400], "iid/test": [400, 500]}
    x = data.arrays["x"][:400] / 255
    assert 0.4 < x.mean() < 0.55 and 0.2 < x.std() < 0.35  # of natural images


def test_62_classes_are_shared(shared_data, tmp_path, monkeypatch):
    """The real list of classes, against an archive that has those of the NAC release's list and others."""
    monkeypatch.setenv("REPRISE_SOURCES", str(tiny_imagenet(shared_data, tmp_path / "files")))
    fetch("tiny_imagenet", tmp_path / "tiny_imagenet")
    image = picture(1)
    files = {f"imagenet-r/{label}/cartoon_0.jpg": image for label in SHARED + OTHERS}
    write_tar(tmp_path / "tiny_imagenet/imagenet-r.tar", files)
    data = run(tmp_path / "tiny_imagenet", max_train=10, max_eval=62)
    scored = data.card["scored_classes"]["renditions"]
    assert [data.card["classes"][k] for k in scored] == SHARED
    assert len(SHARED) == 62
    assert data.card["splits"]["renditions/test"] == [72, 134]
