"""The domain sets on tiny generated folders of the official layouts, and PACS on a real sample."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from reprise.data import domains
from reprise.data.arrays import DataError, open_prepared
from reprise.data.domains import ANIMALS, CARS, Options
from reprise.data.registry import prepare_function
from reprise.data.sources import SourceError, fetch, load_table
from reprise.data.splits import shuffled
from samples import PACS_DOMAINS, pacs_archive

PACS = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
COLOURS = [(30 * i, 200 - 20 * i, 90) for i in range(8)]


def encoded(colour, size=(24, 20), kind="PNG"):
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind)
    return stream.getvalue()


def write_zip(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def tree(top, names, classes, count=10):
    """top/DOMAIN/CLASS/0.png ...: `count` images of the first class, one of each other; the class is the colour."""
    content = [encoded(colour) for colour in COLOURS]
    return {
        f"{top}{name}/{label}/{i}.png": content[number % 8]
        for name in names
        for number, label in enumerate(classes)
        for i in range(count if number == 0 else 1)
    }


def unpack(archive, folder):
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(folder)
    archive.unlink()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a person puts files by hand; the working directory is its parent's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "manual"))
    monkeypatch.delenv("REPRISE_SOURCES", raising=False)
    return tmp_path / "manual"


def run(name, tmp_path, *, use, image_size=16, per_domain=None):
    """Fetch and prepare, as the two stages do."""
    fetch(name, tmp_path / "raw")
    options = Options(image_size=image_size, domains=list(use), per_domain=per_domain)
    prepare_function(name)(tmp_path / "raw", tmp_path / "out", options, seed=0)
    return open_prepared(tmp_path / "out")


def put_pacs(folder, count=10, without=(), names=("art_painting", "cartoon", "photo", "sketch")):
    files = {path: content for path, content in tree("kfold/", names, PACS, count).items() if path not in without}
    write_zip(folder / "pacs/PACS.zip", {**files, "kfold/photo/README.txt": b"not a class", "splits/x.txt": b""})
    return files


# the format


def test_rows_labels_and_pixels(folder, tmp_path):
    put_pacs(folder)
    data = run("pacs", tmp_path, use=["photo", "sketch"])
    assert list(data.card["splits"].items()) == sorted(data.card["splits"].items())  # JSON keys are sorted
    assert data.card["splits"] == {
        "photo/train": [0, 14],  # 8 of the 10 dogs and the one image of every other class
        "photo/val": [14, 15],
        "photo/test": [15, 16],
        "sketch/train": [16, 30],
        "sketch/val": [30, 31],
        "sketch/test": [31, 32],
    }
    assert data.card["label_names"] == ["class"]
    assert data.card["classes"] == list(PACS)
    assert data.card["domains"] == ["photo", "sketch"]
    assert data.card["missing_classes"] == {"photo": [], "sketch": []}
    assert data.card["skipped"] == []
    assert data.card["sources"].keys() == {"PACS.zip"}
    x, labels = data.arrays["x"], data.arrays["labels"]
    assert (x.shape, x.dtype, labels.shape, labels.dtype) == ((32, 3, 16, 16), np.uint8, (32, 1), np.uint8)
    np.testing.assert_array_equal(x, np.broadcast_to(np.array(COLOURS)[labels[:, 0]][..., None, None], x.shape))


def test_train_is_in_the_shuffled_order(folder, tmp_path):
    """So the first k of a class are its k-shot subset."""
    files = put_pacs(folder, names=["photo"])
    data = run("pacs", tmp_path, use=["photo"])
    names = sorted(files)
    listed = [names[i] for i in shuffled(len(names))]
    dogs = [name for name in listed if "/dog/" in name]
    expected = [name for name in listed if name not in dogs[8:]]
    labels = data.arrays["labels"][data.rows("photo/train"), 0]
    assert [PACS[label] for label in labels] == [name.split("/")[2] for name in expected]


def test_zip_and_folder_agree(folder, tmp_path):
    put_pacs(folder)
    zipped = run("pacs", tmp_path, use=["cartoon"])
    unpack(folder / "pacs/PACS.zip", folder / "pacs")
    unpacked = run("pacs", tmp_path, use=["cartoon"])
    for key, array in zipped.arrays.items():
        np.testing.assert_array_equal(array, unpacked.arrays[key])
    (folder / "pacs/kfold/photo/dog/0.png").write_bytes(b"changed")
    with pytest.raises(SourceError, match="kfold is gone or has changed"):
        prepare_function("pacs")(
            tmp_path / "raw", tmp_path / "out", Options(image_size=16, domains=["photo"], per_domain=None), seed=0
        )


def test_classes_are_matched_by_name(folder, tmp_path):
    """Without elephants the alphabetical index of a giraffe would shift."""
    put_pacs(folder, without=["kfold/photo/elephant/0.png"])
    data = run("pacs", tmp_path, use=["photo", "sketch"])
    assert data.card["missing_classes"] == {"photo": ["elephant"], "sketch": []}
    assert data.card["classes"] == list(PACS)
    x, labels = data.arrays["x"], data.arrays["labels"][:, 0]
    np.testing.assert_array_equal(x[..., 0, 0], np.array(COLOURS)[labels])


def test_per_domain_takes_the_first_after_the_shuffle(folder, tmp_path):
    files = put_pacs(folder, count=60, names=["photo"])
    data = run("pacs", tmp_path, use=["photo"], per_domain=40)
    names = sorted(files)
    kept = [names[i].split("/")[2] for i in shuffled(len(names))[:40]]
    assert np.bincount(data.arrays["labels"][:, 0], minlength=7).tolist() == [kept.count(label) for label in PACS]
    assert data.card["splits"]["photo/test"][1] == 40
    with pytest.raises(DataError, match=r"photo/val is empty: raise data.pacs.per_domain"):
        run("pacs", tmp_path, use=["photo"], per_domain=5)


# images that cannot be read


def test_unreadable_images_are_left_out_and_listed(folder, tmp_path):
    """They still count towards the sizes, so val is the part that is short (as the release's LabelMe is)."""
    put_pacs(folder, count=200, names=["photo"])
    whole = run("pacs", tmp_path, use=["photo"]).card["splits"]
    unpack(folder / "pacs/PACS.zip", folder / "pacs")
    (folder / "pacs/kfold/photo/dog/7.png").write_bytes(encoded((0, 0, 0))[:40])
    data = run("pacs", tmp_path, use=["photo"])
    assert data.card["skipped"] == ["kfold/photo/dog/7.png"]
    assert data.card["splits"]["photo/train"] == whole["photo/train"]
    sizes = {part: stop - start for part, (start, stop) in data.card["splits"].items()}
    assert sizes == {"photo/train": 166, "photo/val": 19, "photo/test": 20}
    np.testing.assert_array_equal(
        data.arrays["x"][..., 0, 0], np.array(COLOURS)[data.arrays["labels"][:, 0]]
    )  # no row was left black


def test_too_many_unreadable_images(folder, tmp_path):
    put_pacs(folder)
    unpack(folder / "pacs/PACS.zip", folder / "pacs")
    (folder / "pacs/kfold/sketch/dog/7.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 64 images cannot be decoded, the first is kfold/sketch/dog/7.png"):
        run("pacs", tmp_path, use=["art_painting", "cartoon", "photo", "sketch"])
    assert not (tmp_path / "out").exists()


# what is missing


def test_unknown_domain(folder, tmp_path):
    put_pacs(folder)
    with pytest.raises(DataError, match=r"data.pacs.domains: no domain photos; known: art_painting, cartoon"):
        run("pacs", tmp_path, use=["photos"])


def test_missing_domain(folder, tmp_path):
    put_pacs(folder, names=["photo"])
    with pytest.raises(DataError, match=r"PACS.zip/kfold/sketch is missing or empty"):
        run("pacs", tmp_path, use=["photo", "sketch"])
    unpack(folder / "pacs/PACS.zip", folder / "pacs")
    with pytest.raises(DataError, match=r"pacs/kfold/sketch is missing or empty"):
        run("pacs", tmp_path, use=["photo", "sketch"])


def test_incomplete_classes(folder, tmp_path):
    write_zip(folder / "pacs/PACS.zip", tree("kfold/", ["photo"], PACS[:5]))
    with pytest.raises(DataError, match="pacs has 5 classes, expected 7"):
        run("pacs", tmp_path, use=["photo"])


@pytest.mark.parametrize(
    "name", [name for name, s in load_table().items() if s.kind == "gated" and name not in ("celeba", "fairface")]
)
def test_instructions_name_the_place_to_get_it(name, folder, tmp_path):
    with pytest.raises(SourceError, match=rf"{name} is gated: .*https?://.*Put them into .*manual/{name}/") as caught:
        fetch(name, tmp_path / "raw")
    assert "\n" not in str(caught.value)


# the other layouts


@pytest.mark.parametrize(
    ("name", "archive", "top", "folders", "n_classes"),
    [
        ("vlcs", "VLCS.zip", "VLCS/", ["Caltech101", "LabelMe", "SUN09", "VOC2007"], 5),
        (
            "office_home",
            "OfficeHomeDataset_10072016.zip",
            "OfficeHomeDataset_10072016/",
            ["Art", "Clipart", "Product", "Real World"],
            65,
        ),
        ("sviro", "sviro_grayscale_rectangle_classification.zip", "SVIRO_DOMAINBED/", CARS, 7),
    ],
)
def test_layouts(folder, tmp_path, name, archive, top, folders, n_classes):
    classes = [f"class_{number:03}" for number in range(n_classes)]
    write_zip(folder / name / archive, tree(top, folders, classes))
    use = [place.replace(" ", "_") for place in folders]
    data = run(name, tmp_path, use=use)
    assert data.card["classes"] == classes
    assert data.card["domains"] == use
    assert len(data.arrays["x"]) == len(folders) * (9 + n_classes)
    assert set(data.card["splits"]) == {f"{place}/{p}" for place in use for p in ("train", "val", "test")}


def test_domain_net_without_duplicates(folder, tmp_path):
    classes = [f"class_{number:03}" for number in range(345)]
    for name in domains.DRAWINGS:
        write_zip(folder / f"domain_net/{name}.zip", tree("", [name], classes, count=11))
    (folder / "domain_net/domain_net_duplicates.txt").write_text("clipart/class_000/3.png\nreal/class_000/3.png\n")
    with pytest.raises(SourceError, match=r"clipart.zip has \d+ bytes, expected 1270909081"):
        fetch("domain_net", tmp_path / "raw")
    for name in domains.DRAWINGS:
        unpack(folder / f"domain_net/{name}.zip", folder / "domain_net")
    data = run("domain_net", tmp_path, use=["clipart", "quickdraw"])
    labels = data.arrays["labels"][:, 0]
    assert labels.dtype == np.uint16
    assert labels.max() == 344
    assert data.card["splits"]["clipart/test"][1] == 354  # 10 of the 11 and 344
    assert len(labels) == 354 + 355


def test_imagenet_is_halved(folder, tmp_path):
    wnids = [f"n{number:08}" for number in range(1000)]
    content = encoded(COLOURS[3], kind="JPEG")
    files = {f"val/{wnid}/ILSVRC2012_val_{i}.JPEG": content for wnid in wnids for i in range(2)}
    write_zip(folder / "imagenet/val.zip", files)
    data = run("imagenet", tmp_path, use=["imagenet"])
    assert data.card["splits"] == {"imagenet/val": [0, 1000], "imagenet/test": [1000, 2000]}
    assert data.card["classes"] == wnids
    for split in data.card["splits"]:
        np.testing.assert_array_equal(np.sort(data.arrays["labels"][data.rows(split), 0]), np.arange(1000))


def camera_traps(folder, annotations):
    """20 images of each location, two per category, listed in two files; `annotations` are (image, name) to add."""
    places = ("38", "43", "46", "100", "7")
    names = (*ANIMALS, "car")
    images = [
        {"id": f"{place}-{i}", "location": place, "file_name": f"{place}-{i}.jpg"}
        for place in places
        for i in range(20)
    ]
    images[0]["location"] = 38  # numbers and text both occur
    pairs = [(image["id"], names[i % 20 % 10]) for i, image in enumerate(images)] + annotations
    entries = [{"image_id": image, "category_id": 10 + names.index(label)} for image, label in pairs]
    categories = [{"id": 10 + number, "name": label} for number, label in enumerate(names)]
    path = folder / "terra_incognita/eccv_18_annotations.tar.gz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as bundle:
        for part, chosen in (("train", entries[::2]), ("trans_test", entries[1::2])):
            used = {entry["image_id"] for entry in chosen}
            content = {
                "categories": categories,
                "images": [image for image in images if image["id"] in used],
                "annotations": chosen,
            }
            data = json.dumps(content).encode()
            info = tarfile.TarInfo(f"eccv_18_annotation_files/{part}_annotations.json")
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    files = {f"eccv_18_all_images_sm/{image['file_name']}": encoded(COLOURS[1]) for image in images}
    write_zip(folder / "terra_incognita/eccv_18_all_images_sm.zip", files)


def test_terra_incognita_with_few(folder, tmp_path):
    camera_traps(folder, [])
    with pytest.raises(DataError, match="location_38/val is empty"):
        run("terra_incognita", tmp_path, use=["location_38"])


def test_terra_incognita(folder, tmp_path):
    """Of the added annotations most add a second category, one repeats a pair, one is of none of the ten."""
    more = [(f"{place}-{i}", "bird") for place in ("38", "100", "7") for i in range(20)]
    camera_traps(folder, [*more, ("38-0", "bird"), ("38-1", "car")])
    data = run("terra_incognita", tmp_path, use=["location_38", "location_100"])
    assert data.card["classes"] == list(ANIMALS)
    start = data.card["splits"]["location_100/train"][0]
    counts = np.bincount(data.arrays["labels"][:start, 0])
    assert counts.tolist() == [20] + [2] * 9  # every image is a bird, 18 of them something else too
    assert len(data.arrays["x"]) == 2 * 38


@pytest.mark.parametrize("content", [b"", b"not a tar", "no key"])
def test_terra_incognita_damaged(folder, tmp_path, content):
    camera_traps(folder, [])
    path = folder / "terra_incognita/eccv_18_annotations.tar.gz"
    if content == "no key":
        with tarfile.open(path, "w:gz") as bundle:
            info = tarfile.TarInfo("x.json")
            info.size = 2
            bundle.addfile(info, io.BytesIO(b"{}"))
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"eccv_18_annotations.tar.gz is damaged or not the official file"):
        run("terra_incognita", tmp_path, use=["location_38"])


# a real sample


def test_pacs_sample(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_SOURCES", str(pacs_archive(shared_data, tmp_path / "files", per_class=60)))
    monkeypatch.chdir(tmp_path)
    data = run("pacs", tmp_path, use=PACS_DOMAINS, image_size=32)
    assert data.card["classes"] == list(PACS)
    assert data.card["missing_classes"] == {"art_painting": [], "photo": ["person"], "sketch": []}
    assert data.card["skipped"] == []
    sizes = {part: stop - start for part, (start, stop) in data.card["splits"].items()}
    assert (sizes["photo/train"], sizes["photo/val"], sizes["sketch/test"]) == (6 * 48, 6 * 6, 7 * 6)
    assert data.arrays["x"][data.rows("sketch/train")].mean() > 220  # strokes on white
    assert 80 < data.arrays["x"][data.rows("photo/train")].mean() < 170
