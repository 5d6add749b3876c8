"""The table of sources, and `fetch` under everything that goes wrong with a download. No network is used."""

import errno
import gzip
import hashlib
import http.server
import lzma
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reprise.data import registry, sources
from reprise.data.sources import SourceError, fetch, load_table, located, provenance

TRAIN, TEST = b"train rows\n" * 200, b"test rows\n" * 100
ROOT = Path(__file__).parents[2]

# A broken connection is closed when it is collected, which may be during another test.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "RETRIES", 0)
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("REPRISE_SOURCES", "REPRISE_MANUAL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def overlay(tmp_path, monkeypatch):
    """A function that writes an overlay's entry for `adult` and puts it in force."""

    def write(*files, name="adult"):
        YAML().dump({name: list(files)}, tmp_path / "overlay.yaml")
        monkeypatch.setenv("REPRISE_SOURCES", str(tmp_path / "overlay.yaml"))

    return write


@pytest.fixture
def server():
    """A local web server: `/whole`, `/half` (sends half of what it announces), `/flaky` (half, the first time)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            if self.path == "/gone/adult.data":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(TRAIN)))
            self.end_headers()
            half = self.path.startswith("/half") or (self.path.startswith("/flaky") and len(requests) == 1)
            self.wfile.write(TRAIN[: len(TRAIN) // 2] if half else TRAIN)

        def log_message(self, *_):
            pass

    requests = []
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


def local(data, file):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(data)
    return {"file": file, "bytes": len(data), "sha256": sha256(data)}


def refused(message, name="adult"):
    """Fetching fails with one line that contains `message`, and leaves nothing at all behind."""
    with pytest.raises(SourceError, match=message) as caught:
        fetch(name, Path("data/raw", name))
    assert "\n" not in str(caught.value)
    raw = Path("data/raw")
    assert not raw.exists() or not list(raw.iterdir())
    return str(caught.value)


# the table


def test_table_is_whole():
    table = load_table()
    assert table.keys() == registry.DATASETS.keys()
    assert all(source.licence and source.citation for source in table.values())
    assert table["celeba"].files[0].md5 == "00d2c5bc6d35e252742224ab0c1e8fcb"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {title: t, kind: generated, licence: l, citation: c, licenc: x}", "a.licenc: Extra inputs"),
        ("a: {title: t, kind: download, licence: l, citation: c, files: [{name: f, url: u}]}", "lacks a url, checksum"),
        ("a: {title: t, kind: gated, licence: l, citation: c, files: [{name: ../f}]}", "a.files.0.name"),
        ("a: {title: t, kind: ftp, licence: l, citation: c}", "a.kind"),
        ("a: [", "not valid YAML"),
    ],
)
def test_table_is_validated(tmp_path, text, message):
    (tmp_path / "sources.yaml").write_text(text)
    with pytest.raises(SourceError, match=message) as caught:
        load_table(tmp_path / "sources.yaml")
    assert "\n" not in str(caught.value)


def test_unknown_name_gets_a_suggestion():
    refused("did you mean adult?", name="adlt")


# the four kinds


def test_generated_has_nothing_to_fetch(overlay):
    expected = "faces is generated: `python stages/prepare.py faces` makes it, there is nothing to fetch"
    assert refused("faces is generated", name="faces") == expected
    overlay(local(TRAIN, "faces.csv"), name="faces")
    assert refused("faces is generated", name="faces") == expected


def test_card_of_a_generated_set_names_no_sources():
    letters = load_table()["letters"]
    facts = {"licence": letters.licence, "citation": letters.citation, "sources": {}}
    assert provenance("letters", Path("data/raw/letters")) == facts
    local(TRAIN, "data/raw/letters/README")  # left from before
    assert provenance("letters", Path("data/raw/letters")) == facts


def test_bundled():
    fetch("loanapp", Path("data/raw/loanapp"))
    assert provenance("loanapp", Path("data/raw/loanapp"))["sources"] == {
        "loanapp.csv.bz2": "cf4f214c2e43b0eaa601ef8815d393df9fd1e2ea831a87cfb6a11aeb7b2b920a"
    }


def test_gated_without_files_says_what_to_do():
    message = refused("celeba is gated: accept the terms on https://mmlab", name="celeba")
    assert "into data/manual/celeba/" in message
    assert "img_align_celeba.zip or the unpacked img_align_celeba/, list_attr_celeba.txt" in message


def put_fairface(folder):
    for file in ("fairface_label_train.csv", "fairface_label_val.csv", "train/1.jpg", "val/1.jpg"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(file.encode())


def test_gated_by_hand_is_described_not_copied(monkeypatch):
    put_fairface(Path("elsewhere/fairface"))
    monkeypatch.setenv("REPRISE_MANUAL", "elsewhere")
    raw = Path("data/raw/fairface")
    fetch("fairface", raw)
    assert [path.name for path in raw.iterdir()] == ["manual.json"]
    assert located(raw) == Path("elsewhere/fairface")
    assert provenance("fairface", raw)["sources"].keys() == {"fairface_label_train.csv", "fairface_label_val.csv"}
    Path("elsewhere/fairface/train/1.jpg").unlink()
    with pytest.raises(SourceError, match="train is gone or has changed"):
        located(raw)


def test_gated_file_with_wrong_checksum():
    put = Path("data/manual/celeba/list_eval_partition.txt")
    put.parent.mkdir(parents=True)
    put.write_bytes(b"0" * 2836386)
    refused("list_eval_partition.txt: wrong checksum", name="celeba")


# overlays


@pytest.mark.parametrize("pack", [("", bytes), (".xz", lzma.compress), (".gz", gzip.compress)], ids=["", "xz", "gz"])
def test_overlay_of_local_files(overlay, pack, capsys):
    suffix, compress = pack
    overlay(
        local(compress(TEST), f"sub/adult.test{suffix}"),
        local(compress(TRAIN), f"sub/adult.data{suffix}"),
    )
    fetch("adult", Path("data/raw/adult"))
    found = {path.name: path.read_bytes() for path in Path("data/raw/adult").iterdir()}
    assert found == {"adult.data": TRAIN, "adult.test": TEST}
    assert "is not the official file" in capsys.readouterr().err


def test_overlay_of_a_gated_set(overlay):
    files = ("img_align_celeba.zip", "list_attr_celeba.txt", "list_eval_partition.txt")
    overlay(*(local(file.encode(), file) for file in files), name="celeba")
    raw = Path("data/raw/celeba")
    fetch("celeba", raw)
    assert located(raw) == raw
    assert {path.name for path in raw.iterdir()} == set(files)


def test_overlay_unpacks_an_archive(overlay, monkeypatch):
    table = load_table()
    archive = sources.File(name="faces.zip", unpack=True)
    monkeypatch.setattr(
        sources, "load_table", lambda: {"adult": table["adult"].model_copy(update={"files": (archive,)})}
    )
    with zipfile.ZipFile("faces.zip", "w") as bundle:
        bundle.writestr("in/a.txt", "a")
    overlay(local(Path("faces.zip").read_bytes(), "faces.zip"))
    fetch("adult", Path("data/raw/adult"))
    assert [str(path) for path in Path("data/raw/adult").rglob("*.*")] == ["data/raw/adult/in/a.txt"]


def test_overlay_must_list_every_file(overlay):
    overlay(local(TRAIN, "adult.data"))
    refused("adult lists adult.data, it must list adult.data, adult.test")


def test_overlay_needs_one_place(overlay):
    overlay({"sha256": "0" * 64})
    refused("exactly one of `file` and `url`")


def test_overlay_unknown_key(overlay):
    overlay({"file": "a", "sha": "0" * 64})
    refused(r"adult.0.sha: Extra inputs")


def test_overlay_missing(monkeypatch):
    monkeypatch.setenv("REPRISE_SOURCES", "nowhere.yaml")
    refused("cannot read nowhere.yaml")


def test_overlay_names_a_missing_file(overlay):
    overlay({"file": "adult.data", "sha256": "0" * 64}, {"file": "adult.test", "sha256": "0" * 64})
    refused("adult.data is missing: put it there or correct the path in REPRISE_SOURCES")


# what goes wrong


def test_checksum_mismatch(overlay):
    entry = local(TRAIN, "adult.data")
    overlay(entry | {"sha256": "0" * 64}, local(TEST, "adult.test"))
    message = refused("adult.data: wrong checksum")
    assert f"sha256 is {sha256(TRAIN)}, expected {'0' * 64}" in message


def test_checksum_mismatch_keeps_the_former_data(overlay):
    good = local(TRAIN, "adult.data"), local(TEST, "adult.test")
    overlay(*good)
    fetch("adult", Path("data/raw/adult"))
    Path("adult.test").write_bytes(TEST[::-1])
    with pytest.raises(SourceError, match="wrong checksum"):
        fetch("adult", Path("data/raw/adult"))
    assert Path("data/raw/adult/adult.test").read_bytes() == TEST


def test_wrong_size(overlay):
    overlay(local(TRAIN, "adult.data") | {"bytes": 5}, local(TEST, "adult.test"))
    refused(f"adult.data has {len(TRAIN)} bytes, expected 5")


@pytest.mark.parametrize(("suffix", "compress"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_truncated_compressed_file(overlay, suffix, compress):
    overlay(local(compress(TRAIN)[:-20], f"adult.data{suffix}"), local(TEST, "adult.test"))
    refused(f"adult.data{suffix} is truncated or damaged")


def test_download(overlay, server):
    overlay({"url": f"{server}/whole/adult.data", "sha256": sha256(TRAIN)}, local(TEST, "adult.test"))
    fetch("adult", Path("data/raw/adult"))
    assert Path("data/raw/adult/adult.data").read_bytes() == TRAIN


def test_no_network(overlay):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/adult.data"
        overlay({"url": url, "sha256": "0" * 64}, local(TEST, "adult.test"))
        message = refused(f"cannot reach {url}")
    assert "REPRISE_SOURCES=overlay.yaml" in message
    assert "put adult.data into data/manual/adult by hand" in message


def test_by_hand_without_network(overlay):
    overlay({"url": "http://127.0.0.1:1/adult.data", "sha256": sha256(TRAIN)}, local(TEST, "adult.test"))
    local(TRAIN, "data/manual/adult/adult.data")
    fetch("adult", Path("data/raw/adult"))
    assert Path("data/raw/adult/adult.data").read_bytes() == TRAIN


def test_by_hand_is_checked_too():
    local(TRAIN, "data/manual/adult/adult.data")
    refused("data/manual/adult/adult.data has 2200 bytes, expected 3974305")


def test_not_found(overlay, server):
    overlay({"url": f"{server}/gone/adult.data", "sha256": "0" * 64}, local(TEST, "adult.test"))
    refused("404")


def test_interrupted_download_then_a_rerun(overlay, server):
    overlay({"url": f"{server}/half/adult.data", "sha256": sha256(TRAIN)}, local(TEST, "adult.test"))
    refused("/half/adult.data was interrupted, nothing is kept")
    overlay({"url": f"{server}/whole/adult.data", "sha256": sha256(TRAIN)}, local(TEST, "adult.test"))
    fetch("adult", Path("data/raw/adult"))
    assert Path("data/raw/adult/adult.data").read_bytes() == TRAIN


def test_interruption_is_retried(overlay, server, monkeypatch):
    monkeypatch.setattr(sources, "RETRIES", 1)
    overlay({"url": f"{server}/flaky/adult.data", "sha256": sha256(TRAIN)}, local(TEST, "adult.test"))
    fetch("adult", Path("data/raw/adult"))
    assert Path("data/raw/adult/adult.data").read_bytes() == TRAIN


def failing(code):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    return fail


def test_full_disk(overlay, monkeypatch):
    overlay(local(TRAIN, "adult.data"), local(TEST, "adult.test"))
    monkeypatch.setattr(shutil, "copyfile", failing(errno.ENOSPC))
    refused("no space left on the disk for data/raw/adult")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk_while_downloading(overlay, server, monkeypatch):
    """Half way through: the downloader's file is the always full device."""
    import pooch

    download = pooch.HTTPDownloader.__call__
    monkeypatch.setattr(
        pooch.HTTPDownloader, "__call__", lambda self, url, file, store: download(self, url, "/dev/full", store)
    )
    overlay({"url": f"{server}/whole/adult.data", "sha256": sha256(TRAIN)}, local(TEST, "adult.test"))
    refused("no space left on the disk")


def test_read_only_disk(overlay, monkeypatch):
    overlay(local(TRAIN, "adult.data"), local(TEST, "adult.test"))
    monkeypatch.setattr(Path, "mkdir", failing(errno.EROFS))
    refused("data/raw/adult is on a read-only file system")


def test_no_permission(overlay, monkeypatch):
    overlay(local(TRAIN, "adult.data"), local(TEST, "adult.test"))
    monkeypatch.setattr(Path, "mkdir", failing(errno.EACCES))
    refused("no permission for data/raw/adult")


def test_file_in_the_place_of_the_folder():
    Path("data").mkdir()
    Path("data/raw").touch()
    with pytest.raises(SourceError, match="cannot make the folder data/raw/loanapp"):
        fetch("loanapp", Path("data/raw/loanapp"))


def test_stage_prints_one_line_and_exits_with_1():
    done = subprocess.run(
        [sys.executable, ROOT / "stages/download.py", "celeba"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: celeba is gated")
    assert done.stderr.count("\n") == 1
