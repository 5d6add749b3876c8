"""Metrics against values computed by hand, against definitions in a loop, and against torchmetrics and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from reprise.amodal import metrics
from reprise.amodal.metrics import HIDDEN, NEAR, REVEALED, ObjectFrames, judge


def mask(*rows):
    """One frame drawn with # (1) and . (0)."""
    return np.array([[character == "#" for character in row] for row in rows])


def still(visible, occluders, full):
    """The judge of a track without motion."""
    visible, occluders, full = (np.stack(masks) for masks in (visible, occluders, full))
    return judge(visible, occluders, full, np.zeros((len(full), 2, *full.shape[1:]), np.float16))


def frames_of(judged, **changes):
    """The object-frames of one track, all of them inner ones of one video."""
    n = len(judged.visible)
    everything = judged.count(np.ones(len(judged.pixels), dtype=bool))
    facts = {
        "image": np.arange(n),
        "video": np.zeros(n, dtype=int),
        "inner": np.ones(n, dtype=bool),
        "visible": judged.visible,
        "full": judged.full,
        "both": judged.both,
        "hidden_outside": judged.hidden_outside,
        "candidates": everything,
        "subsets": {},
    }
    return ObjectFrames(**facts | changes)


def random_track(seed, n=5, height=13, width=11):
    """Random masks with V in M and V outside O, and probabilities; nothing of it looks like an object."""
    random = np.random.default_rng(seed)
    full = random.random((n, height, width)) < 0.4
    occluders = random.random(full.shape) < 0.5
    visible = full & ~occluders & (random.random(full.shape) < 0.9)
    return visible, occluders, full, random.integers(0, 256, full.shape, dtype=np.uint8)


# ---------------------------------------------------------------- IoU and occlusion rate


def test_iou_by_hand():
    empty, full = np.zeros((2, 3), dtype=bool), np.ones((2, 3), dtype=bool)
    left, right = mask("##.", "..."), mask("..#", "..#")
    assert metrics.iou(empty, empty) == 1.0
    assert metrics.iou(full, full) == 1.0
    assert metrics.iou(empty, full) == pytest.approx(1e-6 / 6)
    assert metrics.iou(left, right) == pytest.approx(1e-6 / 4)  # disjoint
    assert metrics.iou(left, mask(".##", "...")) == pytest.approx(1 / 3, abs=1e-6)  # one of three
    assert metrics.iou(left, full) == pytest.approx(2 / 6, abs=1e-6)  # inside
    np.testing.assert_array_equal(
        metrics.iou(np.stack([left, empty]), np.stack([left, empty])), [1.0, 1.0]
    )  # frame by frame


def test_iou_agrees_with_torchmetrics_and_scikit_learn():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    random = np.random.default_rng(0)
    one, other = random.random((2, 6, 9, 14)) < np.array([0.3, 0.6])[:, None, None, None]
    found = metrics.iou(one, other)
    for k in range(6):
        theirs = functional.binary_jaccard_index(torch.from_numpy(one[k]).int(), torch.from_numpy(other[k]).int())
        assert found[k] == pytest.approx(theirs.item(), abs=1e-6)
        assert found[k] == pytest.approx(jaccard_score(other[k].ravel(), one[k].ravel()), abs=1e-6)


def test_occlusion_rate_by_hand():
    rates = metrics.occlusion_rate([10, 9, 3, 0, 0, 12], [10, 10, 10, 10, 0, 10])
    assert rates.tolist() == [0.0, 0.1, 0.7, 1.0, 0.0, 0.0]  # exact: 1 - 9/10 is not 0.1
    assert not (rates[1] > 0.1 or rates[2] < 0.7)  # the bounds are not scored


# ---------------------------------------------------------------- the judge of a track


def test_kinds_by_hand():
    """A body of 1 x 4 that moves one pixel to the right behind a post: its first column is never seen."""
    full = np.stack([mask(".####...", "........"), mask("..####..", "........")])
    occluders = np.stack([mask(".##....#", "........"), mask(".##....#", "........")])
    visible = full & ~occluders
    found = judge(visible, occluders, full, np.zeros((2, 2, 2, 8), np.float16))
    # frame 0: columns 1 and 2 are points 0 and 1 of the body, column 7 is no part; frame 1: column 2 is point 0.
    # The boxes, 2 and 3 pixels wide and 1 high, grow to the least side of 8: all of the frame's rows are in them.
    assert found.pixels.tolist() == [1, 2, 7, 17, 18, 23]
    kinds = (found.codes % 8).tolist()
    assert (found.codes // 8).tolist() == [0, 0, 0, 1, 1, 1]
    assert kinds == [HIDDEN | NEAR, HIDDEN | REVEALED | NEAR, NEAR, NEAR, HIDDEN | NEAR, NEAR]
    assert found.visible.tolist() == [2, 3]
    assert found.full.tolist() == [4, 4]
    assert found.count(np.array([True, True, True, False, True, False])).tolist() == [
        [0, 0, 0, 0, 1, 1, 0, 1],
        [0, 0, 0, 0, 0, 1, 0, 0],
    ]


def test_revealed_pixels_follow_the_body_in_both_directions():
    """A body that moves up and left past a hole in a wall: just what has been seen through the hole counts."""
    n, height, width = 5, 12, 12
    full = np.zeros((n, height, width), dtype=bool)
    for t in range(n):
        full[t, 7 - t : 11 - t, 6 - t : 10 - t] = True
    occluders = np.ones((n, height, width), dtype=bool)
    occluders[:, 5, 5] = False  # body point (5 - (7 - t), 5 - (6 - t)) = (t - 2, t - 1): (0, 1), (1, 2), (2, 3)
    found = judge(full & ~occluders, occluders, full, np.zeros((n, 2, height, width), np.float16))
    kinds = np.zeros((n, height, width), dtype=int)
    kinds.reshape(-1)[found.pixels] = found.codes % 8
    seen = {(0, 1), (1, 2), (2, 3)}
    for t in range(n):
        revealed = {(int(y) - (7 - t), int(x) - (6 - t)) for y, x in np.argwhere(kinds[t] & REVEALED > 0)}
        here = {(5 - (7 - t), 5 - (6 - t))}
        assert revealed == seen - here


def test_hidden_but_behind_nothing_is_counted():
    full = [mask("####")]
    found = still([mask("#...")], [mask(".#..")], full)
    assert found.hidden_outside.tolist() == [2]
    assert still([mask("#...")], [mask(".###")], full).hidden_outside.tolist() == [0]


def test_near_is_the_box_enlarged():
    """A visible square of 8 pixels: a box of 12, two more on each side."""
    visible = np.zeros((1, 24, 24), dtype=bool)
    visible[0, 8:16, 8:16] = True
    found = judge(visible, ~visible, visible, np.zeros((1, 2, 24, 24), np.float16))
    near = np.zeros(visible.shape, dtype=bool)
    near.reshape(-1)[found.pixels[found.codes & NEAR > 0]] = True
    expected = np.zeros((24, 24), dtype=bool)
    expected[6:18, 6:18] = True
    np.testing.assert_array_equal(near[0], expected & ~visible[0])


def test_boxes_by_hand():
    masks = np.stack(
        [mask("...", "...", "..."), mask("...", ".##", "..."), mask("###", "...", "#.."), mask(*["###"] * 3)]
    )
    low, high = metrics.boxes(masks)
    assert low.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]
    assert high.tolist() == [[0, 0], [2, 3], [3, 3], [3, 3]]
    low, high = metrics.enlarged_boxes(np.ones((1, 10, 2), dtype=bool))
    assert (low.tolist(), high.tolist()) == ([[-2.5, -3.0]], [[12.5, 5.0]])


def test_box_grows_if_one_side_does():
    full = [mask("######", "######", "######")] * 3
    visible = [
        mask("####..", "####..", "####.."),
        mask("###...", "###...", "###..."),
        mask("......", "######", "######"),
    ]
    hiding = [whole & ~seen for whole, seen in zip(full, visible, strict=True)]
    found = still(visible, hiding, full)
    assert found.box_grows.tolist() == [False, True, False]  # 6 : 4 and 3 : 2 are 1.5, not more; 6 : 3 is


def test_never_revealed_is_of_tracks_with_a_part_hidden_in_all_frames():
    full = [mask("####")] * 3
    always = [mask(".###"), mask("..##"), mask(".##.")]
    assert still(always, [~seen for seen in always], full).never_revealed.tolist() == [True] * 3
    once = [*always[:2], mask("###.")]
    assert not still(once, [~seen for seen in once], full).never_revealed.any()
    # 5 of 64 x 128 cells of the full box: a single pixel of 40 x 50 is too little.
    large, seen = np.ones((1, 40, 50), dtype=bool), np.ones((1, 40, 50), dtype=bool)
    seen[0, 0, 0] = False
    assert not still(seen, ~seen, large).never_revealed.any()
    seen[0, 0, 1] = False
    assert still(seen, ~seen, large).never_revealed.all()


def test_shape_iou_is_seen_from_the_body():
    """The visible part stays the same part of a moving body, then loses half."""
    full = [mask("####...."), mask(".####..."), mask("...####.")]
    visible = [mask("##......"), mask(".##....."), mask("...#....")]
    found = still(visible, [whole & ~seen for whole, seen in zip(full, visible, strict=True)], full)
    np.testing.assert_allclose(found.shape_iou, [1.0, 0.5, np.nan], atol=1e-6)


def test_displacements_without_a_full_mask():
    full = np.stack([mask("....", "...."), mask("##..", "...."), mask(".##.", ".##."), mask("....", "....")])
    assert metrics.displacements(full).tolist() == [[0, 0], [0, 0], [0, 1], [0, 0]]
    assert metrics.displacements(np.zeros((2, 3, 3), dtype=bool)).tolist() == [[0, 0], [0, 0]]


def test_flow_iou_by_hand():
    visible = np.stack([mask("##....", "......"), mask("..##..", "......"), mask("..##..", "......")])
    flow = np.zeros((3, 2, 2, 6), np.float16)
    flow[0, 0] = 2.0  # everywhere: the move is met exactly
    np.testing.assert_allclose(metrics.warped_iou(visible, flow), [1.0, 1.0, np.nan])
    flow[0, 0, :, 2:] = 0.0  # at the destination the flow is that of the background: nothing arrives
    np.testing.assert_allclose(metrics.warped_iou(visible, flow), [0.0, 1.0, np.nan], atol=1e-6)
    down = np.stack([mask("##", "..", ".."), mask("..", "##", ".."), mask("..", "..", "##")])
    lower = np.zeros((3, 2, 3, 2), np.float16)
    lower[:, 1] = 1.0
    np.testing.assert_allclose(metrics.warped_iou(down, lower), [1.0, 1.0, np.nan])
    flow[1, 1] = 1.0  # downwards: what was above row 0 is outside the frame
    np.testing.assert_allclose(metrics.warped_iou(visible, flow), [0.0, 0.0, np.nan], atol=1e-6)


# ---------------------------------------------------------------- many object-frames


@pytest.mark.parametrize("seed", range(3))
def test_counts_give_what_the_masks_give(seed):
    """IoUs from the counts of hidden candidates are those of the final masks."""
    visible, occluders, full, probability = random_track(seed)
    found = still(visible, occluders, full)
    predicted = found.count(probability.reshape(-1)[found.pixels] > 127)
    hidden = (probability > 127) & occluders
    frames = frames_of(found)
    np.testing.assert_allclose(frames.iou_full(predicted), metrics.iou(visible | hidden, full), rtol=1e-12)
    np.testing.assert_allclose(frames.iou_occluded(predicted), metrics.iou(hidden, full & occluders), rtol=1e-12)
    np.testing.assert_allclose(frames.rate, 1 - visible.sum((1, 2)) / full.sum((1, 2)))


def test_visible_masks_that_leave_the_full_one():
    """Estimated masks may: what is visible stays in the final mask."""
    visible, occluders, full = mask("###..."), mask("...##."), mask(".###..")
    found = still([visible], [occluders], [full])
    nothing = found.count(np.zeros(2, dtype=bool))
    assert frames_of(found).iou_full(nothing)[0] == pytest.approx(2 / 4, abs=1e-6)


def test_shares_by_hand():
    candidates = np.zeros((2, 8), dtype=int)
    candidates[:, HIDDEN] = [3, 1]  # never revealed
    candidates[:, HIDDEN | REVEALED | NEAR] = [2, 8]
    candidates[:, NEAR] = [10, 10]
    candidates[:, 0] = [100, 100]
    predicted = np.zeros((2, 8), dtype=int)
    predicted[:, HIDDEN] = [1, 0]
    predicted[:, HIDDEN | REVEALED | NEAR] = [2, 4]
    predicted[:, NEAR] = [0, 5]
    predicted[:, 0] = [50, 50]  # far away: no false positive
    assert metrics.shares(predicted, candidates) == {
        "recall_never_revealed": 0.25,
        "recall_revealed": 0.6,
        "false_positive": 0.25,
    }
    assert metrics.shares(predicted[:, :0].repeat(8, 1)[:0], candidates[:0]) == {}
    everything_seen = candidates * (np.arange(8) != HIDDEN)
    assert set(metrics.shares(predicted * 0, everything_seen)) == {"recall_revealed", "false_positive"}


def test_averages_by_hand():
    """Three objects in image 7, one in image 9: means of objects, of images, of videos."""
    values, image, video = np.array([0.2, 0.4, 0.9, 0.5]), np.array([7, 7, 9, 7]), np.array([1, 1, 4, 1])
    np.testing.assert_allclose(metrics.group_means(values, image), [(0.2 + 0.4 + 0.5) / 3, 0.9])
    np.testing.assert_allclose(metrics.group_means(values, video), [1.1 / 3, 0.9])
    assert values.mean() == 0.5
    assert metrics.group_means(values, image).mean() == pytest.approx((1.1 / 3 + 0.9) / 2)


def test_lowest_tenth_of_mostly_visible_inner_frames():
    values = np.linspace(0, 1, 22)
    rate, inner = np.full(22, 0.3), np.ones(22, dtype=bool)
    rate[0], inner[1] = 0.6, False  # hidden too much, at an end of its track
    found = metrics.lowest(values, rate, inner)
    assert np.flatnonzero(found).tolist() == [2, 3]
    values[-1], inner[-1] = np.nan, False  # the last frame has no next one
    assert np.flatnonzero(metrics.lowest(values, rate, inner)).tolist() == [2, 3]
    assert not metrics.lowest(values, np.ones(22), inner).any()
    assert not metrics.lowest(np.ones(22), rate, inner).any()  # equals: none is hard


def test_bootstrap():
    random = np.random.default_rng(0)
    means = random.normal(0.6, 0.1, size=400)
    low, high = metrics.bootstrap(means, 4000, 0)
    half = 1.96 * means.std() / np.sqrt(len(means))
    assert low == pytest.approx(means.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(means.mean() + half, abs=0.1 * half)
    assert metrics.bootstrap(means, 4000, 0) == (low, high)
    assert metrics.bootstrap(means, 4000, 1) != (low, high)
    assert metrics.bootstrap(means + 0.1, 4000, 0) == pytest.approx((low + 0.1, high + 0.1))  # the same resamples
    assert metrics.bootstrap(np.full(5, 0.7), 100, 0) == pytest.approx((0.7, 0.7))
    assert metrics.bootstrap(np.array([0.3]), 100, 0) == (0.3, 0.3)


def test_bins_of_occlusion_rate_hold_their_lower_edge():
    rates = metrics.occlusion_rate(10 - np.arange(11), np.full(11, 10))
    assert metrics.rate_bins(rates).tolist() == [*range(10), 9]
    assert metrics.rate_bins(np.array([0.099, 0.3001, 0.7999])).tolist() == [0, 3, 7]


def test_reliability_by_hand():
    levels = np.zeros((2, 256), dtype=int)
    levels[0, 0], levels[1, 0], levels[1, 25] = 6, 1, 1  # the first bin: 0 ... 25 of 255
    levels[0, 51], levels[1, 51] = 1, 3  # 0.2 is the lower edge of the third
    levels[1, 255] = 4
    confidence, accuracy, pixels = metrics.reliability(levels)
    assert pixels.tolist() == [8, 0, 4, 0, 0, 0, 0, 0, 0, 4]
    np.testing.assert_allclose(confidence[[0, 2, 9]], [25 / 255 / 8, 0.2, 1.0])
    np.testing.assert_allclose(accuracy[[0, 2, 9]], [0.25, 0.75, 1.0])
    assert np.isnan(confidence[1]) and np.isnan(accuracy[1])


def test_levels_are_of_scored_frames_and_nearby():
    visible, occluders, full, probability = random_track(4)
    found = still(visible, occluders, full)
    scored = np.array([True, False, True, True, False])
    levels = found.levels(probability.reshape(-1)[found.pixels], scored)
    low, high = metrics.enlarged_boxes(visible)
    expected = np.zeros((2, 256), dtype=int)
    for t, y, x in np.argwhere(occluders):
        if scored[t] and (low[t] <= (y, x)).all() and ((y, x) < high[t]).all():
            expected[int(full[t, y, x]), probability[t, y, x]] += 1
    np.testing.assert_array_equal(levels, expected)
    assert levels.sum() > 50
