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
from reprise.devices import device
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
    if recipe is None:
        network, whole = pretrained(model.removeprefix("assay.timm/"))
        found = state(network)
        if whole.num_classes == task.classes:
            test = task.split(domain, "test")
            found["upstream_error"] = np.mean(_classes(whole, network, test.x) != test.y)
        return found
    from reprise.training import fit  # Lightning, which ready-made weights do not need

    built: Any = architectures.build(model, task.shape, task.classes)
    train, test = task.split(domain, "train"), task.split(domain, "test")

    def objective(module: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(module(as_input(batch["x"])), batch["y"])

    fit(
        built,
        objective,
        {"x": train.x, "y": train.y},
        Recipe(**recipe),
        seed=derive(seed, "assay", "upstream", model, draw, "fit"),
    )
    return state(built) | {"upstream_error": np.mean(logits_of(built, test.x).argmax(1) != test.y)}


@torch.inference_mode()
def _classes(whole: Any, network: Any, x: np.ndarray, batch: int = 128) -> np.ndarray:
    """Classes that a released network predicts, on the middle of the images (its own head: DeiT has two)."""
    side = min(224, x.shape[-1])
    top = (x.shape[-1] - side) // 2
    whole, network = whole.to(device()), network.to(device())
    found = []
    for start in range(0, len(x), batch):
        part = torch.from_numpy(np.array(x[start : start + batch, :, top : top + side, top : top + side]))
        found.append(whole((as_input(part.to(device())) - network.mean) / network.sd).argmax(1).cpu().numpy())
    return np.concatenate(found)
