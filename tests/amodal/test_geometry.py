"""Boxes, patches, warps and windows: no shift, no blur, and pasting undoes cropping."""

import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from reference import savos_loop
from reprise.amodal import geometry
from reprise.amodal.geometry import boxes, crop, cut, paste, put, warp, window_origins


def masks(*rectangles, size=(40, 48)):
    """(1, t, h, w) of rectangles (left, top, right, bottom); None is an empty frame."""
    found = torch.zeros(1, len(rectangles), *size, dtype=torch.bool)
    for t, rectangle in enumerate(rectangles):
        if rectangle:
            left, top, right, bottom = rectangle
            found[0, t, top:bottom, left:right] = True
    return found


def random_image(n=2, channels=3, size=(20, 26), seed=0):
    return torch.rand(n, channels, *size, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- warp


def test_warp_along_nothing_is_the_identity():
    image = random_image()
    torch.testing.assert_close(warp(image, torch.zeros(2, 2, 20, 26)), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, -2), (-4, 1), (5, 7)])
def test_whole_pixels_shift_exactly_and_leave_zeros(dx, dy):
    """What is at p - A comes to p; there and back gives the interior again."""
    image = random_image()
    motion = torch.tensor([dx, dy]).float().view(1, 2, 1, 1).expand(2, 2, 20, 26)
    expected = np.zeros(image.shape, np.float32)
    for y in range(20):
        for x in range(26):
            if 0 <= y - dy < 20 and 0 <= x - dx < 26:
                expected[:, :, y, x] = image[:, :, y - dy, x - dx]
    moved = warp(image, motion)
    np.testing.assert_allclose(moved, expected, atol=1e-5)
    back = warp(moved, -motion)
    inner = np.s_[:, :, 7:-7, 7:-7]
    torch.testing.assert_close(back[inner], image[inner], atol=1e-5, rtol=0)


def test_half_a_pixel_is_the_mean_of_two():
    image = random_image(1)
    motion = torch.tensor([0.5, 0.0]).view(1, 2, 1, 1).expand(1, 2, 20, 26)
    expected = (image[..., 1:] + image[..., :-1]) / 2
    torch.testing.assert_close(warp(image, motion)[..., 1:], expected, atol=1e-5, rtol=0)


def test_crops_take_centres_at_one_half_and_are_zero_outside():
    image = random_image(1)
    whole = crop(image, torch.tensor([[-1.0, -2.0, 27.0, 22.0]]), (24, 28))
    torch.testing.assert_close(whole[..., 2:-2, 1:-1], image, atol=1e-5, rtol=0)
    assert whole[..., 0].abs().max() < 1e-5 and whole[..., :2, :].abs().max() < 1e-5


def test_crops_and_pastes_are_bilinear_sampling():
    """Against torch's general sampler, for boxes of any size that leave the image."""
    random = torch.Generator().manual_seed(0)
    image, patches = random_image(5), torch.rand(5, 2, 9, 12, generator=random)
    low, side = torch.rand(5, 2, generator=random) * 30 - 10, torch.rand(5, 2, generator=random) * 25 + 4
    box = torch.cat([low, low + side], 1)

    def sampled(source, x, y):
        """`source` at all pairs of x (n, b) and y (n, a), in pixels."""
        extent = torch.tensor([source.shape[3], source.shape[2]])
        points = torch.stack(torch.broadcast_tensors(x[:, None], y[:, :, None]), -1)
        return grid_sample(source, points * (2 / extent) - 1, align_corners=False)

    x, y = ((torch.arange(k) + 0.5) / k * side[:, i, None] + low[:, i, None] for i, k in enumerate((12, 9)))
    torch.testing.assert_close(crop(image, box, (9, 12)), sampled(image, x, y), atol=1e-5, rtol=0)
    x, y = ((torch.arange(k) + 0.5 - low[:, i, None]) / side[:, i, None] for i, k in enumerate((26, 20)))
    torch.testing.assert_close(paste(patches, box, (20, 26)), sampled(patches, x * 12, y * 9), atol=1e-5, rtol=0)


# ---------------------------------------------------------------- boxes


def test_boxes_are_enlarged_about_their_centres():
    found = boxes(masks((10, 6, 30, 16), (0, 0, 48, 40)), 1.5)[0]
    assert found.tolist() == [[5.0, 3.5, 35.0, 18.5], [-12.0, -10.0, 60.0, 50.0]]


def test_small_boxes_have_eight_pixels():
    assert boxes(masks((10, 6, 11, 26)), 1.5)[0, 0].tolist() == [6.5, 1.0, 14.5, 31.0]


def test_unseen_frames_take_the_nearest_box():
    """The earlier one of two that are equally near."""
    one, two = (4, 4, 16, 14), (20, 20, 40, 34)
    found = boxes(masks(None, one, None, None, None, two, None), 1.0)[0]
    assert [row[:2] for row in found.int().tolist()] == [[4, 4]] * 4 + [[20, 20]] * 3
    assert boxes(masks(one, None, two), 1.0)[0, 1].tolist() == list(map(float, one))


def test_an_object_that_is_never_seen_has_a_box_in_the_middle():
    seen = masks((4, 4, 16, 14), (4, 4, 16, 14))
    found = boxes(torch.cat([masks(None, None), seen]), 1.0)
    assert found[0].tolist() == [[20.0, 16.0, 28.0, 24.0]] * 2
    assert found[1].tolist() == [[4.0, 4.0, 16.0, 14.0]] * 2


def test_boxes_are_those_of_the_loop():
    random = np.random.default_rng(0)
    marks = torch.from_numpy(random.random((6, 5, 40, 48)) < 0.002)
    marks[0, 1:3] = marks[3] = False
    for visible, found in zip(marks, boxes(marks, 1.5), strict=True):
        np.testing.assert_allclose(found, savos_loop.track_boxes(visible, 1.5))


# ---------------------------------------------------------------- crop and paste


@pytest.mark.parametrize("size", [(32, 32), (64, 128)])
def test_a_mask_survives_cropping_and_pasting(size):
    """IoU > 0.95, of round and square ones at any place."""
    y, x = np.mgrid[:60, :80] + 0.5
    for k, (cx, cy, a, b) in enumerate([(30.2, 24.7, 9, 12), (40, 30, 15, 8), (22.5, 36.1, 6.3, 6.1)]):
        inside = ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1 if k != 1 else (abs(x - cx) < a) & (abs(y - cy) < b)
        mask = torch.from_numpy(inside)[None, None]
        box = boxes(mask, 1.5)[:, 0]
        again = paste(crop(mask.float(), box, size), box, (60, 80)) > 0.5
        assert (again & mask).sum() / (again | mask).sum() > 0.95


def test_a_box_of_the_patch_s_own_size_is_copied():
    image = random_image(2)
    box = torch.tensor([[3.0, 5.0, 11.0, 13.0], [0.0, 0.0, 8.0, 8.0]])
    patches = crop(image, box, (8, 8))
    torch.testing.assert_close(patches[0], image[0, :, 5:13, 3:11], atol=1e-5, rtol=0)
    canvas = paste(patches, box, (20, 26))
    expected = torch.zeros_like(image)
    expected[0, :, 5:13, 3:11], expected[1, :, :8, :8] = image[0, :, 5:13, 3:11], image[1, :, :8, :8]
    torch.testing.assert_close(canvas, expected, atol=1e-5, rtol=0)


def test_what_lies_outside_of_the_frame_is_zero():
    patches = crop(torch.ones(1, 1, 20, 26), torch.tensor([[-8.0, 0.0, 8.0, 16.0]]), (16, 16))
    torch.testing.assert_close(patches[0, 0, :, :8], torch.zeros(16, 8))
    torch.testing.assert_close(patches[0, 0, :, 8:], torch.ones(16, 8))


def test_pasting_into_a_window_is_cutting_the_pasted_frame():
    patches, box = random_image(2, 1, (16, 16)), torch.tensor([[3.2, 5.1, 15.4, 13.0], [10.0, 2.5, 24.5, 17.5]])
    origin = torch.tensor([[2, 3], [8, 0]])
    whole = paste(patches, box, (20, 26))
    windows = paste(patches, box, (14, 16), origin.float())
    for k, (x, y) in enumerate(origin.tolist()):
        torch.testing.assert_close(windows[k], whole[k, :, y : y + 14, x : x + 16], atol=1e-5, rtol=0)


def test_crop_and_paste_are_those_of_the_loop():
    image, box = random_image(2), torch.tensor([[3.2, -5.1, 15.4, 13.0], [10.0, 2.5, 34.5, 17.5]])
    patches = crop(image, box, (12, 10))
    canvas = paste(patches, box, (20, 26))
    for k in range(2):
        patch = savos_loop.crop(image[k], box[k].tolist(), (12, 10))
        torch.testing.assert_close(patches[k], patch, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(canvas[k], savos_loop.paste(patch, box[k].tolist(), (20, 26)), atol=1e-5, rtol=1e-4)


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize("seed", range(5))
def test_windows_hold_the_boxes_of_three_frames_and_stay_in_the_frame(seed):
    random = np.random.default_rng(seed)
    low = random.uniform(-10, 45, (3, 6, 2))
    box = torch.from_numpy(np.concatenate([low, low + random.uniform(8, 20, (3, 6, 2))], 2)).float()
    origin, (height, width) = window_origins(box, (50, 56))
    assert height in (50, *range(8, 50, 8)) and width in (56, *range(8, 56, 8))
    assert (origin >= 0).all()
    assert (origin[..., 0] + width <= 56).all() and (origin[..., 1] + height <= 50).all()
    frame = torch.tensor([56.0, 50.0])
    for n in range(3):
        for s in range(6):
            for t in range(max(s - 1, 0), min(s + 2, 6)):
                left_top = (box[n, t, :2] - geometry.MARGIN).clamp_min(0).minimum(frame)
                right_bottom = (box[n, t, 2:] + geometry.MARGIN).clamp_min(0).minimum(frame)
                assert (origin[n, s] <= left_top).all()
                assert (origin[n, s] + torch.tensor([width, height]) >= right_bottom).all()


def test_windows_are_no_larger_than_needed():
    box = torch.tensor([[[20.0, 20.0, 30.0, 31.0]]])
    origin, size = window_origins(box, (100, 100))
    assert origin.tolist() == [[[18, 18]]]
    assert size == (16, 16)  # 15 rows and 14 columns, in steps of 8


def test_cut():
    values = torch.arange(2 * 3 * 10 * 12).view(2, 3, 10, 12)
    channels = torch.stack([values, -values], 2)
    origin = torch.tensor([[[0, 0], [2, 3], [8, 4]], [[1, 1], [8, 6], [0, 6]]])
    found, both = cut(values, origin, (4, 4)), cut(channels, origin, (4, 4))
    assert found.shape == (2, 3, 4, 4)
    for n in range(2):
        for t in range(3):
            x, y = origin[n, t].tolist()
            assert torch.equal(found[n, t], values[n, t, y : y + 4, x : x + 4])
    assert torch.equal(both, torch.stack([found, -found], 2))


def test_cut_from_other_frames():
    values = torch.arange(2 * 3 * 10 * 12).view(2, 3, 10, 12)
    origin = torch.tensor([[[0, 0], [2, 3], [8, 4]], [[1, 1], [8, 6], [0, 6]]])
    order = torch.tensor([2, 0, 1])
    assert torch.equal(cut(values, origin, (4, 4), order), cut(values[:, order], origin, (4, 4)))


def test_put_is_the_inverse_of_cut():
    origin = torch.tensor([[[0, 0], [2, 3], [8, 4]], [[1, 1], [8, 6], [0, 6]]])
    values, canvas = torch.rand(2, 3, 4, 4) + 1, torch.zeros(2, 3, 10, 12)
    put(canvas, values, origin)
    assert torch.equal(cut(canvas, origin, (4, 4)), values)
    assert (canvas != 0).sum() == 2 * 3 * 16
