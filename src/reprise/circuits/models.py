"""Classifiers: a tokenizer and a circuit, a Perceiver IO or a Neural Interpreter (Sec. 2.5, 2.9, 2.14).

Input is as data sets hold it: images (n, c, h, w) uint8, clouds (n, points, 3) float32, symbols (n, length) uint8 with
0 as padding; a text beside it is symbols, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from reprise.circuits import tokens
from reprise.circuits.circuit import Descriptions, Modules, TextConditioned
from reprise.circuits.interpreter import Interpreter, InterpreterSizes
from reprise.circuits.networks import NAC, perceiver_io
from reprise.circuits.parts import Sizes
from reprise.circuits.plan import VARIANTS
from reprise.data.arrays import Prepared

Settings = Mapping[str, Any]
BYTES = 256  # vocabulary of texts whose card names no symbols
PIXEL = 127.5  # half the range of a pixel


@dataclass(frozen=True)
class Inputs:
    """What a data set gives a network.

    Attributes:
        shape: of one sample.
        classes: that training sees.
        symbols: vocabulary, where samples are made of symbols.
        text: length and vocabulary of the text beside them, where there is one.
    """

    shape: tuple[int, ...]
    classes: int
    symbols: int
    text: tuple[int, int] | None

    @classmethod
    def of(cls, data: Prepared) -> Self:
        """Those of a prepared data set."""
        labels = data.arrays["labels"][data.rows("iid/train"), 0]
        text = (data.arrays["text"].shape[1], len(data.card["words"])) if "text" in data.arrays else None
        symbols = len(data.card["symbols"]) if "symbols" in data.card else BYTES
        return cls(data.arrays["x"].shape[1:], int(labels.max()) + 1, symbols, text)


class Classifier(nn.Module):
    """Tokens of the input alone, read by any network."""

    def __init__(self, tokenizer: nn.Module, body: NAC | Interpreter) -> None:
        super().__init__()
        self.tokenizer, self.body = tokenizer, body

    def read(self, x: Tensor, text: Tensor | None = None) -> tuple[Float[Tensor, "b v k"], Bool[Tensor, "b v"] | None]:
        """Tokens, and which of them are none."""
        return _tokens(self.tokenizer, x)

    def features(
        self, x: Tensor, text: Tensor | None = None, *, keep: Int[Tensor, " k"] | None = None
    ) -> Float[Tensor, "b d"]:
        """What the head reads; `keep` numbers the processors of a circuit that are left."""
        found, padding = self.read(x, text)
        if isinstance(self.body, Interpreter):  # padding is tokens like others to it
            return self.body.features(found)
        return self.body.features(found, padding, keep=keep)

    def forward(
        self, x: Tensor, text: Tensor | None = None, *, keep: Int[Tensor, " k"] | None = None
    ) -> Float[Tensor, "b classes"]:
        return self.body.head(self.features(x, text, keep=keep))


class Joint(Classifier):
    """Tokens of the input and of a text side by side, brought to one width and marked by where they are from."""

    def __init__(self, tokenizer: nn.Module, words: tokens.Symbols, body: NAC, width: int) -> None:
        super().__init__(tokenizer, body)
        self.words = words
        self.project = nn.ModuleList(nn.Linear(_width(part), width) for part in (tokenizer, words))
        self.origin = nn.Parameter(0.02 * torch.randn(2, width))

    def read(self, x: Tensor, text: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        if text is None:
            raise ValueError("this network reads a text beside its input")
        pairs = [_tokens(self.tokenizer, x), _tokens(self.words, text)]
        found = [
            project(part) + origin for project, (part, _), origin in zip(self.project, pairs, self.origin, strict=True)
        ]
        masks = [mask for _, mask in pairs]
        if all(mask is None for mask in masks):
            return torch.cat(found, 1), None
        known = [
            torch.zeros(part.shape[:2], dtype=torch.bool, device=part.device) if mask is None else mask
            for part, mask in zip(found, masks, strict=True)
        ]
        return torch.cat(found, 1), torch.cat(known, 1)


class Conditional(Classifier):
    """The text makes the circuit (Sec. 2.9): the circuit never sees it otherwise, and it never sees the input."""

    body: NAC

    def __init__(self, tokenizer: nn.Module, words: tokens.Symbols, body: NAC, base: Descriptions) -> None:
        super().__init__(tokenizer, body)
        self.words = words
        self.generator = TextConditioned(base, words.width)

    def processors(self, text: Int[Tensor, "b t"]) -> Modules:
        """The modules that a text describes."""
        return self.generator(*_tokens(self.words, text))

    def through(self, x: Tensor, processors: Modules) -> Float[Tensor, "b classes"]:
        """Answers of given circuits, one for each sample."""
        found, padding = _tokens(self.tokenizer, x)
        return self.body(found, padding, processors=processors)

    def features(
        self, x: Tensor, text: Tensor | None = None, *, keep: Int[Tensor, " k"] | None = None
    ) -> Float[Tensor, "b d"]:
        if text is None:
            raise ValueError("this network has a circuit for a text only")
        found, padding = _tokens(self.tokenizer, x)
        return self.body.features(found, padding, processors=self.processors(text), keep=keep)


def _width(tokenizer: nn.Module) -> int:
    found = tokenizer.width
    assert isinstance(found, int)
    return found


def _tokens(tokenizer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
    if isinstance(tokenizer, tokens.Symbols):
        padding = x == 0
        return tokenizer(x.long()), padding if padding.any() else None
    return tokenizer(x.float() / PIXEL - 1 if x.dtype == torch.uint8 else x), None


# ---------------------------------------------------------------- building


def classifier_of(method: str, inputs: Inputs, settings: Settings) -> Classifier:
    """A method's network with random weights, for a data set; `settings` are those of `plan.settings`."""
    variant, task = VARIANTS[method], settings["task"]
    tokenizer = tokenizer_of(task["tokens"], inputs)
    width = _width(tokenizer)
    if variant.family == "interpreter":
        return Classifier(tokenizer, Interpreter(InterpreterSizes(**settings["interpreter"]), width, inputs.classes))
    sizes = sizes_of(method, settings)
    build = perceiver_io if variant.family == "perceiver" else NAC
    if inputs.text is None or "text" not in task:
        return Classifier(tokenizer, build(sizes, width, inputs.classes))
    length, vocabulary = inputs.text
    words = tokens.Symbols(vocabulary, length, task["text"]["width"])
    if not variant.conditional:
        return Joint(tokenizer, words, build(sizes, sizes.state, inputs.classes), sizes.state)
    base = Descriptions(sizes.processors, sizes.signature, sizes.code, sizes.state, sizes.seeding)
    return Conditional(tokenizer, words, NAC(sizes, width, inputs.classes, describes=False), base)


def sizes_of(method: str, settings: Settings) -> Sizes:
    """Sizes of a method's circuit."""
    variant = VARIANTS[method]
    sizes = Sizes(**settings["network"], modulated=variant.modulated, sparse=variant.sparse)
    if variant.wide:
        sizes = replace(sizes, **settings["wide"])
    if variant.conditional:
        sizes = replace(sizes, **settings["conditional"])
    return replace(sizes, **settings["perceiver"]) if variant.family == "perceiver" else sizes


def tokenizer_of(block: Settings, inputs: Inputs) -> nn.Module:
    """The tokenizer that the parameters name."""
    ((kind, sizes),) = block.items()
    if kind == "patches":
        return tokens.Patches(inputs.shape, **sizes)
    if kind == "convnext":
        widths, depths = tuple(sizes["widths"]), tuple(sizes["depths"])
        return tokens.ConvNeXt(inputs.shape, widths, depths, sizes["places"])
    if kind == "points":
        return tokens.Points(**sizes)
    return tokens.Symbols(inputs.symbols, inputs.shape[0], **sizes)


def without_decay(name: str, weight: Tensor) -> bool:
    """Whether a weight is no matrix of a layer: scalars, biases and norms, signatures and places (Sec. 2.11)."""
    return weight.ndim < 2 or name.rsplit(".", 1)[-1] in ("signature", "places")


def restored(method: str, inputs: Inputs, settings: Settings, state: Mapping[str, np.ndarray]) -> Classifier:
    """A trained network."""
    model = classifier_of(method, inputs, settings)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    return model.eval()
