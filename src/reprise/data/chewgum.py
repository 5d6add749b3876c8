"""Chewing Gum: two flat polygons, one of which walks around the other (Yao et al. 2022, its generator's recipe).

Object 1 rests in the middle of a 50 x 56 canvas; object 2 walks along the perimeter of a square around it, 2 pixels per
frame, 32 frames per turn. One of the two, drawn first, is the lower one: only it is ever hidden, by the other and, in
`chewgum`, by a 9 x 9 square that sticks to it and moves with it (owner 255).

- `chewgum`: 7 to 11 of 44 points on a circle of radius 8, hence convex but for rounding. The square hides the same part
  in all frames, and two thirds of the hidden pixels are seen in none: it asks what such shapes look like.
- `chewgum_radial` (ours): no square, and spikes of random length, which cannot be guessed but are seen in other frames:
  it asks what was seen before and after.

Colours are flat; the flow is exact: the step of the surface seen at a pixel. The walk starts anywhere on the perimeter.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, ImageDraw
from pydantic import Field, PositiveInt

from reprise.data.sources import provenance
from reprise.data.videos import OTHER, Track, VideoWriter
from reprise.params import Section
from reprise.progress import track
from reprise.seeding import derive

HEIGHT, WIDTH = 50, 56
CENTRE = (28, 25)  # x, y
LOW, HIGH = (20, 17), (36, 33)  # corners of the walk
STEP = 2
PERIOD = 2 * (HIGH[0] - LOW[0] + HIGH[1] - LOW[1]) // STEP
RADIUS = 8
REACH = 9  # no shape extends farther from its centre, in x or in y

Points = list[tuple[int, int]]
Stamp = Bool[np.ndarray, "19 19"]  # a shape around its centre
Video = tuple[UInt8[np.ndarray, "t 3 h w"], UInt8[np.ndarray, "t h w"], Float[np.ndarray, "t 4 h w"], list[Track]]


class Options(Section):
    """`data.chewgum` and `data.chewgum_radial` in params.yaml."""

    n_train: Annotated[int, Field(ge=2, multiple_of=2, description="objects to train on, two per video")]
    n_test: Annotated[PositiveInt, Field(description="objects to test on, the lower one of each video")]
    frames: Annotated[int, Field(ge=3, description="per video")]


def chewgum(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/chewgum` (format: `reprise.data.videos`), splits `train` and `test`."""
    _prepare(raw, out, options, seed, "chewgum", inscribed, attached=True)


def chewgum_radial(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/chewgum_radial` (format: `reprise.data.videos`), splits `train` and `test`."""
    _prepare(raw, out, options, seed, "chewgum_radial", radial, attached=False)


def _prepare(
    raw: Path,
    out: Path,
    options: Options,
    seed: int,
    name: str,
    shape: Callable[[np.random.Generator], Points],
    *,
    attached: bool,
) -> None:
    videos = {"train": options.n_train // 2, "test": options.n_test}
    n_tracks = options.n_train + options.n_test
    with VideoWriter(
        out,
        name=name,
        frames=sum(videos.values()) * options.frames,
        height=HEIGHT,
        width=WIDTH,
        videos=sum(videos.values()),
        tracks=n_tracks,
        track_frames=n_tracks * options.frames,
    ) as writer:
        for split, n in videos.items():
            for k in track(range(n), f"{name}: {split}", n, "video"):
                rng = np.random.default_rng(derive(seed, name, split, k))
                frames, owner, flow, tracks = draw_video(rng, options.frames, shape, attached=attached)
                writer.video(frames, owner, flow, tracks if split == "train" else tracks[:1])
            writer.split(split)
        writer.finish(flow_source="exact", **provenance(name, raw))


def draw_video(
    rng: np.random.Generator, n: int, shape: Callable[[np.random.Generator], Points], *, attached: bool
) -> Video:
    """One video of n frames: frames, owner, flow and the two tracks, that of the lower object first."""
    background = rng.integers(128, size=3)
    colours = rng.integers(256, size=(3, 3))  # object 1, object 2, square
    stamps = [rasterised(shape(rng)) for _ in range(2)]
    corner = (int(rng.choice([LOW[0], HIGH[0]])), int(rng.choice([LOW[1], HIGH[1]])))
    phase = int(rng.integers(PERIOD))
    walk = np.array(perimeter(corner, phase + n)[phase:])
    centres = [np.broadcast_to(CENTRE, (n, 2)), walk]
    lower, upper = rng.permutation(2)
    masks = [_placed(stamp, where) for stamp, where in zip(stamps, centres, strict=True)]
    # What is painted, from the back to the front: mask, owner, colour, and centres that tell the motion.
    layers = [(masks[lower], lower + 1, colours[lower], centres[lower])]
    if attached:
        layers.append((_placed(square(rng), centres[lower]), OTHER, colours[2], centres[lower]))
    layers.append((masks[upper], upper + 1, colours[upper], centres[upper]))

    frames = np.empty((n, 3, HEIGHT, WIDTH), np.uint8)
    frames[...] = background[:, None, None]
    owner = np.zeros((n, HEIGHT, WIDTH), np.uint8)
    flow = np.zeros((n, 4, HEIGHT, WIDTH), np.float32)
    for mask, number, colour, where in layers:
        steps = np.zeros((n, 4), np.float32)
        steps[:-1, :2] = np.diff(where, axis=0)
        steps[1:, 2:] = -np.diff(where, axis=0)
        owner[mask] = number
        frames.transpose(0, 2, 3, 1)[mask] = colour
        flow.transpose(0, 2, 3, 1)[mask] = np.repeat(steps, mask.sum(axis=(1, 2)), axis=0)
    return frames, owner, flow, [Track(int(k) + 1, masks[k]) for k in (lower, upper)]


def pool() -> Points:
    """The 44 points of the circle of radius 8 that the generator draws from, by angle."""
    points = set()
    for u in range(-6, 7):
        v = math.isqrt(RADIUS**2 - u**2)
        points |= {(u, v), (u, -v)}
        if abs(u) <= 4:
            points |= {(v, u), (-v, u)}
    return sorted(points, key=lambda point: math.atan2(point[1], point[0]))


def inscribed(rng: np.random.Generator) -> Points:
    """A polygon of 7 to 11 points of the pool, in its order; convex up to their rounding."""
    points = pool()
    chosen = rng.choice(len(points), rng.integers(7, 12), replace=False)
    return [points[k] for k in sorted(chosen)]


def radial(rng: np.random.Generator) -> Points:
    """A star-like polygon: 9 to 14 corners at angles a third of their distance off, and radius U(3, 8.5)."""
    n = int(rng.integers(9, 15))
    angle = (np.arange(n) + rng.uniform(-0.35, 0.35, n)) * 2 * np.pi / n
    radius = rng.uniform(3, 8.5, n)
    corners = np.rint(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])).astype(int)
    return [(int(x), int(y)) for x, y in corners]


def rasterised(points: Points) -> Stamp:
    """A filled polygon, the pixels under its edges included, around the centre of a small canvas."""
    canvas = Image.new("1", (2 * REACH + 1, 2 * REACH + 1))
    corners = [(x + REACH, y + REACH) for x, y in points]
    pen = ImageDraw.Draw(canvas)
    pen.polygon(corners, fill=1)
    pen.line([*corners, corners[0]], fill=1)  # the polygon's own outline leaves out pixels
    return np.asarray(canvas)


def square(rng: np.random.Generator) -> Stamp:
    """The attached square: one quadrant of the box of radius 8, edges included."""
    stamp = np.zeros((2 * REACH + 1, 2 * REACH + 1), bool)
    x, y = RADIUS * rng.integers(2, size=2) + REACH - RADIUS
    stamp[y : y + RADIUS + 1, x : x + RADIUS + 1] = True
    return stamp


def perimeter(corner: tuple[int, int], n: int) -> list[tuple[int, int]]:
    """The first n centres (x, y) of the walk: it sets out to the left, and turns into the square where it would leave.

    So it goes against the clock from an upper corner and with it from a lower one.
    """

    def walk() -> Iterator[tuple[int, int]]:
        (x, y), dx, dy = corner, -STEP, 0
        for _ in range(n):
            yield x, y
            if not LOW[0] <= x + dx <= HIGH[0]:
                dx, dy = 0, STEP if y < CENTRE[1] else -STEP
            if not LOW[1] <= y + dy <= HIGH[1]:
                dx, dy = STEP if x < CENTRE[0] else -STEP, 0
            x, y = x + dx, y + dy

    return list(walk())


def _placed(stamp: Stamp, centres: Int[np.ndarray, "t 2"]) -> Bool[np.ndarray, "t h w"]:
    masks = np.zeros((len(centres), HEIGHT, WIDTH), bool)
    for mask, (x, y) in zip(masks, centres, strict=True):
        mask[y - REACH : y + REACH + 1, x - REACH : x + REACH + 1] = stamp
    return masks
