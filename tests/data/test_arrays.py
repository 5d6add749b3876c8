"""The prepared-data format: what is written comes back, and anything damaged is refused with its remedy."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

from reprise.data import arrays
from reprise.data.arrays import DataError, Writer, open_prepared


def toy(folder, **extra):
    x = np.arange(24, dtype=np.float32).reshape(6, 4)
    labels = np.array([[0, 1]] * 6, np.uint8)
    splits = {"train": (0, 4), "test": (4, 6)}
    arrays.write(folder, name="toy", arrays={"x": x, "labels": labels}, splits=splits, label_names=["y", "a"], **extra)
    return x


def edit_card(folder, change):
    card = json.loads((folder / "card.json").read_text())
    change(card)
    (folder / "card.json").write_text(json.dumps(card))


def test_round_trip(tmp_path):
    x = toy(tmp_path / "toy", licence="none", sources={"a": "b"})
    prepared = open_prepared(tmp_path / "toy")
    assert prepared.name == "toy"
    assert prepared.card["licence"] == "none"
    assert prepared.card["label_names"] == ["y", "a"]
    assert isinstance(prepared.arrays["x"], np.memmap)
    assert not prepared.arrays["x"].flags.writeable
    np.testing.assert_array_equal(prepared.arrays["x"][prepared.rows("test")], x[4:6])
    with pytest.raises(DataError, match="no split 'val'; it has test, train"):
        prepared.rows("val")


def test_equal_data_gives_equal_bytes(tmp_path):
    for folder in ("one", "two"):
        toy(tmp_path / folder)
    one, two = ({f.name: f.read_bytes() for f in (tmp_path / folder).iterdir()} for folder in ("one", "two"))
    assert one == two
    assert one["card.json"].endswith(b"}\n")
    assert open_prepared(tmp_path / "one").digest == open_prepared(tmp_path / "two").digest


def test_digest_follows_the_data(tmp_path):
    toy(tmp_path / "one")
    arrays.write(tmp_path / "two", name="toy", arrays={"x": np.ones(6, np.float32)}, splits={"all": (0, 6)})
    assert open_prepared(tmp_path / "one").digest != open_prepared(tmp_path / "two").digest


def test_failure_leaves_the_former_data_set(tmp_path):
    toy(tmp_path / "toy")
    digest = open_prepared(tmp_path / "toy").digest

    def half():
        with Writer(tmp_path / "toy", name="toy") as writer:
            writer.create("x", (3,), np.uint8)
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert open_prepared(tmp_path / "toy").digest == digest
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_leftovers_of_a_killed_run_are_cleared(tmp_path):
    (tmp_path / ".toy.partial").mkdir()
    (tmp_path / ".toy.partial" / "stale.npy").touch()
    toy(tmp_path / "toy")
    toy(tmp_path / "toy")  # replaces
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]
    assert not (tmp_path / "toy" / "stale.npy").exists()


def test_leaving_without_finish_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="without finish"), Writer(tmp_path / "toy", name="toy") as writer:
        writer.create("x", (3,), np.uint8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"splits": {"all": (0, 7)}}, "outside the 6 rows"),
        ({"splits": {"all": (2, 2)}}, "or empty"),
        ({"splits": {}, "label_names": ["y"]}, "1 label names"),
        ({"splits": {}, "format": 2}, "card's own keys"),
    ],
)
def test_inconsistent_cards_are_not_written(tmp_path, arguments, message):
    with Writer(tmp_path / "whole", name="toy") as writer:
        writer.create("x", (6, 2), np.uint8)
        with pytest.raises(ValueError, match=message):
            writer.finish(**arguments)
        writer.finish(splits={})
    assert open_prepared(tmp_path / "whole").card["splits"] == {}


def test_arrays_with_rows_of_their_own(tmp_path):
    """Those that the card names in `beside`; splits are about the others."""
    given = {"x": np.arange(12, dtype=np.uint8).reshape(6, 2), "edges": np.arange(9, dtype=np.int32)}
    splits = {"train": (0, 4), "test": (4, 6)}
    arrays.write(tmp_path / "toy", name="toy", arrays=given, splits=splits, beside=["edges"])
    prepared = open_prepared(tmp_path / "toy")
    assert prepared.card["beside"] == ["edges"]
    for name, array in given.items():
        np.testing.assert_array_equal(prepared.arrays[name], array)
    assert prepared.rows("test") == slice(4, 6)
    with pytest.raises(ValueError, match=r"outside the 6 rows"):  # not the nine
        arrays.write(tmp_path / "other", name="toy", arrays=given, splits={"all": (0, 9)}, beside=["edges"])


@pytest.mark.parametrize("beside", [{}, {"beside": []}, {"beside": ["y"]}, {"beside": ["x", "edges"]}])
def test_all_other_arrays_share_their_rows(tmp_path, beside):
    given = {"x": np.zeros((6, 2)), "y": np.zeros(6), "edges": np.zeros(9)}
    if "x" in beside.get("beside", ()):
        del given["y"]  # then none is left that a split could be about
    with pytest.raises(ValueError, match=r"the arrays do not share one number of rows: (\[6, 9\]|\[\])"):
        arrays.write(tmp_path / "toy", name="toy", arrays=given, splits={}, **beside)
    assert not (tmp_path / "toy").exists()


@pytest.mark.parametrize(
    ("key", "shape", "dtype"), [("../x", (1,), "u1"), ("X", (1,), "u1"), ("x", (0, 2), "u1"), ("x", (2,), object)]
)
def test_only_plain_arrays(tmp_path, key, shape, dtype):
    with pytest.raises(ValueError), Writer(tmp_path / "toy", name="toy") as writer:
        writer.create(key, shape, dtype)


def test_missing_data_set_names_the_command(tmp_path):
    with pytest.raises(DataError, match=r"toy/card.json is missing: run `dvc repro prepare@toy` \(`generate@toy` if"):
        open_prepared(tmp_path / "toy")


def truncate(folder):
    path = folder / "x.npy"
    os.truncate(path, path.stat().st_size - 8)


def lengthen(folder):
    with (folder / "x.npy").open("ab") as stream:
        stream.write(b"\0")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "x.npy is truncated"),
        (lengthen, "x.npy is longer"),
        (lambda f: os.truncate(f / "x.npy", 0), "x.npy is truncated"),
        (lambda f: (f / "x.npy").unlink(), "x.npy is missing"),
        (lambda f: np.save(f / "x.npy", np.zeros((6, 4), np.int32)), "the card says"),
        (lambda f: np.save(f / "x.npy", np.array([None]), allow_pickle=True), "not a .npy file"),
        (lambda f: (f / "card.json").write_text("{"), "not valid JSON"),
        (lambda f: edit_card(f, lambda card: card.update(splits={"train": [0, 9]})), "outside the 6 rows"),
        (lambda f: edit_card(f, lambda card: card.update(format=0)), "reads format 1"),
        (lambda f: edit_card(f, lambda card: card.pop("arrays")), "not a card"),
        (lambda f: edit_card(f, lambda card: card["arrays"].update({"../x.npy": {}})), "not described"),
        (lambda f: edit_card(f, lambda card: card.update(beside=["labels", "x"])), "do not share one number of rows"),
    ],
)
def test_damage_names_the_command(tmp_path, damage, message):
    toy(tmp_path / "toy")
    damage(tmp_path / "toy")
    with pytest.raises(DataError, match=message) as caught:
        open_prepared(tmp_path / "toy")
    assert str(caught.value).endswith(
        "run `dvc repro -f -s prepare@toy` (`generate@toy` if it is a generated data set)"
    )
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no posix_fallocate on this system")
def test_full_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"no space left on the disk for .*toy"):
        toy(tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


def test_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "prepared").touch()
    with pytest.raises(DataError, match="cannot make the folder"):
        toy(tmp_path / "prepared" / "toy")


def test_moved_folder_still_opens(tmp_path):
    toy(tmp_path / "toy")
    shutil.move(tmp_path / "toy", tmp_path / "elsewhere")
    assert open_prepared(tmp_path / "elsewhere").name == "toy"


def test_ranges_follow_one_another():
    assert arrays.ranges({"a/train": 3, "a/test": 2, "b/test": 5}) == {
        "a/train": (0, 3),
        "a/test": (3, 5),
        "b/test": (5, 10),
    }
