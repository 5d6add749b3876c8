"""Point clouds of ten solids and curves: points spread evenly over a surface, centred, inside the unit ball.

Distributions that training does not see: `rotated` any way (training: about the upright axis alone), and `outliers`, a
quarter of the points anywhere in the cube around the ball. Points are in no order, so the first 48 of a cloud are a
third distribution, clouds with fewer of them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field
from scipy.spatial.transform import Rotation

from reprise.data import arrays
from reprise.data.sources import provenance
from reprise.params import Section
from reprise.seeding import derive

Cloud = Float[np.ndarray, "n 3"]
OUTLIERS = 0.25


class Options(Section):
    """`data.points` in params.yaml."""

    n_train: Annotated[int, Field(ge=10, le=1_000_000)]
    n_test: Annotated[int, Field(ge=10, le=1_000_000, description="clouds of each test distribution")]
    points: Annotated[int, Field(ge=16, le=10_000, description="points of a cloud")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/points`: `x` (n, points, 3) float32 and `labels` (n, 1), shapes equally often."""
    parts, labels, splits, start = [], [], {}, 0
    for split, count in (
        ("iid/train", options.n_train),
        ("iid/test", options.n_test),
        ("rotated/test", options.n_test),
        ("outliers/test", options.n_test),
    ):
        random = np.random.default_rng(derive(seed, "points", split))
        label = random.permutation(np.arange(count) % len(SHAPES))
        names = list(SHAPES)
        clouds = [cloud(names[k], options.points, random) for k in label]
        if split == "rotated/test":
            clouds = [Rotation.random(rng=random).apply(one) for one in clouds]
        else:
            turns = random.uniform(0, 2 * np.pi, count)
            clouds = [Rotation.from_euler("z", turn).apply(one) for turn, one in zip(turns, clouds, strict=True)]
        if split == "outliers/test":
            stray = round(OUTLIERS * options.points)
            for one in clouds:  # points are in no order, so the first ones are as good as any
                one[:stray] = random.uniform(-1, 1, (stray, 3))
        parts.append(np.stack(clouds).astype(np.float32))
        labels.append(label)
        splits[split] = (start, start + count)
        start += count
    arrays.write(
        out,
        name="points",
        arrays={"x": np.concatenate(parts), "labels": np.concatenate(labels).astype(np.uint8)[:, None]},
        splits=splits,
        label_names=["class"],
        classes=list(SHAPES),
        domains=["iid", "rotated", "outliers"],
        **provenance("points", raw),
    )


def cloud(name: str, n: int, random: np.random.Generator) -> Cloud:
    """n points of a shape, their mean in the origin and the farthest one at distance 1."""
    found = SHAPES[name](n, random)
    found = found - found.mean(0)
    return found / np.linalg.norm(found, axis=1).max()


def sphere(n: int, random: np.random.Generator) -> Cloud:
    """The unit sphere."""
    found = random.standard_normal((n, 3))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def ellipsoid(n: int, random: np.random.Generator) -> Cloud:
    """Axes 1, 0.6 and 0.4; a point of the sphere is kept in proportion to how much its surroundings are stretched."""
    axes = np.array([1.0, 0.6, 0.4])
    return _accepted(n, random, lambda m: sphere(m, random), lambda p: np.linalg.norm(p / axes, axis=1) * 0.4) * axes


def _accepted(
    n: int,
    random: np.random.Generator,
    draw: Callable[[int], np.ndarray],
    share: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """n draws, each kept with probability `share`, at most 1."""
    found = np.empty((0, *draw(1).shape[1:]))
    while len(found) < n:
        more = draw(2 * n)
        found = np.concatenate([found, more[random.random(len(more)) < share(more)]])
    return found[:n]


def box(n: int, random: np.random.Generator, sides: tuple[float, float, float]) -> Cloud:
    """The faces of a box, each by its area."""
    side = np.array(sides)
    area = np.prod(side) / side  # of the face across each axis
    across = random.choice(3, n, p=area / area.sum())
    found = random.uniform(-0.5, 0.5, (n, 3)) * side
    found[np.arange(n), across] = random.choice([-0.5, 0.5], n) * side[across]
    return found


def cylinder(n: int, random: np.random.Generator) -> Cloud:
    """Radius 0.5, height 1.2, with both lids."""
    radius, height = 0.5, 1.2
    wall, lid = 2 * np.pi * radius * height, np.pi * radius**2
    part = random.choice(3, n, p=np.array([wall, lid, lid]) / (wall + 2 * lid))
    angle = random.uniform(0, 2 * np.pi, n)
    r = np.where(part == 0, radius, radius * np.sqrt(random.random(n)))
    z = np.where(part == 0, random.uniform(-height / 2, height / 2, n), np.where(part == 1, -height / 2, height / 2))
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], 1)


def cone(n: int, random: np.random.Generator) -> Cloud:
    """Radius 0.6, height 1.2, with its base."""
    radius, height = 0.6, 1.2
    wall, base = np.pi * radius * np.hypot(radius, height), np.pi * radius**2
    share = np.sqrt(random.random(n))  # of the radius: rings farther out are longer
    z = np.where(random.random(n) < wall / (wall + base), height * (1 - share), 0.0)
    angle = random.uniform(0, 2 * np.pi, n)
    return np.stack([radius * share * np.cos(angle), radius * share * np.sin(angle), z], 1)


def pyramid(n: int, random: np.random.Generator) -> Cloud:
    """Square base of side 1, height 1, with its base."""
    base, wall = 1.0, 4 * 0.5 * np.hypot(0.5, 1.0)
    share = np.sqrt(random.random(n))  # of the way from the top to the edge of the base
    along = random.uniform(-0.5, 0.5, n) * share
    side = random.integers(4, size=n)
    out = 0.5 * share
    x = np.choose(side, [out, -out, along, along])
    y = np.choose(side, [along, along, out, -out])
    walls = np.stack([x, y, 1 - share], 1)
    floor = np.concatenate([random.uniform(-0.5, 0.5, (n, 2)), np.zeros((n, 1))], 1)
    return np.where((random.random(n) < wall / (wall + base))[:, None], walls, floor)


def torus(n: int, random: np.random.Generator) -> Cloud:
    """Radii 1 and 0.35; a point is kept in proportion to its distance from the axis."""
    small = 0.35
    angles = _accepted(
        n,
        random,
        lambda m: random.uniform(0, 2 * np.pi, (m, 2)),
        lambda uv: (1 + small * np.cos(uv[:, 1])) / (1 + small),
    )
    u, v = angles.T
    r = 1 + small * np.cos(v)
    return np.stack([r * np.cos(u), r * np.sin(u), small * np.sin(v)], 1)


def helix(n: int, random: np.random.Generator) -> Cloud:
    """A thin tube, radius 0.08, around two turns of radius 0.5 that rise 0.6 each."""
    turn, around = random.uniform(-2 * np.pi, 2 * np.pi, n), random.uniform(0, 2 * np.pi, (n, 1))
    pitch = 0.6 / (2 * np.pi)
    middle = np.stack([0.5 * np.cos(turn), 0.5 * np.sin(turn), pitch * turn], 1)
    normal = np.stack([np.cos(turn), np.sin(turn), np.zeros(n)], 1)
    third = np.stack([pitch * np.sin(turn), -pitch * np.cos(turn), np.full(n, 0.5)], 1) / np.hypot(0.5, pitch)
    return middle + 0.08 * (np.cos(around) * normal + np.sin(around) * third)


def planes(n: int, random: np.random.Generator) -> Cloud:
    """Two upright squares that cross."""
    flat, height = random.uniform(-0.7, 0.7, (2, n))
    first = random.random(n) < 0.5
    return np.stack([np.where(first, flat, 0.0), np.where(first, 0.0, flat), height], 1)


SHAPES: dict[str, Callable[[int, np.random.Generator], Cloud]] = {
    "sphere": sphere,
    "ellipsoid": ellipsoid,
    "cube": lambda n, random: box(n, random, (1.0, 1.0, 1.0)),
    "cuboid": lambda n, random: box(n, random, (1.0, 0.6, 0.35)),
    "cylinder": cylinder,
    "cone": cone,
    "pyramid": pyramid,
    "torus": torus,
    "helix": helix,
    "planes": planes,
}
