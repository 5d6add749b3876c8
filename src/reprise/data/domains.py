"""The assay paper's domain sets (its six DomainBed tasks), and the ImageNet validation images for upstream accuracy.

PACS, VLCS, Office-Home, SVIRO and DomainNet are folders DOMAIN/CLASS/; Terra Incognita is one folder of images with
COCO-style annotations. All are read in their authors' layout, from the zip or its unpacked folder, and divided by the
rule of `reprise.data.splits`. DomainNet leaves out DomainBed's list of duplicates, as DomainBed and the paper do.

Prepared: `x` uint8 (n, 3, s, s), `labels` uint8 or uint16 (n, 1), splits `DOMAIN/train`, `DOMAIN/val`, `DOMAIN/test`,
and in the card `classes` (of all domains in use, by name; label = index), `domains`, `missing_classes` (by domain,
those without an image in it) and `skipped` (images that could not be decoded, left out as in the release). The paper
crops from the whole image in training; here the central square is stored once, shorter side at `image_size`.
"""

import json
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
from pydantic import Field

from reprise.data.archives import DAMAGED
from reprise.data.arrays import DataError, Writer
from reprise.data.images import Images, fill
from reprise.data.sources import located, provenance
from reprise.data.splits import halves, shuffled, split, split_sizes
from reprise.params import Section

EXTENSIONS = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}  # torchvision's ImageFolder
SKIPPED_SHARE = 0.01  # of unreadable images that is still taken for the release's own few
CARS = ("aclass", "escape", "hilux", "i3", "lexus", "tesla", "tiguan", "tucson", "x5", "zoe")
# fmt: off
ANIMALS = ("bird", "bobcat", "cat", "coyote", "dog", "empty", "opossum", "rabbit", "raccoon", "squirrel")
# fmt: on
LOCATIONS = ("38", "43", "46", "100")
DRAWINGS = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")


class Options(Section):
    """`data.pacs` and the other domain sets in params.yaml."""

    image_size: Annotated[int, Field(ge=16, le=512, description="side of the square images, pixels")]
    domains: Annotated[list[str], Field(min_length=1, description="domains in use, in this order")]
    per_domain: Annotated[int | None, Field(ge=1, description="images per domain after the shuffle; null keeps all")]


@dataclass(frozen=True)
class Domain:
    """The images of one domain: (class, path) in the order of ImageFolder, and where to read them."""

    images: Images
    items: list[tuple[str, str]]


def pacs(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """PACS: kfold/DOMAIN/CLASS/."""
    names = ("art_painting", "cartoon", "photo", "sketch")
    _prepare("pacs", raw, out, options, 7, {name: _folders("PACS.zip", f"kfold/{name}") for name in names})


def vlcs(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """VLCS: VLCS/DOMAIN/CLASS/."""
    names = ("Caltech101", "LabelMe", "SUN09", "VOC2007")
    _prepare("vlcs", raw, out, options, 5, {name: _folders("VLCS.zip", f"VLCS/{name}") for name in names})


def office_home(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Office-Home: OfficeHomeDataset_10072016/DOMAIN/CLASS/; the archive's "Real World" is called Real_World."""
    top = "OfficeHomeDataset_10072016"
    names = ("Art", "Clipart", "Product", "Real World")
    readers = {name.replace(" ", "_"): _folders(f"{top}.zip", f"{top}/{name}") for name in names}
    _prepare("office_home", raw, out, options, 65, readers)


def sviro(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """SVIRO as DomainBed uses it: SVIRO_DOMAINBED/CAR/CLASS/."""
    archive = "sviro_grayscale_rectangle_classification.zip"
    _prepare("sviro", raw, out, options, 7, {car: _folders(archive, f"SVIRO_DOMAINBED/{car}") for car in CARS})


def domain_net(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """DomainNet: DOMAIN/CLASS/ in an archive per domain, less the images of domain_net_duplicates.txt."""
    path = located(raw) / "domain_net_duplicates.txt"
    try:
        duplicates = frozenset(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        raise DataError(f"{path} is missing: put it there and run `dvc repro -f -s download@domain_net`") from None
    readers = {name: _folders(f"{name}.zip", name, duplicates) for name in DRAWINGS}
    _prepare("domain_net", raw, out, options, 345, readers)


def terra_incognita(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Terra Incognita: the images of four locations that show one of DomainBed's ten categories."""
    folder = located(raw)
    items = _camera_traps(folder / "eccv_18_annotations.tar.gz")

    def reader(location: str) -> Callable[[Path], Domain]:
        paths = [(category, f"eccv_18_all_images_sm/{file}") for category, file in sorted(items[location])]
        return lambda folder: Domain(Images(folder, "eccv_18_all_images_sm.zip"), paths)

    _prepare("terra_incognita", raw, out, options, 10, {f"location_{place}": reader(place) for place in LOCATIONS})


def imagenet(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """ImageNet-1k validation images, val/WNID/, in stratified halves `val` and `test`; label = index of the WNID."""
    readers = {"imagenet": _folders("val.zip", "val")}
    _prepare("imagenet", raw, out, options, 1000, readers, parts=("test", "val"), sizes=halves)


def _folders(archive: str, top: str, without: frozenset[str] = frozenset()) -> Callable[[Path], Domain]:
    """A reader of top/CLASS/ in `archive`, sorted by class and name; `without` are paths to leave out."""

    def read(folder: Path) -> Domain:
        images = Images(folder, archive)
        items = []
        for path in images.under(top):
            parts = PurePosixPath(path).relative_to(top).parts
            if len(parts) > 1 and PurePosixPath(path).suffix.lower() in EXTENSIONS and path not in without:
                items.append((parts[0], path))
        return Domain(images, sorted(items))

    return read


def _camera_traps(path: Path) -> Mapping[str, set[tuple[str, str]]]:
    """(category, file) of the images at each location in use, from all annotation files together.

    An image with two categories is in both, one listed twice is there once: so do DomainBed's copies behave.
    """
    parts: dict[str, list[dict]] = {"categories": [], "images": [], "annotations": []}
    try:
        with tarfile.open(path) as bundle:
            for member in bundle:
                if member.isfile() and member.name.endswith(".json"):
                    content = json.load(bundle.extractfile(member))  # type: ignore[arg-type]  # a file has content
                    for key, values in parts.items():
                        values += content[key]
        categories = {entry["id"]: entry["name"] for entry in parts["categories"]}
        images = {entry["id"]: (str(entry["location"]), entry["file_name"]) for entry in parts["images"]}
        items: dict[str, set[tuple[str, str]]] = {location: set() for location in LOCATIONS}
        for annotation in parts["annotations"]:
            location, file = images.get(annotation["image_id"], ("", ""))  # some have no image
            category = categories[annotation["category_id"]]
            if location in items and category in ANIMALS:
                items[location].add((category, file))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: put it there and run `dvc repro -f -s download@terra_incognita`") from None
    except (*DAMAGED, OSError, ValueError, KeyError) as failure:
        raise DataError(f"{path} is damaged or not the official file ({failure!r}): get it again") from failure
    return items


class _Unreadable(DataError):
    """Some images could not be decoded."""

    def __init__(self, message: str, names: frozenset[str]) -> None:
        super().__init__(message)
        self.names = names


def _prepare(
    name: str,
    raw: Path,
    out: Path,
    options: Options,
    n_classes: int,
    readers: Mapping[str, Callable[[Path], Domain]],
    *,
    parts: tuple[str, ...] = ("train", "test", "val"),
    sizes: Callable[[int], tuple[int, ...]] = split_sizes,
) -> None:
    """Read the domains in use, write them, and once more without what could not be decoded.

    Raises DataError for an unknown domain, a wrong number of classes, an empty split, or more than 1 % unreadable.
    """
    if unknown := set(options.domains) - readers.keys():
        known = ", ".join(readers)
        raise DataError(f"data.{name}.domains: no domain {', '.join(sorted(unknown))}; known: {known}")
    folder = located(raw)
    domains = {domain: readers[domain](folder) for domain in options.domains}
    classes = sorted({label for domain in domains.values() for label, _ in domain.items})
    if len(classes) != n_classes:
        raise DataError(f"{folder}: {name} has {len(classes)} classes, expected {n_classes}: unpack or get it again")
    arguments = (name, raw, out, options, classes, domains, parts, sizes)
    try:
        _write(*arguments, frozenset())
    except _Unreadable as failure:
        _write(*arguments, failure.names)


def _write(
    name: str,
    raw: Path,
    out: Path,
    options: Options,
    classes: list[str],
    domains: Mapping[str, Domain],
    parts: tuple[str, ...],
    sizes: Callable[[int], tuple[int, ...]],
    skipped: frozenset[str],
) -> None:
    """Write all rows but those of `skipped`. Raises _Unreadable, with their names, for others that do not decode."""
    index = {label: number for number, label in enumerate(classes)}
    splits: dict[str, tuple[int, int]] = {}
    rows: dict[str, list[tuple[str, str]]] = {}
    n = 0
    for domain, content in domains.items():
        items = [content.items[i] for i in shuffled(len(content.items))[: options.per_domain]]
        labels = np.array([index[label] for label, _ in items])
        readable = np.array([path not in skipped for _, path in items])
        positions = dict(zip(parts, split(labels, sizes, readable), strict=True))
        rows[domain] = []
        for part in sorted(parts, key=("train", "val", "test").index):
            if not len(positions[part]):
                raise DataError(
                    f"{name}: {domain}/{part} is empty: raise data.{name}.per_domain or get the images again"
                )
            splits[f"{domain}/{part}"] = (n, n + len(positions[part]))
            n += len(positions[part])
            rows[domain] += [items[position] for position in positions[part]]
    with Writer(out, name=name) as writer:
        labels = writer.create("labels", (n, 1), np.uint8 if len(classes) <= 256 else np.uint16)
        labels[:, 0] = [index[label] for chosen in rows.values() for label, _ in chosen]
        x = writer.create("x", (n, 3, options.image_size, options.image_size), np.uint8)
        corrupt: set[str] = set()
        start = 0
        for domain, chosen in rows.items():
            fill(x[start : start + len(chosen)], domains[domain].images, [path for _, path in chosen], corrupt)
            start += len(chosen)
        if corrupt:
            _refuse(raw, corrupt, n)
        writer.finish(
            splits=splits,
            label_names=("class",),
            classes=classes,
            domains=list(domains),
            missing_classes={domain: sorted(set(classes) - {c for c, _ in chosen}) for domain, chosen in rows.items()},
            skipped=sorted(skipped),
            **provenance(name, raw),
        )


def _refuse(raw: Path, corrupt: Iterable[str], n: int) -> None:
    names = sorted(corrupt)
    message = f"{raw}: {len(names)} of {n} images cannot be decoded, the first is {names[0]}: get the images again"
    if len(names) > SKIPPED_SHARE * n:
        raise DataError(message)
    raise _Unreadable(message, frozenset(names))
