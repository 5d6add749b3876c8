"""Who listens to whom: links between modules from the distance of their signatures (Sec. 2.4).

Everything is done with logarithms in single precision: torch's own relaxed Bernoulli underflows at low temperatures.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

CUT = -30.0  # log probability of a link that is cut: an attention row of nothing else must still have a softmax
LOWEST, HIGHEST = -14.0, -1e-4  # of the logarithm of a probability, so that its logit and gradients are finite
MARGIN = 1e-6  # uniform draws stay this far from 0 and 1

Evaluation = Literal["probability", "sample", "threshold"]


def distances(receivers: Float[Tensor, "*b i g"], senders: Float[Tensor, "*b j g"]) -> Float[Tensor, "*b i j"]:
    """1 - cosine, in [0, 2]."""
    first, second = (functional.normalize(one.float(), dim=-1) for one in (receivers, senders))
    return 1 - first @ second.transpose(-1, -2)


def sampled(
    log_probability: Float[Tensor, "*b i j"], temperature: float, shape: Sequence[int] | None = None
) -> Float[Tensor, "*s i j"]:
    """log K of relaxed Bernoulli links (concrete distribution): P(K > 1/2) is the probability, at any temperature.

    `shape` is that of the draws, of links that stand for many; logits are computed but once.
    """
    logit = log_probability - torch.log(-torch.expm1(log_probability))
    noise = torch.rand(shape or log_probability.shape, device=log_probability.device).logit(MARGIN)
    return functional.logsigmoid((logit + noise) / temperature)


class Kernel(nn.Module):
    """P = exp(-distance / bandwidth) of a link, and the links drawn from it.

    Args:
        bandwidth: at the start. With 1, the paper's value, no probability is below exp(-2) = 0.135: sparse graph
            priors need less (Sec. 2.8).
        learnable: train the bandwidth (its logarithm).
        temperature: of the links sampled in training.
        truncation: distances above it cut the link. It gets no gradient then, but its `probability` does.
        evaluation: links outside training: their probabilities, samples, or those more probable than 1/2.
    """

    def __init__(
        self,
        bandwidth: float = 0.3,
        *,
        learnable: bool = True,
        temperature: float = 0.5,
        truncation: float | None = None,
        evaluation: Evaluation = "probability",
    ) -> None:
        super().__init__()
        self.log_bandwidth = nn.Parameter(torch.tensor(math.log(bandwidth)), requires_grad=learnable)
        self.temperature, self.truncation, self.evaluation = temperature, truncation, evaluation

    def log_probability(
        self, receivers: Float[Tensor, "*b i g"], senders: Float[Tensor, "*b j g"]
    ) -> Float[Tensor, "*b i j"]:
        with torch.autocast(receivers.device.type, enabled=False):
            distance = distances(receivers, senders)
            found = (-distance / self.log_bandwidth.float().exp()).clamp(LOWEST, HIGHEST)
            return found if self.truncation is None else torch.where(distance > self.truncation, CUT, found)

    def probability(
        self, receivers: Float[Tensor, "*b i g"], senders: Float[Tensor, "*b j g"]
    ) -> Float[Tensor, "*b i j"]:
        """P, zero where it is cut; backwards as if nothing were, so that a graph prior can bring links back."""
        with torch.autocast(receivers.device.type, enabled=False):
            distance = distances(receivers, senders)
            found = (-distance / self.log_bandwidth.float().exp()).exp()
            return found if self.truncation is None else found - (found * (distance > self.truncation)).detach()

    def links(self, log_probability: Float[Tensor, "*b i j"], samples: int) -> Float[Tensor, "s i j"]:
        """log K, in training drawn anew for every sample; else it may be one for all of them."""
        with torch.autocast(log_probability.device.type, enabled=False):
            each = log_probability if log_probability.ndim == 3 else log_probability[None]
            if self.training or self.evaluation == "sample":
                shape = (samples, *each.shape[1:])
                drawn = sampled(each.clamp(LOWEST, HIGHEST), self.temperature, shape)
                return torch.where(each <= CUT, CUT, drawn)
            if self.evaluation == "threshold":
                return torch.where(each > math.log(0.5), 0.0, CUT)
            return each
