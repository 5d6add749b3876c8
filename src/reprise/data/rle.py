"""COCO run-length encoded masks, as the amodal video releases store them (pycocotools does the decoding)."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Bool

from reprise.data.arrays import DataError


def decode(rle: Any, shape: tuple[int, int], where: str) -> Bool[np.ndarray, "h w"]:
    """One mask: `{"size": [h, w], "counts": ...}`, or that in a list of one, as the FISHBOWL release wraps it.

    `counts` may be compressed (text or bytes) or a list of runs. Raises DataError, naming `where`, for a mask of
    another size than `shape` and for counts that do not fill it.
    """
    with _coco(where) as coco:
        return coco.decode(_plain(rle, shape, where)).astype(bool)


def union(rles: Sequence[Any], shape: tuple[int, int], where: str) -> Bool[np.ndarray, "h w"]:
    """Where any of the masks is set; nowhere if there are none. Raises DataError as `decode` does."""
    if not rles:
        return np.zeros(shape, bool)
    with _coco(where) as coco:
        return coco.decode(coco.merge([_plain(rle, shape, where) for rle in rles])).astype(bool)


def extent(rle: Any, shape: tuple[int, int], where: str) -> tuple[int, tuple[int, int, int, int]]:
    """Area in pixels, and the box as first row, last row, first column, last column, without decoding the mask.

    The box of an empty mask has its last row before its first. Raises DataError as `decode` does.
    """
    with _coco(where) as coco:
        plain = _plain(rle, shape, where)
        left, top, width, height = (int(value) for value in coco.toBbox(plain))
        return int(coco.area(plain)), (top, top + height - 1, left, left + width - 1)


def polygons(outlines: Any, shape: tuple[int, int], where: str) -> Bool[np.ndarray, "h w"]:
    """The union of COCO polygons `[[x0, y0, x1, y1, ...], ...]`. Raises DataError for anything else."""
    with _coco(where) as coco:
        return coco.decode(coco.merge(coco.frPyObjects(outlines, *shape))).astype(bool)


@contextmanager
def _coco(where: str) -> Iterator[Any]:
    """pycocotools' functions; what they raise for a damaged mask becomes a DataError."""
    from pycocotools import mask

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # pycocotools 2.0.11
            yield mask
    except DataError:
        raise
    except Exception as failure:  # its compiled code raises bare Exception, too
        raise DataError(
            f"{where}: a mask is no run-length encoding ({failure!r}): get the annotation again"
        ) from failure


def _plain(rle: Any, shape: tuple[int, int], where: str) -> dict[str, Any]:
    """The mask as one dictionary with compressed counts, once its size is known to be right."""
    from pycocotools import mask as coco

    if isinstance(rle, list) and len(rle) == 1:
        (rle,) = rle
    size = tuple(int(length) for length in rle["size"])
    if size != tuple(shape):
        raise DataError(
            f"{where}: a mask of {'x'.join(map(str, size))} for frames of {'x'.join(map(str, shape))}: "
            "masks and frames are not of one release, get them again"
        )
    counts = rle["counts"]
    if isinstance(counts, list):
        counts = coco.frPyObjects(rle, *shape)["counts"]
    elif isinstance(counts, str):
        counts = counts.encode("ascii")
    runs = _runs(counts)
    if min(runs, default=0) < 0 or sum(runs) != size[0] * size[1]:  # else pycocotools returns memory as it finds it
        raise ValueError(f"its runs make {sum(runs)} pixels")
    return {"size": list(size), "counts": counts}


def _runs(counts: bytes) -> list[int]:
    """Lengths of the runs in COCO's compressed counts.

    Groups of 5 bits from 48 on, lowest first, with a flag for more; from the fourth on, the change to the run before
    the last one.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        group = character - 48
        value |= (group & 0x1F) << shift
        shift += 5
        if not group & 0x20:
            if group & 0x10:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs
