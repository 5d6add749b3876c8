"""The WILDS loaders on tiny generated folders of the official archives' layout."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reprise.data.arrays import DataError, open_prepared
from reprise.data.registry import prepare_function
from reprise.data.sources import fetch
from reprise.data.splits import shuffled
from reprise.data.wilds import Options

PARTS = ("train/train", "train/val", "train/test", "ood/val", "ood/test")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "manual"))
    monkeypatch.delenv("REPRISE_SOURCES", raising=False)
    return tmp_path / "manual"


def put(folder, table, paths, file="metadata.csv", **options):
    """The metadata and one image per row; image i has the colour (i, 255 - i, 7), by which rows are told apart."""
    for i, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), (i, 255 - i, 7)).save(folder / path)
    table.to_csv(folder / file, **options)


def run(name, tmp_path, max_train=None, max_eval=None):
    fetch(name, tmp_path / "raw")
    options = Options(image_size=16, max_train=max_train, max_eval=max_eval)
    prepare_function(name)(tmp_path / "raw", tmp_path / "out", options, seed=0)
    return open_prepared(tmp_path / "out")


def rows(data, split):
    """Row numbers of the metadata, read off the images' red."""
    x = data.arrays["x"][data.rows(split)]
    assert (x[:, 0] + x[:, 1].astype(int) == 255).all()
    return x[:, 0, 8, 8].tolist()


def in_order(members):
    """The paper's order of a subset: its rows as listed, shuffled."""
    return [members[i] for i in shuffled(len(members))]


def test_camelyon17(folder, tmp_path):
    """Centers 1 and 2 are out of distribution whatever their `split` says; id_val is cut in two, class by class."""
    folder = folder / "camelyon17"
    n = 60
    table = pd.DataFrame(
        {
            "patient": [f"{i % 3:03}" for i in range(n)],
            "node": [i % 4 for i in range(n)],
            "x_coord": range(n),
            "y_coord": [7 * i for i in range(n)],
            "tumor": [i % 3 == 0 for i in range(n)],
            "slide": 0,
            "center": [i % 5 for i in range(n)],
            "split": [int(i % 4 == 3) for i in range(n)],
        }
    ).astype({"tumor": int})
    paths = [
        f"patches/patient_{i % 3:03}_node_{i % 4}/patch_patient_{i % 3:03}_node_{i % 4}_x_{i}_y_{7 * i}.png"
        for i in range(n)
    ]
    put(folder, table, paths)
    data = run("camelyon17", tmp_path)
    assert data.card["classes"] == ["normal", "tumor"]
    assert data.card["domains"] == ["train", "ood"]
    assert data.card["groups"] == [f"hospital {i}" for i in range(5)]
    assert data.card["sources"].keys() == {"metadata.csv"}
    id_rows = [i for i in range(n) if i % 5 in (0, 3, 4)]
    assert rows(data, "train/train") == in_order([i for i in id_rows if i % 4 != 3])
    assert rows(data, "ood/val") == in_order([i for i in range(n) if i % 5 == 1])
    assert rows(data, "ood/test") == in_order([i for i in range(n) if i % 5 == 2])
    val, test = rows(data, "train/val"), rows(data, "train/test")
    both = in_order([i for i in id_rows if i % 4 == 3])
    assert sorted(val + test) == sorted(both)
    counts = Counter(i % 3 == 0 for i in both)
    assert Counter(i % 3 == 0 for i in test) == {label: (count + 1) // 2 for label, count in counts.items()}
    assert test == [i for i in both if i in test]  # in the shuffled order, the first of each class
    order = [i for part in PARTS for i in rows(data, part)]
    np.testing.assert_array_equal(data.arrays["labels"][:, 0], [i % 3 == 0 for i in order])
    np.testing.assert_array_equal(data.arrays["group"], [i % 5 for i in order])
    assert (data.arrays["labels"].dtype, data.arrays["group"].dtype) == (np.uint8, np.int32)


def test_caps_keep_the_first_rows(folder, tmp_path):
    test_camelyon17(folder, tmp_path)
    whole, capped = open_prepared(tmp_path / "out"), run("camelyon17", tmp_path, max_train=7, max_eval=3)
    for part in PARTS:
        assert rows(capped, part) == rows(whole, part)[: 7 if part == "train/train" else 3]


def test_fmow(folder, tmp_path):
    """By year and by the official split; `seq` and training images from 2013 on are not used, but they are numbered."""
    folder = folder / "fmow"
    cases = [
        (split, year) for split in ("train", "val", "test", "seq") for year in (2002, 2012, 2013, 2015, 2016, 2017)
    ]
    cases *= 2
    categories = ["zoo", "airport", "dam"]
    table = pd.DataFrame(
        {
            "split": [split for split, _ in cases],
            "category": [categories[i % 3] for i in range(len(cases))],
            "timestamp": [
                f"{year}-12-31T23:59:59Z" if i % 2 else f"{year}-01-01T00:00:00Z" for i, (_, year) in enumerate(cases)
            ],
        }
    )
    put(folder, table, [f"images/rgb_img_{i}.png" for i in range(len(cases))], "rgb_metadata.csv", index=False)
    data = run("fmow", tmp_path)
    assert data.card["classes"] == ["airport", "dam", "zoo"]
    assert data.card["groups"] == ["2002", "2012", "2013", "2015", "2016", "2017"]

    def members(split, years):
        return in_order([i for i, case in enumerate(cases) if case[0] == split and case[1] in years])

    assert rows(data, "train/train") == members("train", (2002, 2012))
    assert rows(data, "train/val") == members("val", (2002, 2012))
    assert rows(data, "train/test") == members("test", (2002, 2012))
    assert rows(data, "ood/val") == members("val", (2013, 2015))
    assert rows(data, "ood/test") == members("test", (2016, 2017))
    order = [i for part in PARTS for i in rows(data, part)]
    assert [data.card["classes"][k] for k in data.arrays["labels"][:, 0]] == [categories[i % 3] for i in order]
    assert [data.card["groups"][k] for k in data.arrays["group"]] == [str(cases[i][1]) for i in order]


def put_iwildcam(folder, names=("empty", "ocelot", "zebra")):
    """30 images, red = 8 i; categories.csv also lists the animals of unlabelled images, all numbered 99999."""
    (folder / "train").mkdir(parents=True)
    for i in range(30):
        Image.new("RGB", (20, 16), (8 * i, 0, 0)).save(folder / f"train/{i:04}.jpg", quality=95, subsampling=0)
    table = pd.DataFrame(
        {
            "split": ["train", "val", "test", "id_val", "id_test"] * 6,
            "filename": [f"{i:04}.jpg" for i in range(30)],
            "y": [2, *(i % 2 for i in range(1, 30))],
            "location_remapped": [i % 7 for i in range(30)],
        }
    )
    table.to_csv(folder / "metadata.csv")
    listed = pd.DataFrame({"y": [*range(len(names)), 99999, 99999], "name": [*names, "unlabelled", "another"]})
    listed.iloc[::-1].to_csv(folder / "categories.csv", index=False)


def test_iwildcam(folder, tmp_path):
    put_iwildcam(folder / "iwildcam")
    data = run("iwildcam", tmp_path)
    assert data.card["classes"] == ["empty", "ocelot", "zebra"]
    assert data.card["missing_classes"] == {"train": [], "ood": ["zebra"]}
    reds = data.arrays["x"][:, 0, 8, 8] / 8  # JPEG rounds
    for part, first in zip(PARTS, (0, 3, 4, 1, 2), strict=True):
        expected = in_order(list(range(first, 30, 5)))
        np.testing.assert_allclose(reds[data.rows(part)], expected, atol=0.4)
    order = np.rint(reds).astype(int)
    np.testing.assert_array_equal(data.arrays["labels"][:, 0], [2 if i == 0 else i % 2 for i in order])
    np.testing.assert_array_equal(data.arrays["group"], order % 7)


def test_iwildcam_without_names(folder, tmp_path):
    put_iwildcam(folder / "iwildcam", names=("empty", "ocelot"))
    with pytest.raises(DataError, match=r"categories.csv does not name class 2"):
        run("iwildcam", tmp_path)


def test_rxrx1(folder, tmp_path):
    """Site 2 of the training experiments is the in-distribution test set, cut in two."""
    folder = folder / "rxrx1"
    experiments = {"HEPG2-01": "train", "HEPG2-02": "train", "RPE-01": "val", "U2OS-01": "test"}
    cases = [(e, well, site) for e in experiments for well in ("B02", "E05", "F10", "G11") for site in (1, 2)]
    table = pd.DataFrame(
        {
            "dataset": [experiments[e] for e, _, _ in cases],
            "experiment": [e for e, _, _ in cases],
            "plate": 3,
            "well": [well for _, well, _ in cases],
            "site": [site for _, _, site in cases],
            "sirna_id": [0 if well in ("B02", "E05") else 1138 for _, well, _ in cases],
        }
    )
    put(folder, table, [f"images/{e}/Plate3/{well}_s{site}.png" for e, well, site in cases], index=False)
    data = run("rxrx1", tmp_path)
    assert len(data.card["classes"]) == 1139
    assert data.arrays["labels"].dtype == np.uint16
    assert data.card["groups"] == list(experiments)
    assert rows(data, "train/train") == in_order(list(range(0, 16, 2)))
    assert sorted(rows(data, "train/val") + rows(data, "train/test")) == list(range(1, 16, 2))
    for part in ("train/val", "train/test"):
        assert data.arrays["labels"][data.rows(part), 0].tolist().count(1138) == 2
    assert rows(data, "ood/val") == in_order(list(range(16, 24)))
    assert rows(data, "ood/test") == in_order(list(range(24, 32)))
    order = [i for part in PARTS for i in rows(data, part)]
    np.testing.assert_array_equal(data.arrays["group"], [i // 8 for i in order])


# what is missing


def test_missing_image(folder, tmp_path):
    put_iwildcam(folder / "iwildcam")
    (folder / "iwildcam/train/0004.jpg").rename(folder / "iwildcam/train/4.jpg")
    with pytest.raises(DataError, match=r"train/0004.jpg is missing"):
        run("iwildcam", tmp_path)


def test_corrupt_image(folder, tmp_path):
    """Unlike the domain sets, the official splits are taken whole."""
    put_iwildcam(folder / "iwildcam")
    (folder / "iwildcam/train/0004.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"train/0004.jpg is corrupt"):
        run("iwildcam", tmp_path)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n"])
def test_another_table(folder, tmp_path, content):
    put_iwildcam(folder / "iwildcam")
    (folder / "iwildcam/metadata.csv").write_text(content)
    with pytest.raises(DataError, match=r"metadata.csv is missing or not the official file"):
        run("iwildcam", tmp_path)


def test_empty_split(folder, tmp_path):
    put_iwildcam(folder / "iwildcam")
    path = folder / "iwildcam/metadata.csv"
    path.write_text(path.read_text().replace("id_val", "id_test"))
    with pytest.raises(DataError, match="the metadata hold no image of train/val"):
        run("iwildcam", tmp_path)
