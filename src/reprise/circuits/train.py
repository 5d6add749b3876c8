"""Training of one network (Sec. 2.8, 2.11, 6.4): AdamW, links drawn anew for every sample, a graph prior."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from reprise.circuits import priors
from reprise.circuits.circuit import Descriptions
from reprise.circuits.compiled import kept
from reprise.circuits.kernel import Kernel
from reprise.circuits.models import Classifier, Conditional, Inputs, Settings, classifier_of, without_decay
from reprise.circuits.networks import NAC
from reprise.circuits.plan import VARIANTS, prior
from reprise.data.arrays import open_prepared
from reprise.params import Recipe
from reprise.seeding import derive

Batch = dict[str, Tensor]
States = dict[str, np.ndarray]
START = "links_start"  # beside the weights: links before training
MATCHED_EVERY = 10  # steps between two matchings of the links with the prior (Sec. 7, 6)


def train(method: str, seed: int, folder: str, *, settings: dict[str, Any], common_seed: int) -> States:
    """Train one network on the split `iid/train`; returns its weights, and the links it started from (`links_start`).

    Args:
        folder: the prepared data set.
        settings: those of `plan.settings`.
    """
    from reprise.training import fit  # what predicts and times networks needs no Lightning

    data = open_prepared(Path(folder))
    inputs, task = Inputs.of(data), settings["task"]
    draw = derive(common_seed, "circuits", data.name, method, seed)
    model, wanted = start(method, inputs, settings, seed=derive(common_seed, "circuits", "start", seed))
    before = {START: links(model).numpy()} if links_of(model) else {}
    rows = data.rows("iid/train")
    columns = {"x": data.arrays["x"][rows], "y": data.arrays["labels"][rows, 0].astype(np.int64)}
    if inputs.text:
        columns["text"] = data.arrays["text"][rows]
    optimiser = settings["optimiser"]
    objective = Objective(
        settings["nested"] if VARIANTS[method].nested else None,
        wanted if VARIANTS[method].regularised else None,
        weight=settings["prior"]["weight"],
        label_smoothing=optimiser["label_smoothing"],
        augment=Augment(**task["augmentation"]) if "augmentation" in task else None,
    )
    recipe = Recipe(
        epochs=task["epochs"], batch_size=task["batch_size"], lr=task["lr"],
        weight_decay=optimiser["weight_decay"], schedule="one_cycle", stratified=False,
    )  # fmt: skip
    fit(
        model, objective, columns, recipe, seed=draw, clip_norm=optimiser["clip_norm"], warmup=optimiser["warmup"],
        undecayed=without_decay,
    )  # fmt: skip
    return {name: value.contiguous().numpy() for name, value in model.state_dict().items()} | before


# ---------------------------------------------------------------- before training


def start(
    method: str, inputs: Inputs, settings: Settings, *, seed: int
) -> tuple[Classifier, Float[Tensor, "u u"] | None]:
    """A new network whose signatures are fitted to its method's graph prior, and the prior's links; None without one.

    Outputs start beside the hubs, which the prior says nothing of.
    """
    torch.manual_seed(seed)
    model = classifier_of(method, inputs, settings)
    kind, block = prior(method, settings["prior"]["kind"]), settings["prior"]
    if kind is None:
        return model, None
    network, processors = body(model), descriptions(model)
    wanted = priors.target(kind, len(processors.signature), **block["graphs"][kind])
    sizes = network.sizes
    signatures, bandwidth = priors.fit(
        wanted, sizes.signature, steps=block["steps"], lr=block["lr"], bandwidth=sizes.bandwidth,
        learnable=sizes.learnable, seed=derive(seed, "prior"),
    )  # fmt: skip
    with torch.no_grad():
        processors.signature.copy_(signatures)
        network.outputs.signature.copy_(priors.beside_hubs(signatures, sizes.outputs, seed=derive(seed, "outputs")))
        for part in network.modules():
            if isinstance(part, Kernel):
                part.log_bandwidth.fill_(np.log(bandwidth))
    return model, wanted


def body(model: Classifier) -> NAC:
    """The circuit's network of a model that has one."""
    assert isinstance(model.body, NAC)
    return model.body


def descriptions(model: Classifier) -> Descriptions:
    """Where its processors come from, or those that a text moves."""
    found = model.generator.base if isinstance(model, Conditional) else body(model).processors
    assert found is not None
    return found


def links_of(model: Classifier) -> bool:
    """Whether it has learned links that are the same for all samples."""
    return isinstance(model.body, NAC) and model.body.sizes.sparse and not isinstance(model, Conditional)


@torch.no_grad()
def links(model: Classifier) -> Float[Tensor, "l u u"]:
    """Link probabilities of a network with one circuit for all samples."""
    network = body(model)
    return network.links(network.circuit())


# ---------------------------------------------------------------- the loss


class Augment:
    """Point clouds stretched along each axis, moved, and jittered (Sec. 6.2, D5)."""

    def __init__(self, scale: tuple[float, float], shift: float, jitter: float, clip: float) -> None:
        self.scale, self.shift, self.jitter, self.clip = scale, shift, jitter, clip

    def __call__(self, points: Float[Tensor, "b v 3"]) -> Float[Tensor, "b v 3"]:
        low, high = self.scale
        axes = torch.empty_like(points[:, :1]).uniform_(low, high)
        moved = torch.empty_like(axes).uniform_(-self.shift, self.shift)
        noise = (self.jitter * torch.randn_like(points)).clamp(-self.clip, self.clip)
        return points * axes + moved + noise


class Objective(nn.Module):
    """Cross-entropy with smoothed labels, and the distance of the links from a graph prior.

    Args:
        nested: `probability` of a step with few processors, the best connected ones, and the `smallest` share of them
            (Sec. 6.4); None always trains all.
        wanted: links of the prior.
        weight: of the graph term, the mean over the layers' kernels.
    """

    def __init__(
        self,
        nested: Mapping[str, float] | None,
        wanted: Float[Tensor, "u u"] | None,
        *,
        weight: float,
        label_smoothing: float,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.nested, self.wanted, self.weight = nested, wanted, weight
        self.label_smoothing, self.augment = label_smoothing, augment
        self.steps = 0
        self.orders: list[Tensor] = []

    def get_extra_state(self) -> tuple[int, list[Tensor]]:
        return self.steps, self.orders  # so that they come back from checkpoints

    def set_extra_state(self, state: tuple[int, list[Tensor]]) -> None:
        self.steps, self.orders = state

    def forward(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        assert isinstance(model, Classifier)
        x = batch["x"] if self.augment is None else self.augment(batch["x"])
        found = self._links(model)
        keep = None if self.nested is None or found is None else self._kept(found.detach())
        logits = model(x, batch.get("text"), keep=keep)
        loss = functional.cross_entropy(logits, batch["y"], label_smoothing=self.label_smoothing)
        if self.wanted is not None and found is not None:
            loss = loss + self.weight * self._mismatch(found, self.wanted.to(found))
        self.steps += 1
        return loss

    def _links(self, model: Classifier) -> Float[Tensor, "l u u"] | None:
        """Of all processors, where they are needed; with gradients for the prior."""
        if self.nested is None and self.wanted is None:
            return None
        with torch.set_grad_enabled(self.wanted is not None):
            return body(model).links(body(model).circuit())

    def _kept(self, found: Float[Tensor, "l u u"]) -> Int[Tensor, " k"] | None:
        """The processors that take part in this step; None is all."""
        assert self.nested is not None
        chosen, share = torch.rand(2).tolist()
        if chosen >= self.nested["probability"]:
            return None
        order = found.mean(0).sum(-1).argsort(descending=True, stable=True)
        smallest = self.nested["smallest"]
        return kept(order, smallest + (1 - smallest) * share)

    def _mismatch(self, found: Float[Tensor, "l u u"], wanted: Float[Tensor, "u u"]) -> Float[Tensor, ""]:
        if self.steps % MATCHED_EVERY == 0:
            self.orders = [priors.matched(layer, wanted) for layer in found]
        each = [priors.mismatch(layer, wanted, order) for layer, order in zip(found, self.orders, strict=True)]
        return torch.stack(each).mean()
