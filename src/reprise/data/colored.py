"""Digits with a planted cue: a colour that agrees with the label while training and contradicts it at test time.

The label is digit >= 5, flipped in a quarter of the images; the colour agrees with the (flipped) label except in a
share e of the images (Arjovsky et al. 2019). Domains e10, e50, e90 show handwritten digits with the split of
`reprise.data.digits`; font_e10, font_e20 (train) and font_e90 (test) printed ones, of which there are enough that a
network cannot learn the flipped labels by heart.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from reprise.data import glyphs
from reprise.data.digits import SIZE, Colour, Gray, base, ranges, write_classes
from reprise.params import Section
from reprise.seeding import derive

CUES = {"e10": 0.1, "e50": 0.5, "e90": 0.9}
FONT_CUES = {"font_e10": 0.1, "font_e20": 0.2, "font_e90": 0.9}
LABEL_NOISE = 0.25


class Options(Section):
    """`data.colored` in params.yaml."""

    n: Annotated[int, Field(ge=100, le=1797, description="handwritten digits per domain")]
    n_font: Annotated[int, Field(ge=5, description="printed digits per training environment")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/colored`: the planted cue on handwritten and on printed digits, labels 0 and 1."""
    strokes, digit, sizes = base(raw, options.n, seed)
    rng = np.random.default_rng(derive(seed, "colored"))
    noisy = (digit >= 5) ^ (rng.random(len(digit)) < LABEL_NOISE)  # one noise for all domains: the same task
    x: list[Colour] = []
    labels: list[np.ndarray] = []
    splits: dict[str, tuple[int, int]] = {}
    start = 0
    for domain, share in CUES.items():
        x.append(_planted(strokes, noisy, share, np.random.default_rng(derive(seed, "colored", domain))))
        labels.append(noisy)
        splits |= ranges(domain, sizes, start)
        start += len(digit)
    for domain, share in FONT_CUES.items():
        rng = np.random.default_rng(derive(seed, "colored", domain))
        sizes = {"test": options.n_font * 4 // 5}
        if domain != "font_e90":
            sizes = {"train": options.n_font, "val": options.n_font // 5}
        n = sum(sizes.values())
        printed = rng.integers(10, size=n)
        flipped = (printed >= 5) ^ (rng.random(n) < LABEL_NOISE)
        x.append(_planted(glyphs.render([str(k) for k in printed], rng, SIZE), flipped, share, rng))
        labels.append(flipped)
        splits |= ranges(domain, sizes, start)
        start += n
    names = ["digit below 5", "digit 5 or more"]
    write_classes(raw, out, "colored", x, np.concatenate(labels).astype(np.uint8), splits, names, (*CUES, *FONT_CUES))


def _planted(strokes: Gray, labels: np.ndarray, share: float, rng: np.random.Generator) -> Colour:
    """The stroke in red or green: the colour is the label, except in a random `share` of the images."""
    colour = (labels ^ (rng.random(len(labels)) < share)).astype(int)
    x = np.zeros((len(strokes), 3, *strokes.shape[1:]), np.float32)
    x[np.arange(len(strokes)), colour] = strokes
    return x
