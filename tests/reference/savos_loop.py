"""SaVos by the book (Sec. 2.3 and 2.4): one object, one frame and one pass at a time, everything on the whole frame.

Works on the modules of a `reprise.amodal.networks.SaVos` and on clips as `reprise.amodal.objectives.Clip` holds them;
padding is cut off before anything else. Pixel i is at coordinate i here, so a box from `left` to `right` covers the
coordinates left - 0.5 to right - 0.5.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass
class Pass:
    """What one pass says of frame s of an object, by s: whole frames (h, w), the motion (2, h, w)."""

    probability: dict
    merge: dict
    motion: dict


# ---------------------------------------------------------------- geometry


def bounding_box(mask, enlarge):
    """left, top, right, bottom of a mask with something in it."""
    rows, columns = torch.nonzero(mask, as_tuple=True)
    left, right = columns.min().item(), columns.max().item() + 1
    top, bottom = rows.min().item(), rows.max().item() + 1
    width, height = max(enlarge * (right - left), 8.0), max(enlarge * (bottom - top), 8.0)
    x, y = (left + right) / 2, (top + bottom) / 2
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def track_boxes(visible, enlarge):
    """One box per frame (h, w); frames in which the object is hidden take that of the nearest other one."""
    seen = [t for t, mask in enumerate(visible) if mask.any()]
    h, w = visible[0].shape
    if not seen:
        return [(w / 2 - 4, h / 2 - 4, w / 2 + 4, h / 2 + 4)] * len(visible)
    nearest = [min(seen, key=lambda other: (abs(other - t), other)) for t in range(len(visible))]
    return [bounding_box(visible[t], enlarge) for t in nearest]


def bilinear(image, x, y):
    """(c, *x.shape): the image at coordinates x, y, zero outside."""
    h, w = image.shape[1:]
    grid = torch.stack([2 * (x + 0.5) / w - 1, 2 * (y + 0.5) / h - 1], -1)
    return F.grid_sample(image[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def pixels(h, w):
    y, x = torch.meshgrid(torch.arange(h).float(), torch.arange(w).float(), indexing="ij")
    return x, y


def crop(image, box, size):
    left, top, right, bottom = box
    x, y = pixels(*size)
    return bilinear(image, left + (x + 0.5) / size[1] * (right - left) - 0.5,
                    top + (y + 0.5) / size[0] * (bottom - top) - 0.5)  # fmt: skip


def paste(patch, box, frame):
    left, top, right, bottom = box
    x, y = pixels(*frame)
    return bilinear(patch, (x + 0.5 - left) / (right - left) * patch.shape[2] - 0.5,
                    (y + 0.5 - top) / (bottom - top) * patch.shape[1] - 0.5)  # fmt: skip


def warp(image, motion):
    x, y = pixels(*image.shape[1:])
    return bilinear(image, x - motion[0], y - motion[1])


# ---------------------------------------------------------------- predictions


def run_network(network, patches):
    """Mask and residual patches (2, h, w) of one object, frame after frame; `patches` in the order of the pass."""
    found, state = [], None
    for patch in patches:
        x = patch[None].clone()
        x[:, 4:6] = x[:, 4:6] * network.sizes.flow_scale
        feature = network.project(network.encoder(x))
        hidden, state = network.lstm(feature[:, None], state if network.recurrent else None)
        mask = network.mask_decoder(torch.cat([hidden[:, 0], network.mask_encoder(x[:, 3:4])], 1))[0]
        residual = torch.zeros_like(mask)
        if network.residual:
            moved = network.flow_decoder(torch.cat([hidden[:, 0], network.flow_encoder(x[:, 4:6])], 1))
            residual = moved[0] * network.sizes.residual_scale
        found.append((mask, residual))
    return found


def one_pass(network, frames, visible, others, flow, boxes, *, step, warped, occluder):
    """Predictions of a pass forwards (step 1) or backwards (-1) over one object; `flow` points where the pass goes."""
    t, frame = len(frames), tuple(visible[0].shape)
    order = list(range(t))[::step]
    patches = []
    for k in order:
        channels = [frames[k] - 0.5, visible[k][None], flow[k]] + ([others[k][None]] if occluder else [])
        patches.append(crop(torch.cat(channels), boxes[k], network.sizes.crop))
    found = Pass({}, {}, {})
    for k, (mask, residual) in zip(order, run_network(network, patches), strict=True):
        probability = paste(mask[:1].sigmoid(), boxes[k], frame)
        merge = paste(mask[1:], boxes[k], frame)
        inside = visible[k] > 0
        mean = flow[k][:, inside].mean(1) if inside.any() else torch.zeros(2)
        motion = torch.where(inside, flow[k], mean[:, None, None]) + paste(residual, boxes[k], frame)
        if 0 <= k + step < t:
            found.motion[k + step] = motion
        if not warped:
            found.probability[k], found.merge[k] = probability[0], merge[0]
        elif 0 <= k + step < t:
            found.probability[k + step] = warp(probability, motion)[0]
            found.merge[k + step] = warp(merge, motion)[0]
    return found


def predict(network, clip, *, enlarge, bidirectional=True, warped=True, occluder=False):
    """For every object its passes."""
    result = []
    for n, count in enumerate(clip.count.tolist()):
        frames, visible, others = (part[n, :count] for part in (clip.frames, clip.visible, clip.others))
        boxes = track_boxes(visible, enlarge)
        passes = []
        for step, flow in ((1, clip.flow[n, :count, :2]), (-1, clip.flow[n, :count, 2:]))[: 1 + bidirectional]:
            passes.append(
                one_pass(network, frames, visible, others, flow, boxes, step=step, warped=warped, occluder=occluder)
            )
        result.append(passes)
    return result


def merged(passes, s):
    """The prediction of frame s, None if no pass has one."""
    own = [p for p in passes if s in p.probability]
    if not own:
        return None
    weights = torch.stack([p.merge[s] for p in own]).softmax(0)
    return sum(weight * p.probability[s] for weight, p in zip(weights, own, strict=True))


# ---------------------------------------------------------------- losses


def reconstruction(found, labels, trusted, eps):
    """`labels` and `trusted` (n, t, h, w)."""
    losses = []
    for n, passes in enumerate(found):
        for s in range(labels.shape[1]):
            probability = merged(passes, s)
            if probability is not None:
                kept = eps / 2 + (1 - eps) * probability
                cross = -(labels[n, s] * kept.log() + (1 - labels[n, s]) * (1 - kept).log())
                losses.append((trusted[n, s] * cross).sum())
    return torch.stack(losses).mean()


def consistency(found):
    per_object = []
    for passes in found:
        total = torch.zeros(())
        for step, own in zip((1, -1), passes, strict=False):
            terms = []
            for t in own.probability:
                if t + step in own.probability:
                    a = warp(own.probability[t][None], own.motion[t + step].detach())[0]
                    b = own.probability[t + step]
                    terms.append(1 - (a * b).sum() / ((a + b - a * b).sum() + 1e-8))
            if terms:
                total = total + torch.stack(terms).mean()
        per_object.append(total)
    return torch.stack(per_object).mean()


def photometric(found, clip):
    total = torch.zeros(())
    for which, step in ((0, 1), (1, -1)):
        terms = []
        for n, passes in enumerate(found):
            if which < len(passes):
                for s, motion in passes[which].motion.items():
                    now, before = clip.frames[n, s], clip.frames[n, s - step]
                    moved = warp(clip.visible[n, s - step][None], motion)[0]
                    both = (moved > 0) & (clip.visible[n, s] > 0)
                    terms.append(((warp(before, motion) - now).abs() * both).sum())
        if terms:
            total = total + torch.stack(terms).mean()
    return total
