"""Multiply-accumulate operations of a classifier (Sec. 4): of executing its network on the tokens of one sample.

The tokenizer is not counted, nor what does not depend on the sample: the plan of a circuit, and a text's circuit.
"""

import numpy as np
import torch

from reprise.circuits import compiled, interpreter, models
from reprise.circuits.interpreter import Interpreter
from reprise.data.arrays import Prepared


def operations(method: str, data: Prepared, settings: models.Settings) -> int:
    """Of a method's network for a data set; `settings` are those of `plan.settings`."""
    model = models.classifier_of(method, models.Inputs.of(data), settings)
    with torch.inference_mode():
        tokens, _ = model.read(*batch(data, 1))
    if isinstance(model.body, Interpreter):
        return interpreter.costs(model.body.sizes, tokens.shape[1])
    return compiled.costs(model.body, *tokens.shape[1:]).executed


def batch(data: Prepared, size: int) -> tuple[torch.Tensor, ...]:
    """The first inputs of training, and the texts beside them where there are any; begun again where they are few."""
    rows = rows_of(data, size)
    return tuple(torch.from_numpy(data.arrays[name][rows]) for name in ("x", "text") if name in data.arrays)


def rows_of(data: Prepared, size: int) -> np.ndarray:
    """The first rows of training, begun again where there are fewer."""
    rows = data.rows("iid/train")
    return rows.start + np.arange(size) % (rows.stop - rows.start)
