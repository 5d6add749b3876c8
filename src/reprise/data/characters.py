"""Printed characters in few fonts, new renditions of them in others, and Greek letters to learn from few examples.

    iid/train, iid/test   44 Latin letters and digits in DejaVu Sans and Sans Mono
    renditions/test       the same characters in fonts with serifs, never seen: what ImageNet-R is to ImageNet
    greek/few             23 Greek letters without a Latin twin among the 44, in the fonts of training

Images are 16x16, bright on dark; size, place, turn and shear vary.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from pydantic import Field

from reprise.data import arrays, glyphs
from reprise.data.sources import provenance
from reprise.params import Section
from reprise.seeding import derive

CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ" + "abdefghnqrty" + "23456789"
GREEK = "ΓΔΘΛΞΠΣΦΨΩ" + "βδεζθλμξπσφψω"
PLAIN = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSansMono-Bold")
SERIFS = ("DejaVuSerif", "DejaVuSerif-Bold", "STIXGeneral", "STIXGeneralBol")
CANVAS, SIZE = 64, 16
POINTS = (34, 48)  # from, to
SHIFT, TURN, SHEAR = 4.0, 12.0, 0.15  # pixels of the canvas, degrees, pixels a pixel: at most, both ways


class Options(Section):
    """`data.characters` in params.yaml."""

    train: Annotated[int, Field(ge=2, le=10_000, description="images of each of the 44 characters")]
    test: Annotated[int, Field(ge=2, le=10_000, description="the same, of each test set")]
    few: Annotated[int, Field(ge=2, le=10_000, description="images of each Greek letter")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/characters`: `x` (n, 1, 16, 16) uint8 and `labels` (n, 1); Greek letters are 44 and up."""
    parts, labels, splits, start = [], [], {}, 0
    for split, alphabet, fonts, each, first in (
        ("iid/train", CHARACTERS, PLAIN, options.train, 0),
        ("iid/test", CHARACTERS, PLAIN, options.test, 0),
        ("renditions/test", CHARACTERS, SERIFS, options.test, 0),
        ("greek/few", GREEK, PLAIN, options.few, len(CHARACTERS)),
    ):
        random = np.random.default_rng(derive(seed, "characters", split))
        label = random.permutation(np.repeat(np.arange(len(alphabet)), each))
        parts.append(np.stack([draw(alphabet[k], fonts, random) for k in label]))
        labels.append(first + label)
        splits[split] = (start, start + len(label))
        start += len(label)
    arrays.write(
        out,
        name="characters",
        arrays={"x": np.concatenate(parts)[:, None], "labels": np.concatenate(labels).astype(np.uint8)[:, None]},
        splits=splits,
        label_names=["character"],
        classes=[*CHARACTERS, *GREEK],
        domains=["iid", "renditions", "greek"],
        **provenance("characters", raw),
    )


def draw(character: str, fonts: tuple[str, ...], random: np.random.Generator) -> UInt8[np.ndarray, "16 16"]:
    """One image in one of the fonts."""
    image = Image.new("L", (CANVAS, CANVAS))
    font = glyphs.font(fonts[random.integers(len(fonts))], int(random.integers(*POINTS)))
    place = CANVAS / 2 + random.uniform(-SHIFT, SHIFT, 2)
    ImageDraw.Draw(image).text((place[0], place[1]), character, fill=255, font=font, anchor="mm")
    angle, shear = np.deg2rad(random.uniform(-TURN, TURN)), random.uniform(-SHEAR, SHEAR)
    # from a pixel of the result to one of the drawing, about the middle
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ np.array([[1, shear], [0, 1]])
    shift = CANVAS / 2 - back @ np.full(2, CANVAS / 2)
    matrix = (*back[0], shift[0], *back[1], shift[1])
    bent = image.transform((CANVAS, CANVAS), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(bent.resize((SIZE, SIZE), Image.Resampling.BOX))
