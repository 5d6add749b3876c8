"""From frames to full masks: the geometry around the network (Sec. 2.3), batched over objects and time.

The network predicts, from frames up to t, the full mask of frame t and the motion to t + 1, by which the mask is
warped. A second pass runs backwards through the video with the same weights, so frame s is predicted from s - 1 and
from s + 1, and never from its own visible mask.

Everything happens in windows around the objects (`geometry.window_origins`), inside of which it is what it would be in
whole frames. Outside, the prediction is zero, but for the rim of a box that moves on while what is seen of the object
shrinks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from reprise.amodal.geometry import boxes, crop, cut, paste, warp, window_origins
from reprise.amodal.networks import SaVos, Sizes
from reprise.amodal.params import Network
from reprise.errors import UserError

Batch = Mapping[str, Tensor]  # as in reprise.training, which takes three seconds to import


@dataclass(frozen=True)
class Clip:
    """Whole frames of clips, one object each: as they are stored, or as floats (what a window shows is turned there).

    Attributes:
        frames: (n, t, 3, h, w), uint8 or float in [0, 1].
        visible, others: (n, t, h, w), bool or float, the object's visible mask, and all that could hide it.
        flow: (n, t, 4, h, w), float16 or float, pixels to the next and to the previous frame.
        count: (n,) frames that are real; the rest is padding.
    """

    frames: Tensor
    visible: Tensor
    others: Tensor
    flow: Tensor
    count: Tensor

    @classmethod
    def of(cls, batch: Batch) -> "Clip":
        """From the columns of `Tracks`."""
        owner, number = batch["owner"], batch["object"][:, None, None, None]
        visible = owner == number
        others = (owner != 0) & ~visible
        return cls(batch["frames"], visible, others, batch["flow"], batch["count"].long())

    def floats(self) -> "Clip":
        """The same with everything as floats."""
        return Clip(
            colours(self.frames), self.visible.float(), self.others.float(), displacements(self.flow), self.count
        )


def colours(frames: Tensor) -> Tensor:
    """In [0, 1]."""
    return frames.float() * (1 / 255) if frames.dtype == torch.uint8 else frames


def displacements(flow: Tensor) -> Tensor:
    """What is no number counts as rest."""
    return torch.nan_to_num(flow, 0.0, 0.0, 0.0).float()


def reversal(count: Int[Tensor, " n"], length: int) -> Int[Tensor, "n t"]:
    """Order of frames that runs backwards through the first `count` ones; the padding stays where it is."""
    t = torch.arange(length, device=count.device)
    return torch.where(t < count[:, None], count[:, None] - 1 - t, t)


def arrivals(count: Int[Tensor, " n"], length: int) -> Bool[Tensor, "2 n t"]:
    """Frames into which something moves: in the pass forwards all but the first, backwards all but the last one."""
    time = torch.arange(length, device=count.device).expand(len(count), length)
    last = count[:, None] - 1
    return torch.stack([(time > 0) & (time <= last), time < last])


@dataclass(frozen=True)
class Predictions:
    """What both passes (p = 2), or the only one, say of every frame, in one window per frame.

    Attributes:
        probability, merge: (p, n, t, a, b), the warped full mask and its merge logit; the first pass runs forwards
            and says nothing of the first frame, the second backwards and says nothing of the last.
        motion: (p, n, t, 2, a, b) the amodal motion by which the mask of frame t was brought there.
        origin, size: of the windows.
        valid: (p, n, t) where a pass makes a prediction.
    """

    probability: Tensor
    merge: Tensor
    motion: Tensor
    origin: Tensor
    size: tuple[int, int]
    valid: Bool[Tensor, "p n t"]

    def merged(self) -> tuple[Tensor, Tensor]:
        """(n, t, a, b) the prediction, weighted by a softmax of the merge logits, and the weight of the first pass.

        Both are zero where no pass says anything: in padding, and in a track of one frame.
        """
        logits = torch.where(self.valid[..., None, None], self.merge, -torch.inf)
        either = self.valid.any(0)[..., None, None]
        weight = torch.where(either, logits, 0.0).softmax(0) * either
        return (weight * self.probability).sum(0), weight[0]


class Predictor(nn.Module):
    """A network with the geometry around it: clips in, predictions in windows out.

    Args:
        bidirectional: else the pass backwards is left out.
        warped: else the mask of a frame is compared with that frame itself (the ablation `current_label`).
        moving: else all flow counts as rest, as input and where masks are warped (the ablation `no_flow`).
    """

    def __init__(
        self,
        network: SaVos,
        *,
        enlarge: float,
        bidirectional: bool = True,
        warped: bool = True,
        moving: bool = True,
        occluder: bool = False,
    ) -> None:
        super().__init__()
        self.network, self.enlarge = network, enlarge
        self.bidirectional, self.warped, self.moving, self.occluder = bidirectional, warped, moving, occluder

    def forward(self, clip: Clip) -> Predictions:
        if not self.moving:
            clip = replace(clip, flow=torch.zeros_like(clip.flow))
        t = clip.visible.shape[1]
        box = boxes(clip.visible > 0, self.enlarge)
        origin, size = window_origins(box, (clip.visible.shape[2], clip.visible.shape[3]))
        # The pass of step 1 says from frame s - 1 what is in frame s; the other one from s + 1.
        steps = (1, -1) if self.bidirectional else (1,)
        time = torch.arange(t, device=box.device)
        before = [(time - step) % t for step in steps]
        visible = torch.stack([cut(clip.visible, origin, size, frames) for frames in before])
        flows = zip((clip.flow[:, :, :2], clip.flow[:, :, 2:]), before, strict=False)
        flow = torch.stack([displacements(cut(one, origin, size, frames)) for one, frames in flows])
        # In half precision confident probabilities round to 1, where a wrong one has no gradient.
        mask, residual = (part.float() for part in self._decoded(clip, box, origin, size, len(steps)))
        mask = torch.cat([mask[:, :, :, :1].sigmoid(), mask[:, :, :, 1:]], 3)
        come = torch.stack([box.roll(step, 1) for step in steps])
        corner = origin.float().expand(len(steps), -1, -1, -1)
        residual = _shifted(residual, steps)
        valid = (time < clip.count[:, None]).expand(len(steps), -1, -1)
        if self.warped:
            patches = torch.cat([_shifted(mask, steps), residual], 3)
            said, residual = _pasted(patches, come, corner, size).split(2, 3)
            motion = _amodal_motion(visible, flow, residual)
            said = warp(said.flatten(0, 2), motion.flatten(0, 2)).view_as(said)
            valid = valid & arrivals(clip.count, t)[: len(steps)]
        else:  # every mask stays in its own frame
            said = _pasted(mask, box.expand_as(come), corner, size)
            motion = _amodal_motion(visible, flow, _pasted(residual, come, corner, size))
        probability, merge = said.unbind(3)
        return Predictions(probability, merge, motion, origin, size, valid)

    def _decoded(
        self, clip: Clip, box: Tensor, origin: Tensor, size: tuple[int, int], passes: int
    ) -> tuple[Tensor, Tensor]:
        """Mask and residual patches (passes, n, t, 2, h, w) of both passes, in the order of the clip."""
        parts = [colours(cut(clip.frames, origin, size)) - 0.5, cut(clip.visible, origin, size)[:, :, None].float()]
        parts += [displacements(cut(clip.flow, origin, size))]
        parts += [cut(clip.others, origin, size)[:, :, None].float()] if self.occluder else []
        own = box - origin.repeat(1, 1, 2)
        patches = crop(torch.cat(parts, 2).flatten(0, 1), own.flatten(0, 1), self.network.sizes.crop)
        patches = patches.unflatten(0, box.shape[:2])
        first, second = (patches[:, :, [0, 1, 2, 3, *flow, *range(8, patches.shape[2])]] for flow in ((4, 5), (6, 7)))
        # What a pass says of its last frame would be about a frame beyond the clip.
        n, t = box.shape[:2]
        needed = max(1, t - 1) if self.warped else t
        if passes == 1:
            mask, residual = self.network(first[:, :needed])
            return _padded(mask, t)[None], _padded(residual, t)[None]
        order = reversal(clip.count, t)
        clips = torch.arange(n, device=box.device)[:, None]
        shapes = self.network.shapes(patches[:, :, 3])
        found = self.network(
            torch.cat([first[:, :needed], second[clips, order[:, :needed]]]),
            torch.cat([shapes[:, :needed], shapes[clips, order[:, :needed]]]),
        )
        mask, residual = (_padded(patch, t) for patch in found)
        return tuple(  # type: ignore[return-value]
            torch.stack([patch[:n], patch[n:][clips, order]]) for patch in (mask, residual)
        )


def predictor_of(method: str, settings: dict[str, Any]) -> Predictor:
    """The untrained video network of a method, with the geometry around it."""
    network = Network(**settings["network"])
    sizes = Sizes(crop=(network.crop[0], network.crop[1]), **network.model_dump(exclude={"crop", "enlarge"}))
    occluder = method == "occluder_input"
    try:
        savos = SaVos(sizes, recurrent=method != "per_frame", residual=method != "no_residual", occluder=occluder)
    except ValueError as error:
        raise UserError(f"amodal.network: {error}") from None
    return Predictor(
        savos, enlarge=network.enlarge, bidirectional=method not in ("per_frame", "forward_only"),
        warped=method != "current_label", moving=method != "no_flow", occluder=occluder,
    )  # fmt: skip


def _padded(patches: Tensor, length: int) -> Tensor:
    """(n, length, ...) with zeros for the frames that are missing at the end."""
    return functional.pad(patches, [0, 0] * 3 + [0, length - patches.shape[1]])


def _shifted(patches: Tensor, steps: Sequence[int]) -> Tensor:
    """Patches (p, n, t, ...) one frame on in the direction of each pass."""
    return torch.stack([part.roll(step, 1) for part, step in zip(patches, steps, strict=True)])


def _pasted(patches: Tensor, box: Tensor, corner: Tensor, size: tuple[int, int]) -> Tensor:
    """Patches (p, n, t, c, ...) in windows, (p, n, t, c, *size)."""
    pasted = paste(patches.flatten(0, 2), box.flatten(0, 2), size, corner.flatten(0, 2))
    return pasted.unflatten(0, patches.shape[:3])


def _amodal_motion(visible: Tensor, flow: Tensor, residual: Tensor) -> Float[Tensor, "p n t 2 a b"]:
    """A = G + residual: the flow where the object can be seen, elsewhere its mean over the visible part."""
    seen = visible[:, :, :, None] > 0
    area = seen.sum((4, 5)).clamp_min(1)
    mean = (flow * seen).sum((4, 5)) / area
    return torch.where(seen, flow, mean[..., None, None]) + residual
