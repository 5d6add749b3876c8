"""Fishbowl-lite: textured shapes that swim past each other, a laptop's stand-in for FISHBOWL (Yao et al. 2022).

Three to five objects cross a frame of 64 x 96 over a still background, each with a texture fixed to its body; a later
one swims in front of the earlier ones. Types are `fish` and `ray`; the `unseen` splits show `star`, `cross` and `ell`
behind a still textured bar that is in front of everything (owner 255). The flow is exact: where the body point under a
pixel is in the next frame and was in the previous one.

An object has a track if it is seen with at least 40 pixels in every frame and never touches the border; the track is
fit for occlusion (column 5) if in some frame but the first and the last the hidden share of its full mask lies between
0.1 and 0.7. A split is drawn until it has the number of fit tracks asked for; videos without a track are left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from pydantic import Field, PositiveInt

from reprise.data.sources import provenance
from reprise.data.videos import OTHER, Track, VideoWriter
from reprise.params import Section
from reprise.progress import track
from reprise.seeding import derive

HEIGHT, WIDTH = 64, 96
TEXTURE = 64  # side of a texture
REACH = 1.2  # no body extends farther from its centre, in body units
MIN_VISIBLE = 40  # pixels
OCCLUDED = (0.1, 0.7)  # hidden shares of a fit track

Coordinate = Float[np.ndarray, " m"]
Inside = Callable[[Coordinate, Coordinate], Bool[np.ndarray, " m"]]  # of body coordinates, u to the right and v down


class Options(Section):
    """`data.fishbowl_lite` in params.yaml; numbers of tracks with occlusion."""

    n_train: PositiveInt
    n_test: PositiveInt
    n_adapt: Annotated[PositiveInt, Field(description="unseen types to adapt to")]
    n_unseen: Annotated[PositiveInt, Field(description="unseen types to test on")]
    frames: Annotated[int, Field(ge=3, description="per video")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/fishbowl_lite` (format: `reprise.data.videos`).

    Splits `train` and `test`, and `unseen_adapt` and `unseen` of the other types. Scenes are drawn twice: to count, and
    to render.
    """
    wanted = {
        "train": options.n_train,
        "test": options.n_test,
        "unseen_adapt": options.n_adapt,
        "unseen": options.n_unseen,
    }
    found = [len(tracks) for split, n in wanted.items() for *_, tracks in scenes(seed, split, n, options.frames)]
    with VideoWriter(
        out,
        name="fishbowl_lite",
        frames=len(found) * options.frames,
        height=HEIGHT,
        width=WIDTH,
        videos=len(found),
        tracks=sum(found),
        track_frames=sum(found) * options.frames,
    ) as writer:
        for split, n in wanted.items():
            for rng, scene, tracks in track(
                scenes(seed, split, n, options.frames), f"fishbowl_lite: {split}", n, "video"
            ):
                writer.video(*render(rng, scene), tracks)
            writer.split(split)
        types = {split: list(UNSEEN if split.startswith("unseen") else SEEN) for split in wanted}
        writer.finish(flow_source="exact", types=types, **provenance("fishbowl_lite", raw))


# ---------------------------------------------------------------- types


def fish(rng: np.random.Generator) -> Inside:
    """An ellipse with a forked tail at its left end."""
    height, tail_length, tail_height = rng.uniform(0.38, 0.62), rng.uniform(0.25, 0.45), rng.uniform(0.28, 0.5)

    def inside(u: Coordinate, v: Coordinate) -> Bool[np.ndarray, " m"]:
        body = ((u - 0.12) / 0.72) ** 2 + (v / height) ** 2 <= 1
        along = (-0.45 - u) / (0.15 + tail_length)  # 0 inside the body, 1 at the tips
        side = np.abs(v) / tail_height
        return body | ((along >= 0) & (along <= 1) & (side <= along) & (side >= 1.5 * (along - 0.6)))

    return inside


def ray(rng: np.random.Generator) -> Inside:
    """Two broad wings."""
    third, phase = rng.uniform(0, 0.12), rng.uniform(0, 2 * np.pi)

    def radius(angle: Coordinate) -> Coordinate:
        return 0.62 + 0.30 * np.cos(2 * angle) + third * np.cos(3 * angle + phase)

    return lambda u, v: np.hypot(u, v / 0.85) <= radius(np.arctan2(v / 0.85, u))


def star(rng: np.random.Generator) -> Inside:
    """Four to six arms."""
    arms = int(rng.integers(4, 7))

    def radius(angle: Coordinate) -> Coordinate:
        wave = np.cos(arms * angle)
        return 0.62 + 0.32 * np.sign(wave) * np.abs(wave) ** 0.7

    return lambda u, v: np.hypot(u, v) <= radius(np.arctan2(v, u))


def cross(rng: np.random.Generator) -> Inside:
    """Two bars of equal width."""
    half = rng.uniform(0.22, 0.36)
    return lambda u, v: (np.minimum(np.abs(u), np.abs(v)) <= half) & (np.maximum(np.abs(u), np.abs(v)) <= 0.9)


def ell(rng: np.random.Generator) -> Inside:
    """A square of which three quarters or so are left, in the form of an L."""
    width = rng.uniform(0.5, 0.7)
    return lambda u, v: (np.maximum(np.abs(u), np.abs(v)) <= 0.75) & ((u <= width - 0.75) | (v >= 0.75 - width))


SEEN: dict[str, Callable[[np.random.Generator], Inside]] = {"fish": fish, "ray": ray}
UNSEEN: dict[str, Callable[[np.random.Generator], Inside]] = {"star": star, "cross": cross, "ell": ell}


# ---------------------------------------------------------------- scenes


@dataclass(frozen=True)
class Body:
    """The full mask of an object as a list of its pixels (frame, row, column), each with its u, v and flow."""

    pixels: tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"], Int[np.ndarray, " m"]]
    u: Coordinate
    v: Coordinate
    flow: Float[np.ndarray, "m 4"]


@dataclass(frozen=True)
class Scene:
    """Everything but colours: object k is `bodies[k - 1]`, `bar` the columns of the bar (none where start == stop)."""

    bodies: list[Body]
    bar: slice
    owner: UInt8[np.ndarray, "t h w"]


def scenes(seed: int, split: str, n: int, frames: int) -> Iterator[tuple[np.random.Generator, Scene, list[Track]]]:
    """Scenes with their tracks, n fit ones in all, and the generator to render each with."""
    number = 0
    while n:
        rng = np.random.default_rng(derive(seed, "fishbowl_lite", split, number))
        scene = draw_scene(rng, frames, unseen=split.startswith("unseen"))
        tracks = tracks_of(scene)
        while sum(track.occluded for track in tracks) > n:
            tracks.pop()
        if tracks:
            yield rng, scene, tracks
        n -= sum(track.occluded for track in tracks)
        number += 1


def draw_scene(rng: np.random.Generator, n: int, *, unseen: bool) -> Scene:
    """Draw n frames of 3 to 5 objects; `unseen` takes the other types and a bar in front of everything."""
    types = list((UNSEEN if unseen else SEEN).values())
    bodies = [draw_body(rng, n, types[rng.integers(len(types))](rng)) for _ in range(rng.integers(3, 6))]
    bar = slice(0, 0)
    if unseen:
        left = round(rng.uniform(0.3, 0.6) * WIDTH)
        bar = slice(left, left + int(rng.integers(8, 15)))
    owner = np.zeros((n, HEIGHT, WIDTH), np.uint8)
    for k, body in enumerate(bodies, 1):
        owner[body.pixels] = k
    owner[:, :, bar] = OTHER
    return Scene(bodies, bar, owner)


def draw_body(rng: np.random.Generator, n: int, inside: Inside) -> Body:
    """Draw size, mirroring, path and turn of an object, and find its pixels in n frames.

    It passes a point of the frame's middle (the central 40 % of each axis) at a time in the middle of the video, at 0.5
    to 3 px per frame, at most half a radian off the horizontal, and turns by at most 0.02 radian per frame.
    """
    size, mirror = rng.uniform(12, 19), rng.choice([-1.0, 1.0])
    middle = rng.uniform(0.3, 0.7, 2) * (WIDTH, HEIGHT)
    heading = rng.choice([0, np.pi]) + rng.uniform(-0.5, 0.5)
    velocity = rng.uniform(0.5, 3) * np.array([np.cos(heading), np.sin(heading)])
    moment = rng.uniform(0.2, 0.8) * n
    turned, turn = rng.uniform(-0.35, 0.35), rng.uniform(-0.02, 0.02)

    time = np.arange(n)[:, None]
    x0, y0 = (middle + velocity * (time - moment)).T
    across, down = np.arange(WIDTH) - x0[:, None], np.arange(HEIGHT) - y0[:, None]
    frame, row, column = np.nonzero(across[:, None] ** 2 + down[:, :, None] ** 2 < (REACH * size) ** 2)
    dx, dy = across[frame, column], down[frame, row]
    angle = turned + turn * np.arange(n)
    cos, sin = np.cos(angle)[frame], np.sin(angle)[frame]
    u, v = mirror * (cos * dx + sin * dy) / size, (cos * dy - sin * dx) / size
    covered = inside(u, v)
    pixels = (frame[covered], row[covered], column[covered])
    offset = np.column_stack([dx[covered], dy[covered]])
    flow = np.hstack([_displaced(offset, velocity, turn), _displaced(offset, -velocity, -turn)])
    flow[pixels[0] == n - 1, :2] = 0
    flow[pixels[0] == 0, 2:] = 0
    return Body(pixels, u[covered], v[covered], flow)


def _displaced(offset: Float[np.ndarray, "m 2"], velocity: np.ndarray, turn: float) -> Float[np.ndarray, "m 2"]:
    """How far points at `offset` from the centre of a body move while it moves by `velocity` and turns by `turn`."""
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return velocity + offset @ rotation - offset


def tracks_of(scene: Scene) -> list[Track]:
    """The tracks of a scene (see the module's rule), in the order of the objects."""
    n = len(scene.owner)
    tracks = []
    for k, body in enumerate(scene.bodies, 1):
        _, row, column = body.pixels
        visible = (scene.owner == k).sum(axis=(1, 2))
        if visible.min() < MIN_VISIBLE or _at_border(row, HEIGHT) or _at_border(column, WIDTH):
            continue
        amodal = np.zeros(scene.owner.shape, bool)
        amodal[body.pixels] = True
        hidden = 1 - visible / amodal.sum(axis=(1, 2))
        fit = (hidden > OCCLUDED[0]) & (hidden < OCCLUDED[1])
        tracks.append(Track(k, amodal, occluded=bool(fit[1 : n - 1].any())))
    return tracks


def _at_border(index: Int[np.ndarray, " m"], size: int) -> bool:
    return bool(index.min() == 0 or index.max() == size - 1)


# ---------------------------------------------------------------- pixels


def render(
    rng: np.random.Generator, scene: Scene
) -> tuple[UInt8[np.ndarray, "t 3 h w"], UInt8[np.ndarray, "t h w"], Float[np.ndarray, "t 4 h w"]]:
    """Frames, owner and flow of a scene."""
    n = len(scene.owner)
    frames = np.empty((n, HEIGHT, WIDTH, 3), np.uint8)
    frames[...] = noise(rng, HEIGHT, WIDTH, 0, 200)
    flow = np.zeros((n, HEIGHT, WIDTH, 4), np.float32)
    for body in scene.bodies:
        texture = noise(rng, TEXTURE, TEXTURE, 30, 255)
        row, column = (((part / REACH + 1) / 2 * TEXTURE).astype(int) for part in (body.v, body.u))
        frames[body.pixels] = texture[row, column]
        flow[body.pixels] = body.flow
    frames[:, :, scene.bar] = noise(rng, HEIGHT, WIDTH, 30, 255)[:, scene.bar]
    flow[:, :, scene.bar] = 0
    return frames.transpose(0, 3, 1, 2), scene.owner, flow.transpose(0, 3, 1, 2)


def noise(rng: np.random.Generator, height: int, width: int, low: int, high: int) -> UInt8[np.ndarray, "h w 3"]:
    """Smooth colours from low to high: uniform noise of an eighth of the size, enlarged by cubic interpolation."""
    coarse = rng.random((3, height // 8, width // 8), np.float32)
    smooth = _enlargement(height) @ coarse @ _enlargement(width).T
    return np.rint(low + (high - low) * np.clip(smooth, 0, 1)).astype(np.uint8).transpose(1, 2, 0)


def _enlargement(size: int) -> Float[np.ndarray, "size size/8"]:
    """Cubic interpolation to `size` as a matrix: it is linear in what it enlarges."""
    few = size // 8
    return np.asarray(Image.fromarray(np.eye(few, dtype=np.float32)).resize((few, size), Image.Resampling.BICUBIC))
