"""From patches to full masks of frames, and the losses of SaVos (Sec. 2.3 and 2.4), batched over objects and time.

The network predicts, from frames up to t, the full mask of frame t and the motion to t + 1; warped, it is compared with
what can be seen in t + 1, wherever no other object could hide it. A second pass runs backwards through the video with
the same weights, so frame s is predicted from s - 1 and from s + 1, and never from its own visible mask.

Everything happens in windows around the objects (`geometry.window_origins`), inside of which it is what it would be in
whole frames. Outside, the prediction is zero (but for the rim of a box that moves on while what is seen of the object
shrinks), and the loss all but zero and without a gradient.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from reprise.amodal.geometry import boxes, crop, cut, paste, warp, window_origins
from reprise.amodal.networks import SaVos
from reprise.training import Batch


@dataclass(frozen=True)
class Clip:
    """Whole frames of clips, one object each, as floats.

    Attributes:
        frames: (n, t, 3, h, w) in [0, 1].
        visible, others: (n, t, h, w), the object's visible mask, and all that could hide it.
        flow: (n, t, 4, h, w), pixels to the next and to the previous frame.
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
        frames = batch["frames"].float() * (1 / 255)
        flow = torch.nan_to_num(batch["flow"].float(), 0.0, 0.0, 0.0)
        return cls(frames, visible.float(), others.float(), flow, batch["count"].long())


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
    """What both passes say of every frame, in one window per frame.

    Attributes:
        probability, merge: (2, n, t, a, b), the warped full mask and its merge logit; the first pass runs forwards
            and says nothing of the first frame, the second backwards and says nothing of the last.
        motion: (2, n, t, 2, a, b) the amodal motion by which the mask of frame t was brought there.
        origin, size: of the windows.
        valid: (2, n, t) where a pass makes a prediction.
    """

    probability: Tensor
    merge: Tensor
    motion: Tensor
    origin: Tensor
    size: tuple[int, int]
    valid: Bool[Tensor, "2 n t"]

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
    """

    def __init__(
        self, network: SaVos, *, enlarge: float, bidirectional: bool = True, warped: bool = True, occluder: bool = False
    ) -> None:
        super().__init__()
        self.network, self.enlarge = network, enlarge
        self.bidirectional, self.warped, self.occluder = bidirectional, warped, occluder

    def forward(self, clip: Clip) -> Predictions:
        t = clip.visible.shape[1]
        box = boxes(clip.visible > 0, self.enlarge)
        origin, size = window_origins(box, (clip.visible.shape[2], clip.visible.shape[3]))
        steps = [1, -1] if self.bidirectional else [1]
        mask, residual = self._decoded(clip, box, len(steps))
        # In the pass of step 1 frame k moves to frame k + 1, in that one's window; in the other one to k - 1.
        time = torch.arange(t, device=box.device)
        there = [(time + step).clamp(0, t - 1) for step in steps]
        target = torch.cat([origin[:, index] for index in there])
        patches = torch.cat([mask[:, :, :1].sigmoid(), mask[:, :, 1:], residual], 2).flatten(0, 1)
        boxed = torch.cat([box] * len(steps)).flatten(0, 1)
        pasted = paste(patches, boxed, size, target.flatten(0, 1).float())
        visible = torch.cat([cut(clip.visible, origin[:, index], size) for index in there])
        flows = (clip.flow[:, :, :2], clip.flow[:, :, 2:])[: len(steps)]
        flow = torch.cat([cut(one, origin[:, index], size) for one, index in zip(flows, there, strict=True)])
        motion = _amodal_motion(visible, flow, pasted[:, 2:].unflatten(0, flow.shape[:2]))
        if self.warped:
            moved = warp(pasted[:, :2], motion.flatten(0, 1))
        else:  # every mask stays in its own frame
            own = torch.cat([origin] * len(steps))
            moved = paste(patches[:, :2], boxed, size, own.flatten(0, 1).float())
        real = time < clip.count[:, None]
        valid = torch.stack([real, real if self.bidirectional else torch.zeros_like(real)])
        said, motion = moved.unflatten(0, (len(steps), -1, t)), motion.unflatten(0, (len(steps), -1))
        motion = _shifted(motion, steps)
        if self.warped:  # what frame k says of another one belongs there
            said, valid = _shifted(said, steps), valid & arrivals(clip.count, t)
        both = torch.cat([said, motion], 3)
        if not self.bidirectional:
            both = torch.cat([both, torch.zeros_like(both)])
        return Predictions(both[:, :, :, 0], both[:, :, :, 1], both[:, :, :, 2:], origin, size, valid)

    def _decoded(self, clip: Clip, box: Tensor, passes: int) -> tuple[Tensor, Tensor]:
        """Mask and residual patches of both passes as one batch (passes n, t, 2, h, w), in the order of the clip."""
        channels = [clip.frames - 0.5, clip.visible[:, :, None], clip.flow, clip.others[:, :, None]]
        whole = torch.cat(channels if self.occluder else channels[:-1], 2).flatten(0, 1)
        patches = crop(whole, box.flatten(0, 1), self.network.sizes.crop).unflatten(0, box.shape[:2])
        first, second = (patches[:, :, [0, 1, 2, 3, *flow, *range(8, whole.shape[1])]] for flow in ((4, 5), (6, 7)))
        if passes == 1:
            return self.network(first)
        order = reversal(clip.count, box.shape[1])[..., None, None, None]
        mask, residual = self.network(torch.cat([first, second.take_along_dim(order, 1)]))
        n = len(first)
        return tuple(  # type: ignore[return-value]
            torch.cat([patch[:n], patch[n:].take_along_dim(order, 1)]) for patch in (mask, residual)
        )


def _shifted(passes: Tensor, steps: list[int]) -> Tensor:
    """(passes, n, t, ...) one frame on in the direction of each pass."""
    return torch.stack([part.roll(step, 1) for part, step in zip(passes, steps, strict=True)])


def _amodal_motion(visible: Tensor, flow: Tensor, residual: Tensor) -> Float[Tensor, "n t 2 a b"]:
    """A = G + residual: the flow where the object can be seen, elsewhere its mean over the visible part."""
    area = visible.sum((2, 3)).clamp_min(1)[..., None]
    mean = (flow * visible[:, :, None]).sum((3, 4)) / area
    return torch.where(visible[:, :, None] > 0, flow, mean[..., None, None]) + residual


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
        label, trusted = clip.visible, 1 - clip.others
        if self.weights.supervised:
            label, trusted = batch["amodal"].float(), torch.ones_like(trusted)
        label, trusted = (cut(x, found.origin, found.size) for x in (label, trusted))
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
    for which in range(2):
        own = found.valid[which]
        if not own.any():
            continue
        probability, motion = found.probability[which], found.motion[which].detach()
        step = 1 if which == 0 else -1  # the second pass goes towards earlier frames
        here = slice(0, -1) if step == 1 else slice(1, None)
        there = slice(1, None) if step == 1 else slice(0, -1)
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
    moved_into = found.valid & arrivals(clip.count, found.valid.shape[2])
    for which, step in ((0, -1), (1, 1)):
        own = moved_into[which]
        if not own.any():
            continue
        source = torch.roll(torch.cat([clip.frames, clip.visible[:, :, None]], 2), -step, 1)
        before = cut(source, found.origin, found.size)
        now = cut(torch.cat([clip.frames, clip.visible[:, :, None]], 2), found.origin, found.size)
        moved = warp(before.flatten(0, 1), found.motion[which].flatten(0, 1)).view_as(now)
        both = (moved[:, :, 3:] > 0) & (now[:, :, 3:] > 0)
        difference = ((moved[:, :, :3] - now[:, :, :3]).abs() * both).sum((2, 3, 4))
        total = total + (difference * own).sum() / own.sum().clamp_min(1)
    return total
