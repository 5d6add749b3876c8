"""The parts of a circuit: read-in, attention between modules, propagators, read-out (Sec. 2.4 to 2.7).

Each names the modulations it needs (`pairs`), makes a plan of what does not depend on the input, and is applied by it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from reprise.circuits.circuit import Modules, Seeding
from reprise.circuits.kernel import Evaluation, Kernel
from reprise.circuits.layers import FeedForwardPlan, ModFC, ModFFN, Modulation, Modulations, Pairs


@dataclass(frozen=True)
class Sizes:
    """Sizes of a network; the defaults are those of the small scale (Sec. 6.1).

    Attributes:
        state, code, signature: widths of the descriptions.
        processors, outputs: numbers of modules; `inputs` modules of their own read the tokens in the older wiring
            (W1), else the processors do (W2).
        layers: propagators.
        heads, head: attention heads between modules and their width; `read_heads`, `read_head` of the read-in.
        feed_forward: hidden width of the feed-forward layers over `state`.
        modulated: bend weights by the codes (ModFC); else plain layers (FC).
        sparse: links of the kernel; else everyone listens to everyone.
        strength: of the modulation at the start.
        bandwidth: of the kernel at the start, `learnable` or not.
        temperature, truncation, evaluation: of the links, see `Kernel`.
        pooling: temperature of the softmax over the outputs' confidence.
    """

    state: int = 32
    code: int = 32
    signature: int = 16
    processors: int = 32
    outputs: int = 4
    inputs: int | None = None
    layers: int = 3
    heads: int = 4
    head: int = 8
    read_heads: int = 1
    read_head: int = 32
    feed_forward: float = 2.0
    seeding: Seeding = "projected"
    modulated: bool = True
    sparse: bool = True
    strength: float = 1.0
    bandwidth: float = 0.3
    learnable: bool = True
    temperature: float = 0.5
    truncation: float | None = None
    evaluation: Evaluation = "probability"
    layer_scale: float | None = None
    drop_path: float = 0.0
    pooling: float = 1.0

    @property
    def width_of_codes(self) -> int | None:
        return self.code if self.modulated else None


class ReadInPlan(NamedTuple):
    """Of the read-in: queries that look at raw tokens, one for each head and module."""

    query: Float[Tensor, "*b h u k"]
    value: Modulation
    out: Modulation
    feed_forward: FeedForwardPlan
    state: Tensor


class ReadIn(nn.Module):
    """Every module looks at all tokens (Sec. 2.5); keys and values are bent by the code of the one that looks.

    The cheap exact form: instead of keys and values of every token for every module, O(tokens * modules * width^2),
    the query is brought to the tokens' space, and values are made of the tokens' mean: O(tokens * modules * width).
    """

    def __init__(self, sizes: Sizes, tokens: int) -> None:
        """`tokens` is the width of a token."""
        super().__init__()
        self.heads = sizes.read_heads
        inner, code, a = sizes.read_heads * sizes.read_head, sizes.width_of_codes, sizes.strength
        self.norm_state, self.norm_token = nn.LayerNorm(sizes.state), nn.LayerNorm(tokens)
        self.query = ModFC(sizes.state, inner, code, bias=False, strength=a)
        self.key = ModFC(tokens, inner, code, bias=False, strength=a)
        self.value = ModFC(tokens, inner, code, bias=False, strength=a)
        self.out = ModFC(inner, sizes.state, code, strength=a)
        self.feed_forward = _feed_forward(sizes)

    def pairs(self, modules: Modules) -> Pairs:
        own = [(layer, modules.code) for layer in (self.query, self.key, self.value, self.out)]
        return [*own, *self.feed_forward.pairs(modules.code)]

    def plan(self, modules: Modules, bent: Modulations) -> ReadInPlan:
        query = self.query(self.norm_state(modules.state), bent[self.query])
        query = query.unflatten(-1, (self.heads, -1)).transpose(-3, -2)  # ... h u e
        query = query @ self.key.weight.unflatten(0, (self.heads, -1)) * query.shape[-1] ** -0.5
        modulation = bent[self.key]
        if modulation is not None:
            query = query * modulation.unsqueeze(-3)
        return ReadInPlan(query, bent[self.value], bent[self.out], self.feed_forward.plan(bent), modules.state)

    def forward(
        self, tokens: Float[Tensor, "b v k"], plan: ReadInPlan, padding: Bool[Tensor, "b v"] | None = None
    ) -> Float[Tensor, "b u d"]:
        """`padding` marks tokens that are none."""
        y = self.norm_token(tokens)
        scores = plan.query @ y[:, None].transpose(2, 3)  # b h u v
        if padding is not None:
            scores = scores.masked_fill(padding[:, None, None], torch.finfo(scores.dtype).min)
        mean = scores.softmax(-1) @ y[:, None]  # b h u k
        if plan.value is not None:
            mean = mean * plan.value.unsqueeze(-3)
        heard = mean @ self.value.weight.unflatten(0, (self.heads, -1)).transpose(1, 2)  # b h u e
        x = plan.state + self.out(heard.transpose(1, 2).flatten(2), plan.out)
        return self.feed_forward(x, plan.feed_forward)


class AttentionPlan(NamedTuple):
    """Of an attention between modules. `links` is the log probability of every link, None in a complete graph."""

    query: Modulation
    key: Modulation
    value: Modulation
    out: Modulation
    links: Float[Tensor, "*b i j"] | None


class Attention(nn.Module):
    """Stochastic kernel modulated dot-product attention, SKMDPA (Sec. 2.4), without a residual connection."""

    def __init__(self, sizes: Sizes, heads: int, head: int, norm_senders: bool) -> None:
        """Receivers and senders share one LayerNorm unless the senders are others (`norm_senders`)."""
        super().__init__()
        self.heads = heads
        inner, code, a = heads * head, sizes.width_of_codes, sizes.strength
        self.norm = nn.LayerNorm(sizes.state)
        self.norm_senders = nn.LayerNorm(sizes.state) if norm_senders else None
        self.query, self.key, self.value = (ModFC(sizes.state, inner, code, bias=False, strength=a) for _ in range(3))
        self.out = ModFC(inner, sizes.state, code, strength=a)
        self.kernel = (
            Kernel(
                sizes.bandwidth,
                learnable=sizes.learnable,
                temperature=sizes.temperature,
                truncation=sizes.truncation,
                evaluation=sizes.evaluation,
            )
            if sizes.sparse
            else None
        )

    def pairs(self, receivers: Modules, senders: Modules) -> Pairs:
        own, other = receivers.code, senders.code
        return [(self.query, own), (self.key, other), (self.value, other), (self.out, own)]

    def plan(self, receivers: Modules, senders: Modules, bent: Modulations) -> AttentionPlan:
        return AttentionPlan(
            bent[self.query],
            bent[self.key],
            bent[self.value],
            bent[self.out],
            self.kernel.log_probability(receivers.signature, senders.signature) if self.kernel else None,
        )

    def forward(
        self, receivers: Float[Tensor, "b i d"], senders: Float[Tensor, "b j d"], plan: AttentionPlan
    ) -> Float[Tensor, "b i d"]:
        x = self.norm(receivers)
        y = (self.norm_senders or self.norm)(senders)
        q, k, v = self.query(x, plan.query), self.key(y, plan.key), self.value(y, plan.value)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        bias = None
        if plan.links is not None and self.kernel is not None:
            bias = self.kernel.links(plan.links, len(y))[:, None].to(q.dtype)
        if bias is not None and bias.requires_grad:  # torch's own attention has no fast path for that
            heard = (q * q.shape[-1] ** -0.5 @ k.transpose(2, 3) + bias).softmax(-1) @ v
        else:
            heard = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.out(heard.transpose(1, 2).flatten(2), plan.out)


class LayerPlan(NamedTuple):
    """Of an attention and the feed-forward layer after it."""

    attention: AttentionPlan
    feed_forward: FeedForwardPlan


class Propagator(nn.Module):
    """Processors listen to each other (and to inputs, where there are any), then think (Sec. 2.6)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention = Attention(sizes, sizes.heads, sizes.head, norm_senders=False)
        self.feed_forward = _feed_forward(sizes)

    def pairs(self, receivers: Modules, senders: Modules) -> Pairs:
        return [*self.attention.pairs(receivers, senders), *self.feed_forward.pairs(receivers.code)]

    def plan(self, receivers: Modules, senders: Modules, bent: Modulations) -> LayerPlan:
        return LayerPlan(self.attention.plan(receivers, senders, bent), self.feed_forward.plan(bent))

    def forward(self, x: Tensor, inputs: Tensor | None, plan: LayerPlan) -> Tensor:
        senders = x if inputs is None else torch.cat([inputs, x], 1)
        x = x + self.attention(x, senders, plan.attention)
        return self.feed_forward(x, plan.feed_forward)


class ReadOutPlan(NamedTuple):
    """Of the read-out."""

    layer: LayerPlan
    state: Tensor


class ReadOut(nn.Module):
    """Outputs listen to the processors; the most confident ones are heard most (Sec. 2.7)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention = Attention(sizes, sizes.read_heads, sizes.read_head, norm_senders=True)
        self.feed_forward = _feed_forward(sizes)
        self.confidence = nn.Linear(sizes.state, 1)
        self.temperature = sizes.pooling

    def pairs(self, outputs: Modules, senders: Modules) -> Pairs:
        return [*self.attention.pairs(outputs, senders), *self.feed_forward.pairs(outputs.code)]

    def plan(self, outputs: Modules, senders: Modules, bent: Modulations) -> ReadOutPlan:
        layer = LayerPlan(self.attention.plan(outputs, senders, bent), self.feed_forward.plan(bent))
        return ReadOutPlan(layer, outputs.state)

    def forward(self, senders: Tensor, plan: ReadOutPlan) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b o"]]:
        """The mean of the outputs, and the weight of each."""
        state = plan.state.expand(len(senders), -1, -1)
        o = self.feed_forward(self.attention(state, senders, plan.layer.attention), plan.layer.feed_forward)
        weight = (self.confidence(o)[..., 0] / self.temperature).softmax(-1)
        return (weight[..., None] * o).sum(1), weight


def _feed_forward(sizes: Sizes) -> ModFFN:
    return ModFFN(
        sizes.state,
        sizes.feed_forward,
        sizes.width_of_codes,
        strength=sizes.strength,
        layer_scale=sizes.layer_scale,
        drop_path=sizes.drop_path,
    )
