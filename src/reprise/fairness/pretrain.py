"""Where every network of a seed starts from: a pretrained backbone, and a random one for the ablation and anchor."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reprise.data.arrays import open_prepared
from reprise.fairness.networks import Weights, build, imagenet_weights, state
from reprise.params import Recipe
from reprise.seeding import derive


def start(
    dataset: str, folder: str, *, draw: int, seed: int, backbone: str, init: str, recipe: dict[str, Any]
) -> Weights:
    """Weights of the backbone that every network of one seed starts from, and of a random one.

    `init` is "factors" (regress the renderer's standardised factors, never a or y; the horizontal shift is dropped
    because training flips images), "imagenet" (the gpu extra) or "scratch".

    Returns:
        `pretrained/<name>` (absent for scratch) and `random/<name>` arrays.
    """
    data = open_prepared(Path(folder))
    shape = data.arrays["x"].shape[1:]
    torch.manual_seed(derive(seed, "fairness", dataset, "random", draw))
    found = {f"random/{name}": value for name, value in state(build(backbone, shape, 1).backbone).items()}
    if init == "factors":
        from reprise.training import fit  # Lightning, which the other starts do not need

        rows = data.rows("pretrain")
        factors = np.asarray(data.arrays["factors"][rows])
        kept = [i for i, name in enumerate(data.card["factor_names"]) if name != "shift_x"]
        y = (factors[:, kept] - factors[:, kept].mean(axis=0)) / factors[:, kept].std(axis=0)
        torch.manual_seed(derive(seed, "fairness", dataset, "pretrain", draw))
        network = build(backbone, shape, len(kept))
        fit(
            network,
            factor_regression,
            {"x": data.arrays["x"][rows], "y": y},
            Recipe(**recipe),
            seed=derive(seed, "fairness", dataset, "pretrain", draw, "fit"),
        )
        found |= {f"pretrained/{name}": value for name, value in state(network.backbone).items()}
    elif init == "imagenet":
        found |= {f"pretrained/{name}": value.numpy() for name, value in imagenet_weights(backbone).items()}
    return found


def factor_regression(network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """MSE of the standardised rendering factors: the pretraining that stands for ImageNet."""
    return F.mse_loss(network(batch["x"]), batch["y"])
