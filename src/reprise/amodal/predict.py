"""Probabilities of the full masks of every test track, once; every metric is computed from them later.

A job's arrays, for each split (`test`, and `unseen` where there is one), with k frames of its tracks in their order:

    <split>/probability  uint8 (k, h, w), round(255 P)
    <split>/weight       uint8 (k,), round(255 w+), the mean weight of the forward pass where others may hide the
                         object, everywhere if there are none
    <split>/gap          float16 (k,), the mean difference of both passes there
    <split>/motion       float16 (k, 2), the mean residual motion into the frame, beyond that of the visible part

Motion is in pixels. Means are taken where something is predicted. The last three exist for video networks alone.
`n_params` is the number of trained parameters.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor

from reprise.amodal.completion import UNet, complete
from reprise.amodal.geometry import cut, put
from reprise.amodal.params import Completion
from reprise.amodal.plan import IMAGE
from reprise.amodal.predictor import Clip, Predictions, Predictor, displacements, predictor_of
from reprise.amodal.tracks import Tracks
from reprise.devices import device

FRAMES = 160  # at once, but one whole track at least


def predict(
    method: str, weights: str, folder: str, splits: list[str], *, steps: int | None = None, settings: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Apply one trained network to all occluded tracks of some splits.

    Args:
        weights: file of the network's weights, or of its states while it was adapted.
        steps: of adaptation, where it was adapted.
    """
    stored = load_file(weights)
    if steps is not None:
        prefix = f"{steps}/"
        stored = {name.removeprefix(prefix): v for name, v in stored.items() if name.startswith(prefix)}
    state = {name: torch.from_numpy(value) for name, value in stored.items()}
    network = _restored(method, state, settings)
    found = {"n_params": np.array(sum(weight.numel() for weight in network.parameters()))}
    for split in splits:
        tracks = Tracks(Path(folder), split)
        if isinstance(network, Predictor):
            found |= {f"{split}/{name}": values for name, values in _videos(network, tracks).items()}
        else:
            found[f"{split}/probability"] = _images(network, tracks, Completion(**settings["completion"]))
    return found


def _restored(method: str, state: dict[str, Tensor], settings: dict[str, Any]) -> UNet | Predictor:
    if method in IMAGE:
        network = UNet(Completion(**settings["completion"]).widths)
        network.load_state_dict(state)
        return network.to(device()).eval()
    predictor = predictor_of(method, settings)
    predictor.network.load_state_dict(state)
    return predictor.to(device()).eval()


def _images(network: UNet, tracks: Tracks, settings: Completion) -> np.ndarray:
    parts = []
    for _, own, first, length, _ in tracks.table:
        owner = torch.from_numpy(np.array(tracks.data.arrays["owner"][first : first + length])).to(device())
        visible = owner == int(own)
        parts.append(_bytes(complete(network, visible, (owner != 0) & ~visible, settings)))
    return np.concatenate(parts)


@torch.inference_mode()
def _videos(predictor: Predictor, tracks: Tracks) -> dict[str, np.ndarray]:
    parts: dict[str, list[np.ndarray]] = {"probability": [], "weight": [], "gap": [], "motion": []}
    at_once = max(1, FRAMES // int(tracks.lengths.max()))
    for start in range(0, len(tracks), at_once):
        numbers = np.arange(start, min(start + at_once, len(tracks)))
        samples = np.stack([numbers, np.zeros_like(numbers)], 1)
        columns = tracks.columns(samples, int(tracks.lengths[numbers].max()))
        rows = np.arange(len(numbers))
        clip = Clip.of({name: torch.from_numpy(np.array(c[rows])).to(device()) for name, c in columns.items()})
        arrays = _described(predictor(clip), clip)
        for i, number in enumerate(numbers):
            for name, values in arrays.items():
                parts[name].append(values[i, : tracks.lengths[number]])
    return {name: np.concatenate(values) for name, values in parts.items()}


def _described(found: Predictions, clip: Clip) -> dict[str, np.ndarray]:
    """The arrays of a batch of clips, (n, t, ...), in whole frames."""
    merged, weight = found.merged()
    spoken = found.probability > 0  # within the boxes, whatever the size of the windows
    either = spoken.any(0)
    where = cut(clip.others, found.origin, found.size).bool() & either
    where = torch.where(where.any((2, 3), keepdim=True), where, either)
    area = where.sum((2, 3)).clamp_min(1)
    gap = ((found.probability[0] - found.probability[-1]).abs() * where).sum((2, 3)) / area
    inside = spoken[0][:, :, None]
    moved = (found.motion[0] * inside).sum((3, 4)) / inside.sum((3, 4)).clamp_min(1)
    residual = moved - _visible_motion(clip)
    whole = torch.zeros(clip.visible.shape, device=merged.device)
    put(whole, merged, found.origin)
    return {
        "probability": _bytes(whole),
        "weight": _bytes((weight * where).sum((2, 3)) / area),
        "gap": (gap * found.valid.all(0)).half().cpu().numpy(),
        "motion": (residual * found.valid[0][..., None]).half().cpu().numpy(),
    }


def _visible_motion(clip: Clip) -> Tensor:
    """(n, t, 2) mean flow of the visible part of the frame before, which brought it into this one."""
    flow = (displacements(clip.flow[:, :, :2]) * clip.visible[:, :, None]).sum((3, 4))
    mean = flow / clip.visible.sum((2, 3)).clamp_min(1)[..., None]
    return torch.cat([mean[:, :1], mean[:, :-1]], 1)


def _bytes(probability: Tensor) -> np.ndarray:
    return (probability.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
