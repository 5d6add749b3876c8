"""Where every network of a seed starts from: an architecture pretrained on the upstream task, and how well it does it.

Small networks learn the upstream data set (letters on a laptop) here; the nine families bring ImageNet's weights and
are only judged on it (where the upstream data set is ImageNet's validation split).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from reprise import architectures
from reprise.assay.architectures import as_input, logits_of, pretrained, state
from reprise.assay.tasks import Task
from reprise.params import Recipe
from reprise.seeding import derive

Weights = dict[str, np.ndarray]


def start(model: str, folder: str, *, draw: int, seed: int, recipe: dict[str, Any] | None) -> Weights:
    """Weights of one pretrained architecture and, if its head fits, `upstream_error` on the upstream test split.

    Args:
        model: name of the architecture; without a recipe it must bring weights of its own.
        folder: the prepared upstream data set; its first domain is used.
    """
    task = Task(Path(folder))
    (domain, *_) = task.data.card["domains"]
    torch.manual_seed(derive(seed, "assay", "upstream", model, draw))
    network: Any
    if recipe is None:
        network = pretrained(model.removeprefix("assay.timm/"))
    else:
        from reprise.training import fit  # Lightning, which ready-made weights do not need

        network = architectures.build(model, task.shape, task.classes)
        train = task.split(domain, "train")

        def objective(module: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(module(as_input(batch["x"])), batch["y"])

        fit(
            network,
            objective,
            {"x": train.x, "y": train.y},
            Recipe(**recipe),
            seed=derive(seed, "assay", "upstream", model, draw, "fit"),
        )
    found = state(network)
    if network.head.out_features == task.classes:
        test = task.split(domain, "test")
        found["upstream_error"] = np.mean(logits_of(network, test.x).argmax(1) != test.y)
    return found
