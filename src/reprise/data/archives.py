"""Unpacking and reading archives: whole ones come out whole, truncated and malicious ones leave one clear error."""

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from reprise.data.arrays import DataError

ROOT = PurePosixPath()
DAMAGED = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, tarfile.TarError)


class SourceError(DataError):
    """A source that cannot be had; one line that names the file and the remedy."""


def extract(archive: Path, out: Path) -> None:
    """Unpack a zip or tar (plain, gz, bz2, xz) into the folder `out`.

    Every member is looked at before anything is written. Raises SourceError for a truncated or damaged archive, for
    absolute paths, `..`, links out of the archive, devices, and encrypted members. Links inside a tar become copies,
    so no link ever lands on the disk.
    """
    try:
        if zipfile.is_zipfile(archive):
            _extract_zip(archive, out)
        elif tarfile.is_tarfile(archive):
            _extract_tar(archive, out)
        else:
            raise SourceError(f"{archive} is truncated, or neither a zip nor a tar: delete it and get it again")
    except DAMAGED as failure:
        raise SourceError(f"{archive} is truncated or damaged ({failure}): delete it and get it again") from failure


def listing(archive: Path) -> list[str]:
    """Names of the files in a tar, in its order. Raises SourceError as `contents` does."""
    with _opened(archive) as bundle:
        return [member.name for member in bundle if member.isfile()]


def contents(archive: Path, wanted: Container[str]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the wanted files of a tar, in its order, one at a time; nothing is unpacked.

    Raises SourceError for an archive that is missing, truncated or damaged.
    """
    with _opened(archive) as bundle:
        for member in bundle:
            if member.isfile() and member.name in wanted:
                yield member.name, bundle.extractfile(member).read()  # type: ignore[union-attr]  # a file has content


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive) as bundle:
            yield bundle
            while bundle.fileobj.read(1 << 20):
                pass  # to the end, where the decompressor compares its checksum
    except FileNotFoundError:
        raise SourceError(f"{archive} is missing: run `dvc repro -f -s download@{archive.parent.name}`") from None
    except DAMAGED as failure:
        raise SourceError(f"{archive} is truncated or damaged ({failure}): delete it and get it again") from failure


def _extract_zip(archive: Path, out: Path) -> None:
    with zipfile.ZipFile(archive) as bundle:
        members = bundle.infolist()
        for info in members:
            _inside(archive, info.orig_filename)
            mode = stat.S_IFMT(info.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, info.filename, "a link or a device")
            if info.flag_bits & 1:
                raise _refused(archive, info.filename, "encrypted")
        for info in members:
            target = out / _inside(archive, info.filename)
            if info.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with bundle.open(info) as content, target.open("wb") as stream:
                shutil.copyfileobj(content, stream)


class _LastRead:
    """A readable file that remembers its last read, to see whether a tar ends with its end mark.

    `tarfile` takes a tar cut off between two members for a whole one.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        self.last = self.stream.read(size)
        return self.last

    def seek(self, position: int, whence: int = 0) -> int:
        return self.stream.seek(position, whence)

    def tell(self) -> int:
        return self.stream.tell()


def _extract_tar(archive: Path, out: Path) -> None:
    with tarfile.open(archive) as outer:
        outer.fileobj.seek(0)
        stream = _LastRead(outer.fileobj)
        with tarfile.open(fileobj=stream, mode="r:") as bundle:  # type: ignore[call-overload]
            members = bundle.getmembers()
            if stream.last != bytes(tarfile.BLOCKSIZE):
                raise EOFError("the end mark is missing")
            while stream.read(1 << 20):
                pass  # to the end, where the decompressor compares its checksum
            for member in members:
                _check_member(archive, member)
            for member in members:
                _write_member(archive, bundle, member, out / _inside(archive, member.name))


def _check_member(archive: Path, member: tarfile.TarInfo) -> None:
    path = _inside(archive, member.name)
    if member.islnk():
        _inside(archive, member.linkname)
    elif member.issym():
        _inside(archive, member.linkname, path.parent)
    elif not (member.isreg() or member.isdir()):
        raise _refused(archive, member.name, "a device or a pipe")


def _write_member(archive: Path, bundle: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    try:
        content = bundle.extractfile(member)  # follows a link to the member it names
    except (KeyError, RecursionError):
        content = None
    if content is None:
        raise _refused(archive, member.name, "a link to no file of the archive")
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, target.open("wb") as stream:
        shutil.copyfileobj(content, stream)


def _inside(archive: Path, name: str, base: PurePosixPath = ROOT) -> PurePosixPath:
    """The normal form of a member's path (or of a link's target, relative to `base`), if it stays inside."""
    if not name or name.startswith("/") or "\\" in name or "\0" in name or name[1:2] == ":":
        raise _refused(archive, name, "an absolute or malformed path")
    parts = list(base.parts)
    for part in PurePosixPath(name).parts:
        if part != "..":
            parts.append(part)
        elif base != ROOT and parts:
            parts.pop()  # a symlink may climb as long as it stays inside; a member's own path may not climb at all
        else:
            raise _refused(archive, name, "a path out of the archive")
    return PurePosixPath(*parts)


def _refused(archive: Path, member: str, what: str) -> SourceError:
    return SourceError(f"{archive}: refused member {member!r}, {what}; do not trust this archive, get it elsewhere")
