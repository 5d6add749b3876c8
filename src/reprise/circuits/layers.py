"""Layers whose weights all modules of a circuit share, each module bending them by its code (Sec. 2.2, 2.3)."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Modulation = Tensor | None  # what a layer multiplies its input by; None is a plain layer


class ModFC(nn.Module):
    """W (x * m) + b with m = 1 + a LN(W_q q), where q is the code of the module that applies it.

    Args:
        code: width of the codes; None makes it a plain linear layer (a = 0).
        strength: a at the start. The released code takes 0.1; 1 learns faster where training is short.
    """

    def __init__(
        self, inputs: int, outputs: int, code: int | None, *, bias: bool = True, strength: float = 1.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.code = None if code is None else nn.Linear(code, inputs, bias=False)
        if code is not None:
            self.strength = nn.Parameter(torch.tensor(strength))

    def modulation(self, codes: Float[Tensor, "*b u c"]) -> Float[Tensor, "*b u inputs"] | None:
        """m of every module: it does not depend on the input, so a fixed circuit needs it but once."""
        return modulations([(self, codes)])[self]

    def forward(self, x: Float[Tensor, "*b u inputs"], modulation: Modulation) -> Float[Tensor, "*b u outputs"]:
        return functional.linear(x if modulation is None else x * modulation, self.weight, self.bias)


Pairs = Sequence[tuple[ModFC, Tensor]]  # layers, and the codes of the modules that apply each
Modulations = Mapping[ModFC, Modulation]


def modulations(pairs: Pairs) -> Modulations:
    """The modulations of all layers of a circuit.

    Layers of one width under the same codes are computed together: one alone takes longer to start than to compute.
    """
    alike: dict[tuple[int, int], list[tuple[ModFC, Tensor]]] = {}
    for layer, codes in pairs:
        if layer.code is not None:
            alike.setdefault((layer.weight.shape[1], id(codes)), []).append((layer, codes))
    found: dict[ModFC, Modulation] = dict.fromkeys((layer for layer, _ in pairs), None)
    for (width, _), group in alike.items():
        layers, codes = [layer for layer, _ in group], group[0][1]
        maps = torch.cat([layer.code.weight for layer in layers])  # type: ignore[union-attr]
        mapped = functional.linear(codes, maps).unflatten(-1, (len(layers), width))
        strengths = torch.stack([layer.strength for layer in layers])[:, None]
        each = 1 + strengths * functional.layer_norm(mapped, (width,))
        found.update(zip(layers, each.unbind(-2), strict=True))
    return found


class FeedForwardPlan(NamedTuple):
    """The modulations of a feed-forward layer."""

    up: Modulation
    down: Modulation


class ModFFN(nn.Module):
    """x + DropPath(scale * ModFC(GEGLU(ModFC(LN(x)))))."""

    def __init__(
        self,
        width: int,
        factor: float,
        code: int | None,
        *,
        strength: float = 1.0,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = round(factor * width)
        self.norm = nn.LayerNorm(width)
        self.up = ModFC(width, 2 * hidden, code, strength=strength)
        self.down = ModFC(hidden, width, code, strength=strength)
        self.scale = None if layer_scale is None else nn.Parameter(torch.full((width,), layer_scale))
        self.drop_path = drop_path

    def pairs(self, codes: Tensor) -> Pairs:
        return [(self.up, codes), (self.down, codes)]

    def plan(self, bent: Modulations) -> FeedForwardPlan:
        return FeedForwardPlan(bent[self.up], bent[self.down])

    def forward(self, x: Float[Tensor, "b u d"], plan: FeedForwardPlan) -> Float[Tensor, "b u d"]:
        value, gate = self.up(self.norm(x), plan.up).chunk(2, -1)
        y = self.down(value * functional.gelu(gate), plan.down)
        if self.scale is not None:
            y = y * self.scale
        if self.training and self.drop_path:
            kept = torch.rand(len(x), 1, 1, device=x.device) >= self.drop_path
            y = y * kept / (1 - self.drop_path)
        return x + y
