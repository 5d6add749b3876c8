"""PCNet-M, self-supervised completion of single images (Zhan et al. 2020; Sec. 5): the baseline of SaVos.

A second object's mask, the eraser, is laid on a visible mask. In front, it cuts the mask, which must be filled in
again; behind, the mask is whole and must stay as it is, with the eraser trimmed. At test time the eraser is whatever
may hide the object. The same network learns from full masks for a supervised upper bound.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from reprise.amodal.geometry import boxes, crop, paste
from reprise.amodal.params import Completion
from reprise.amodal.tracks import HIDDEN_TRUTH, Tracks, Truth

COVERED = 0.9  # an eraser that hides more of the mask is not used


class UNet(nn.Module):
    """Two masks in, one logit out: (n, 2, s, s) -> (n, s, s); strided convolutions down and up, skip connections."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for channels, width in zip([2, *widths], widths, strict=False):
            self.down.append(_layer(nn.Conv2d(channels, width, 4, 2, 1, bias=False), width))
        below = widths[-1]
        for width in widths[-2::-1]:
            self.up.append(_layer(nn.ConvTranspose2d(below, width, 4, 2, 1, bias=False), width))
            below = 2 * width  # with the skip connection
        self.out = nn.ConvTranspose2d(below, 1, 4, 2, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Float[Tensor, "n 2 s s"]) -> Float[Tensor, "n s s"]:
        x = x.contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        for layer, skip in zip(self.up, skips[-2::-1], strict=True):
            x = torch.cat([layer(x), skip], 1)
        return self.out(x)[:, 0]


def _layer(convolution: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.LeakyReLU(0.1))


class Frames:
    """All frames of tracks as single images, as lazy columns for `reprise.training.fit`."""

    def __init__(self, tracks: Tracks, rows: np.ndarray) -> None:
        """`rows` (m, 2): track and frame within it of each sample."""
        self.tracks, self.rows = tracks, rows

    def columns(self, eraser: np.ndarray | None = None, *, truth: bool = False) -> Mapping[str, "FrameColumn"]:
        """`owner` (m, h, w) and `object` (m,); of the erasers' frames, too, and `amodal` (m, h, w) where asked for."""
        found = {"owner": FrameColumn(self, "owner", self.rows), "object": FrameColumn(self, "object", self.rows)}
        if eraser is not None:
            found |= {f"eraser_{name}": FrameColumn(self, name, eraser) for name in ("owner", "object")}
        if truth:
            found[HIDDEN_TRUTH] = FrameColumn(self, HIDDEN_TRUTH, self.rows)
        return found


class FrameColumn:
    """One array of single frames, gathered when asked for."""

    def __init__(self, frames: Frames, name: str, rows: np.ndarray) -> None:
        self.frames, self.name, self.rows = frames, name, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        chosen, tracks = self.rows[rows], self.frames.tracks
        if self.name == "object":
            return tracks.table[chosen[:, 0], 1]
        if self.name == HIDDEN_TRUTH:
            return Truth(tracks).clips(chosen, 1)[:, 0]
        return tracks.data.arrays["owner"][tracks.rows(chosen, 1)[:, 0]]


def every_frame(tracks: Tracks) -> np.ndarray:
    """(m, 2) track and frame of all frames of all tracks."""
    number = np.repeat(np.arange(len(tracks)), tracks.lengths)
    return np.stack([number, np.concatenate([np.arange(length) for length in tracks.lengths])], 1)


def untouched(tracks: Tracks, rows: np.ndarray) -> np.ndarray:
    """(m,) whether the object's visible mask touches nothing that could hide it: no truth is needed to know that."""
    found = np.empty(len(rows), bool)
    for i, (number, frame) in enumerate(rows):
        _, own, first, _, _ = tracks.table[number]
        owner = tracks.data.arrays["owner"][first + frame]
        grown = np.pad(owner == own, 1)
        near = grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:]
        found[i] = not ((owner != 0) & (owner != own) & near).any()
    return found


def masks_of(owner: Tensor, number: Tensor) -> tuple[Float[Tensor, "n h w"], Float[Tensor, "n h w"]]:
    """The object's visible mask, and all that could hide it."""
    visible = owner == number[:, None, None]
    return visible.float(), ((owner != 0) & ~visible).float()


class Erase(nn.Module):
    """The self-supervised objective: cross-entropy of the mask before it was erased, heavier inside the eraser."""

    def __init__(self, settings: Completion) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        settings = self.settings
        visible, _ = masks_of(batch["owner"], batch["object"])
        _, eraser = masks_of(batch["eraser_owner"], batch["eraser_object"])
        n = len(visible)
        device = visible.device
        box = boxes(visible[:, None] > 0, settings.enlarge)[:, 0]
        box = _jittered(box, 0.2, 0.2)
        # The eraser is cut from its own frame, where it lies about its own object, and laid elsewhere on ours.
        own = boxes(masks_of(batch["eraser_owner"], batch["eraser_object"])[0][:, None] > 0, settings.enlarge)[:, 0]
        side = own[:, 2:] - own[:, :2]
        offset = (torch.rand(n, 2, device=device) * 2 - 1) * settings.shift * side
        size = (settings.crop, settings.crop)
        target = (crop(visible[:, None], box, size) > 0.5)[:, 0]
        laid = (crop(eraser[:, None], own + torch.cat([offset, offset], 1), size) > 0.5)[:, 0]
        flipped = torch.rand(n, 1, 1, device=device) < 0.5
        target = torch.where(flipped, target.flip(2), target)
        cut = (laid & target).sum((1, 2)) <= COVERED * target.sum((1, 2))
        laid = laid & cut[:, None, None]
        front = torch.rand(n, 1, 1, device=device) < settings.in_front
        shown, hider = torch.where(front, target & ~laid, target), torch.where(front, laid, laid & ~target)
        logits = network(torch.stack([shown, hider], 1).float())
        weight = 1 + (settings.weight - 1) * hider
        return (functional.binary_cross_entropy_with_logits(logits, target.float(), reduction="none") * weight).mean()


class FullMasks(nn.Module):
    """The supervised objective of the same network: visible mask and hiders in, full mask out."""

    def __init__(self, settings: Completion) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        visible, others = masks_of(batch["owner"], batch["object"])
        box = _jittered(boxes(visible[:, None] > 0, self.settings.enlarge)[:, 0], 0.2, 0.2)
        masks = torch.stack([visible, others, batch["amodal"].float()], 1)
        parts = (crop(masks, box, (self.settings.crop, self.settings.crop)) > 0.5).float()
        flipped = torch.rand(len(parts), 1, 1, 1, device=parts.device) < 0.5
        parts = torch.where(flipped, parts.flip(3), parts)
        return functional.binary_cross_entropy_with_logits(network(parts[:, :2]), parts[:, 2])


def _jittered(box: Float[Tensor, "n 4"], shift: float, scale: float) -> Float[Tensor, "n 4"]:
    """Boxes moved by up to `shift` of their sides and scaled by 1 - `scale` to 1 + `scale`."""
    side, centre = box[:, 2:] - box[:, :2], (box[:, :2] + box[:, 2:]) / 2
    moves = torch.rand(len(box), 3, device=box.device) * 2 - 1
    centre = centre + shift * moves[:, :2] * side
    half = side * (1 + scale * moves[:, 2:]) / 2
    return torch.cat([centre - half, centre + half], 1)


@torch.inference_mode()
def complete(
    network: nn.Module, visible: Bool[Tensor, "n h w"], others: Bool[Tensor, "n h w"], settings: Completion
) -> Float[Tensor, "n h w"]:
    """Probability of the full mask in every frame."""
    box = boxes(visible[:, None], settings.enlarge)[:, 0]
    size = (settings.crop, settings.crop)
    parts = (crop(torch.stack([visible, others], 1).float(), box, size) > 0.5).float()
    return paste(network(parts).sigmoid()[:, None], box, (visible.shape[1], visible.shape[2]))[:, 0]
