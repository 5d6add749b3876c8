"""`extract` and `contents`: whole archives come out whole; truncated and malicious ones leave one clear error."""

import io
import stat
import tarfile
import zipfile

import pytest

from reprise.data.archives import contents, listing
from reprise.data.sources import SourceError, extract

CONTENT = {"images/a.bin": b"a" * 3000, "images/deep/b.bin": bytes(range(256)) * 400, "labels.txt": b"1\n"}
MODES = {".tar": "w", ".tar.gz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def member(name, kind=tarfile.REGTYPE, link="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def make_tar(path, content=CONTENT, extra=()):
    with tarfile.open(path, MODES["".join(path.suffixes)]) as bundle:
        for name, data in content.items():
            bundle.addfile(member(name, size=len(data)), io.BytesIO(data))
        for info in extra:
            bundle.addfile(info)
    return path


def make_zip(path, content=CONTENT):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in content.items():
            bundle.writestr(name, data)
    return path


def found(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("suffix", [".zip", *MODES])
def test_whole(tmp_path, suffix):
    archive = (make_zip if suffix == ".zip" else make_tar)(tmp_path / f"data{suffix}")
    extract(archive, tmp_path / "out")
    assert found(tmp_path / "out") == CONTENT


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("suffix", [".zip", *MODES])
def test_truncated(tmp_path, suffix, share):
    archive = (make_zip if suffix == ".zip" else make_tar)(tmp_path / f"data{suffix}")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SourceError, match=r"data\..* is truncated"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tar_cut_between_two_members(tmp_path):
    """tarfile itself takes this one for whole."""
    archive = make_tar(tmp_path / "data.tar")
    with tarfile.open(archive) as bundle:
        last = bundle.getmembers()[-1]
    archive.write_bytes(archive.read_bytes()[: last.offset])
    with tarfile.open(archive) as bundle:
        assert len(bundle.getmembers()) == 2
    with pytest.raises(SourceError, match="truncated"):
        extract(archive, tmp_path / "out")


def test_flipped_bits(tmp_path):
    archive = make_zip(tmp_path / "data.zip", {"a.txt": b"x" * 100})
    damaged = bytearray(archive.read_bytes())
    damaged[38] ^= 0xFF
    archive.write_bytes(damaged)
    with pytest.raises(SourceError, match="truncated or damaged"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["/etc/evil", "../evil", "images/../../evil", "C:/evil", "..\\evil", "a/.."])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_path_traversal(tmp_path, kind, name):
    make = make_zip if kind == "zip" else make_tar
    archive = make(tmp_path / f"data.{kind}", {"good.txt": b"", name: b"evil"})
    with pytest.raises(SourceError, match="refused member") as caught:
        extract(archive, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()  # nothing is written before everything is looked at


@pytest.mark.parametrize(
    "evil",
    [
        member("link", tarfile.SYMTYPE, "/etc"),
        member("link", tarfile.SYMTYPE, "../outside"),
        member("images/link", tarfile.SYMTYPE, "../../outside"),
        member("link", tarfile.LNKTYPE, "/etc/passwd"),
        member("link", tarfile.LNKTYPE, "../outside"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: f"{info.name}-{info.linkname}",
)
def test_links_out_and_devices(tmp_path, evil):
    archive = make_tar(tmp_path / "data.tar", extra=[evil])
    with pytest.raises(SourceError, match="refused member"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_zip_symlink(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as bundle:
        bundle.writestr(info, "/etc")
    with pytest.raises(SourceError, match="a link or a device"):
        extract(tmp_path / "data.zip", tmp_path / "out")


def test_inner_links_become_copies(tmp_path):
    links = [
        member("images/deep/up.txt", tarfile.SYMTYPE, "../../labels.txt"),
        member("hard.txt", tarfile.LNKTYPE, "labels.txt"),
    ]
    extract(make_tar(tmp_path / "data.tar.gz", extra=links), tmp_path / "out")
    assert found(tmp_path / "out") == CONTENT | {"images/deep/up.txt": b"1\n", "hard.txt": b"1\n"}
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("target", ["images", "nowhere", "link"])
def test_link_to_no_file(tmp_path, target):
    archive = make_tar(tmp_path / "data.tar", extra=[member("link", tarfile.SYMTYPE, target)])
    with pytest.raises(SourceError, match="a link to no file"):
        extract(archive, tmp_path / "out")


def test_neither_zip_nor_tar(tmp_path):
    (tmp_path / "data.zip").write_text("<html>quota exceeded</html>")
    with pytest.raises(SourceError, match="neither a zip nor a tar"):
        extract(tmp_path / "data.zip", tmp_path / "out")


@pytest.mark.parametrize("suffix", MODES)
def test_reading_without_unpacking(tmp_path, suffix):
    archive = make_tar(tmp_path / f"data{suffix}", extra=[member("folder", tarfile.DIRTYPE)])
    assert listing(archive) == list(CONTENT)
    wanted = {"labels.txt", "images/deep/b.bin", "none"}
    assert list(contents(archive, wanted)) == [(name, data) for name, data in CONTENT.items() if name in wanted]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz"])
def test_reading_a_truncated_one(tmp_path, suffix, share):
    archive = make_tar(tmp_path / f"data{suffix}")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(share * len(whole))])
    for read in (listing, lambda path: list(contents(path, CONTENT))):
        with pytest.raises(SourceError, match=r"data\..* is truncated or damaged"):
            read(archive)


def test_reading_what_is_not_there(tmp_path):
    with pytest.raises(SourceError, match=r"data\.tar is missing: run .*download@raw"):
        listing(tmp_path / "raw/data.tar")
