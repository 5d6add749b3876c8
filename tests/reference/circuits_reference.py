"""Read-in and Perceiver IO by the book, for `reprise.circuits`: keys and values of every token for every module."""

import torch
from torch.nn import functional as F


def mod_fc(layer, x, codes):
    """W (x * (1 + a LN(W_q q))) + b, one module at a time; `codes` (u, c), x (b, u, inputs)."""
    found = []
    for u in range(x.shape[1]):
        bent = x[:, u]
        if layer.code is not None:
            bent = bent * (1 + layer.strength * F.layer_norm(codes[u] @ layer.code.weight.T, bent.shape[-1:]))
        found.append(bent @ layer.weight.T + (0 if layer.bias is None else layer.bias))
    return torch.stack(found, 1)


def read_in(layer, tokens, modules):
    """What the modules hear, before the feed-forward layer: x = state + out(attention)."""
    b, v, _ = tokens.shape
    u = len(modules.code)
    y = layer.norm_token(tokens)
    state = modules.state.expand(b, u, -1)
    q = mod_fc(layer.query, layer.norm_state(state), modules.code)
    heard = []
    for n in range(u):
        code = modules.code[n : n + 1].expand(v, -1)
        k, w = mod_fc(layer.key, y, code), mod_fc(layer.value, y, code)  # of all tokens, for this module
        k, w = (part.unflatten(-1, (layer.heads, -1)) for part in (k, w))
        one = q[:, n].unflatten(-1, (layer.heads, -1))
        weight = (torch.einsum("bhe,bvhe->bhv", one, k) / one.shape[-1] ** 0.5).softmax(-1)
        heard.append(torch.einsum("bhv,bvhe->bhe", weight, w).flatten(1))
    return state + mod_fc(layer.out, torch.stack(heard, 1), modules.code)


class Perceiver(torch.nn.Module):
    """Perceiver IO of torch's own parts: pre-norm attention and GEGLU layers, an output query without a residual."""

    def __init__(self, latents, width, tokens, layers, heads, head, cross, hidden, classes):
        super().__init__()
        self.latents = torch.nn.Parameter(torch.randn(latents, width))
        self.question = torch.nn.Parameter(torch.randn(1, width))
        self.encode = Cross(width, tokens, 1, cross)
        self.think = torch.nn.ModuleList(Cross(width, width, heads, head) for _ in range(layers))
        self.decode = Cross(width, width, 1, cross)
        self.feed = torch.nn.ModuleList(Feed(width, hidden) for _ in range(layers + 2))
        self.answer = torch.nn.Linear(width, classes)

    def forward(self, tokens):
        x = self.latents.expand(len(tokens), -1, -1)
        x = self.feed[0](x + self.encode(x, tokens))
        for attention, feed in zip(self.think, self.feed[1:-1], strict=True):
            y = attention.norm(x)
            x = feed(x + attention.normed(y, y))
        question = self.question.expand(len(tokens), -1, -1)
        return self.answer(self.feed[-1](self.decode(question, x))[:, 0])


class Cross(torch.nn.Module):
    def __init__(self, width, source, heads, head):
        super().__init__()
        self.heads = heads
        self.norm, self.norm_source = torch.nn.LayerNorm(width), torch.nn.LayerNorm(source)
        self.query = torch.nn.Linear(width, heads * head, bias=False)
        self.key = torch.nn.Linear(source, heads * head, bias=False)
        self.value = torch.nn.Linear(source, heads * head, bias=False)
        self.out = torch.nn.Linear(heads * head, width)

    def forward(self, x, source):
        return self.normed(self.norm(x), self.norm_source(source))

    def normed(self, x, source):
        parts = [layer(y) for layer, y in ((self.query, x), (self.key, source), (self.value, source))]
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        weight = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
        return self.out((weight @ v).transpose(1, 2).flatten(2))


class Feed(torch.nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.up, self.down = torch.nn.Linear(width, 2 * hidden), torch.nn.Linear(hidden, width)

    def forward(self, x):
        value, gate = self.up(self.norm(x)).chunk(2, -1)
        return x + self.down(value * F.gelu(gate))
