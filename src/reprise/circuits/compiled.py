"""Circuits made static (Sec. 2.12): modules dropped, all that does not depend on the input computed once.

Dropped modules are gone, not masked: every tensor is smaller. A circuit that a text describes is compiled once per text
and then serves all images that go with it.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from reprise.circuits.circuit import Circuit
from reprise.circuits.kernel import CUT
from reprise.circuits.networks import NAC, AttentionPlan, LayerPlan, Plan

Order = Callable[[NAC, Circuit, int], Int[Tensor, " u"]]


def by_degree(network: NAC, circuit: Circuit, seed: int = 0) -> Int[Tensor, " u"]:
    """Processors from the best connected one on."""
    return network.degrees(circuit).argsort(descending=True, stable=True)


def by_degree_reversed(network: NAC, circuit: Circuit, seed: int = 0) -> Int[Tensor, " u"]:
    """From the least connected one on: the control that should do worst."""
    return by_degree(network, circuit).flip(0)


def at_random(network: NAC, circuit: Circuit, seed: int = 0) -> Int[Tensor, " u"]:
    """In random order."""
    return torch.randperm(circuit.processors.code.shape[-2], generator=torch.Generator().manual_seed(seed))


ORDERS: dict[str, Order] = {"degree": by_degree, "random": at_random, "reversed": by_degree_reversed}


def kept(order: Int[Tensor, " u"], share: float) -> Int[Tensor, " k"]:
    """The first of an order, at least one, as they stood before."""
    return order[: max(1, round(share * len(order)))].sort().values


class Compiled(nn.Module):
    """A network with one circuit, in evaluation mode: tokens to logits.

    Args:
        keep: numbers of the processors that stay.
        cut: links less probable than this are cut; 0 keeps all.
    """

    def __init__(self, network: NAC, circuit: Circuit, keep: Int[Tensor, " k"] | None = None, cut: float = 0.0) -> None:
        super().__init__()
        self.network = network.eval()
        with torch.no_grad():
            self.circuit = circuit if keep is None else circuit.kept(keep)
            self.plan = _without(network.plan(self.circuit), cut)

    def train(self, mode: bool = True) -> "Compiled":
        """A compiled network stays as it is."""
        return super().train(False)

    @torch.inference_mode()
    def forward(self, tokens: Float[Tensor, "b v k"], padding: Bool[Tensor, "b v"] | None = None) -> Tensor:
        return self.network.head(self.network.execute(tokens, self.plan, self.circuit, padding)[0])


def _without(plan: Plan, probability: float) -> Plan:
    """The plan without links less probable than that."""
    if probability == 0:
        return plan

    def cut(attention: AttentionPlan) -> AttentionPlan:
        if attention.links is None:
            return attention
        links = torch.where(attention.links < math.log(probability), CUT, attention.links)
        return attention._replace(links=links)

    layers = [LayerPlan(cut(layer.attention), layer.feed_forward) for layer in plan.layers]
    last = plan.read_out.layer
    return Plan(plan.read_in, layers, plan.read_out._replace(layer=LayerPlan(cut(last.attention), last.feed_forward)))


class Costs(NamedTuple):
    """Multiply-accumulate operations of one sample, without and with the parts that a compiled circuit leaves out."""

    executed: int
    planned: int


def costs(network: NAC, tokens: int, width: int, processors: int | None = None) -> Costs:
    """Of reading `tokens` tokens of a width, thinking and answering (Sec. 4); the tokenizer is not counted.

    `planned` is what making the plan takes: once per circuit, not once per sample.
    """
    sizes = network.sizes
    u, d, o, f = processors or sizes.processors, sizes.state, sizes.outputs, sizes.feed_forward
    inner, read = sizes.heads * sizes.head, sizes.read_heads * sizes.read_head
    feed_forward = 3 * f * d * d
    read_in = 2 * sizes.read_heads * u * tokens * width + u * (read * width + read * d + feed_forward)
    layer = u * (4 * inner * d + feed_forward) + 2 * u * u * inner
    read_out = o * (2 * read * d + feed_forward + d) + u * 2 * read * d + 2 * o * u * read
    executed = read_in + sizes.layers * layer + read_out + d * network.head.out_features
    codes = sizes.code if sizes.modulated else 0
    per_module = codes * (3 * width + 2 * d + read) + sizes.layers * codes * (3 * d + inner + d + f * d)
    planned = u * per_module + u * read * (d + width) + sizes.layers * u * u * sizes.signature * sizes.sparse
    return Costs(round(executed), round(planned))
