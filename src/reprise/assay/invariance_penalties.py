"""What the invariance methods measure on a batch of several environments (Sec. 8); the objectives add it to the risk.

R_e is the mean cross-entropy over environment e. Shapes: n rows, e environments in the batch, k classes, m features.
Half-precision logits and features are taken to single precision, since a penalty is a small difference.
"""

from statistics import NormalDist
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


class Environments(NamedTuple):
    """The environments that a batch holds."""

    numbers: Int[Tensor, " e"]
    member: Int[Tensor, " n"]  # position in `numbers` of each row's environment
    counts: Float[Tensor, " e"]
    mean: Float[Tensor, "e n"]  # times a column of values: its mean in each environment


def environments_of(env: Int[Tensor, " n"]) -> Environments:
    """Which environments `env` holds and the matrix that averages over each of them."""
    numbers, member = torch.unique(env, return_inverse=True)
    one_hot = (member == torch.arange(len(numbers), device=env.device)[:, None]).float()
    counts = one_hot.sum(dim=1)
    return Environments(numbers, member, counts, one_hot / counts[:, None])


def shuffled_position(envs: Environments) -> Int[Tensor, " n"]:
    """The place of each row in a random order of its environment: 0, 1, ..., counts[e] - 1."""
    order = torch.randperm(len(envs.member), device=envs.member.device)
    order = order[torch.argsort(envs.member[order], stable=True)]
    start = (envs.counts.cumsum(0) - envs.counts).long()
    position = torch.empty_like(order)
    position[order] = torch.arange(len(order), device=order.device) - start[envs.member[order]]
    return position


def risks(logits: Float[Tensor, "n k"], y: Int[Tensor, " n"], envs: Environments) -> Float[Tensor, " e"]:
    """R_e: the mean cross-entropy in each environment of the batch."""
    return envs.mean @ F.cross_entropy(logits.float(), y, reduction="none")


def scale_gradient(logits: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """d/ds of the cross-entropy of s * logits at s = 1: sum_k p_k z_k - z_y, so that IRM needs no second backward."""
    mean = (logits.softmax(dim=1) * logits).sum(dim=1)
    return mean - logits.gather(1, y[:, None])[:, 0]


def irm_penalty(
    logits: Float[Tensor, "n k"], y: Int[Tensor, " n"], envs: Environments, halves: bool = True
) -> Float[Tensor, ""]:
    """Mean over environments of (dR_e/ds)^2 (Arjovsky et al. 2019, IRMv1).

    With `halves`, the square is the product of the gradients on two halves of the environment's rows, which is unbiased
    where a batch is a sample (and may be negative); without, the squared gradient of all rows, exact for full batches.
    """
    gradient = scale_gradient(logits.float(), y)
    if not halves:
        return (envs.mean @ gradient).square().mean()
    members = envs.mean > 0
    odd = members & (members.cumsum(dim=1) % 2 == 0)  # every second row of each environment
    first, second = ((half.float() / half.sum(dim=1, keepdim=True).clamp(min=1)) for half in (members & ~odd, odd))
    return ((first @ gradient) * (second @ gradient)).mean()


def coral_distance(features: Float[Tensor, "n m"], envs: Environments) -> Float[Tensor, ""]:
    """Mean over pairs of groups of mean((mu_i - mu_j)^2) + mean((C_i - C_j)^2); 0 for a single group.

    The sum of squared distances over pairs is e times that to the average, which saves the pairs.
    """
    features = features.float()
    e = len(envs.numbers)
    if e < 2:
        return features.sum() * 0.0
    ordered = features[torch.argsort(envs.member, stable=True)].split(envs.counts.long().tolist())
    means = envs.mean @ features
    centred = [part - mean for part, mean in zip(ordered, means, strict=True)]
    covariances = torch.stack([part.T @ part / max(len(part) - 1, 1) for part in centred])
    spread = [(each - each.mean(dim=0)).square().sum(dim=0).mean() for each in (means, covariances)]
    return 2 / (e - 1) * (spread[0] + spread[1])


def head_gradient_variance(
    logits: Float[Tensor, "n k"], features: Float[Tensor, "n m"], y: Int[Tensor, " n"], envs: Environments
) -> Float[Tensor, "e k m+1"]:
    """Variance in each environment of the per-example gradients of the head's weight and bias.

    The gradient of an example is the outer product of p - onehot(y) and (features, 1), so its square is an outer
    product too and the variances are two matrix products.
    """
    residual = logits.float().softmax(dim=1) - F.one_hot(y, logits.shape[1])
    inputs = F.pad(features.float(), (0, 1), value=1.0)
    first = (envs.mean[:, None, :] * residual.T) @ inputs
    second = (envs.mean[:, None, :] * residual.T.square()) @ inputs.square()
    return second - first.square()


def risk_quantile(risk: Float[Tensor, " e"], quantile: float) -> Float[Tensor, ""]:
    """The quantile in (0, 1) of a Gaussian kernel density of the risks, bandwidth 1.06 s e^(-1/5) (Silverman 1986).

    Found by bisection. The gradient is that of the implicit function F(value; risks) = quantile, which reaches every
    risk; DomainBed differentiates its bisection and so only the lowest and the highest one.
    """
    e = len(risk)
    if e < 2:
        return risk.mean()
    bandwidth = 1.06 * e**-0.2 * (risk.var() + 1e-12).sqrt()
    kernels = [NormalDist(value, bandwidth.item()) for value in risk.tolist()]
    ends = [kernel.inv_cdf(quantile) for kernel in kernels]
    low, high = min(ends), max(ends)
    for _ in range(32):  # on plain floats, where a step costs a microsecond
        middle = (low + high) / 2
        below = sum(kernel.cdf(middle) for kernel in kernels) < quantile * e
        low, high = (middle, high) if below else (low, middle)
    density = sum(kernel.pdf(middle) for kernel in kernels) / e
    at_middle = torch.special.ndtr((middle - risk) / bandwidth).mean()
    return middle - (at_middle - at_middle.detach()) / density
