"""Training objectives: the fairness regularisers, the two-headed loss and two in-processing baselines.

An objective maps (network, batch) to a scalar. A batch holds x (n, ...), y (n,) and a (n,), both 0/1. The strength of a
regulariser is called lambda in the paper and `strength` here.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from reprise.fairness.networks import Network
from reprise.training import Batch, Objective


def cross_entropy(network: nn.Module, batch: Batch) -> Tensor:
    """BCE of the task logit: the unconstrained network."""
    return F.binary_cross_entropy_with_logits(network(batch["x"])[:, 0], batch["y"].float())


def _probability(logits: Tensor) -> Tensor:
    """Sigmoid in single precision at least: a gap is a small difference of means, which half precision loses."""
    return torch.sigmoid(logits.to(torch.promote_types(logits.dtype, torch.float32)))


def soft_gap(logits: Float[Tensor, " n"], a: Tensor) -> Tensor:
    """mean sigmoid(z) over a = 1 minus over a = 0; 0 where the batch lacks a group (eq. 2 and 3)."""
    probability = _probability(logits)
    member = a.to(probability.dtype)
    n1, n0 = member.sum(), (1 - member).sum()
    if n1 == 0 or n0 == 0:
        return logits.sum() * 0.0
    return (probability * member).sum() / n1 - (probability * (1 - member)).sum() / n0


def squared_gap(logits: Float[Tensor, " n"], a: Tensor) -> Tensor:
    """Eq. (2): the squared soft gap."""
    return soft_gap(logits, a) ** 2


def absolute_gap(logits: Float[Tensor, " n"], a: Tensor) -> Tensor:
    """Eq. (3): the absolute soft gap."""
    return soft_gap(logits, a).abs()


def unbiased_squared_gap(logits: Float[Tensor, " n"], a: Tensor) -> Tensor:
    """Eq. (2) less Var1/n1 + Var0/n0, by which a minibatch over-estimates it; 0 with fewer than 2 of a group."""
    probability = _probability(logits)
    one, zero = probability[a == 1], probability[a == 0]
    if len(one) < 2 or len(zero) < 2:
        return logits.sum() * 0.0
    return (one.mean() - zero.mean()) ** 2 - one.var() / len(one) - zero.var() / len(zero)


PENALTIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ddp_squared": squared_gap,
    "ddp_abs": absolute_gap,
    "ddp_unbiased": unbiased_squared_gap,
}


def regularised(method: str, strength: float) -> Objective:
    """BCE + strength * penalty; at strength 0 it is `cross_entropy`."""
    penalty = PENALTIES[method]

    def objective(network: nn.Module, batch: Batch) -> Tensor:
        logits = network(batch["x"])[:, 0]
        loss = F.binary_cross_entropy_with_logits(logits, batch["y"].float())
        return loss + strength * penalty(logits, batch["a"]) if strength else loss

    return objective


def mse_linear(z2: Float[Tensor, " n"], a: Tensor) -> Tensor:
    """Squared loss on the raw output: z2 estimates p(a = 1 | x) and cannot outgrow the task logit. The default head."""
    return F.mse_loss(z2, a.to(z2.dtype))


def mse_sigmoid(z2: Float[Tensor, " n"], a: Tensor) -> Tensor:
    """Squared loss on sigmoid(z2), as the released code runs it."""
    return F.mse_loss(torch.sigmoid(z2), a.to(z2.dtype))


def bce(z2: Float[Tensor, " n"], a: Tensor) -> Tensor:
    """Log loss: the ablation. Its logit keeps growing with training."""
    return F.binary_cross_entropy_with_logits(z2, a.to(z2.dtype))


HEAD_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse_linear": mse_linear,
    "mse_sigmoid": mse_sigmoid,
    "bce": bce,
}


def two_headed(head_loss: str, weight: float) -> Objective:
    """(1 - weight) * BCE(z1, y) + weight * L2(z2, a) (Sec. 4)."""
    group_loss = HEAD_LOSSES[head_loss]

    def objective(network: nn.Module, batch: Batch) -> Tensor:
        z1, z2 = network(batch["x"]).unbind(dim=1)
        task = F.binary_cross_entropy_with_logits(z1, batch["y"].float())
        return (1 - weight) * task + weight * group_loss(z2, batch["a"])

    return objective


class _Reverse(torch.autograd.Function):
    """Identity forwards, gradient times -strength backwards."""

    @staticmethod
    def forward(ctx, phi: Tensor, strength: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.strength = strength
        return phi.view_as(phi)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        return -ctx.strength * gradient, None


class Adversarial(nn.Module):
    """BCE plus an adversary that predicts a from phi through a gradient reversal layer (Ganin et al. 2016)."""

    def __init__(self, width: int, strength: float) -> None:
        super().__init__()
        self.adversary = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 1))
        self.strength = strength

    def forward(self, network: Network, batch: Batch) -> Tensor:
        phi = network.features(batch["x"])
        task = F.binary_cross_entropy_with_logits(network.head(phi)[:, 0], batch["y"].float())
        guess = self.adversary(_Reverse.apply(phi, self.strength))[:, 0]
        return task + F.binary_cross_entropy_with_logits(guess, batch["a"].to(guess.dtype))


PAIRS = 64


def fair_mixup(strength: float) -> Objective:
    """BCE + strength * |d/dt mean sigmoid(z(x_t))|, x_t = t x_0 + (1 - t) x_1, x_a of group a (Chuang, Mroueh 2021).

    t is uniform, one per batch, over at most `PAIRS` pairs, since a second derivative costs five times a step. The
    slope is taken with the network in evaluation mode: batch statistics would remove the very shift between the groups
    that it measures.
    """

    def objective(network: nn.Module, batch: Batch) -> Tensor:
        x, a = batch["x"].float(), batch["a"]
        loss = cross_entropy(network, batch)
        zero, one = x[a == 0], x[a == 1]
        pairs = min(len(zero), len(one), PAIRS)
        if pairs < 2 or not torch.is_grad_enabled():  # in validation there is no gradient to take
            return loss
        zero, one = zero[:pairs], one[:pairs]
        t = torch.rand((), device=x.device)
        mixed = (t * zero + (1 - t) * one).requires_grad_()
        network.eval()
        rate = torch.sigmoid(network(mixed)[:, 0]).sum()
        network.train()
        (slope,) = torch.autograd.grad(rate, mixed, create_graph=True)
        return loss + strength * (slope * (zero - one)).flatten(1).sum(dim=1).mean().abs()

    return objective
