"""Circuits made static (Sec. 2.12): modules dropped, modulations, read-in queries and links computed once.

Dropped modules are gone, not masked: every tensor is smaller. A circuit that a text describes is compiled once per text
and then serves all images that go with it.
"""

import copy
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from reprise.circuits.circuit import Circuit
from reprise.circuits.kernel import CUT
from reprise.circuits.networks import NAC, Plan
from reprise.circuits.parts import AttentionPlan, LayerPlan

Order = Callable[[NAC, Circuit, int], Int[Tensor, " u"]]


def by_degree(network: NAC, circuit: Circuit, seed: int = 0) -> Int[Tensor, " u"]:
    """Processors from the best connected one on; where samples differ, in the mean over them."""
    degrees = network.degrees(circuit)
    return degrees.reshape(-1, degrees.shape[-1]).mean(0).argsort(descending=True, stable=True)


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
    """A copy of a network with one circuit, in evaluation mode: tokens to logits.

    Args:
        keep: numbers of the processors that stay.
        cut: links less probable than this are cut; 0 keeps all.
    """

    def __init__(self, network: NAC, circuit: Circuit, keep: Int[Tensor, " k"] | None = None, cut: float = 0.0) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        with torch.no_grad():
            self.circuit = circuit if keep is None else circuit.kept(keep)
            self.plan = _without(self.network.plan(self.circuit), cut)

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
    """Multiply-accumulate operations: of every sample, and of the plan, which a compiled circuit has made already."""

    executed: int
    planned: int


def costs(network: NAC, tokens: int, width: int, processors: int | None = None) -> Costs:
    """Of reading `tokens` tokens of a width, thinking and answering (Sec. 4); the tokenizer is not counted.

    `processors` stands in for the network's own number, where some are dropped.
    """
    sizes = network.sizes
    u, d, o = processors or sizes.processors, sizes.state, sizes.outputs
    readers, senders = sizes.inputs or u, u + (sizes.inputs or 0)
    inner, read = sizes.heads * sizes.head, sizes.read_heads * sizes.read_head
    hidden, code = round(sizes.feed_forward * d), sizes.code if sizes.modulated else 0
    think = 3 * hidden * d
    read_in = 2 * sizes.read_heads * readers * tokens * width + readers * (read * width + read * d + think)
    layer = u * (2 * inner * d + think) + senders * 2 * inner * d + 2 * u * senders * inner
    read_out = o * (2 * read * d + think + d) + senders * 2 * read * d + 2 * o * senders * read
    executed = read_in + sizes.layers * layer + read_out + d * network.head.out_features
    g = sizes.signature if sizes.sparse else 0
    planned = readers * (code * (2 * d + 2 * width + read + hidden) + read * (d + width))
    planned += sizes.layers * (code * (u * (2 * d + inner + hidden) + senders * 2 * d) + u * senders * g)
    planned += code * (o * (2 * d + read + hidden) + senders * 2 * d) + o * senders * g
    return Costs(executed, planned)
