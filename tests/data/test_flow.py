"""Flow: DIS finds a known motion, .flo files are rescaled in grid and values, RAFT's wrapping is right."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from reprise.data import flow
from reprise.data.arrays import DataError
from reprise.data.flow import dis, raft, read_flo, stored
from samples_video import write_flo


def moving(n=3, step=(2, -1), size=(48, 64)):
    """A smooth random texture that moves by `step` = (dx, dy) pixels per frame, (n, 3, H, W) uint8."""
    texture = gaussian_filter(np.random.default_rng(0).random((3, 100, 120)), (0, 1.5, 1.5))
    texture = (255 * (texture - texture.min()) / np.ptp(texture)).astype(np.uint8)
    rows, columns = size
    tops, lefts = ([20 - t * step[axis] for t in range(n)] for axis in (1, 0))
    return np.stack(
        [texture[:, top : top + rows, left : left + columns] for top, left in zip(tops, lefts, strict=True)]
    )


def test_dis_finds_a_known_motion():
    found = dis(moving())
    assert (found.shape, found.dtype) == ((3, 4, 48, 64), np.float16)
    inner = found[:, :, 8:-8, 8:-8].astype(float)
    for t in (0, 1):
        np.testing.assert_allclose(np.median(inner[t, :2], axis=(1, 2)), [2, -1], atol=0.1)
    for t in (1, 2):
        np.testing.assert_allclose(np.median(inner[t, 2:], axis=(1, 2)), [-2, 1], atol=0.1)
    assert not found[-1, :2].any() and not found[0, 2:].any()  # no frame there


def test_dis_repeats_itself():
    frames = moving()
    np.testing.assert_array_equal(dis(frames), dis(frames))


@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_dis_takes_small_and_odd_frames(size):
    assert np.isfinite(dis(moving(size=size))).all()


def test_one_frame_has_no_flow():
    assert not dis(moving(n=1)).any()
    assert stored([], [], 8, 8).shape == (1, 4, 8, 8)


def test_flo_is_rescaled_in_grid_and_values(tmp_path):
    """A field linear in the coordinates stays linear in the new ones, and vectors change with the pixels."""
    y, x = np.mgrid[:40, :60] + 0.5
    path = write_flo(tmp_path / "a.flo", np.stack([0.1 * x, 0.2 * y], axis=-1))
    same, other = read_flo(path, 40, 60), read_flo(path, 20, 90)
    np.testing.assert_allclose(same[0], 0.1 * x, rtol=1e-6)
    np.testing.assert_allclose(same[1], 0.2 * y, rtol=1e-6)
    y, x = np.mgrid[:20, :90] + 0.5
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(other[0][inner], (1.5 * 0.1 * x / 1.5)[inner], rtol=1e-4)
    np.testing.assert_allclose(other[1][inner], (0.5 * 0.2 * y / 0.5)[inner], rtol=1e-4)
    constant = write_flo(tmp_path / "b.flo", np.broadcast_to([4.0, 6.0], (40, 60, 2)))
    resized = read_flo(constant, 20, 90)
    np.testing.assert_allclose(resized[0], 6.0)  # 1.5 times as many pixels across
    np.testing.assert_allclose(resized[1], 3.0)  # half as many down


def test_stored_puts_both_ways_in_their_frames(tmp_path):
    ways = [
        [write_flo(tmp_path / f"{way}{t}.flo", np.full((8, 8, 2), 10.0 * t + way)) for t in range(3)] for way in (1, 2)
    ]
    found = stored(*ways, 8, 8)[:, :, 4, 4]
    np.testing.assert_array_equal(found[:, 0], [1, 11, 21, 0])
    np.testing.assert_array_equal(found[:, 2], [0, 2, 12, 22])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e10])
def test_unknown_flow_is_refused(tmp_path, bad):
    values = np.zeros((8, 8, 2))
    values[3, 3, 1] = bad
    path = write_flo(tmp_path / "a.flo", values)
    with pytest.raises(DataError, match=r"a\.flo holds flow that is unknown or no number"):
        read_flo(path, 8, 8)


def test_damaged_flo(tmp_path):
    path = write_flo(tmp_path / "a.flo", np.zeros((8, 8, 2)))
    content = path.read_bytes()
    for damaged, message in (
        (content[:-4], "cut off"),
        (b"", "no Middlebury"),
        (b"PNG!" + content[4:], "no Middlebury"),
        (content[:4] + bytes(8), "no Middlebury"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=message):
            read_flo(path, 8, 8)
    with pytest.raises(DataError, match="is missing"):
        read_flo(tmp_path / "none.flo", 8, 8)


@pytest.fixture
def torchvision(monkeypatch):
    """A stand-in for torchvision whose RAFT returns (mean of the first, mean of the second) frame everywhere."""

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.sizes = set()

        def forward(self, first, second):
            self.sizes.add(tuple(first.shape[-2:]))
            means = torch.stack([first.mean(), second.mean()])[None, :, None, None]
            return [torch.full((1, 2, 1, 1), torch.nan), means.expand(1, 2, *first.shape[-2:])]

    model = Model()
    fake = ModuleType("torchvision.models.optical_flow")
    fake.raft_large = lambda weights: model
    fake.Raft_Large_Weights = SimpleNamespace(DEFAULT="weights")
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", fake)
    flow._raft_model.cache_clear()
    yield SimpleNamespace(model=model, fake=fake)
    flow._raft_model.cache_clear()


def test_raft_is_fed_right(torchvision):
    """Frames in [-1, 1], padded to sides that it takes, both ways, the last of its iterations, cropped back."""
    frames = np.stack([np.full((3, 50, 140), value, np.uint8) for value in (0, 255, 51)])
    found = raft(frames)
    assert torchvision.model.sizes == {(128, 144)}
    assert found.shape == (3, 4, 50, 140)
    expected = [[-1, 1, 0, 0], [1, -0.6, 1, -1], [0, 0, -0.6, 1]]
    np.testing.assert_allclose(found[:, :, 20, 20], expected, atol=2e-3)


def test_raft_without_its_weights(torchvision):
    def fail(weights):
        raise OSError("no network")

    torchvision.fake.raft_large = fail
    with pytest.raises(DataError, match="weights of RAFT cannot be downloaded"):
        raft(moving())


def test_raft_without_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", None)
    flow._raft_model.cache_clear()
    with pytest.raises(DataError, match=r"needs torchvision.*`gpu`"):
        raft(moving())


def test_flow_that_is_not_finite(monkeypatch):
    import cv2

    broken = SimpleNamespace(
        create=lambda preset: SimpleNamespace(calc=lambda a, b, c: np.full((96, 128, 2), np.nan, "f4"))
    )
    monkeypatch.setattr(cv2, "DISOpticalFlow", broken)
    with pytest.raises(DataError, match="between frames 0 and 1 is not finite"):
        dis(moving())
