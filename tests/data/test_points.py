"""Point clouds: every point on its surface, evenly, and distributions that are what they say."""

import numpy as np
import pytest

from reprise.data import points
from reprise.data.arrays import open_prepared
from reprise.data.points import SHAPES, Options, cloud

N = 20_000


def drawn(name, n=N):
    return SHAPES[name](n, np.random.default_rng(0))


@pytest.mark.parametrize("name", SHAPES)
def test_clouds_are_centred_and_reach_the_ball(name):
    found = cloud(name, 500, np.random.default_rng(0))
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-12)
    assert np.linalg.norm(found, axis=1).max() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "zero"),
    [
        ("sphere", lambda x, y, z: x**2 + y**2 + z**2 - 1),
        ("ellipsoid", lambda x, y, z: x**2 + (y / 0.6) ** 2 + (z / 0.4) ** 2 - 1),
        ("cube", lambda x, y, z: np.maximum(np.maximum(abs(x), abs(y)), abs(z)) - 0.5),
        ("torus", lambda x, y, z: (np.hypot(x, y) - 1) ** 2 + z**2 - 0.35**2),
        ("planes", lambda x, y, z: x * y),
    ],
)
def test_points_lie_on_the_surface(name, zero):
    np.testing.assert_allclose(zero(*drawn(name).T), 0, atol=1e-9)


def test_areas_of_the_parts():
    """As many points as there is area: lids of the cylinder, faces of the cuboid, bases of cone and pyramid."""
    z = drawn("cylinder")[:, 2]
    assert np.mean(abs(z) == 0.6) == pytest.approx(2 * 0.25 / (2 * 0.25 + 2 * 0.5 * 1.2), abs=0.02)
    across = abs(drawn("cuboid") - np.array([0.5, 0, 0]))[:, 0] == 0
    area = 0.6 * 0.35 + 1.0 * 0.35 + 1.0 * 0.6
    assert np.mean(across) == pytest.approx(0.5 * 0.6 * 0.35 / area, abs=0.02)
    slant = np.hypot(0.6, 1.2)
    assert np.mean(drawn("cone")[:, 2] == 0) == pytest.approx(0.6 / (0.6 + slant), abs=0.02)
    assert np.mean(drawn("pyramid")[:, 2] == 0) == pytest.approx(1 / (1 + 2 * np.hypot(0.5, 1.0)), abs=0.02)


def test_the_ellipsoid_is_covered_evenly():
    """The zone |x| < 0.1 against the whole: areas from a fine mesh."""
    u, v = np.meshgrid(np.linspace(0, np.pi, 1001), np.linspace(0, 2 * np.pi, 1001), indexing="ij")
    p = np.stack([np.cos(u), 0.6 * np.sin(u) * np.cos(v), 0.4 * np.sin(u) * np.sin(v)], -1)
    patch = np.linalg.norm(np.cross(np.diff(p, axis=0)[:, :-1], np.diff(p, axis=1)[:-1]), axis=-1)
    zone = abs(p[:-1, :-1, 0]) < 0.1
    assert np.mean(abs(drawn("ellipsoid")[:, 0]) < 0.1) == pytest.approx(patch[zone].sum() / patch.sum(), abs=0.01)


def test_the_torus_is_covered_evenly():
    """Pappus: the outer half has (pi R + 2 r) / (2 pi R) of the area."""
    x, y, _ = drawn("torus").T
    assert np.mean(np.hypot(x, y) > 1) == pytest.approx((np.pi + 2 * 0.35) / (2 * np.pi), abs=0.015)


def test_prepared(tmp_path):
    points.prepare(tmp_path, tmp_path / "out", Options(n_train=40, n_test=20, points=64), seed=0)
    data = open_prepared(tmp_path / "out")
    assert data.arrays["x"].shape == (100, 64, 3)
    assert set(data.card["splits"]) == {"iid/train", "iid/test", "rotated/test", "outliers/test"}
    assert (np.bincount(data.arrays["labels"][data.rows("iid/train"), 0]) == 4).all()
    inside = np.linalg.norm(data.arrays["x"], axis=2) <= 1 + 1e-6
    assert inside[data.rows("iid/test")].all() and inside[data.rows("rotated/test")].all()
    assert not inside[data.rows("outliers/test")].all()
    cubes = data.arrays["labels"][:, 0] == list(SHAPES).index("cube")
    for split, upright in (("iid/test", True), ("rotated/test", False)):
        rows = data.rows(split)
        z = data.arrays["x"][rows][cubes[rows]][..., 2]
        ends = np.minimum(z.max(1, keepdims=True) - z, z - z.min(1, keepdims=True))
        assert ((ends < 0.02).mean() > 0.2) == upright  # a third of the points lie on the faces above and below
