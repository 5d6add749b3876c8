"""What a circuit is made of: modules with a signature, a code and a state (Sec. 2.1), and where they come from.

A module is a description, not a block of weights. Shapes are (modules, k) where all samples share one circuit, and
(samples, modules, k) where every sample has its own (Sec. 2.9).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Seeding = Literal["code", "projected", "learned"]


@dataclass(frozen=True)
class Modules:
    """Descriptions of n modules: signature (who talks to whom), code (what each computes), state (where it starts)."""

    signature: Float[Tensor, "*b n g"]
    code: Float[Tensor, "*b n c"]
    state: Float[Tensor, "*b n d"]

    def kept(self, numbers: Int[Tensor, " k"]) -> "Modules":
        """Some of the modules: every tensor shrinks."""
        return Modules(
            *(part.index_select(-2, numbers.to(part.device)) for part in (self.signature, self.code, self.state))
        )


@dataclass(frozen=True)
class Circuit:
    """Processors, the outputs that read them, and inputs of their own where the wiring has them (W1)."""

    processors: Modules
    outputs: Modules
    inputs: Modules | None = None

    def kept(self, numbers: Int[Tensor, " k"]) -> "Circuit":
        """Without all other processors."""
        return Circuit(self.processors.kept(numbers), self.outputs, self.inputs)


class Descriptions(nn.Module):
    """Learned descriptions of n modules.

    Args:
        seeding: the state is the code itself (c = d), a linear map of its LayerNorm, or learned by itself.
    """

    def __init__(self, n: int, signature: int, code: int, state: int, seeding: Seeding = "projected") -> None:
        super().__init__()
        if seeding == "code" and code != state:
            raise ValueError(f"codes of {code} cannot be states of {state}: seed them with a projection")
        self.seeding = seeding
        self.signature = nn.Parameter(torch.randn(n, signature))
        self.code = nn.Parameter(torch.randn(n, code))
        if seeding == "projected":
            self.seed = nn.Sequential(nn.LayerNorm(code), nn.Linear(code, state))
        elif seeding == "learned":
            self.start = nn.Parameter(torch.randn(n, state))

    def state(self, code: Float[Tensor, "*b n c"]) -> Float[Tensor, "*b n d"]:
        if self.seeding == "projected":
            return self.seed(code)
        return code if self.seeding == "code" else self.start.expand(*code.shape[:-1], -1)

    def forward(self) -> Modules:
        return Modules(self.signature, self.code, self.state(self.code))


class TextConditioned(nn.Module):
    """Processors described by a text (Sec. 2.9): its words move the signatures and codes of learned ones.

    Each module asks the words with a query of its own; what it hears is added to its description.
    """

    def __init__(self, base: Descriptions, width: int, heads: int = 4) -> None:
        """`width` is that of the text's tokens."""
        super().__init__()
        n, signature = base.signature.shape
        code = base.code.shape[1]
        self.base = base
        self.query = nn.Parameter(torch.randn(n, width))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.heard = nn.LayerNorm(width)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.to_signature, self.to_code = nn.Linear(width, signature), nn.Linear(width, code)

    def forward(self, text: Float[Tensor, "b t w"], padding: Bool[Tensor, "b t"] | None = None) -> Modules:
        """`padding` marks tokens that are none."""
        query = self.query.expand(len(text), -1, -1)
        heard, _ = self.attention(query, text, text, key_padding_mask=padding, need_weights=False)
        h = self.heard(query + heard)
        h = h + self.think(h)
        code = self.base.code + self.to_code(h)
        return Modules(self.base.signature + self.to_signature(h), code, self.base.state(code))
