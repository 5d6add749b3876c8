"""Boxes, patches and motion (Sec. 2.3), batched over objects and frames.

Coordinates are pixels with the centre of pixel i at i + 0.5, so an image of width w spans [0, w]; a box is
(left, top, right, bottom). All resampling is bilinear with zeros outside (`align_corners=False`; pitfalls 2 and 3 of
the official code: no half-pixel shift, float boxes, and pasting is the inverse of cropping).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample

SMALLEST = 8.0  # pixels: side of the smallest box
MARGIN = 2  # pixels around the boxes of a window: pasting and warping reach about one each beyond a patch


def boxes(visible: Bool[Tensor, "n t h w"], enlarge: float) -> Float[Tensor, "n t 4"]:
    """Boxes of the visible masks, enlarged about their centres, at least 8 pixels wide and high.

    A frame in which the object cannot be seen takes the box of the nearest one where it can (the earlier of two); an
    object that is never seen gets a box in the middle of the frame.
    """
    n, t, h, w = visible.shape
    columns, rows = visible.any(2), visible.any(3)
    seen = columns.any(2)
    left, right = _first(columns), w - _first(columns.flip(2))
    top, bottom = _first(rows), h - _first(rows.flip(2))
    centre = torch.stack([left + right, top + bottom], 2) / 2
    side = torch.stack([right - left, bottom - top], 2) * enlarge
    nowhere = torch.tensor([w / 2, h / 2], device=visible.device)
    nearest = _nearest_seen(seen)[..., None].expand(n, t, 2)
    centre = torch.where(seen.any(1)[:, None, None], centre.gather(1, nearest), nowhere)
    side = torch.where(seen.any(1)[:, None, None], side.gather(1, nearest), 0.0).clamp_min(SMALLEST)
    return torch.cat([centre - side / 2, centre + side / 2], 2)


def _first(marks: Bool[Tensor, "n t k"]) -> Float[Tensor, "n t"]:
    """Place of the first true mark (0 if there is none)."""
    return marks.float().argmax(2).float()


def _nearest_seen(seen: Bool[Tensor, "n t"]) -> Int[Tensor, "n t"]:
    """For every frame the nearest one in which the object is seen."""
    t = seen.shape[1]
    distance = (torch.arange(t, device=seen.device)[:, None] - torch.arange(t, device=seen.device)).abs()
    return torch.where(seen[:, None], distance[None], t + 1).argmin(2)


def crop(images: Float[Tensor, "n c h w"], box: Float[Tensor, "n 4"], size: tuple[int, int]) -> Tensor:
    """(n, c, *size): the boxes of the images, resampled."""
    height, width = size
    x = _centres(width, box) / width * (box[:, 2:3] - box[:, 0:1]) + box[:, 0:1]
    y = _centres(height, box) / height * (box[:, 3:4] - box[:, 1:2]) + box[:, 1:2]
    return _resampled(images, x, y)


def paste(
    patches: Float[Tensor, "n c h w"],
    box: Float[Tensor, "n 4"],
    size: tuple[int, int],
    origin: Float[Tensor, "n 2"] | None = None,
) -> Tensor:
    """(n, c, *size): the inverse of `crop`, on a canvas that is zero outside the boxes.

    `origin` is the upper left corner (x, y) of each canvas, where it is but a window of the frame.
    """
    height, width = size
    x, y = _centres(width, box), _centres(height, box)
    if origin is not None:
        x, y = x + origin[:, 0:1], y + origin[:, 1:2]
    x = (x - box[:, 0:1]) / (box[:, 2:3] - box[:, 0:1]) * patches.shape[3]
    y = (y - box[:, 1:2]) / (box[:, 3:4] - box[:, 1:2]) * patches.shape[2]
    return _resampled(patches, x, y)


def _resampled(images: Float[Tensor, "n c h w"], x: Float[Tensor, "n b"], y: Float[Tensor, "n a"]) -> Tensor:
    """(n, c, a, b): the images at all pairs of x and y; two matrix products, as rows and columns do not mix."""
    n, c, h, w = images.shape
    with torch.autocast(images.device.type, enabled=False):
        rows = torch.bmm(images.float().reshape(n, c * h, w), _hats(x, w).transpose(1, 2)).view(n, c, h, -1)
        return _hats(y, h)[:, None] @ rows


def _hats(points: Float[Tensor, "n a"], cells: int) -> Float[Tensor, "n a cells"]:
    """The share of every cell in the value at each point, none of those outside."""
    centres = torch.arange(cells, device=points.device, dtype=torch.float32) + 0.5
    return (1 - (points[..., None] - centres).abs()).clamp_min(0)


def warp(images: Float[Tensor, "n c h w"], motion: Float[Tensor, "n 2 h w"]) -> Tensor:
    """warp(Y, A)(p) = Y(p - A(p)): what moves along A, as it looks one frame later."""
    h, w = images.shape[2:]
    extent = torch.tensor([w, h], device=images.device, dtype=torch.float32)
    y = torch.arange(h, device=images.device, dtype=torch.float32) + 0.5
    x = torch.arange(w, device=images.device, dtype=torch.float32) + 0.5
    still = torch.stack([x.expand(h, w), y[:, None].expand(h, w)], -1) * (2 / extent) - 1
    with torch.autocast(images.device.type, enabled=False):  # half precision cannot hold coordinates
        places = still - motion.float().movedim(1, -1) * (2 / extent)
        return grid_sample(images.float(), places, align_corners=False)


def _centres(count: int, box: Tensor) -> Float[Tensor, "1 count"]:
    return (torch.arange(count, device=box.device, dtype=torch.float32) + 0.5)[None]


def window_origins(box: Float[Tensor, "n t 4"], size: tuple[int, int]) -> tuple[Int[Tensor, "n t 2"], tuple[int, int]]:
    """Windows of one common size that hold, for each frame, the boxes of the frame and of its two neighbours.

    Args:
        size: height and width of the frames, which the windows do not leave.

    Returns: the upper left corners (x, y) of the windows, and their height and width.
    """
    before, after = box[:, [0, *range(box.shape[1] - 1)]], box[:, [*range(1, box.shape[1]), -1]]
    low = torch.minimum(torch.minimum(before, after), box)[..., :2].floor() - MARGIN
    high = torch.maximum(torch.maximum(before, after), box)[..., 2:].ceil() + MARGIN
    frame = torch.tensor(size[::-1], device=box.device)
    low, high = low.clamp_min(0), torch.minimum(high, frame)
    # rounded up, so that few different sizes occur
    needed = ((high - low).amax((0, 1)) / 8).ceil() * 8
    width, height = torch.minimum(needed, frame).int().tolist()
    extent = torch.tensor([width, height], device=box.device)
    origin = torch.minimum(low, (frame - extent).float()).clamp_min(0)
    return origin.long(), (height, width)


def cut(
    values: Tensor, origin: Int[Tensor, "n t 2"], size: tuple[int, int], frames: Int[Tensor, " t"] | None = None
) -> Tensor:
    """(n, t, c, *size): windows of values (n, t, c, h, w), or (n, t, *size) of (n, t, h, w).

    `frames` (t,) names the frame that each window looks at, its own one by default.
    """
    windows, (clips, steps, y, x) = _windows(values, origin, size)
    steps = steps if frames is None else frames
    return windows[clips, steps, y, x] if values.ndim == 4 else windows[clips, steps, :, y, x]


def put(canvas: Float[Tensor, "n t h w"], values: Float[Tensor, "n t a b"], origin: Int[Tensor, "n t 2"]) -> None:
    """Write windows into whole frames, the inverse of `cut`."""
    windows, places = _windows(canvas, origin, (values.shape[2], values.shape[3]))
    windows[places] = values


def _windows(values: Tensor, origin: Tensor, size: tuple[int, int]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """All windows of a size as a view (n, t, ..., y, x, *size), and the numbers n, t, y, x of the ones meant.

    Copying rows of a window is many times faster than an index for every pixel of it.
    """
    n, t = origin.shape[:2]
    clips, steps = torch.arange(n, device=origin.device)[:, None], torch.arange(t, device=origin.device)
    x, y = origin.unbind(2)
    return values.unfold(-2, size[0], 1).unfold(-2, size[1], 1), (clips, steps, y, x)
