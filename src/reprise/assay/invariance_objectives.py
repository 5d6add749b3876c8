"""The objectives of the invariance arm: ERM and eleven methods that look for what is invariant across environments.

Not in the paper but beside it (Sec. 8); each follows DomainBed (Gulrajani and Lopez-Paz, 2021) unless its docstring
says otherwise. A batch holds x (n, channels, h, w), y (n,) and env (n,), the environments in about equal proportion; a
model has `features(x)` (n, m) and `head`, its last linear layer.

An objective counts its own training steps, in a buffer, so that a checkpoint keeps its schedule. In evaluation mode it
is the pooled cross-entropy and changes nothing. At the step where a schedule switches, `reset_optimizer` is true once
the loss is computed: the moments of Adam, estimated on another scale, must be forgotten before this step's update, and
the learning rate becomes `rate` times that of the recipe.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reprise.assay.invariance_penalties import (
    coral_distance,
    environments_of,
    head_gradient_variance,
    irm_penalty,
    risk_quantile,
    risks,
    shuffled_position,
)
from reprise.training import Batch


def to_float(x: Tensor) -> Tensor:
    """Images stored as bytes become floats in [0, 1]; others stay as they are."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


class Erm(nn.Module):
    """Empirical risk minimisation: the cross-entropy of the pooled environments. The base of all others.

    Args:
        model: the network to be trained; gives the shape of its head.
        environments: their number; env counts from 0.
        steps: length of the training, of which `anneal` is a share.
    """

    rate = 1.0
    _step: Tensor

    def __init__(self, model: nn.Module, environments: int, steps: int) -> None:
        super().__init__()
        self.environments, self.steps = environments, steps
        self.switches: set[int] = set()
        self.reset_optimizer = False
        self.register_buffer("_step", torch.zeros((), dtype=torch.int64))

    def switch(self, share: float) -> int:
        """The step, at this share of the training, where the loss changes and the optimiser starts anew."""
        step = round(share * self.steps)
        self.switches |= {step} if 0 < step < self.steps else set()
        return step

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        x, y = to_float(batch["x"]), batch["y"]
        if not self.training:
            return F.cross_entropy(model(x), y)
        step = int(self._step)
        self.reset_optimizer = step in self.switches
        self._step += 1
        return self.loss(model, x, y, batch["env"], step)

    def loss(self, model: nn.Module, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        """The loss of training step `step`."""
        return F.cross_entropy(model(x), y)


class GroupDro(Erm):
    """sum_e q_e R_e, q_e growing by exp(eta R_e) each step (Sagawa et al. 2020, Algorithm 1)."""

    q: Tensor

    def __init__(self, model: nn.Module, environments: int, steps: int, *, eta: float) -> None:
        super().__init__(model, environments, steps)
        self.eta = eta
        self.register_buffer("q", torch.full((environments,), 1 / environments))

    def loss(self, model: nn.Module, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        envs = environments_of(env)
        risk = risks(model(x), y, envs)
        self.q[envs.numbers] *= torch.exp(self.eta * risk.detach())
        self.q /= self.q.sum()
        return risk @ self.q[envs.numbers]


class Irm(Erm):
    """Mean R_e + penalty * `irm_penalty`; the weight is 1 before the switch.

    With `rescale`, a weight above 1 divides the whole loss, as in IRM's own code. Adam ignores the scale of a loss, so
    this changes little, but the optimiser's weight decay is outside the loss: it then outweighs it, and the network
    ends as a constant. Use one or the other.
    """

    def __init__(
        self,
        model: nn.Module,
        environments: int,
        steps: int,
        *,
        penalty: float,
        anneal: float,
        halves: bool = True,
        rescale: bool = False,
    ) -> None:
        super().__init__(model, environments, steps)
        self.penalty, self.halves, self.rescale = penalty, halves, rescale
        self.begin = self.switch(anneal)

    def loss(self, model: nn.Module, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        envs, logits = environments_of(env), model(x)
        weight = self.penalty if step >= self.begin else 1.0
        loss = risks(logits, y, envs).mean() + weight * irm_penalty(logits, y, envs, self.halves)
        return loss / max(weight, 1.0) if self.rescale else loss


class VRex(Erm):
    """Mean R_e + penalty * variance of R_e (Krueger et al. 2021); weight and `rescale` as in `Irm`."""

    def __init__(
        self, model: nn.Module, environments: int, steps: int, *, penalty: float, anneal: float, rescale: bool = False
    ) -> None:
        super().__init__(model, environments, steps)
        self.penalty, self.rescale = penalty, rescale
        self.begin = self.switch(anneal)

    def loss(self, model: nn.Module, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        risk = risks(model(x), y, environments_of(env))
        weight = self.penalty if step >= self.begin else 1.0
        loss = risk.mean() + weight * risk.var(correction=0)
        return loss / max(weight, 1.0) if self.rescale else loss


class Coral(Erm):
    """Mean R_e + gamma * distance of the features' means and covariances across environments (Sun, Saenko 2016)."""

    def __init__(self, model: nn.Module, environments: int, steps: int, *, gamma: float) -> None:
        super().__init__(model, environments, steps)
        self.gamma = gamma

    def loss(self, model: Any, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        envs, features = environments_of(env), model.features(x)
        return risks(model.head(features), y, envs).mean() + self.gamma * coral_distance(features, envs)


class SpectralDecoupling(Erm):
    """R + strength * mean squared logit (Pezeshki et al. 2021, eq. (25)); knows nothing of environments."""

    def __init__(self, model: nn.Module, environments: int, steps: int, *, strength: float) -> None:
        super().__init__(model, environments, steps)
        self.strength = strength

    def loss(self, model: nn.Module, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        logits = model(x)
        return F.cross_entropy(logits, y) + self.strength * logits.square().mean()


class Mixup(Erm):
    """Cross-entropy on mixtures of environments i and j: lam CE(y_i) + (1 - lam) CE(y_j), lam ~ Beta(alpha, alpha).

    The environments form a random cycle, each mixed with the next, with one lam per pair (Yan et al. 2020).
    """

    def __init__(self, model: nn.Module, environments: int, steps: int, *, alpha: float) -> None:
        super().__init__(model, environments, steps)
        self.alpha = alpha

    def loss(self, model: nn.Module, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        envs = environments_of(env)
        e = len(envs.numbers)
        cycle = torch.randperm(e, device=x.device)
        following = torch.empty_like(cycle)
        following[cycle] = cycle.roll(-1)
        position = shuffled_position(envs)
        start, counts = (envs.counts.cumsum(0) - envs.counts).long(), envs.counts.long()
        row = torch.empty_like(position)
        row[start[envs.member] + position] = torch.arange(len(row), device=row.device)
        partner_env = following[envs.member]
        partner = row[start[partner_env] + position % counts[partner_env]]  # a smaller environment is used again
        share = torch.distributions.Beta(self.alpha, self.alpha).sample((e,)).to(x)[envs.member]
        mix = share[:, None, None, None]
        logits = model(mix * x + (1 - mix) * x[partner]).float()
        each = F.cross_entropy(logits, y, reduction="none") * share
        each = each + F.cross_entropy(logits, y[partner], reduction="none") * (1 - share)
        return (envs.mean @ each).mean()


class Fishr(Erm):
    """R + penalty * mean over e of mean((v_e - v)^2), v_e `head_gradient_variance`, v its mean (Rame et al. 2022).

    v_e is smoothed over steps, v_e + ema / (1 - ema) * (average so far), whose gradient is that of the present v_e.
    The weight is 0 before the switch.
    """

    average: Tensor

    def __init__(self, model: Any, environments: int, steps: int, *, penalty: float, anneal: float, ema: float) -> None:
        super().__init__(model, environments, steps)
        self.penalty, self.ema = penalty, ema
        self.begin = self.switch(anneal)
        k, m = model.head.weight.shape
        self.register_buffer("average", torch.zeros(environments, k, m + 1))

    def loss(self, model: Any, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        envs, features = environments_of(env), model.features(x)
        logits = model.head(features)
        variance = head_gradient_variance(logits, features, y, envs)
        smooth = variance + self.ema / (1 - self.ema) * self.average[envs.numbers]
        self.average[envs.numbers] = (1 - self.ema) * smooth.detach()
        risk = F.cross_entropy(logits, y)
        return risk + self.penalty * smooth.var(dim=0, correction=0).mean() if step >= self.begin else risk


class Eqrm(Erm):
    """The `quantile` of the distribution of risks over environments (Eastwood et al. 2022); mean R_e before the switch.

    From there the learning rate is `rate` times the recipe's: a fiftieth in DomainBed (5e-5, then 1e-6).
    """

    def __init__(
        self, model: nn.Module, environments: int, steps: int, *, quantile: float, anneal: float, rate: float
    ) -> None:
        super().__init__(model, environments, steps)
        self.quantile, self.rate = quantile, rate
        self.begin = self.switch(anneal)

    def loss(self, model: nn.Module, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        risk = risks(model(x), y, environments_of(env))
        return risk_quantile(risk, self.quantile) if step >= self.begin else risk.mean()


class AndMask(Erm):
    """Mean gradient over environments, less the weights on whose sign they disagree (Parascandolo et al. 2021).

    A weight is kept where |mean sign| >= tau; each tensor is divided by its share of kept weights. The value returned
    is the mean risk; its gradient is the masked one.
    """

    def __init__(self, model: nn.Module, environments: int, steps: int, *, tau: float) -> None:
        super().__init__(model, environments, steps)
        self.tau = tau

    def loss(self, model: nn.Module, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        values, gradients = [], []
        for number in env.unique():  # each environment by itself: a pooled pass would be walked back once for each
            rows = env == number
            risk = F.cross_entropy(model(x[rows]), y[rows])
            gradients.append(torch.autograd.grad(risk, weights, materialize_grads=True))
            values.append(risk.detach())
        total = x.new_zeros(())
        for weight, of_each in zip(weights, zip(*gradients, strict=True), strict=True):
            stacked = torch.stack(of_each)
            mask = (stacked.sign().mean(dim=0).abs() >= self.tau).to(stacked.dtype)
            masked = mask * stacked.mean(dim=0) / (mask.mean() + 1e-10)
            total = total + (weight * masked).sum()
        return total - total.detach() + torch.stack(values).mean()


class IbIrm(Irm):
    """`Irm` + bottleneck * mean variance of the features within environments (Ahuja et al. 2021).

    The weight of the bottleneck is 0 before its own switch; `rescale` divides by the larger weight.
    """

    def __init__(
        self,
        model: nn.Module,
        environments: int,
        steps: int,
        *,
        bottleneck: float,
        bottleneck_anneal: float,
        **irm: Any,
    ) -> None:
        super().__init__(model, environments, steps, **irm)
        self.bottleneck = bottleneck
        self.bottleneck_begin = self.switch(bottleneck_anneal)

    def loss(self, model: Any, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        envs, features = environments_of(env), model.features(x)
        logits = model.head(features)
        weight = self.penalty if step >= self.begin else 1.0
        narrow = self.bottleneck if step >= self.bottleneck_begin else 0.0
        loss = risks(logits, y, envs).mean() + weight * irm_penalty(logits, y, envs, self.halves)
        values = features.float()
        spread = envs.mean @ (values - (envs.mean @ values)[envs.member]).square()  # (e, m)
        unbiased = (envs.counts / (envs.counts - 1).clamp(min=1))[:, None]
        loss = loss + narrow * (spread * unbiased).mean()
        return loss / max(weight, narrow, 1.0) if self.rescale else loss


class CausIrl(Erm):
    """Mean R_e + gamma * `coral_distance` of two random parts of the pooled features (Chevalley et al. 2022).

    Each environment is cut at a random place, so that the two parts mix the environments in different proportions.
    """

    def __init__(self, model: nn.Module, environments: int, steps: int, *, gamma: float) -> None:
        super().__init__(model, environments, steps)
        self.gamma = gamma

    def loss(self, model: Any, x: Tensor, y: Tensor, env: Tensor, step: int) -> Tensor:
        envs, features = environments_of(env), model.features(x)
        risk = risks(model.head(features), y, envs).mean()
        cut = (torch.rand(len(envs.counts), device=x.device) * envs.counts).long()
        parts = environments_of((shuffled_position(envs) >= cut[envs.member]).long())
        if len(parts.counts) < 2 or parts.counts.min() < 2:
            return risk
        return risk + self.gamma * coral_distance(features, parts)
