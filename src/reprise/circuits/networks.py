"""Neural Attentive Circuits (Sec. 2), and Perceiver IO as the circuit without codes and kernel (Sec. 2.14).

A circuit is planned first, then executed. The plan holds what does not depend on the input: modulations, the queries
of the read-in, link probabilities. In training it is made anew for every batch; a compiled network
(`reprise.circuits.compiled`) keeps it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from reprise.circuits.circuit import Circuit, Descriptions, Modules
from reprise.circuits.kernel import Kernel
from reprise.circuits.layers import modulations
from reprise.circuits.parts import LayerPlan, Propagator, ReadIn, ReadInPlan, ReadOut, ReadOutPlan, Sizes


class Plan(NamedTuple):
    """What does not depend on the input."""

    read_in: ReadInPlan
    layers: Sequence[LayerPlan]
    read_out: ReadOutPlan


class NAC(nn.Module):
    """Tokens (b, v, k) to logits, through the network's own circuit or one that is given.

    Args:
        tokens: width of a token.
        describes: whether the network has processors of its own; False where a generator makes them
            (`reprise.circuits.circuit.TextConditioned`).
    """

    def __init__(self, sizes: Sizes, tokens: int, classes: int, *, describes: bool = True) -> None:
        super().__init__()
        self.sizes = sizes
        widths = (sizes.signature, sizes.code, sizes.state)
        self.processors = Descriptions(sizes.processors, *widths, sizes.seeding) if describes else None
        self.outputs = Descriptions(sizes.outputs, *widths, sizes.seeding)
        self.inputs = Descriptions(sizes.inputs, *widths, sizes.seeding) if sizes.inputs else None
        self.read_in = ReadIn(sizes, tokens)
        self.layers = nn.ModuleList(Propagator(sizes) for _ in range(sizes.layers))
        self.read_out = ReadOut(sizes)
        self.head = nn.Linear(sizes.state, classes)

    def circuit(self, processors: Modules | None = None) -> Circuit:
        """The circuit of these processors, by default the network's own."""
        if processors is None:
            if self.processors is None:
                raise ValueError("this network has no processors of its own: give it those of a generator")
            processors = self.processors()
        return Circuit(processors, self.outputs(), self.inputs() if self.inputs else None)

    def plan(self, circuit: Circuit) -> Plan:
        own, inputs = circuit.processors, circuit.inputs
        senders = own if inputs is None else _joined(inputs, own)
        readers = own if inputs is None else inputs
        needed = [*self.read_in.pairs(readers), *self.read_out.pairs(circuit.outputs, senders)]
        for layer in self.layers:
            needed += layer.pairs(own, senders)  # type: ignore[operator]
        bent = modulations(needed)
        return Plan(
            self.read_in.plan(readers, bent),
            [layer.plan(own, senders, bent) for layer in self.layers],  # type: ignore[operator]
            self.read_out.plan(circuit.outputs, senders, bent),
        )

    def execute(
        self,
        tokens: Float[Tensor, "b v k"],
        plan: Plan,
        circuit: Circuit,
        padding: Bool[Tensor, "b v"] | None = None,
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b o"]]:
        """What the head reads, and the weight of each output in it."""
        x, inputs = self.read_in(tokens, plan.read_in, padding), None
        if circuit.inputs is not None:
            inputs, x = x, circuit.processors.state.expand(len(tokens), -1, -1)
        for layer, layer_plan in zip(self.layers, plan.layers, strict=True):
            x = layer(x, inputs, layer_plan)
        return self.read_out(x if inputs is None else torch.cat([inputs, x], 1), plan.read_out)

    def features(
        self,
        tokens: Float[Tensor, "b v k"],
        padding: Bool[Tensor, "b v"] | None = None,
        *,
        processors: Modules | None = None,
        keep: Int[Tensor, " k"] | None = None,
    ) -> Float[Tensor, "b d"]:
        """The representation that the head reads; `keep` numbers the processors that are left."""
        circuit = self.circuit(processors)
        circuit = circuit if keep is None else circuit.kept(keep)
        return self.execute(tokens, self.plan(circuit), circuit, padding)[0]

    def forward(
        self,
        tokens: Float[Tensor, "b v k"],
        padding: Bool[Tensor, "b v"] | None = None,
        *,
        processors: Modules | None = None,
        keep: Int[Tensor, " k"] | None = None,
    ) -> Float[Tensor, "b classes"]:
        return self.head(self.features(tokens, padding, processors=processors, keep=keep))

    def links(self, circuit: Circuit) -> Float[Tensor, "l *b u u"]:
        """Probability of every link between processors, layer by layer; ones in a complete graph."""
        own = circuit.processors.signature
        if not self.sizes.sparse:
            return torch.ones(len(self.layers), *own.shape[:-1], own.shape[-2], device=own.device)
        kernels = [kernel for layer in self.layers for kernel in layer.modules() if isinstance(kernel, Kernel)]
        return torch.stack([kernel.probability(own, own) for kernel in kernels])

    def degrees(self, circuit: Circuit) -> Float[Tensor, "*b u"]:
        """Expected number of links of each processor, the mean over the layers (Sec. 2.12)."""
        return self.links(circuit).mean(0).sum(-1)


def _joined(first: Modules, second: Modules) -> Modules:
    """Both, one after another, in every sample where one of them differs from sample to sample."""
    pairs = ((first.signature, second.signature), (first.code, second.code), (first.state, second.state))
    found = []
    for one, other in pairs:
        batch = torch.broadcast_shapes(one.shape[:-2], other.shape[:-2])
        found.append(torch.cat([one.expand(*batch, -1, -1), other.expand(*batch, -1, -1)], -2))
    return Modules(*found)


def perceiver_io(sizes: Sizes, tokens: int, classes: int) -> NAC:
    """Perceiver IO as the NAC code has it: learned latents, plain layers, a complete graph, one output query.

    `sizes.feed_forward` is the caller's: about twice that of a circuit with as many parameters.
    """
    plain = replace(
        sizes, modulated=False, sparse=False, code=0, signature=0, outputs=1, seeding="learned", inputs=None
    )
    return NAC(plain, tokens, classes)
