"""Fishbowl-lite: the rule of tracks, the rates of the specification, and a flow that carries the texture along."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from reprise.data import fishbowl_lite
from reprise.data.arrays import open_prepared
from reprise.data.fishbowl_lite import HEIGHT, REACH, SEEN, UNSEEN, WIDTH, Options, draw_scene, render, tracks_of
from reprise.data.videos import OTHER

N = 16
SIZES = {"n_train": 5, "n_test": 4, "n_adapt": 3, "n_unseen": 2, "frames": 8}


def prepared(folder, seed=5, **changes):
    out = folder / f"prepared{seed}"
    fishbowl_lite.prepare(folder / "raw", out, Options(**{**SIZES, **changes}), seed=seed)
    return open_prepared(out)


def scenes(unseen, n):
    return [draw_scene(np.random.default_rng(k), N, unseen=unseen) for k in range(n)]


@pytest.fixture(scope="module")
def seen():
    return [(scene, tracks_of(scene)) for scene in scenes(False, 150)]


@pytest.fixture(scope="module")
def unseen():
    return [(scene, tracks_of(scene)) for scene in scenes(True, 60)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("lite"))


def rate(scene, track):
    """Share of the full mask that is hidden, per frame."""
    hidden = track.amodal & (scene.owner != track.object_id)
    return hidden.sum(axis=(1, 2)) / track.amodal.sum(axis=(1, 2))


def drawn(inside, side=480):
    """A body's mask on a fine grid of body coordinates."""
    axis = np.linspace(-1.5, 1.5, side)
    u, v = np.meshgrid(axis, axis)
    return inside(u.ravel(), v.ravel()).reshape(side, side), u, v


# ---------------------------------------------------------------- types


@pytest.mark.parametrize("name", [*SEEN, *UNSEEN])
def test_types_are_whole_and_within_reach(name):
    for k in range(30):
        mask, u, v = drawn((SEEN | UNSEEN)[name](np.random.default_rng(k)))
        assert ndimage.label(mask)[1] == 1
        assert np.hypot(u, v)[mask].max() < REACH  # so that no part is cut off and all of it has a texture
        assert 0.6 < mask.mean() * 9 < 2.1  # body units squared


def test_fish_has_a_fork_on_its_left():
    mask, u, v = drawn(fishbowl_lite.fish(np.random.default_rng(0)))
    np.testing.assert_array_equal(mask, mask[::-1])  # symmetric
    tips = np.unique(np.sign(v[mask & (u < u[mask].min() + 0.02)]))
    assert set(tips) == {-1, 1}
    assert 0.83 < u[mask].max() <= 0.84  # 0.12 + 0.72


def test_ray_is_wider_than_high():
    mask, u, v = drawn(fishbowl_lite.ray(np.random.default_rng(0)))
    assert 0.8 < u[mask].max() < 1.05
    assert mask[np.abs(v) > 0.5].sum() < 0.05 * mask.sum()


def test_star_has_four_to_six_arms():
    found = set()
    for k in range(30):
        mask, u, v = drawn(fishbowl_lite.star(np.random.default_rng(k)))
        found.add(ndimage.label(mask & (np.hypot(u, v) > 0.75), np.ones((3, 3)))[1])
        assert mask[np.hypot(u, v) < 0.28].all()
    assert found == {4, 5, 6}


def test_cross_and_ell():
    mask, u, v = drawn(fishbowl_lite.cross(np.random.default_rng(0)))
    np.testing.assert_array_equal(mask, mask.T)
    np.testing.assert_array_equal(mask, mask[::-1])
    assert ndimage.label(mask & (np.maximum(np.abs(u), np.abs(v)) > 0.5))[1] == 4
    mask, u, v = drawn(fishbowl_lite.ell(np.random.default_rng(0)))
    assert not mask[(u > 0) & (v < 0)].any()
    assert mask[(np.abs(u) < 0.74) & (v > 0.3) & (v < 0.74)].all()


# ---------------------------------------------------------------- scenes


def test_rates_of_the_specification(seen):
    fit = [(scene, track) for scene, tracks in seen for track in tracks if track.occluded]
    assert np.mean([rate(*pair) for pair in fit]) == pytest.approx(0.32, abs=0.04)
    assert len(fit) / len(seen) == pytest.approx(1.8, abs=0.3)


def test_number_of_objects(seen):
    assert {len(scene.bodies) for scene, _ in seen} == {3, 4, 5}


@pytest.mark.parametrize("kind", ["seen", "unseen"])
def test_rule_of_tracks(kind, request):
    """Stated again: all of them, and no other; the flag by what happens between the first and the last frame."""
    flags = []
    for scene, tracks in request.getfixturevalue(kind):
        found = {track.object_id: track for track in tracks}
        for k, body in enumerate(scene.bodies, 1):
            full = np.zeros(scene.owner.shape, bool)
            full[body.pixels] = True
            border = np.ones((HEIGHT, WIDTH), bool)
            border[1:-1, 1:-1] = False
            whole = full.any(axis=(1, 2)).all() and not full[:, border].any()
            enough = all((scene.owner[t] == k).sum() >= 40 for t in range(N))
            assert (k in found) == (whole and enough)
            if k in found:
                np.testing.assert_array_equal(found[k].amodal, full)
                inner = rate(scene, found[k])[1:-1]
                assert found[k].occluded == any(0.1 < r < 0.7 for r in inner)
                flags.append(found[k].occluded)
        assert list(found) == sorted(found)
    assert 0.2 < np.mean(flags) < 1


@pytest.mark.parametrize("kind", ["seen", "unseen"])
def test_masks(kind, request):
    """Every hidden pixel belongs to something in front; what is seen of an object is part of it."""
    for scene, tracks in request.getfixturevalue(kind):
        for track in tracks:
            hidden = track.amodal & (scene.owner != track.object_id)
            assert (scene.owner[hidden] > track.object_id).all()
            assert track.amodal[scene.owner == track.object_id].all()


def test_bar(seen, unseen):
    """A still bar of the unseen splits in front of everything."""
    assert not any((scene.owner == OTHER).any() for scene, _ in seen)
    lefts, widths = [], set()
    for scene, _ in unseen:
        columns = np.flatnonzero((scene.owner == OTHER)[0, 0])
        expected = np.zeros_like(scene.owner, bool)
        expected[:, :, columns] = True
        np.testing.assert_array_equal(scene.owner == OTHER, expected)
        assert len(columns) == np.ptp(columns) + 1
        lefts.append(columns[0])
        widths.add(len(columns))
    assert widths == set(range(8, 15))
    assert 0.3 * WIDTH - 0.5 <= min(lefts) < 35 and 51 < max(lefts) <= 0.6 * WIDTH + 0.5


# ---------------------------------------------------------------- flow and pixels


def followed(scene, flow, t, step):
    """Pixels (y, x) of frame t with an owner that is an object, and where the flow sends them."""
    y, x = np.nonzero((scene.owner[t] > 0) & (scene.owner[t] < OTHER))
    dx, dy = flow[t, :2, y, x].T if step > 0 else flow[t, 2:, y, x].T
    return y, x, y + dy, x + dx


def landed(scene, flow, t, step):
    """As `followed`, rounded to pixels, without those that leave the frame."""
    y, x, to_y, to_x = followed(scene, flow, t, step)
    row, column = np.rint(to_y).astype(int), np.rint(to_x).astype(int)
    inside = (row >= 0) & (row < HEIGHT) & (column >= 0) & (column < WIDTH)
    return y[inside], x[inside], row[inside], column[inside]


@pytest.mark.parametrize("kind", ["seen", "unseen"])
def test_flow_lands_on_the_same_object(kind, request):
    """On its full mask, or beside it by the rounding to pixels, forwards and backwards; nothing else moves."""
    exact, near = [], []
    for number, (scene, _) in enumerate(request.getfixturevalue(kind)[:15]):
        _, owner, flow = render(np.random.default_rng(number), scene)
        still = (owner == 0) | (owner == OTHER)
        assert not flow.transpose(0, 2, 3, 1)[still].any()
        assert not flow[-1, :2].any() and not flow[0, 2:].any()
        full = np.zeros((len(scene.bodies) + 1, *owner.shape), bool)
        for k, body in enumerate(scene.bodies, 1):
            full[k][body.pixels] = True
        wider = ndimage.binary_dilation(full, np.ones((1, 1, 3, 3)))
        for t in range(N):
            for step in (1, -1):
                if not 0 <= t + step < N:
                    continue
                y, x, row, column = landed(scene, flow, t, step)
                k = owner[t, y, x]
                exact.append(full[k, t + step, row, column])
                near.append(wider[k, t + step, row, column])
    assert np.concatenate(exact).mean() > 0.95
    assert np.concatenate(near).mean() > 0.9999  # a thin tip may show no pixel in the other frame


def test_flow_there_and_back(seen):
    """The backward flow where a pixel lands undoes its forward flow, up to the rounding of the place."""
    for number, (scene, _) in enumerate(seen[:15]):
        _, owner, flow = render(np.random.default_rng(number), scene)
        for t in range(N - 1):
            y, x, row, column = landed(scene, flow, t, 1)
            same = owner[t + 1, row, column] == owner[t, y, x]
            there, back = flow[t, :2, y, x][same], flow[t + 1, 2:, row[same], column[same]]
            np.testing.assert_allclose(there, -back, atol=0.02)


def test_flow_carries_the_texture(seen):
    """Colours where the flow leads differ by interpolation only; where there is no flow they differ by far more."""
    moved, stayed = [], []
    for number, (scene, _) in enumerate(seen[:10]):
        frames, owner, flow = render(np.random.default_rng(number), scene)
        for t in range(N - 1):
            y, x, to_y, to_x = followed(scene, flow, t, 1)
            later = frames[t + 1].astype(float)
            target = ndimage.map_coordinates(owner[t + 1], [to_y, to_x], order=0, mode="constant") == owner[t, y, x]
            colours = [ndimage.map_coordinates(channel, [to_y, to_x], order=1) for channel in later]
            before = frames[t, :, y, x].T.astype(float)
            moved.append(np.abs(np.array(colours) - before)[:, target])
            stayed.append(np.abs(later[:, y, x] - before)[:, target])
    moved, stayed = (np.median(np.concatenate(part, axis=1)) for part in (moved, stayed))
    assert moved < 5 < 3 * moved + 10 < stayed


def test_ground_is_still_and_darker_than_the_bodies(seen):
    grounds, bodies = [], []
    for number, (scene, _) in enumerate(seen[:20]):
        frames, owner, _ = render(np.random.default_rng(number), scene)
        picture = np.where(owner[:, None] == 0, frames.astype(float), np.nan)
        always = ~np.isnan(picture).any(axis=(0, 1))
        assert np.ptp(picture[:, :, always], axis=0).max() == 0
        grounds.append(frames.transpose(0, 2, 3, 1)[owner == 0])
        bodies.append(frames.transpose(0, 2, 3, 1)[owner > 0])
    grounds, bodies = np.concatenate(grounds), np.concatenate(bodies)
    assert (grounds.min(), grounds.max()) == (0, 200)
    assert (bodies.min(), bodies.max()) == (30, 255)


# ---------------------------------------------------------------- the data set


def test_format(data):
    assert sorted(data.card["splits"]) == ["test", "train", "unseen", "unseen_adapt"]
    assert data.card["flow_source"] == "exact"
    assert data.card["types"]["train"] == ["fish", "ray"] and data.card["types"]["unseen"] == ["star", "cross", "ell"]
    assert data.arrays["frames"].shape[1:] == (3, HEIGHT, WIDTH)
    videos, tracks = data.arrays["videos"], data.arrays["tracks"]
    np.testing.assert_array_equal(np.diff(videos), 8)
    np.testing.assert_array_equal(videos[1:, 0], videos[:-1, 1])
    assert set(tracks[:, 0]) == set(range(len(videos)))  # no video without a track
    np.testing.assert_array_equal(tracks[:, 2], videos[tracks[:, 0], 0])
    assert (tracks[:, 3] == 8).all()


def test_splits_have_the_tracks_asked_for(data):
    tracks = data.arrays["tracks"]
    for split, n in zip(("train", "test", "unseen_adapt", "unseen"), (5, 4, 3, 2), strict=True):
        rows = data.rows(split)
        own = tracks[(tracks[:, 2] >= rows.start) & (tracks[:, 2] < rows.stop)]
        assert own[:, 4].sum() == n
        assert (OTHER in data.arrays["owner"][rows]) == split.startswith("unseen")


def test_amodal_masks_follow_the_tracks(data):
    masks = np.unpackbits(data.arrays["amodal"], axis=-1, count=WIDTH).astype(bool).reshape(-1, 8, HEIGHT, WIDTH)
    for (_, k, row, n, flag), mask in zip(data.arrays["tracks"], masks, strict=True):
        visible = data.arrays["owner"][row : row + n] == k
        assert mask[visible].all()
        hidden = 1 - visible.sum(axis=(1, 2)) / mask.sum(axis=(1, 2))
        assert flag == ((hidden > 0.1) & (hidden < 0.7))[1:-1].any()


def test_seeds(data, tmp_path):
    assert prepared(tmp_path).digest == data.digest
    assert prepared(tmp_path, seed=6).digest != data.digest


def test_more_tracks_leave_the_others_as_they_are(data, tmp_path):
    more = prepared(tmp_path, n_train=9, n_adapt=6)
    for split in ("test", "unseen"):
        np.testing.assert_array_equal(data.arrays["flow"][data.rows(split)], more.arrays["flow"][more.rows(split)])
    shorter = data.arrays["frames"][data.rows("train")]
    np.testing.assert_array_equal(shorter, more.arrays["frames"][more.rows("train")][: len(shorter)])


@pytest.mark.parametrize("change", [{key: 0} for key in SIZES] + [{"frames": 2}, {"n_test": 4.0}])
def test_options_out_of_range(change):
    with pytest.raises(ValidationError):
        Options(**{**SIZES, **change})
