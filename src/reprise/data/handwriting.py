"""Scikit-learn's handwritten digits at their own 8x8 pixels, and five shifts of the test digits.

    iid/train, iid/test   disjoint digits (Alpaydin and Kaynak 1998), stratified by class
    rotated/test          the test digits turned by 25 degrees, either way
    noisy/test            with Gaussian noise of standard deviation 0.25 of the brightest value, clipped
    shifted/test          moved by one pixel up, down, left or right
    inverted/test         dark on bright
    printed/test          printed digits instead, as many of each class: stands for another set of real digits

Images are bright on dark but for the inverted ones, and every digit fills its image.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float, Integer
from PIL import Image
from pydantic import Field, model_validator
from scipy import ndimage
from sklearn.model_selection import train_test_split

from reprise.data import arrays, glyphs
from reprise.data.digits import read
from reprise.data.sources import provenance
from reprise.params import Section
from reprise.seeding import derive

N, SIZE = 1797, 8  # digits there are, pixels
TURN, NOISE = 25.0, 0.25  # degrees, of the range of values
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))

Digits = Float[np.ndarray, "n 8 8"]  # in [0, 1]
Labels = Integer[np.ndarray, " n"]


class Options(Section):
    """`data.handwriting` in params.yaml."""

    n_train: Annotated[int, Field(ge=10, le=N)]
    n_test: Annotated[int, Field(ge=10, le=N, description="digits of each test distribution")]

    @model_validator(mode="after")
    def _enough(self) -> "Options":
        if self.n_train + self.n_test > N:
            raise ValueError(f"n_train {self.n_train} and n_test {self.n_test} are more than the {N} digits there are")
        return self


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/handwriting`: `x` (n, 1, 8, 8) uint8, values 0-16 spread to 0-255, and `labels` (n, 1)."""
    digits, labels = read(raw)
    train, test = train_test_split(
        np.arange(N),
        train_size=options.n_train,
        test_size=options.n_test,
        stratify=labels,
        random_state=derive(seed, "handwriting", "split") % 2**32,
    )
    sets = {"iid/train": (digits[train], labels[train]), "iid/test": (digits[test], labels[test])}
    for domain, shift in SHIFTS.items():
        random = np.random.default_rng(derive(seed, "handwriting", domain))
        sets[f"{domain}/test"] = shift(*sets["iid/test"], random)
    x = np.concatenate([images for images, _ in sets.values()])[:, None]
    arrays.write(
        out,
        name="handwriting",
        arrays={
            "x": np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8),
            "labels": np.concatenate([answers for _, answers in sets.values()]).astype(np.uint8)[:, None],
        },
        splits=arrays.ranges({split: len(answers) for split, (_, answers) in sets.items()}),
        label_names=["class"],
        classes=[str(k) for k in range(10)],
        domains=["iid", *SHIFTS],
        **provenance("handwriting", raw),
    )


def rotated(digits: Digits, labels: Labels, random: np.random.Generator) -> tuple[Digits, Labels]:
    """Each turned by 25 degrees, this or that way (bilinear, dark where it came from outside)."""
    ways = random.choice([-TURN, TURN], len(digits))
    turned = [ndimage.rotate(one, way, reshape=False, order=1) for one, way in zip(digits, ways, strict=True)]
    return np.stack(turned), labels


def noisy(digits: Digits, labels: Labels, random: np.random.Generator) -> tuple[Digits, Labels]:
    """With noise; writing clips it."""
    return digits + NOISE * random.standard_normal(digits.shape), labels


def shifted(digits: Digits, labels: Labels, random: np.random.Generator) -> tuple[Digits, Labels]:
    """Each moved by a pixel in one of four directions; what leaves the image is lost."""
    moves = random.integers(len(MOVES), size=len(digits))
    return np.stack([ndimage.shift(one, MOVES[k], order=0) for one, k in zip(digits, moves, strict=True)]), labels


def inverted(digits: Digits, labels: Labels, random: np.random.Generator) -> tuple[Digits, Labels]:
    """Dark on bright."""
    return 1 - digits, labels


def printed(digits: Digits, labels: Labels, random: np.random.Generator) -> tuple[Digits, Labels]:
    """As many printed digits, classes equally often (but for a remainder); like the others they fill the image."""
    drawn = random.permutation(np.arange(len(labels)) % 10)
    large = glyphs.render([str(label) for label in drawn], random, glyphs.CANVAS)
    return np.stack([_fitted(one) for one in large]), drawn


def _fitted(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "8 8"]:
    """The ink in the middle of the smallest square that holds it, down-sampled."""
    rows, columns = (np.flatnonzero((image > 0.5).any(axis)) for axis in (1, 0))
    middle = np.array([rows[0] + rows[-1] + 1, columns[0] + columns[-1] + 1]) / 2
    half = max(np.ptp(rows), np.ptp(columns)) / 2 + 0.5
    top, left, bottom, right = (*(middle - half), *(middle + half))
    box = (left, top, right, bottom)
    return np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BOX, box=box))


SHIFTS: dict[str, Callable[[Digits, Labels, np.random.Generator], tuple[Digits, Labels]]] = {
    "rotated": rotated,
    "noisy": noisy,
    "shifted": shifted,
    "inverted": inverted,
    "printed": printed,
}
