"""Neural Interpreters (Rahaman et al. 2021; Sec. 4): every token is routed to functions anew at every step.

A program is a row of scripts; a script applies one pod of functions several times, its weights tied over the
iterations. Functions share the weights of their lines of code and differ by a signature, which attracts tokens, and by
a code, which bends the weights.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

FLOOR = 1e-6  # of sums of compatibilities: tokens that no function takes would be divided by zero


@dataclass(frozen=True)
class InterpreterSizes:
    """Sizes of a Neural Interpreter; the defaults are those of the small scale (Sec. 6.1).

    Attributes:
        width: of tokens and codes.
        functions, signature: number of functions and width of their signatures.
        scripts, iterations, lines: of code per iteration.
        hidden: of the feed-forward layers, over `width`.
        reach: distance of type and signature beyond which a function does not take a token. 2 reaches all.
    """

    width: int = 40
    functions: int = 4
    signature: int = 12
    scripts: int = 2
    iterations: int = 2
    lines: int = 1
    heads: int = 4
    hidden: float = 1.0
    reach: float = 1.4


class ModLinear(nn.Module):
    """W (x * LN(W_q q)) + b, q the code of the function that applies it."""

    def __init__(self, inputs: int, outputs: int, code: int) -> None:
        super().__init__()
        self.linear, self.code = nn.Linear(inputs, outputs), nn.Linear(code, inputs, bias=False)

    def forward(self, x: Float[Tensor, "b f v inputs"], codes: Float[Tensor, "f c"]) -> Tensor:
        code = self.code(codes)
        return self.linear(x * functional.layer_norm(code, code.shape[-1:])[:, None])


class Line(nn.Module):
    """A line of code: attention among the tokens a function takes, then a feed-forward layer."""

    def __init__(self, sizes: InterpreterSizes) -> None:
        super().__init__()
        width, hidden = sizes.width, round(sizes.hidden * sizes.width)
        self.heads = sizes.heads
        self.norm, self.norm_hidden = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (ModLinear(width, width, width) for _ in range(4))
        self.up, self.down = ModLinear(width, hidden, width), ModLinear(hidden, width, width)

    def forward(
        self, x: Float[Tensor, "b f v d"], taken: Float[Tensor, "b f v"], codes: Float[Tensor, "f d"]
    ) -> Float[Tensor, "b f v d"]:
        y = self.norm(x)
        q, k, v = (
            layer(y, codes).unflatten(-1, (self.heads, -1)).transpose(2, 3)
            for layer in (self.query, self.key, self.value)
        )
        # Weights S_ij c_i c_j / (sum_j S_ij c_i c_j + floor) with S the softmax and c what is taken, without a matrix
        # for each factor: c_j goes into the values and, as one more column, gives the sum; c_i stands before both.
        own = taken[:, :, None, :, None]
        sent = torch.cat([v * own, own.expand(*v.shape[:-1], 1)], -1)
        heard = (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(-1) @ sent  # b f h v e+1
        heard = own * heard[..., :-1] / (own * heard[..., -1:] + FLOOR)
        heard = heard.transpose(2, 3).flatten(3)
        x = x + taken[..., None] * self.out(heard, codes)
        inner = functional.gelu(self.up(self.norm_hidden(x), codes))
        return x + taken[..., None] * self.down(inner, codes)


class Script(nn.Module):
    """One pod of functions, applied several times; routing is inferred anew each time."""

    def __init__(self, sizes: InterpreterSizes) -> None:
        super().__init__()
        width = sizes.width
        self.iterations, self.reach = sizes.iterations, sizes.reach
        self.register_buffer("signature", torch.randn(sizes.functions, sizes.signature))
        self.codes = nn.Parameter(torch.randn(sizes.functions, width))
        self.infer = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, sizes.signature)
        )
        self.log_bandwidth = nn.Parameter(torch.zeros(()))
        self.lines = nn.ModuleList(Line(sizes) for _ in range(sizes.lines))

    signature: Tensor

    def compatibility(self, x: Float[Tensor, "b v d"]) -> Float[Tensor, "b f v"]:
        """How much each function takes of each token: shares of one, or zeros for a token that none can reach."""
        kinds = functional.normalize(self.infer(x), dim=-1)
        distance = 1 - functional.normalize(self.signature, dim=-1) @ kinds.transpose(1, 2)
        near = torch.exp(-distance / self.log_bandwidth.exp())
        soft, cut = (x / (FLOOR + x.sum(1, keepdim=True)) for x in (near, near * (distance < self.reach)))
        # Backwards as if nothing were cut. Cut before the division, a token that none can reach has a huge gradient.
        return soft + (cut - soft).detach()

    def forward(self, x: Float[Tensor, "b v d"]) -> Float[Tensor, "b v d"]:
        for _ in range(self.iterations):
            taken = self.compatibility(x)
            z = x[:, None].expand(-1, len(self.codes), -1, -1)
            for line in self.lines:
                z = line(z, taken, self.codes)
            x = (taken[..., None] * z).sum(1)
        return x


class Interpreter(nn.Module):
    """Tokens (b, v, k) to logits, read from a token of its own."""

    def __init__(self, sizes: InterpreterSizes, tokens: int, classes: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.embed = nn.Linear(tokens, sizes.width)
        self.answer = nn.Parameter(0.02 * torch.randn(sizes.width))
        self.scripts = nn.Sequential(*(Script(sizes) for _ in range(sizes.scripts)))
        self.norm, self.head = nn.LayerNorm(sizes.width), nn.Linear(sizes.width, classes)

    def features(self, tokens: Float[Tensor, "b v k"]) -> Float[Tensor, "b d"]:
        x = self.embed(tokens)
        x = torch.cat([self.answer.expand(len(x), 1, -1), x], 1)
        return self.norm(self.scripts(x)[:, 0])

    def forward(self, tokens: Float[Tensor, "b v k"]) -> Float[Tensor, "b classes"]:
        return self.head(self.features(tokens))


def costs(sizes: InterpreterSizes, tokens: int) -> int:
    """Multiply-accumulate operations of one sample (Sec. 4), all iterations of all scripts."""
    d, v = sizes.width, tokens + 1
    routing = v * d * (d + sizes.signature)
    line = v * (4 + 2 * sizes.hidden) * d * d + v * v * (2 * d + sizes.heads)
    return round(sizes.scripts * sizes.iterations * (routing + sizes.functions * sizes.lines * line))
