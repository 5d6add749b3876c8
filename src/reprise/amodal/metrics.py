"""Metrics of amodal completion (Sec. 2.8, "Evaluation protocol"), from masks alone.

Notation: V visible mask of an object, M its full mask (the hidden truth), O the visible surfaces of others, where it
may hide, P the predicted probability. H = [P > threshold] & O is the predicted hidden part; the final mask is V | H.
Masks are boolean (frames, height, width), the frames those of one track; V and O never overlap.

Only pixels of O can be predicted, so that a run is judged on them alone. `judge` sorts them into eight kinds by what
the truth says of them; how many pixels of each kind a run predicts (`Judge.count`) decides every metric of the run.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import ArrayLike

from reprise.seeding import derive

SMOOTH = 1e-6  # of the IoU: nothing predicted where nothing is counts 1
RATES = np.arange(9) / 10  # lower edges of the bins of occlusion rate, each 0.1 wide
N_BINS = 10  # of probability, for reliability
LEVELS = 256  # stored probabilities are round(255 P)
ENLARGED, LEAST_SIDE = 1.5, 8.0  # a box about the visible mask, as the networks see it (Sec. 2.3)
GROWS = 1.5  # full box over visible box from which a frame is of the subset `box_grows`
ALWAYS_HIDDEN = 5 / (64 * 128)  # share of the full box hidden in every frame, for `never_revealed`
MOSTLY_VISIBLE, LOWEST = 0.5, 0.1  # occlusion rate below which, and quantile under which, motion counts as hard

# A kind of hidden candidate is a sum of these bits.
HIDDEN, REVEALED, NEAR = 1, 2, 4
KINDS = np.arange(8)


def ratio(intersection: ArrayLike, union: ArrayLike) -> Float[np.ndarray, "*n"]:
    """Smoothed IoU of pixel counts, in (0, 1]; 1 where both masks are empty."""
    return (np.asarray(intersection) + SMOOTH) / (np.asarray(union) + SMOOTH)


def iou(one: Bool[np.ndarray, "*n h w"], other: Bool[np.ndarray, "*n h w"]) -> Float[np.ndarray, "*n"]:
    """`ratio` of masks."""
    return ratio(area(one & other), area(one | other))


def area(masks: Bool[np.ndarray, "*n h w"]) -> Int[np.ndarray, "*n"]:
    """Pixels of each mask."""
    return np.count_nonzero(masks, axis=(-2, -1))


def occlusion_rate(visible: ArrayLike, full: ArrayLike) -> Float[np.ndarray, "*n"]:
    """r = 1 - |V| / |M| of areas, in [0, 1]; 0 where the full mask is empty or, as in estimated ones, the smaller."""
    visible, full = np.asarray(visible), np.asarray(full)
    # (|M| - |V|) / |M| is correctly rounded, 1 - |V| / |M| is not: one pixel of ten must not pass for r > 0.1.
    return np.maximum(full - visible, 0) / np.maximum(full, 1)


# ---------------------------------------------------------------- what the truth says of a track


@dataclass(frozen=True)
class Judge:
    """The truth of one track of n frames, as far as metrics need it; (n,) arrays, areas in pixels.

    `pixels` are the c pixels of O, as indices into the flattened (n, h, w) frames, and `codes` their 8 frame + kind.
    `shape_iou` and `flow_iou` compare a frame with the next one, NaN in the last (see `judge`).
    """

    visible: Int[np.ndarray, " n"]
    full: Int[np.ndarray, " n"]
    both: Int[np.ndarray, " n"]  # |V & M|, which is |V| unless masks are estimated
    hidden_outside: Int[np.ndarray, " n"]  # of M, neither visible nor behind O
    pixels: Int[np.ndarray, " c"]
    codes: Int[np.ndarray, " c"]
    box_grows: Bool[np.ndarray, " n"]
    never_revealed: Bool[np.ndarray, " n"]
    shape_iou: Float[np.ndarray, " n"]
    flow_iou: Float[np.ndarray, " n"]

    @property
    def rate(self) -> Float[np.ndarray, " n"]:
        return occlusion_rate(self.visible, self.full)

    def count(self, predicted: Bool[np.ndarray, " c"]) -> Int[np.ndarray, "n 8"]:
        """Predicted pixels of each kind in each frame."""
        n = len(self.visible)
        return np.bincount(self.codes[predicted], minlength=8 * n).reshape(n, 8)

    def levels(self, probability: UInt8[np.ndarray, " c"], scored: Bool[np.ndarray, " n"]) -> Int[np.ndarray, "2 256"]:
        """How often each stored probability occurs near the object in scored frames: outside M, and in M."""
        chosen = scored[self.codes // 8] & (self.codes & NEAR > 0)
        hidden = self.codes[chosen] & HIDDEN
        counts = np.bincount(hidden * LEVELS + probability[chosen], minlength=2 * LEVELS)
        return counts.reshape(2, LEVELS)


def judge(
    visible: Bool[np.ndarray, "n h w"],
    occluders: Bool[np.ndarray, "n h w"],
    full: Bool[np.ndarray, "n h w"],
    flow: Float[np.ndarray, "n 2 h w"],
) -> Judge:
    """Take down what the truth says of one track.

    A hidden candidate (a pixel of O) is HIDDEN if it lies in M, REVEALED if its point of the body is visible in
    another frame of the track, and NEAR if it lies in the visible mask's box, enlarged as the networks see it. Points
    are followed by the displacement of the centroid of M, rounded to pixels: exact for bodies that only translate.

    The hard subsets (P6) after the released notebook: `box_grows`, a side of the full box above 1.5 times that of the
    visible one; `never_revealed`, a track with a part hidden in all frames (more than 5 of 64 x 128 cells of the full
    box); `shape_iou`, the IoU of V with that of the next frame as seen from the body; `flow_iou`, the IoU of V, warped
    by the flow at the destination, with V of the next frame.

    Args:
        flow: to the next frame, in pixels (x, y).
    """
    shifts = displacements(full)
    offsets = shifts.max(axis=0) - shifts
    # Where the full mask is not known, nor is the place of the body.
    known = area(full) > 0
    body, hidden = aligned(visible & known[:, None, None], offsets), full & ~visible
    pixels = np.flatnonzero(occluders)
    frame, row, column = np.unravel_index(pixels, visible.shape)
    revealed = np.any(body, axis=0)[row + offsets[frame, 0], column + offsets[frame, 1]]
    low, high = enlarged_boxes(visible)
    near = (low[frame, 0] <= row) & (row < high[frame, 0]) & (low[frame, 1] <= column) & (column < high[frame, 1])
    sides = box_sides(full)
    always = np.count_nonzero(np.all(aligned(hidden, offsets), axis=0))
    return Judge(
        visible=area(visible),
        full=area(full),
        both=area(visible & full),
        hidden_outside=area(hidden & ~occluders),
        pixels=pixels,
        codes=8 * frame + HIDDEN * full.reshape(-1)[pixels] + REVEALED * revealed + NEAR * near,
        box_grows=np.any(sides > GROWS * box_sides(visible), axis=1),
        never_revealed=np.full(len(full), always > ALWAYS_HIDDEN * sides.prod(axis=1).mean()),
        shape_iou=np.append(np.where(known[:-1] & known[1:], iou(body[:-1], body[1:]), np.nan), np.nan),
        flow_iou=warped_iou(visible, flow),
    )


def displacements(full: Bool[np.ndarray, "n h w"]) -> Int[np.ndarray, "n 2"]:
    """(rows, columns) by which the centroid of the full mask has moved since its first frame, rounded to pixels.

    Frames without a full mask have moved by 0.
    """
    areas = area(full)
    rows = np.count_nonzero(full, axis=2) @ np.arange(full.shape[1])
    columns = np.count_nonzero(full, axis=1) @ np.arange(full.shape[2])
    centroids = np.stack([rows, columns], axis=1) / np.maximum(areas, 1)[:, None]
    start = centroids[np.argmax(areas > 0)]
    return np.where(areas[:, None] > 0, np.rint(centroids - start), 0).astype(np.int64)


def aligned(masks: Bool[np.ndarray, "n h w"], offsets: Int[np.ndarray, "n 2"]) -> Bool[np.ndarray, "n tall wide"]:
    """The masks as seen from the body: each moved by its offset, >= 0, on a canvas that holds them all."""
    n, height, width = masks.shape
    canvas = np.zeros((n, height + offsets[:, 0].max(), width + offsets[:, 1].max()), dtype=bool)
    for mask, there, (top, left) in zip(masks, canvas, offsets, strict=True):
        there[top : top + height, left : left + width] = mask
    return canvas


def warped_iou(visible: Bool[np.ndarray, "n h w"], flow: Float[np.ndarray, "n 2 h w"]) -> Float[np.ndarray, " n"]:
    """IoU of each frame's V, moved by the flow (x, y), with V of the next frame; NaN in the last.

    The flow is read at the destination, as in the method's warp: V'(p) = V(p - flow(p)), here at the nearest pixel,
    so that it falls the more short of V the faster the object moves.
    """
    n, height, width = visible.shape
    found = np.full(n, np.nan)
    down, right = np.indices((height, width))
    for t in range(n - 1):
        row = np.rint(down - flow[t, 1].astype(np.float32)).astype(np.intp)
        column = np.rint(right - flow[t, 0].astype(np.float32)).astype(np.intp)
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        moved = visible[t, row.clip(0, height - 1), column.clip(0, width - 1)] & inside
        found[t] = iou(moved, visible[t + 1])
    return found


def boxes(masks: Bool[np.ndarray, "n h w"]) -> tuple[Int[np.ndarray, "n 2"], Int[np.ndarray, "n 2"]]:
    """First (row, column) of each mask's bounding box and the first beyond it; both 0 for an empty mask."""
    low, high = [], []
    for axis in (2, 1):
        line = np.any(masks, axis=axis)
        some = np.any(line, axis=1)
        low.append(np.where(some, line.argmax(axis=1), 0))
        high.append(np.where(some, line.shape[1] - line[:, ::-1].argmax(axis=1), 0))
    return np.stack(low, axis=1), np.stack(high, axis=1)


def box_sides(masks: Bool[np.ndarray, "n h w"]) -> Int[np.ndarray, "n 2"]:
    """Height and width of each bounding box, in pixels."""
    low, high = boxes(masks)
    return high - low


def enlarged_boxes(masks: Bool[np.ndarray, "n h w"]) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2"]]:
    """`boxes` 1.5 times as large about their centres, and at least 8 pixels a side."""
    low, high = boxes(masks)
    centre, sides = (low + high) / 2, np.maximum(ENLARGED * (high - low), LEAST_SIDE)
    return centre - sides / 2, centre + sides / 2


# ---------------------------------------------------------------- many object-frames


@dataclass(frozen=True)
class ObjectFrames:
    """The object-frames of all tracks of a split, one row each, beside the truth's counts of `Judge`."""

    image: Int[np.ndarray, " n"]  # number of the frame among those of all videos
    video: Int[np.ndarray, " n"]
    inner: Bool[np.ndarray, " n"]  # neither the first nor the last frame of its track
    visible: Int[np.ndarray, " n"]
    full: Int[np.ndarray, " n"]
    both: Int[np.ndarray, " n"]
    hidden_outside: Int[np.ndarray, " n"]
    candidates: Int[np.ndarray, "n 8"]  # pixels of O of each kind
    subsets: dict[str, Bool[np.ndarray, " n"]]

    @property
    def rate(self) -> Float[np.ndarray, " n"]:
        return occlusion_rate(self.visible, self.full)

    def iou_full(self, predicted: Int[np.ndarray, "n 8"]) -> Float[np.ndarray, " n"]:
        """IoU(V | H, M) in each frame, from the counts of H."""
        hits = of_kind(predicted, HIDDEN)
        intersection = self.both + hits
        return ratio(intersection, self.visible + predicted.sum(axis=1) + self.full - intersection)

    def iou_occluded(self, predicted: Int[np.ndarray, "n 8"]) -> Float[np.ndarray, " n"]:
        """IoU(H, M & O) in each frame, from the counts of H."""
        hits = of_kind(predicted, HIDDEN)
        return ratio(hits, predicted.sum(axis=1) + of_kind(self.candidates, HIDDEN) - hits)


def of_kind(counts: Int[np.ndarray, "*n 8"], having: int, lacking: int = 0) -> Int[np.ndarray, "*n"]:
    """Pixels whose kind has all bits of `having` and none of `lacking`."""
    return counts[..., (KINDS & having == having) & (KINDS & lacking == 0)].sum(axis=-1)


def lowest(values: Float[np.ndarray, " n"], rate: Float[np.ndarray, " n"], inner: Bool[np.ndarray, " n"]) -> np.ndarray:
    """Mostly visible inner frames whose value is below the 10 % quantile of all such frames."""
    among = inner & (rate < MOSTLY_VISIBLE)
    return among & (values < np.quantile(values[among], LOWEST)) if among.any() else among


def shares(predicted: Int[np.ndarray, "n 8"], candidates: Int[np.ndarray, "n 8"]) -> dict[str, float]:
    """Pooled over frames: the predicted share of hidden pixels, revealed elsewhere or never, and of others nearby.

    A share of nothing is left out.
    """
    kinds = {
        "recall_revealed": (HIDDEN | REVEALED, 0),
        "recall_never_revealed": (HIDDEN, REVEALED),
        "false_positive": (NEAR, HIDDEN),
    }
    found = {}
    for name, (having, lacking) in kinds.items():
        if total := of_kind(candidates, having, lacking).sum():
            found[name] = float(of_kind(predicted, having, lacking).sum() / total)
    return found


def group_means(values: Float[np.ndarray, " n"], groups: Int[np.ndarray, " n"]) -> Float[np.ndarray, " groups"]:
    """Mean within each group, groups in ascending order."""
    _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return np.bincount(inverse, weights=values) / sizes


def bootstrap(means: Float[np.ndarray, " videos"], draws: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean of `means` over resamples of the videos.

    The resamples depend on `seed` and the number of videos only: methods judged on the same videos share them.
    """
    resampled = _resamples(len(means), draws, seed) @ means / len(means)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return float(low), float(high)


@lru_cache(maxsize=4)
def _resamples(n: int, draws: int, seed: int) -> Float[np.ndarray, "draws n"]:
    """How often each of n videos occurs in each resample (read-only)."""
    rng = np.random.default_rng(derive(seed, "amodal", "bootstrap", n))
    counts = rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)
    counts.setflags(write=False)
    return counts


def rate_bins(rate: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Bin of each occlusion rate: k for [k / 10, (k + 1) / 10), 9 for all from 0.9."""
    return np.digitize(rate, np.arange(1, 10) / 10)


def reliability(
    levels: Int[np.ndarray, "2 256"],
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"], Int[np.ndarray, " bins"]]:
    """Mean probability, share of pixels in M (both NaN where empty) and pixels, in ten equal bins of probability.

    A bin holds its lower edge, the last one also 1.
    """
    bins = np.minimum(np.arange(LEVELS) * N_BINS // (LEVELS - 1), N_BINS - 1)
    pixels = np.bincount(bins, weights=levels.sum(axis=0))
    confident = np.bincount(bins, weights=levels.sum(axis=0) * np.arange(LEVELS) / (LEVELS - 1))
    right = np.bincount(bins, weights=levels[1])
    some = np.where(pixels > 0, pixels, np.nan)
    return confident / some, right / some, pixels.astype(np.int64)
