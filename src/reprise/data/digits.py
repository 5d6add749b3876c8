"""The assay's laptop data: scikit-learn's real handwritten digits re-rendered in six domains, and printed letters.

`digits`: 1,797 digits of 8x8 pixels (Alpaydin and Kaynak 1998), each shown in every domain as 3x16x16:

    pen      bicubic up-sampling, white on black
    font     the same label as a printed character
    texture  |random coloured texture - stroke|
    color    random colours of stroke and ground, at least 0.3 apart in luminance
    outline  1 - morphological gradient of the stroke
    rotated  turned by 30 to 60 degrees

All domains share one split of the underlying digits (60/10/30 %, by class), so no image leaks from one domain into
another. `letters` (26 classes, printed) is the upstream task on which networks are pretrained.

Splits are named `<domain>/<split>`; labels are the class.
"""

import gzip
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float
from PIL import Image
from pydantic import Field
from scipy import ndimage

from reprise.data import arrays, glyphs
from reprise.data.archives import DAMAGED
from reprise.data.arrays import DataError
from reprise.data.sources import provenance
from reprise.params import Section
from reprise.seeding import derive

DOMAINS = ("pen", "font", "texture", "color", "outline", "rotated")
SIZE = 16
SHARES = {"train": 0.6, "val": 0.1, "test": 0.3}  # more test images than the paper's 10 %, since there are few
TEXTURED, INVERTED = 0.15, 0.3  # shares of the letters
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)

Gray = Float[np.ndarray, "n h w"]
Colour = Float[np.ndarray, "n 3 h w"]


class Options(Section):
    """`data.digits` and `data.letters` in params.yaml."""

    n: Annotated[int, Field(ge=100, le=20_000, description="images (per domain); handwritten digits: at most 1797")]


def digits(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/digits`: `x` (6 n, 3, 16, 16) uint8 and `labels` (6 n, 1) uint8, domain by domain."""
    strokes, labels, sizes = base(raw, options.n, seed)
    x: list[Colour] = []
    splits: dict[str, tuple[int, int]] = {}
    for k, domain in enumerate(DOMAINS):
        rng = np.random.default_rng(derive(seed, "digits", domain))
        x.append(RENDER[domain](strokes, labels, rng))
        splits |= ranges(domain, sizes, k * len(labels))
    write_classes(raw, out, "digits", x, np.tile(labels, len(DOMAINS)), splits, [str(k) for k in range(10)], DOMAINS)


def letters(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/letters`: n printed letters of both cases, coloured on black or on colour, or as textures.

    Light on dark prevails: if dark on light were as common, every network would begin with what strong augmentation is
    there to teach.
    """
    rng = np.random.default_rng(derive(seed, "letters"))
    drawn = rng.integers(len(glyphs.LETTERS), size=options.n)
    strokes = glyphs.render([glyphs.LETTERS[k] for k in drawn], rng, SIZE)
    textured = rng.random(options.n) < TEXTURED
    on_black = strokes[:, None] * rng.uniform(0.3, 1.0, (options.n, 3, 1, 1)).astype(np.float32)
    x = np.where((rng.random(options.n) < 0.5)[:, None, None, None], on_black, _color(strokes, rng))
    x = np.where(textured[:, None, None, None], _texture(strokes, rng), x)
    inverted = rng.random(options.n) < INVERTED
    x[inverted] = 1 - x[inverted]
    n_train = round(0.8 * options.n)
    splits = {"letters/train": (0, n_train), "letters/test": (n_train, options.n)}
    classes = list(glyphs.LETTERS[:26])
    write_classes(raw, out, "letters", [x], (drawn % 26).astype(np.uint8), splits, classes, ("letters",))


def write_classes(
    raw: Path,
    out: Path,
    name: str,
    x: list[Colour],
    labels: np.ndarray,
    splits: dict[str, tuple[int, int]],
    classes: list[str],
    domains: tuple[str, ...],
) -> None:
    pixels = np.rint(np.clip(np.concatenate(x), 0.0, 1.0) * 255.0).astype(np.uint8)
    arrays.write(
        out,
        name=name,
        arrays={"x": pixels, "labels": labels.astype(np.uint8)[:, None]},
        splits=splits,
        label_names=["class"],
        classes=classes,
        domains=list(domains),
        **provenance(name, raw),
    )


def read(raw: Path) -> tuple[Float[np.ndarray, "1797 8 8"], np.ndarray]:
    """Images in [0, 1], in steps of a sixteenth, and labels (1797,). Raises DataError for a missing or damaged file."""
    file = raw / "digits.csv.gz"
    try:
        with gzip.open(file) as stream:
            table = np.loadtxt(stream, delimiter=",")
    except (*DAMAGED, OSError, ValueError) as failure:
        raise DataError(
            f"{file} is missing or damaged ({failure}): run `dvc repro -f -s download@{raw.name}`"
        ) from None
    if table.shape != (1797, 65):
        raise DataError(f"{file} holds {table.shape}, expected (1797, 65): run `dvc repro -f -s download@{raw.name}`")
    return (table[:, :-1].reshape(-1, 8, 8) / 16.0).astype(np.float32), table[:, -1].astype(np.uint8)


def base(raw: Path, n: int, seed: int) -> tuple[Gray, np.ndarray, dict[str, int]]:
    """Strokes (n, 16, 16) in [0, 1], labels (n,) and the size of each split; rows are train, then val, then test."""
    small, labels = read(raw)
    rng = np.random.default_rng(derive(seed, "digits", "split"))
    parts: dict[str, list[np.ndarray]] = {split: [] for split in SHARES}
    for label in range(10):
        members = rng.permutation(np.flatnonzero(labels == label))[: max(3, round(n * np.mean(labels == label)))]
        ends = np.rint(np.cumsum(list(SHARES.values()))[:-1] * len(members)).astype(int)
        for split, rows in zip(SHARES, np.split(members, ends), strict=True):
            parts[split].append(rows)
    order = [rng.permutation(np.concatenate(rows)) for rows in parts.values()]
    rows = np.concatenate(order)
    strokes = np.stack([_resized(image) for image in small[rows]])
    return strokes, labels[rows], {split: len(part) for split, part in zip(SHARES, order, strict=True)}


def _resized(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "16 16"]:
    return np.clip(np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BICUBIC)), 0.0, 1.0)


def ranges(domain: str, sizes: dict[str, int], start: int) -> dict[str, tuple[int, int]]:
    found = {}
    for split, n in sizes.items():
        found[f"{domain}/{split}"] = (start, start + n)
        start += n
    return found


def _white(strokes: Gray) -> Colour:
    return np.repeat(strokes[:, None], 3, axis=1)


def _color(strokes: Gray, rng: np.random.Generator) -> Colour:
    """Stroke and ground in random colours whose luminances differ by at least 0.3."""
    n = len(strokes)
    colours = rng.random((n, 2, 3), np.float32)  # ground, stroke
    while len(close := np.flatnonzero(np.abs((colours[:, 1] - colours[:, 0]) @ LUMINANCE) < 0.3)):
        colours[close] = rng.random((len(close), 2, 3), np.float32)
    ground, ink = colours[:, 0, :, None, None], colours[:, 1, :, None, None]
    return ground + (ink - ground) * strokes[:, None]


def _texture(strokes: Gray, rng: np.random.Generator) -> Colour:
    """|texture - stroke|, the texture smooth noise of 4x4 random colours."""
    coarse = rng.random((len(strokes), 3, 4, 4), np.float32)
    # Cubic interpolation is linear in the data: find its matrix once, then two products per image.
    across = ndimage.zoom(np.eye(4, dtype=np.float32), (SIZE / 4, 1), order=3, mode="nearest", grid_mode=True)
    return np.abs(np.clip(across @ coarse @ across.T, 0.0, 1.0) - strokes[:, None])


def _outline(strokes: Gray) -> Colour:
    return _white(1.0 - ndimage.morphological_gradient(strokes, size=(1, 3, 3)))


def _rotated(strokes: Gray, rng: np.random.Generator) -> Colour:
    turned = [
        np.asarray(Image.fromarray(stroke).rotate(angle, Image.Resampling.BICUBIC))
        for stroke, angle in zip(strokes, rng.uniform(30, 60, len(strokes)), strict=True)
    ]
    return _white(np.stack(turned))


def _printed(labels: np.ndarray, rng: np.random.Generator) -> Colour:
    return _white(glyphs.render([str(label) for label in labels], rng, SIZE))


RENDER = {
    "pen": lambda strokes, labels, rng: _white(strokes),
    "font": lambda strokes, labels, rng: _printed(labels, rng),
    "texture": lambda strokes, labels, rng: _texture(strokes, rng),
    "color": lambda strokes, labels, rng: _color(strokes, rng),
    "outline": lambda strokes, labels, rng: _outline(strokes),
    "rotated": lambda strokes, labels, rng: _rotated(strokes, rng),
}
