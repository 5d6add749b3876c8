"""Image classifiers by name, so that one paper can judge the networks of another without importing it.

A name is one of

    <wing>.<entry>      `ARCHITECTURES["<entry>"]` of the module `reprise.<wing>.architectures`
    <module>:<builder>  any importable function, for networks outside this project

and a builder is called as `builder(shape, classes)` with the shape (channels, h, w) of an image and returns a
`Classifier`. Importing this module imports no wing and no torch.
"""

import difflib
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from reprise import jobs
from reprise.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn


@runtime_checkable
class Classifier(Protocol):
    """An `nn.Module` on float images (n, channels, h, w) in [0, 1]; it normalises them itself.

    Its logits (n, classes) are `head(features(x))`, the head one `nn.Linear`, so that it can be fine-tuned, replaced
    or retrained alone.
    """

    head: "nn.Linear"

    def features(self, x: "Tensor") -> "Tensor":
        """Representation (n, m) that the head reads."""
        ...

    def __call__(self, x: "Tensor") -> "Tensor": ...


Builder = Callable[[tuple[int, ...], int], "nn.Module"]


def build(name: str, shape: tuple[int, ...], classes: int) -> "nn.Module":
    """A new network called `name`, with random weights. Raises UserError for an unknown name or a broken promise."""
    network = builder(name)(shape, classes)
    if not isinstance(network, Classifier):
        raise UserError(f"architecture {name} lacks `features` or `head`, see reprise.architectures.Classifier")
    if (width := getattr(network.head, "out_features", None)) != classes:
        raise UserError(f"architecture {name} has a head of {width} outputs, {classes} classes were asked for")
    return network


def builder(name: str) -> Builder:
    """The function that builds `name`; raises UserError, with the nearest valid name, if there is none."""
    module, entry = _place(name)
    if ":" in name:
        found: Builder | None = getattr(importlib.import_module(module), entry, None)
        known = []
    else:
        table: Mapping[str, Builder] = importlib.import_module(module).ARCHITECTURES
        found, known = table.get(entry), sorted(table)
    if found is None:
        near = difflib.get_close_matches(entry, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}" if known else ""
        raise UserError(f"no architecture {entry!r} in {module}{hint}")
    return found


def fingerprint(name: str) -> str:
    """A hash of the code behind `name`: what a stored result of such a network depends on."""
    module, _ = _place(name)
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    return jobs.fingerprint(Path(spec.origin))


def _place(name: str) -> tuple[str, str]:
    """Module and entry of a name; raises UserError if there is no such module."""
    module, mark, entry = name.partition(":")
    if not mark:
        wing, _, entry = name.partition(".")
        module = f"reprise.{wing}.architectures"
    try:
        found = bool(entry) and importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # of a parent, or no name of a module at all
        found = False
    if not found:
        raise UserError(
            f"architecture {name!r}: there is no module {module}; a name is <wing>.<entry> or <module>:<builder>"
        )
    return module, entry
