"""Chewing Gum: the official generator's geometry, the rates of the specification, and an exact flow."""

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial import ConvexHull

from reprise.data import chewgum
from reprise.data.arrays import open_prepared
from reprise.data.chewgum import CENTRE, HEIGHT, PERIOD, REACH, WIDTH, Options
from reprise.data.videos import OTHER

N = 20
SHAPES = {"chewgum": (chewgum.inscribed, True), "chewgum_radial": (chewgum.radial, False)}
CORNERS = [(x, y) for x in (20, 36) for y in (17, 33)]


def prepared(folder, name, seed=5, **changes):
    options = Options(**{"n_train": 6, "n_test": 4, "frames": 7, **changes})
    out = folder / f"{name}.{seed}.{'.'.join(str(value) for value in options.model_dump().values())}"
    getattr(chewgum, name)(folder / name, out, options, seed=seed)
    return open_prepared(out)


def shapes(kind, n):
    rng = np.random.default_rng(0)
    return [kind(rng) for _ in range(n)]


@pytest.fixture(scope="module", params=SHAPES)
def clips(request):
    """(name, 400 videos) of 20 frames."""
    shape, attached = SHAPES[request.param]
    draw = chewgum.draw_video
    return request.param, [draw(np.random.default_rng(k), N, shape, attached=attached) for k in range(400)]


def polygon_area(points):
    x, y = np.array(points).T
    return abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2


def hidden_of(owner, track):
    return track.amodal & (owner != track.object_id)


# ---------------------------------------------------------------- shapes


def test_pool():
    """44 points by angle, those of the official list that its first and last lines name among them."""
    points = chewgum.pool()
    assert len(points) == len(set(points)) == 44
    radius = np.hypot(*np.array(points).T)
    assert radius.max() == 8 and radius.min() > 7
    angle = np.unwrap(np.arctan2(*np.array(points).T[::-1]))
    assert (np.diff(angle) > 0).all()
    released = [(28, 17), (27, 18), (26, 18), (24, 19), (22, 20), (21, 22), (31, 18), (30, 18), (29, 18)]
    assert {(x - CENTRE[0], y - CENTRE[1]) for x, y in released} <= set(points)


def test_inscribed_polygons_lie_inside_the_circle():
    counts = set()
    for points in shapes(chewgum.inscribed, 500):
        counts.add(len(points))
        y, x = np.nonzero(chewgum.rasterised(points))
        assert np.hypot(x - REACH, y - REACH).max() < 8.07  # (8, 1) lies under an edge of two points inside
        hull = ConvexHull(points)
        assert hull.volume - polygon_area(points) <= 4  # convex but for the rounding of the points to the grid
    assert counts == {7, 8, 9, 10, 11}


def test_radial_polygons():
    found = shapes(chewgum.radial, 500)
    assert {len(points) for points in found} == {9, 10, 11, 12, 13, 14}
    radius = np.concatenate([np.hypot(*np.array(points).T) for points in found])
    assert 2 <= radius.min() < 3 and 8.5 < radius.max() < 8.5 + np.sqrt(0.5)
    assert radius.mean() == pytest.approx((3 + 8.5) / 2, abs=0.1)


@pytest.mark.parametrize("kind", [chewgum.inscribed, chewgum.radial])
def test_filled_as_opencv_fills(kind):
    """The official generator fills with cv2.fillPoly: the same area, another rounding of a few pixels of the edge."""
    areas, differ = [], []
    for points in shapes(kind, 400):
        ours = chewgum.rasterised(points)
        theirs = cv2.fillPoly(np.zeros(ours.shape, np.uint8), [np.array(points) + REACH], 1) > 0
        areas.append((ours.sum(), theirs.sum()))
        differ.append((ours != theirs).sum())
        assert all(ours[y + REACH, x + REACH] for x, y in points)
    ours, theirs = np.mean(areas, axis=0)
    assert ours == pytest.approx(theirs, abs=1)
    assert np.mean(differ) < 4
    if kind is chewgum.inscribed:
        assert ours == pytest.approx(150, abs=3)


def test_square():
    """One of the four quadrants of the box of radius 8, 9 x 9 pixels with the centre at its corner."""
    found = {chewgum.square(np.random.default_rng(k)).tobytes() for k in range(40)}
    assert len(found) == 4
    for stamp in (np.frombuffer(one, bool).reshape(2 * REACH + 1, -1) for one in found):
        rows, columns = np.flatnonzero(stamp.any(axis=1)) - REACH, np.flatnonzero(stamp.any(axis=0)) - REACH
        for side in (rows, columns):
            assert (side.min(), side.max()) in [(-8, 0), (0, 8)]
        assert stamp.sum() == 81 and stamp[REACH, REACH]


# ---------------------------------------------------------------- the walk


@pytest.mark.parametrize("corner", CORNERS)
def test_walk(corner):
    walk = np.array(chewgum.perimeter(corner, 3 * PERIOD))
    assert PERIOD == 32
    assert tuple(walk[0]) == corner
    assert len(np.unique(walk[:PERIOD], axis=0)) == 32
    np.testing.assert_array_equal(walk[PERIOD:], walk[:-PERIOD])
    assert (np.abs(np.diff(walk, axis=0)).sum(axis=1) == 2).all()
    np.testing.assert_array_equal(np.abs(walk - CENTRE).max(axis=1), 8)
    dx, dy = np.diff(walk, axis=0).T
    x, y = (walk[:-1] - CENTRE).T
    turning = np.sign(x * dy - y * dx)
    assert (turning == (-1 if corner[1] == 17 else 1)).all()  # y is down: negative is against the clock


def test_walk_sets_out_to_the_left():
    assert chewgum.perimeter((36, 17), 2) == [(36, 17), (34, 17)]
    assert chewgum.perimeter((36, 33), 2) == [(36, 33), (34, 33)]
    assert chewgum.perimeter((20, 17), 2) == [(20, 17), (20, 19)]
    assert chewgum.perimeter((20, 33), 2) == [(20, 33), (20, 31)]


def test_videos_start_anywhere_and_either_object_is_the_lower(clips):
    _, videos = clips
    assert 0.4 < np.mean([tracks[0].object_id == 1 for *_, tracks in videos]) < 0.6
    starts = set()
    for _, _, flow, _ in videos:
        x, y = flow[0, :2].reshape(2, -1)[:, np.abs(flow[0, :2]).sum(axis=0).ravel() > 0][:, 0]
        starts.add((x, y))
    assert starts == {(2, 0), (-2, 0), (0, 2), (0, -2)}


# ---------------------------------------------------------------- videos


def test_rates_of_the_specification(clips):
    name, videos = clips
    rates, hidden_pixels, never = [], 0, 0
    for _, owner, _, tracks in videos:
        hidden = hidden_of(owner, tracks[0])
        rates.append(hidden.sum(axis=(1, 2)) / tracks[0].amodal.sum(axis=(1, 2)))
        boxes = [np.nonzero(mask) for mask in tracks[0].amodal]
        parts = [part[y.min() : y.max() + 1, x.min() : x.max() + 1] for part, (y, x) in zip(hidden, boxes, strict=True)]
        hidden_pixels += hidden.sum()
        never += N * np.logical_and.reduce(parts).sum()
    assert np.mean(rates) == pytest.approx(0.46 if name == "chewgum" else 0.15, abs=0.02)
    assert never / hidden_pixels == pytest.approx(0.64 if name == "chewgum" else 0, abs=0.04)


def test_masks(clips):
    """Only the lower object is hidden, always by something; what is seen of an object is part of it."""
    name, videos = clips
    for frames, owner, flow, (lower, upper) in videos:
        assert frames.shape == (N, 3, HEIGHT, WIDTH) and flow.shape == (N, 4, HEIGHT, WIDTH)
        assert {lower.object_id, upper.object_id} == {1, 2}
        assert (owner[hidden_of(owner, lower)] != 0).all()
        assert not hidden_of(owner, upper).any()
        for track in (lower, upper):
            assert track.amodal[owner == track.object_id].all()
        assert (OTHER in owner) == (name == "chewgum")
        assert set(np.unique(owner)) <= {0, 1, 2, OTHER}


def test_objects_move_as_a_whole(clips):
    for *_, tracks in clips[1][:100]:
        for track in tracks:
            where = [np.argwhere(mask) for mask in track.amodal]
            corners = np.array([points.min(axis=0) for points in where])
            for points, corner in zip(where, corners, strict=True):
                np.testing.assert_array_equal(points - corner, where[0] - corners[0])
            steps = np.abs(np.diff(corners, axis=0)).sum(axis=1)
            assert (steps == (0 if track.object_id == 1 else 2)).all()


def test_square_sticks_to_the_lower_object():
    for k in range(50):
        _, owner, _, (lower, upper) = chewgum.draw_video(np.random.default_rng(k), N, chewgum.inscribed, attached=True)
        corner = np.array([np.argwhere(mask).min(axis=0) for mask in lower.amodal])
        body = [{tuple(point) for point in np.argwhere(o == OTHER) - c} for o, c in zip(owner, corner, strict=True)]
        covered = [
            {tuple(point) for point in np.argwhere(mask) - c} for mask, c in zip(upper.amodal, corner, strict=True)
        ]
        square = set.union(*body)
        for seen, above in zip(body, covered, strict=True):
            assert square - seen <= above
        assert len(square) <= 81


def test_flat_colours(clips):
    """Each surface has one colour all through the video; the ground is dark."""
    for frames, owner, _, _ in clips[1][:100]:
        for number in np.unique(owner):
            assert not np.ptp(frames.transpose(0, 2, 3, 1)[owner == number], axis=0).any()
        assert frames.transpose(0, 2, 3, 1)[owner == 0].max() < 128


def test_flow_is_the_step_of_what_is_seen(clips):
    """Followed forwards or backwards, a pixel lands on its own object, or where something lies in front of it."""
    for _, owner, flow, tracks in clips[1][:100]:
        lower, upper = tracks
        whole = {track.object_id: track.amodal for track in tracks}
        assert not flow[-1, :2].any() and not flow[0, 2:].any()
        assert not flow.transpose(0, 2, 3, 1)[owner == 0].any()
        for t in range(N):
            for step, (dx, dy) in ((1, flow[t, :2]), (-1, flow[t, 2:])):
                if not 0 <= t + step < N:
                    continue
                for k in np.unique(owner[t][owner[t] > 0]):
                    y, x = np.nonzero(owner[t] == k)
                    y, x = y + dy[y, x].astype(int), x + dx[y, x].astype(int)
                    found = owner[t + step][y, x]
                    assert ((found == k) | (found == upper.object_id) | (found == OTHER) & (k == lower.object_id)).all()
                    if k != OTHER:
                        assert whole[k][t + step][y, x].all()


# ---------------------------------------------------------------- the data set


@pytest.mark.parametrize("name", SHAPES)
def test_format(tmp_path, name):
    data = prepared(tmp_path, name)
    assert data.card["splits"] == {"train": [0, 21], "test": [21, 49]}  # 3 videos with two tracks, 4 with one
    assert data.card["flow_source"] == "exact"
    assert data.card["beside"] == ["amodal", "tracks", "videos"]
    assert {"licence", "citation"} <= data.card.keys() and data.card["sources"] == {}
    assert data.arrays["frames"].shape == (49, 3, HEIGHT, WIDTH)
    tracks, owner = data.arrays["tracks"], data.arrays["owner"]
    np.testing.assert_array_equal(tracks[:, 0], [0, 0, 1, 1, 2, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(tracks[:, 2], 7 * tracks[:, 0])
    assert (tracks[:, 3] == 7).all() and (tracks[:, 4] == 1).all()
    masks = np.unpackbits(data.arrays["amodal"], axis=-1, count=WIDTH).astype(bool).reshape(-1, 7, HEIGHT, WIDTH)
    for (_, k, row, n, _), mask in zip(tracks, masks, strict=True):
        assert mask[owner[row : row + n] == k].all()
        assert mask.any(axis=(1, 2)).all()
    for (_, k, row, n, _), mask in zip(tracks[6:], masks[6:], strict=True):
        assert (mask & (owner[row : row + n] != k)).any()  # each of a test's tracks is that of the lower object


def test_seeds(tmp_path):
    first, other = prepared(tmp_path, "chewgum"), prepared(tmp_path, "chewgum", seed=6)
    again = prepared(tmp_path / "again", "chewgum")
    assert first.digest == again.digest
    assert first.digest != other.digest


def test_more_objects_leave_the_others_as_they_are(tmp_path):
    few, many = prepared(tmp_path, "chewgum"), prepared(tmp_path, "chewgum", n_train=10, n_test=5)
    for split in ("train", "test"):
        shorter = few.arrays["frames"][few.rows(split)]
        np.testing.assert_array_equal(shorter, many.arrays["frames"][many.rows(split)][: len(shorter)])
    assert not np.array_equal(few.arrays["frames"][:7], few.arrays["frames"][21:28])


@pytest.mark.parametrize("change", [{"n_train": 5}, {"n_train": 0}, {"n_test": 0}, {"frames": 2}, {"frames": 20.0}])
def test_options_out_of_range(change):
    with pytest.raises(ValidationError):
        Options(**{"n_train": 6, "n_test": 4, "frames": 7, **change})
