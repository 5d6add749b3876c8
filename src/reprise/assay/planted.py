"""The planted-cue experiment (A18): one setting per method, taken from the usual recipe without a search.

IRM's own code divides the whole loss, its l2 term included, by the penalty's weight. Adam does not notice the scale of
a loss but its weight decay does: 1e4 times stronger, it ends in a constant network. So nothing is divided here.

Images are the printed digits of `colored`, averaged to 8x8 and cut to the two channels that hold the colour, as floats.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

GRAYSCALE = "erm_grayscale"  # ERM that cannot see the colour: what invariance could reach

SWITCH = 150 / 301  # share of the training before the penalties get their weight
# method -> objective, its hyperparameters
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "erm": ("erm", {}),
    GRAYSCALE: ("erm", {}),
    "group_dro": ("group_dro", {}),
    "coral": ("coral", {}),
    "sd": ("sd", {}),
    "irm": ("irm", {"penalty": 1e4, "anneal": SWITCH, "halves": False}),
    "vrex": ("vrex", {"penalty": 1e4, "anneal": SWITCH}),
    "mixup": ("mixup", {}),
    "fishr": ("fishr", {"penalty": 1e4, "anneal": SWITCH}),
    "eqrm": ("eqrm", {"quantile": 0.9999, "anneal": SWITCH, "rate": 1.0}),
    "andmask": ("andmask", {}),
    "ib_irm": (
        "ib_irm",
        {"penalty": 1e4, "anneal": SWITCH, "halves": False, "bottleneck_anneal": SWITCH},
    ),
    "causirl": ("causirl", {}),
}


def reduced(x: np.ndarray, grayscale: bool) -> Float[np.ndarray, "n 2 8 8"]:
    """uint8 (n, 3, h, w) to floats in [0, 1]: 2x2 means of the first two channels, or both their sum."""
    n, _, h, w = x.shape
    small = x[:, :2].reshape(n, 2, h // 2, 2, w // 2, 2).mean((3, 5), dtype=np.float32) / 255.0
    return np.repeat(small.sum(1, keepdims=True), 2, axis=1) if grayscale else small
