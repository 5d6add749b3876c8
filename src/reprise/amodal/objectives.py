"""The losses of SaVos (Sec. 2.4), of predictions in windows, batched over objects and time.

A prediction is compared with what can be seen in its frame, wherever no other object could hide it. Outside of the
windows, where nothing is predicted, the loss is all but zero and without a gradient.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from reprise.amodal.geometry import cut, warp
from reprise.amodal.predictor import Batch, Clip, Predictions, arrivals, colours


@dataclass(frozen=True)
class Weights:
    """Weights of the losses, and the label that L_rec compares with."""

    consistency: float
    photometric: float
    eps: float
    supervised: bool = False


class Objective(nn.Module):
    """L = L_rec + L_cons + L_photo of a batch of clips (Sec. 2.4), summed over pixels, averaged over frames and clips.

    The supervised baseline compares with the full mask instead, everywhere.
    """

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, predictor: nn.Module, batch: Batch) -> Tensor:
        clip = Clip.of(batch)
        found: Predictions = predictor(clip)
        label = cut(batch["amodal"] if self.weights.supervised else clip.visible, found.origin, found.size).float()
        hidden = cut(clip.others, found.origin, found.size).float()
        trusted = torch.ones_like(hidden) if self.weights.supervised else 1 - hidden
        loss = reconstruction(found, label, trusted, self.weights.eps)
        if self.weights.consistency:
            loss = loss + self.weights.consistency * consistency(found)
        if self.weights.photometric:
            loss = loss + self.weights.photometric * photometric(found, clip)
        return loss


def reconstruction(found: Predictions, label: Tensor, trusted: Tensor, eps: float) -> Tensor:
    """L_rec: cross-entropy of the merged prediction where it can be trusted, a sum over pixels, mean over frames."""
    probability, _ = found.merged()
    kept = eps / 2 + (1 - eps) * probability
    with torch.autocast(kept.device.type, enabled=False):
        pixels = functional.binary_cross_entropy(kept.float(), label, reduction="none")
    predicted = found.valid.any(0)
    return ((trusted * pixels).sum((2, 3)) * predicted).sum() / predicted.sum().clamp_min(1)


def consistency(found: Predictions) -> Tensor:
    """L_cons: 1 - soft IoU of a pass's prediction warped one frame on and its prediction there.

    A sum over the passes, a mean over time and clips. The motion is taken as given.
    """
    total = found.probability.new_zeros(())
    # The second pass goes towards earlier frames.
    ways = ((slice(0, -1), slice(1, None)), (slice(1, None), slice(0, -1)))
    passes = zip(ways, found.probability, found.motion.detach(), found.valid, strict=False)
    for (here, there), probability, motion, own in passes:
        if not own.any():
            continue
        offset = (found.origin[:, there] - found.origin[:, here]).flatten(0, 1)
        moved = _warped_between(probability[:, here].flatten(0, 1), motion[:, there].flatten(0, 1), offset)
        agreement = soft_iou(moved, probability[:, there].flatten(0, 1)).view(len(own), -1)
        both = own[:, here] & own[:, there]
        each = ((1 - agreement) * both).sum(1) / both.sum(1).clamp_min(1)
        total = total + each.mean()
    return total


def _warped_between(image: Tensor, motion: Tensor, offset: Tensor) -> Tensor:
    """Warp (m, a, b) from its window into the next frame's, whose corner lies `offset` (x, y) further."""
    return warp(image[:, None], motion - offset[:, :, None, None].float())[:, 0]


def soft_iou(a: Float[Tensor, "m h w"], b: Float[Tensor, "m h w"]) -> Float[Tensor, " m"]:
    """sum ab / (sum (a + b - ab) + 1e-8)."""
    product = (a * b).sum((1, 2))
    return product / ((a + b).sum((1, 2)) - product + 1e-8)


def photometric(found: Predictions, clip: Clip) -> Tensor:
    """L_photo: |warp(I_t, A_t) - I_{t+1}| over what is visible in both frames, a mean over frames (FISHBOWL only).

    Frame t + 1 of a pass is frame s of the clip, and frame t its neighbour; pitfall 5 of the official code is mended.
    """
    total = found.probability.new_zeros(())
    moved_into = found.valid & arrivals(clip.count, found.valid.shape[2])[: len(found.valid)]
    time = torch.arange(found.valid.shape[2], device=found.valid.device)
    whole = torch.cat([colours(clip.frames), clip.visible[:, :, None].float()], 2)
    now = cut(whole, found.origin, found.size)
    for step, motion, own in zip((1, -1), found.motion, moved_into, strict=False):
        if not own.any():
            continue
        before = cut(whole, found.origin, found.size, (time - step) % len(time))
        moved = warp(before.flatten(0, 1), motion.flatten(0, 1)).view_as(now)
        both = (moved[:, :, 3:] > 0) & (now[:, :, 3:] > 0)
        difference = ((moved[:, :, :3] - now[:, :, :3]).abs() * both).sum((2, 3, 4))
        total = total + (difference * own).sum() / own.sum().clamp_min(1)
    return total
