"""OFF files, sampling of surfaces, and ModelNet40's layout; five real meshes."""

import numpy as np
import pytest

from reprise.data.arrays import DataError, open_prepared
from reprise.data.modelnet import Options, prepare, read_off, sampled, unit_ball
from reprise.data.sources import fetch
from samples_circuits import modelnet40, write_zip

TETRAHEDRON = b"OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
CORNERS = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    "content",
    [
        TETRAHEDRON,
        TETRAHEDRON.replace(b"OFF\n", b"OFF"),  # the counts are glued to the header
        TETRAHEDRON.replace(b"\n", b"\r\n"),
        TETRAHEDRON.replace(b"0 0 0\n1", b"0.000 -0 0e3\n1").rstrip(),
    ],
)
def test_read_off(content):
    vertices, triangles = read_off(content)
    assert vertices.tolist() == CORNERS
    assert triangles.tolist() == [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]


def test_faces_of_more_corners():
    square = b"OFF\n5 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n0 0 1\n4 0 1 2 3\n3 0 1 4\n"
    assert read_off(square)[1].tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin with OFF"),
        (b"PLY\n4 4 0", "does not begin with OFF"),
        (b"OFF\n4 4", "no counts"),
        (b"OFF\n4 4 0\n0 0 0\n1 0", "ends before its 4 vertices"),
        (TETRAHEDRON[:-10], "its 4 faces are not whole"),
        (TETRAHEDRON + b"3 0 1 2\n", "goes on after its 4 faces"),
        (TETRAHEDRON.replace(b"3 1 2 3", b"3 1 2 4"), "a corner that is no vertex"),
        (TETRAHEDRON.replace(b"3 1 2 3", b"3 1 2 x"), "no number"),
        (TETRAHEDRON.replace(b"3 1 2 3", b"-3 1 2 3"), "its 4 faces are not whole"),
    ],
)
def test_what_is_no_mesh(content, message):
    with pytest.raises(ValueError, match=message):
        read_off(content)


def test_points_are_spread_by_area():
    """Of the tetrahedron: three right faces of area 1/2 and a slanted one of sqrt(3)/2; all points on it, evenly."""
    vertices, triangles = read_off(TETRAHEDRON)
    points = sampled(vertices, triangles, 40_000, np.random.default_rng(0))
    slanted = np.isclose(points.sum(1), 1)
    assert (slanted | np.isclose(points, 0).any(1)).all() and (points > -1e-12).all()
    assert slanted.mean() == pytest.approx(np.sqrt(3) / (3 + np.sqrt(3)), abs=0.01)
    np.testing.assert_allclose(points[slanted].mean(0), 1 / 3, atol=0.01)
    floor = points[~slanted & np.isclose(points[:, 2], 0)]
    assert (floor[:, :2].sum(1) < np.sqrt(0.5)).mean() == pytest.approx(
        0.5, abs=0.02
    )  # half of the area near the corner


def test_a_surface_without_area():
    vertices = np.zeros((3, 3))
    with pytest.raises(ValueError, match="no area"):
        sampled(vertices, np.array([[0, 1, 2]]), 10, np.random.default_rng(0))
    with pytest.raises(ValueError, match="no area"):
        sampled(vertices, np.empty((0, 3), np.int64), 10, np.random.default_rng(0))


def test_unit_ball():
    cloud = unit_ball(np.random.default_rng(0).normal(3, 2, (100, 3)))
    np.testing.assert_allclose(cloud.mean(0), 0, atol=1e-12)
    assert np.linalg.norm(cloud, axis=1).max() == pytest.approx(1)


def archive(tmp_path, **changes):
    files = {"ModelNet40/": b"", "ModelNet40/README.txt": b"read me"}
    for label in ("vase", "airplane"):
        for k in range(3):
            files[f"ModelNet40/{label}/{'test' if k > 1 else 'train'}/{label}_{k:04}.off"] = TETRAHEDRON
    return write_zip(tmp_path / "ModelNet40.zip", files | changes)


def run(raw, seed=0, points=64, max_train=None, max_eval=None):
    prepare(raw, raw / "out", Options(points=points, max_train=max_train, max_eval=max_eval), seed=seed)
    return open_prepared(raw / "out")


def test_official_layout(tmp_path):
    archive(tmp_path)
    data = run(tmp_path)
    assert data.card["classes"] == ["airplane", "vase"]
    assert data.card["splits"] == {"iid/train": [0, 4], "iid/test": [4, 6]}
    assert sorted(data.arrays["labels"][:4, 0]) == [0, 0, 1, 1]
    x = data.arrays["x"]
    assert (x.shape, x.dtype) == ((6, 64, 3), np.float32)
    np.testing.assert_allclose(np.linalg.norm(x, axis=2).max(1), 1, atol=1e-6)
    assert len(np.unique(x, axis=0)) == 6  # every shape has points of its own
    fewer = run(tmp_path, max_train=1, max_eval=1)
    np.testing.assert_array_equal(fewer.arrays["x"][0], x[0])
    assert run(tmp_path).digest == data.digest != run(tmp_path, seed=1).digest


def test_damaged(tmp_path):
    with pytest.raises(DataError, match=r"ModelNet40\.zip is missing"):
        run(tmp_path)
    path = archive(tmp_path, **{"ModelNet40/vase/test/vase_0002.off": TETRAHEDRON[:40]})
    with pytest.raises(DataError, match=r"vase_0002\.off is damaged or no mesh \(its 4 faces are not"):
        run(tmp_path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"ModelNet40\.zip is truncated or damaged"):
        run(tmp_path)
    write_zip(path, {"ModelNet40/vase/train/v.off": TETRAHEDRON})
    with pytest.raises(DataError, match=r"has no ModelNet40/CLASS/test"):
        run(tmp_path)
    write_zip(path, {"ModelNet40/vase/v.off": TETRAHEDRON})
    with pytest.raises(DataError, match="not laid out as"):
        run(tmp_path)
    assert not (tmp_path / "out").exists()


def test_real_meshes(shared_data, tmp_path, monkeypatch):
    """Bathtubs are longer than wide, and hollow: few points near the middle of the top."""
    monkeypatch.setenv("REPRISE_SOURCES", str(modelnet40(shared_data, tmp_path / "files")))
    fetch("modelnet40", tmp_path / "raw")
    data = run(tmp_path / "raw", points=1024)
    assert data.card["classes"] == ["bathtub"]
    assert data.card["splits"] == {"iid/train": [0, 3], "iid/test": [3, 5]}
    extent = np.ptp(data.arrays["x"], axis=1)
    assert (extent.max(1) > 1.3).all() and (extent.max(1) / extent.min(1) > 1.5).all()
    np.testing.assert_allclose(data.arrays["x"].mean(1), 0, atol=1e-6)
