"""ModelNet40 (Wu et al. 2015): 40 classes of solids, as points spread evenly over their surfaces.

Read from `ModelNet40.zip`: ModelNet40/CLASS/{train,test}/*.off, the official split. Triangles are drawn by their
area, points uniformly in them; every cloud is centred and fills the unit ball. Rows are in the order of
`reprise.data.splits.shuffled`, so a cap keeps its first ones. Points of a cloud are in no order.
"""

import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from reprise.data.arrays import DataError, Writer, ranges
from reprise.data.sources import provenance
from reprise.data.splits import shuffled
from reprise.params import Section
from reprise.progress import track
from reprise.seeding import derive

ARCHIVE, TOP = "ModelNet40.zip", "ModelNet40"

Vertices = Float[np.ndarray, "v 3"]
Triangles = Int[np.ndarray, "t 3"]


class Options(Section):
    """`data.modelnet40` in params.yaml."""

    points: Annotated[int, Field(ge=16, le=10_000, description="points of a cloud")]
    max_train: Annotated[int | None, Field(ge=1, description="training shapes; null keeps all")]
    max_eval: Annotated[int | None, Field(ge=1, description="test shapes; null keeps all")]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `x` (n, points, 3) float32 and `labels` (n, 1), splits `iid/train` and `iid/test`.

    A shape's points depend on the seed and on its name alone. Raises DataError naming the file that is missing,
    damaged, or no mesh.
    """
    archive = raw / ARCHIVE
    try:
        with zipfile.ZipFile(archive) as bundle:
            _write(raw, out, options, seed, archive, bundle)
    except FileNotFoundError:
        raise DataError(f"{archive} is missing: run `dvc repro -f -s download@modelnet40`") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as failure:
        raise DataError(f"{archive} is truncated or damaged ({failure}): delete it and get it again") from failure


def _write(raw: Path, out: Path, options: Options, seed: int, archive: Path, bundle: zipfile.ZipFile) -> None:
    meshes = sorted(name for name in bundle.namelist() if name.startswith(f"{TOP}/") and name.endswith(".off"))
    if any(len(name.split("/")) != 4 for name in meshes):
        raise DataError(f"{archive} is not laid out as {TOP}/CLASS/PART/*.off: get the official archive")
    classes = sorted({name.split("/")[1] for name in meshes})
    names, sizes = [], {}
    for part, cap in (("train", options.max_train), ("test", options.max_eval)):
        members = [name for name in meshes if name.split("/")[2] == part]
        if not members:
            raise DataError(f"{archive} has no {TOP}/CLASS/{part}/*.off: get the official archive")
        chosen = [members[k] for k in shuffled(len(members))[:cap]]
        names += chosen
        sizes[f"iid/{part}"] = len(chosen)
    with Writer(out, name="modelnet40") as writer:
        writer.create("labels", (len(names), 1), np.uint8)[:, 0] = [classes.index(name.split("/")[1]) for name in names]
        x = writer.create("x", (len(names), options.points, 3), np.float32)
        for row, name in enumerate(track(names, "modelnet40", len(names), "mesh")):
            try:
                vertices, triangles = read_off(bundle.read(name))
                random = np.random.default_rng(derive(seed, "modelnet40", name))
                x[row] = unit_ball(sampled(vertices, triangles, options.points, random))
            except ValueError as failure:
                raise DataError(
                    f"{archive}: {name} is damaged or no mesh ({failure}): get the official archive"
                ) from failure
        writer.finish(
            splits=ranges(sizes),
            label_names=["class"],
            classes=classes,
            domains=["iid"],
            **provenance("modelnet40", raw),
        )


def read_off(content: bytes) -> tuple[Vertices, Triangles]:
    """Vertices and triangles of an OFF file; a face of more corners is cut into triangles around its first one.

    Many files of ModelNet have no line break after `OFF`, so that it is glued to the counts. Raises ValueError for
    anything that is no such file.
    """
    if not content.startswith(b"OFF"):
        raise ValueError("it does not begin with OFF")
    numbers = _numbers(content[3:])
    if len(numbers) < 3:
        raise ValueError("it has no counts of vertices and faces")
    v, f = int(numbers[0]), int(numbers[1])
    vertices, faces = numbers[3 : 3 + 3 * v], numbers[3 + 3 * v :].astype(np.int64)
    if len(vertices) != 3 * v:
        raise ValueError(f"it ends before its {v} vertices do")
    triangles = faces.reshape(-1, 4)[:, 1:] if len(faces) == 4 * f and (faces[::4] == 3).all() else _cut(faces, f)
    if len(triangles) and not (triangles.min() >= 0 and triangles.max() < v):
        raise ValueError("a face has a corner that is no vertex")
    return vertices.reshape(v, 3), triangles


def _numbers(text: bytes) -> Float[np.ndarray, " n"]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how older versions of numpy say that they met a word
        try:
            return np.fromstring(text.decode("ascii"), sep=" ")
        except (DeprecationWarning, ValueError):
            raise ValueError("it holds something that is no number") from None


def _cut(faces: Int[np.ndarray, " n"], f: int) -> Triangles:
    """Triangles of f faces of any number of corners, each a count and its corners."""
    found, place = [], 0
    for _ in range(f):
        if place >= len(faces) or not 0 <= faces[place] < len(faces) - place:
            raise ValueError(f"its {f} faces are not whole")
        corners = faces[place + 1 : place + 1 + faces[place]]
        found += [(corners[0], corners[k], corners[k + 1]) for k in range(1, len(corners) - 1)]
        place += 1 + faces[place]
    if place != len(faces):
        raise ValueError(f"it goes on after its {f} faces")
    return np.array(found, np.int64).reshape(-1, 3)


def sampled(vertices: Vertices, triangles: Triangles, n: int, random: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """n points, evenly over the surface. Raises ValueError for a surface without area."""
    a, b, c = vertices[triangles].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    if not 0 < area.sum() < np.inf:
        raise ValueError("its surface has no area")
    chosen = random.choice(len(triangles), n, p=area / area.sum())
    share, along = np.sqrt(random.random((n, 1))), random.random((n, 1))  # rows farther from a are longer
    return (1 - share) * a[chosen] + share * ((1 - along) * b[chosen] + along * c[chosen])


def unit_ball(cloud: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Its mean in the origin and the farthest point at distance 1."""
    centred = cloud - cloud.mean(0)
    return centred / np.linalg.norm(centred, axis=1).max()
