"""ListOps' published files: both layouts, every value checked, and the real ones."""

import numpy as np
import pytest

from reprise.data import listops_files
from reprise.data.arrays import DataError, open_prepared
from reprise.data.listops import SYMBOLS, value
from reprise.data.listops_files import Options
from reprise.data.sources import SourceError, fetch
from samples_circuits import nyu_listops

LRA = {
    "train": "Source\tTarget\n( ( ( [MAX 2 ) 9 ) ] )\t9\n( ( ( ( [SM 4 ) 7 ) 9 ) ] )\t0\n",
    "val": "Source\tTarget\n( ( ( [MED 4 ) 7 ) ] )\t5\n",
    "test": "Source\tTarget\n( ( ( [MIN ( ( ( [MAX 1 ) 3 ) ] ) ) 7 ) ] )\t3\n",
}


def write_lra(folder, **changes):
    folder.mkdir(parents=True)
    for part, text in (LRA | changes).items():
        (folder / f"basic_{part}.tsv").write_text(text, newline="")
    return folder


def run(kind, raw, longest=20, max_train=None, max_eval=None):
    options = Options(longest=longest, max_train=max_train, max_eval=max_eval)
    getattr(listops_files, kind)(raw, raw / "out", options, seed=0)
    return open_prepared(raw / "out")


def symbols(row):
    return " ".join(SYMBOLS[k] for k in row if k)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lra(tmp_path, end):
    """The header is dropped, parentheses too, whichever the line ends (the generator writes \\r\\n)."""
    texts = {part: text.replace("\n", end) for part, text in LRA.items()}
    data = run("lra", write_lra(tmp_path / "lra", **texts))
    assert data.card["splits"] == {"iid/train": [0, 2], "iid/val": [2, 3], "iid/test": [3, 4]}
    assert [symbols(row) for row in data.arrays["x"]] == [
        "[MAX 2 9 ]",
        "[SM 4 7 9 ]",
        "[MED 4 7 ]",
        "[MIN [MAX 1 3 ] 7 ]",
    ]
    assert data.arrays["labels"][:, 0].tolist() == [9, 0, 5, 3]
    assert data.card["symbols"] == list(SYMBOLS)


def test_long_expressions_are_left_out(tmp_path):
    write_lra(tmp_path / "lra")
    assert run("lra", tmp_path / "lra", longest=7, max_train=1).card["splits"]["iid/train"] == [0, 1]
    with pytest.raises(DataError, match=r"basic_test\.tsv has no expression of at most 5 symbols"):
        run("lra", tmp_path / "lra", longest=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Source\tTarget\n[MAX 2 9 ]\t8\n", r"basic_val\.tsv, line 2 has the value 9, the file says 8"),
        ("Source\tTarget\n[MAX 2 9\t9\n", r"basic_val\.tsv, line 2: .* is no whole expression"),
        ("Source\tTarget\n[MAX 2 9 ]\n", r"basic_val\.tsv, line 2 has 1 columns"),
        ("Source\tTarget\n", r"basic_val\.tsv has no expression"),
        ("Source\tTarget\n[MAX 2 é ]\t2\n", r"basic_val\.tsv is damaged"),
    ],
)
def test_damaged(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        run("lra", write_lra(tmp_path / "lra", val=text))
    assert not (tmp_path / "lra/out").exists()


def test_missing(tmp_path):
    (write_lra(tmp_path / "lra_listops") / "basic_val.tsv").unlink()
    with pytest.raises(DataError, match=r"basic_val\.tsv is missing: .*download@lra_listops"):
        run("lra", tmp_path / "lra_listops")


def test_lra_is_gated(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRISE_MANUAL", str(tmp_path / "manual"))
    with pytest.raises(SourceError, match=r"lra_release.*Still missing: basic_train.tsv, basic_val.tsv"):
        fetch("lra_listops", tmp_path / "raw")
    write_lra(tmp_path / "manual/lra_listops")
    fetch("lra_listops", tmp_path / "raw")
    assert run("lra", tmp_path / "raw").card["sources"].keys() == {f"basic_{part}.tsv" for part in LRA}


def test_nyu_real_sample(shared_data, tmp_path, monkeypatch):
    """Half of the official test file, whose every value is the one computed here."""
    monkeypatch.setenv("REPRISE_SOURCES", str(nyu_listops(shared_data, tmp_path / "files")))
    fetch("nyu_listops", tmp_path / "raw")
    data = run("nyu", tmp_path / "raw", longest=1000)
    assert data.card["splits"] == {"iid/train": [0, 4000], "iid/test": [4000, 5000]}
    lengths = (data.arrays["x"] > 0).sum(1)
    assert lengths.max() == 939 and 5 < np.median(lengths) < 25
    for row, label in zip(data.arrays["x"][:200], data.arrays["labels"][:200, 0], strict=True):
        assert value(symbols(row).split()) == label
    short = run("nyu", tmp_path / "raw", longest=50)
    assert short.card["splits"]["iid/train"][1] == (lengths[:4000] <= 50).sum()


def test_nyu_train_excerpt(shared_data, tmp_path):
    """The first 20 lines of the official training file."""
    folder = tmp_path / "nyu"
    folder.mkdir()
    for part in ("train", "test"):
        (folder / f"{part}_d20s.tsv").write_bytes((shared_data / "listops/first20train.tsv").read_bytes())
    assert run("nyu", folder, longest=1000).card["splits"]["iid/train"] == [0, 20]
