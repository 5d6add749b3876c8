"""Adversarial attacks on classifiers: FGSM, PGD and APGD under L2 and Linf (assay, Sec. 4 "Adversarial error").

    FGSM  one step to the border of the ball along the gradient (Goodfellow et al. 2015)
    PGD   fixed steps of 2.5 eps / steps, each projected onto ball and box (Madry et al. 2018). It starts at the image:
          the pass that tells whether the image is classified correctly also gives the first gradient.
    APGD  momentum, and a step size that halves at checkpoints where progress stalls (Croce & Hein 2020, algorithm 1);
          one start, at a random point of the ball

Images already misclassified are left as they are, and an image that becomes misclassified leaves the computation with
the point that fooled the model. The others end at the visited point of highest loss.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from reprise.errors import UserError

Norm = Literal["l2", "linf"]
MOMENTUM = 0.75  # weight of the new step against the previous one
RISING = 0.75  # share of steps that must raise the loss between two checkpoints


@dataclass(frozen=True)
class Attack:
    """One attack; `eps` is the radius of the ball for images in [0, 1] (see `paper_eps`)."""

    method: Literal["fgsm", "pgd", "apgd"]
    loss: Literal["ce", "dlr"]
    norm: Norm
    eps: float
    steps: int

    def __post_init__(self) -> None:
        if self.eps < 0 or self.steps < 1:
            raise UserError(f"attack with eps {self.eps} and {self.steps} steps: set eps >= 0 and steps >= 1")
        if self.method == "fgsm" and self.steps != 1:
            raise UserError(f"fgsm with {self.steps} steps: it makes one step, set steps to 1 or use pgd")


def paper_eps(size: float, norm: Norm, shape: Sequence[int]) -> float:
    """Radius for an attack of the paper's `size` on images of `shape` (c, h, w): size / 255 per value on average."""
    return size / 255 * (math.sqrt(math.prod(shape)) if norm == "l2" else 1.0)


def perturb(
    model: nn.Module,
    x: Float[Tensor, "n c h w"],
    y: Int[Tensor, " n"],
    attack: Attack,
    seed: int,
    batch_size: int = 256,
    correct: Bool[Tensor, " n"] | None = None,
) -> Float[Tensor, "n c h w"]:
    """Attack every image the model classifies correctly.

    Args:
        model: in evaluation mode; its parameters are neither changed nor given gradients.
        x: images in [0, 1].
        y: true classes, on the device of `x`.
        seed: of APGD's random starts, which do not depend on the batch size.
        correct: the images that the model classifies correctly, where that is known; others cost nothing then.

    Returns: float32 points within `attack.eps` of `x` and in [0, 1].

    Raises UserError for the DLR loss with fewer than 3 classes.
    """
    if model.training:
        raise ValueError("call model.eval() before an attack")
    x = x.detach().float()
    noise = _directions(x, attack.norm, seed) if attack.method == "apgd" else x
    search = _apgd if attack.method == "apgd" else _pgd
    rows = torch.arange(len(x), device=x.device) if correct is None else correct.nonzero()[:, 0]
    found = x.clone()
    for part in rows.split(batch_size) if len(rows) else ():
        found[part] = search(model, x[part], y[part], attack, noise[part.to(noise.device)].to(x.device))
    return found


def dlr_loss(logits: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Difference of logits ratio, -(z_y - max_{i != y} z_i) / (z_(1) - z_(3)); it ignores shift and scale of z."""
    if logits.shape[1] < 3:
        raise UserError(f"the DLR loss needs 3 classes or more, not {logits.shape[1]}: use loss ce")
    top = logits.topk(3).values
    own = logits.gather(1, y[:, None])[:, 0]
    other = torch.where(logits.argmax(1) == y, top[:, 1], top[:, 0])
    return (other - own) / (top[:, 0] - top[:, 2] + 1e-12)


def _ce_loss(logits: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(logits, y, reduction="none")


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"ce": _ce_loss, "dlr": dlr_loss}


class _Search:
    """The images of one batch that still stand, and the best point found for each.

    `rows` are their places in the batch, `best` the highest loss of each; `found` holds a point for all images.
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, loss: str) -> None:
        self.model, self.x, self.y, self.loss = model, x, y, _LOSSES[loss]
        self.found = x.clone()
        self.rows = torch.arange(len(x), device=x.device)
        self.best = torch.full((len(x),), -torch.inf, device=x.device)

    def visit(self, point: Tensor, gradient: bool = True) -> tuple[Tensor, Tensor, Bool[Tensor, " n"], Tensor]:
        """Loss at `point`, its gradient, where it beats all earlier ones, and the positions that still stand.

        All four are about the images that stood before; call `drop` with the positions to go on with the rest.
        """
        with torch.enable_grad():
            point = point.detach().requires_grad_(gradient)
            logits = self.model(point).float()
            loss = self.loss(logits, self.y)
            slope = torch.autograd.grad(loss.sum(), point)[0] if gradient else torch.empty_like(point)
        slope = slope.nan_to_num(0, 0, 0)  # a diverged network gives no direction
        loss, point = loss.detach(), point.detach()
        fooled = logits.argmax(1) != self.y
        better = loss > self.best
        keep = better | fooled
        self.found[self.rows[keep]] = point[keep]
        self.best = torch.where(better, loss, self.best)
        return loss, slope, better, (~fooled).nonzero()[:, 0]

    def drop(self, standing: Tensor) -> None:
        self.x, self.y = self.x[standing], self.y[standing]
        self.rows, self.best = self.rows[standing], self.best[standing]


def _pgd(model: nn.Module, x: Tensor, y: Tensor, attack: Attack, _: Tensor) -> Tensor:
    """PGD on one batch; with a single step, longer than eps before the projection, it is FGSM."""
    search = _Search(model, x, y, attack.loss)
    length, point = 2.5 * attack.eps / attack.steps, x
    for step in range(attack.steps + 1):
        last = step == attack.steps
        _, slope, _, standing = search.visit(point, gradient=not last)
        if last or len(standing) == 0:
            break
        if len(standing) < len(point):
            search.drop(standing)
            point, slope = point[standing], slope[standing]
        point = _project(point + length * _unit(slope, attack.norm), search.x, attack)
    return search.found


def _apgd(model: nn.Module, x: Tensor, y: Tensor, attack: Attack, noise: Tensor) -> Tensor:
    """APGD on one batch, from `noise` scaled to the border of the ball."""
    search = _Search(model, x, y, attack.loss)
    *_, standing = search.visit(x, gradient=False)
    search.drop(standing)
    point = _project(search.x + attack.eps * _onto_border(noise[standing], attack.norm), search.x, attack)
    if len(point) == 0:
        return search.found
    search.best = torch.full_like(search.best, -torch.inf)  # restarts need the gradient of the best point: forget x
    loss, slope, _, standing = search.visit(point)
    # one row per standing image; those that fall are removed from every entry at once
    state = {
        "point": point,
        "previous": point,
        "loss": loss,
        "slope": slope,
        "best_slope": slope,
        "length": torch.full_like(loss, 2 * attack.eps),
        "rises": torch.zeros_like(loss),
        "best_at_checkpoint": search.best,
        "halved": torch.zeros_like(loss, dtype=torch.bool),
    }
    checkpoints, last_checkpoint = _checkpoints(attack.steps), 0
    for step in range(1, attack.steps + 1):
        if len(standing) < len(state["point"]):
            search.drop(standing)
            state = {name: values[standing] for name, values in state.items()}
        if len(standing) == 0:
            break
        point, length = state["point"], state["length"][:, None, None, None]
        target = _project(point + length * _unit(state["slope"], attack.norm), search.x, attack)
        weight = MOMENTUM if step > 1 else 1.0
        moved = point + weight * (target - point) + (1 - weight) * (point - state["previous"])
        state["previous"], state["point"] = point, _project(moved, search.x, attack)
        loss, slope, better, standing = search.visit(state["point"])
        state["rises"] = state["rises"] + (loss > state["loss"])
        state["loss"], state["slope"] = loss, slope
        state["best_slope"] = torch.where(better[:, None, None, None], slope, state["best_slope"])
        if step in checkpoints:
            stalled = ~state["halved"] & (state["best_at_checkpoint"] == search.best)
            halve = stalled | (state["rises"] < RISING * (step - last_checkpoint))
            restart = halve[:, None, None, None]
            state["length"] = torch.where(halve, state["length"] / 2, state["length"])
            state["point"] = torch.where(restart, search.found[search.rows], state["point"])
            state["slope"] = torch.where(restart, state["best_slope"], state["slope"])
            state["loss"] = torch.where(halve, search.best, state["loss"])
            state |= {"halved": halve, "best_at_checkpoint": search.best, "rises": torch.zeros_like(loss)}
            last_checkpoint = step
    return search.found


def _checkpoints(steps: int) -> set[int]:
    """Steps w_j = ceil(p_j steps) with p_1 = .22 and p_(j+1) = p_j + max(p_j - p_(j-1) - .03, .06)."""
    before, now, found = 0, 22, set()  # p in hundredths, so that the ceiling is exact
    while now <= 100:
        found.add(-(-now * steps // 100))
        before, now = now, now + max(now - before - 3, 6)
    return found


def _directions(x: Tensor, norm: Norm, seed: int) -> Tensor:
    """A random direction for each image, drawn on the CPU so that every device starts from the same points."""
    generator = torch.Generator().manual_seed(seed)
    if norm == "l2":
        return torch.randn(x.shape, generator=generator)
    return 2 * torch.rand(x.shape, generator=generator) - 1


def _unit(slope: Tensor, norm: Norm) -> Tensor:
    """Direction of steepest ascent of length 1; however small the gradient, unless it is 0."""
    if norm == "linf":
        return slope.sign()
    return _onto_border(slope, norm)


def _onto_border(direction: Tensor, norm: Norm) -> Tensor:
    """Scaled to norm 1, dividing by the largest value first so that no square underflows."""
    scaled = direction / direction.abs().amax((1, 2, 3), keepdim=True).clamp_min(torch.finfo(direction.dtype).tiny)
    if norm == "linf":
        return scaled
    return scaled / scaled.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]


def _project(point: Tensor, x: Tensor, attack: Attack) -> Tensor:
    """Nearest point of the ball around `x`, then of the box [0, 1], which moves no value away from `x`."""
    change = point - x
    if attack.norm == "linf":
        return (x + change.clamp(-attack.eps, attack.eps)).clamp(0, 1)
    length = change.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
    return (x + change * (attack.eps / length).clamp_max(1)).clamp(0, 1)
