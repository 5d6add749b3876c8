"""Optical flow of recorded video: estimated (DIS, RAFT) or read from Middlebury `.flo` files (SaVos has FlowNet2's).

All of it comes out as `videos` stores it: float16 (T, 4, H, W), dx, dy to the next frame, then to the previous one, in
pixels of that size, 0 where there is no such frame.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float16, Float32, UInt8
from PIL import Image

from reprise.data.arrays import DataError

MAGIC = 202021.25  # the first float of a .flo file
FASTEST = 10_000.0  # pixels per frame; Middlebury's mark for unknown flow is 1e9
RAFT_MULTIPLE, RAFT_LEAST = 8, 128  # sides that RAFT takes


def dis(frames: UInt8[np.ndarray, "t 3 h w"]) -> Float16[np.ndarray, "t 4 h w"]:
    """DIS (Kroeger et al. 2016; OpenCV, preset MEDIUM) on grey frames of twice the size, averaged back."""
    import cv2

    def enlarged(frame: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(np.ascontiguousarray(frame.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)

    def flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        double = method.calc(first, second, None)  # type: ignore[call-overload]  # None: no initial flow
        mean = cv2.resize(double, (width, height), interpolation=cv2.INTER_AREA)
        return mean.transpose(2, 0, 1) / 2  # half the pixels, half the way

    height, width = frames.shape[-2:]
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [enlarged(frame) for frame in frames]
    return _both_ways(((flow(one, two), flow(two, one)) for one, two in pairwise(grey)), (height, width), "DIS")


def raft(frames: UInt8[np.ndarray, "t 3 h w"]) -> Float16[np.ndarray, "t 4 h w"]:
    """RAFT (Teed and Deng 2020; torchvision's large one with its default weights), on the GPU if there is one.

    Raises DataError without torchvision, or when its weights can neither be found nor downloaded.
    """
    model = _raft_model()
    import torch
    from torch.nn.functional import pad

    height, width = frames.shape[-2:]
    fitted = [max(RAFT_LEAST, -(-side // RAFT_MULTIPLE) * RAFT_MULTIPLE) for side in (height, width)]
    device = next(model.parameters()).device
    batch = torch.from_numpy(np.ascontiguousarray(frames)).to(device).float() / 127.5 - 1
    batch = pad(batch, (0, fitted[1] - width, 0, fitted[0] - height), mode="replicate")

    def flow(first: Any, second: Any) -> np.ndarray:
        with torch.inference_mode():
            last = model(first[None], second[None])[-1]
        return last[0, :, :height, :width].float().cpu().numpy()

    return _both_ways(((flow(one, two), flow(two, one)) for one, two in pairwise(batch)), (height, width), "RAFT")


ESTIMATORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"dis": dis, "raft": raft}


def stored(
    forward: Sequence[Path], backward: Sequence[Path], height: int, width: int
) -> Float16[np.ndarray, "t 4 h w"]:
    """The flow of T frames from T - 1 files each way: the i-th of `backward` leads from frame i + 1 to frame i."""
    files = zip(forward, backward, strict=True)
    pairs = ((read_flo(one, height, width), read_flo(two, height, width)) for one, two in files)
    return _both_ways(pairs, (height, width), "file")


def read_flo(path: Path, height: int, width: int) -> Float32[np.ndarray, "2 height width"]:
    """Read a Middlebury file and bring it to this size, grid and values alike: a pixel of another size moves otherwise.

    Raises DataError if the file is missing, no `.flo` file, cut off, or holds unknown or not finite flow.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"the flow {path} is missing: unpack the archive again") from None
    if len(content) < 12 or np.frombuffer(content, "<f4", count=1)[0] != np.float32(MAGIC):
        raise DataError(f"{path} is no Middlebury .flo file: get it again")
    columns, rows = (int(length) for length in np.frombuffer(content, "<i4", count=2, offset=4))
    if min(columns, rows) < 1:
        raise DataError(f"{path} is no Middlebury .flo file: get it again")
    if len(content) != 12 + 8 * rows * columns:
        raise DataError(f"{path} is cut off: {len(content)} bytes for {columns}x{rows} vectors: get it again")
    values = np.frombuffer(content, "<f4", offset=12).reshape(rows, columns, 2)
    if not (np.abs(values) < FASTEST).all():
        raise DataError(f"{path} holds flow that is unknown or no number: estimate it anew, or choose `flow: dis`")
    scale = (width / columns, height / rows)
    channels = [Image.fromarray(np.ascontiguousarray(values[..., axis])) for axis in (0, 1)]
    resized = [channel.resize((width, height), Image.Resampling.BILINEAR) for channel in channels]
    return np.stack([np.asarray(channel) * np.float32(s) for channel, s in zip(resized, scale, strict=True)])


def _both_ways(
    pairs: Iterable[tuple[Float[np.ndarray, "2 h w"], Float[np.ndarray, "2 h w"]]],
    shape: tuple[int, ...],
    where: str,
) -> Float16[np.ndarray, "t 4 h w"]:
    """Forward and backward flow of consecutive frames, in the order of `videos`. Raises DataError if not finite."""
    pairs = list(pairs)
    flow = np.zeros((len(pairs) + 1, 4, *shape), np.float16)
    for t, (forward, backward) in enumerate(pairs):
        if not (np.abs(forward) < FASTEST).all() or not (np.abs(backward) < FASTEST).all():
            raise DataError(f"the flow by {where} between frames {t} and {t + 1} is not finite: look at those frames")
        flow[t, :2], flow[t + 1, 2:] = forward, backward
    return flow


@cache
def _raft_model() -> Any:
    try:
        import torch
        from torchvision.models.optical_flow import Raft_Large_Weights, raft_large
    except ImportError as failure:
        raise DataError(
            "`flow: raft` needs torchvision, which the extra `gpu` of this package brings (pip install '.[gpu]'); "
            "`flow: dis` needs nothing more"
        ) from failure
    try:
        model = raft_large(weights=Raft_Large_Weights.DEFAULT)
    except OSError as failure:
        raise DataError(
            f"the weights of RAFT cannot be downloaded ({failure}): check the network, put them into torch's hub "
            "folder, or choose `flow: dis`"
        ) from failure
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
