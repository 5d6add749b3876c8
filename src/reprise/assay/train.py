"""Fine-tuning of one network of the plan (Sec. 3), and training from scratch for the planted cue."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from reprise import architectures, jobs
from reprise.assay import invariance
from reprise.assay.architectures import as_input, features_of, state
from reprise.assay.augment import augmenter, hflip, random_resized_crop
from reprise.assay.plan import Run
from reprise.assay.planted import GRAYSCALE, METHODS, reduced
from reprise.assay.tasks import Task
from reprise.errors import UserError
from reprise.params import Recipe
from reprise.seeding import derive
from reprise.training import Batch, BatchRows, fit

Weights = dict[str, np.ndarray]


def train(
    run: dict[str, Any], folder: str, start: str, *, seed: int, probed: str | None = None, l2: float = 0.0
) -> Weights:
    """Train one network of the plan; returns its weights (of the head alone where only that was trained).

    All runs of one seed and architecture start from the same body and the same random head, so that they differ by
    what the plan says alone and their weights can be averaged.

    Args:
        folder: the prepared data.
        start: weights of the pretrained architecture.
        probed: the stored head-only run from whose head LP-FT starts.
        l2: weight of the squared norm of the weights in the planted-cue experiment.
    """
    this = Run(**run)
    task = Task(Path(folder))
    if this.arm == "planted_cue":
        return _planted_cue(this, task, seed, l2)
    network = fresh(this, task, start, seed)
    parts = [task.train(domain, this.regime) for domain in this.domains]
    x = parts[0].x if len(parts) == 1 else np.concatenate([part.x for part in parts])
    y = np.concatenate([part.y for part in parts])
    draw = derive(seed, "assay", "fit", this.id)
    recipe = Recipe(
        epochs=this.epochs(len(y)), batch_size=this.batch_size, lr=this.lr, weight_decay=0.0, schedule="constant",
        stratified=len(parts) > 1,
    )  # fmt: skip
    if this.arm == "invariance":
        env = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        steps = recipe.epochs * len(BatchRows(len(y), this.batch_size, draw))
        inner = _drawn(this, network, environments=len(parts), steps=steps, seed=seed)
        recipe = recipe.model_copy(update={"lr": this.lr * invariance.learning_rates(this.draw + 1, seed)[this.draw]})
        objective = Augmented(inner, this)
        fit(network, objective, {"x": x, "y": y, "env": env}, recipe, seed=draw, groups=env)
        return state(network)
    if this.finetune == "head":
        _head_only(this, network, x, y, recipe, draw)
        return {f"head.{name}": value for name, value in state(network.head).items()}
    if probed is not None:
        network.load_state_dict(
            {name: torch.from_numpy(v) for name, v in jobs.load(Path(probed)).items()}, strict=False
        )
    fit(network, Augmented(None, this), {"x": x, "y": y}, recipe, seed=draw)
    return state(network)


def fresh(run: Run, task: Task, start: str, seed: int) -> Any:
    """The pretrained architecture with a random head for the task."""
    torch.manual_seed(derive(seed, "assay", task.data.name, "head", run.model, run.seed))
    network: Any = architectures.build(run.model, _input_shape(run, task), task.classes)
    body = {name: torch.from_numpy(v) for name, v in load_file(start).items() if not name.startswith("head.")}
    try:
        network.load_state_dict(body | {f"head.{name}": value for name, value in network.head.state_dict().items()})
    except RuntimeError as error:
        raise UserError(
            f"{run.model} was pretrained on images of another size than {_input_shape(run, task)} of {run.dataset}: "
            f"set its crop, or image_size in data.{run.dataset}, to that of the upstream data ({error})"
        ) from None
    return network


def _input_shape(run: Run, task: Task) -> tuple[int, ...]:
    return (task.shape[0], run.crop, run.crop) if run.crop else task.shape


class Augmented(nn.Module):
    """Cross-entropy, or another objective, of augmented images (first cropped and flipped where the task asks so)."""

    def __init__(self, inner: invariance.Erm | None, run: Run) -> None:
        super().__init__()
        self.inner = inner
        self.crop, self.augment = run.crop, augmenter(run.augment)

    @property
    def restart(self) -> float | None:
        """Where Adam must forget its moments before this update: the factor on the learning rate from here on."""
        return self.inner.rate if self.inner is not None and self.inner.reset_optimizer else None

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        x = as_input(batch["x"])
        if self.crop:
            x = hflip(random_resized_crop(x, self.crop))
        batch = {**batch, "x": self.augment(x)}
        if self.inner is not None:
            return self.inner(model, batch)
        return nn.functional.cross_entropy(model(batch["x"]), batch["y"])


class Frozen(nn.Module):
    """A network whose body stays as it is: never trained, never in training mode, so batch statistics stay, too."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        for name, weight in network.named_parameters():
            weight.requires_grad_(name.startswith("head."))

    def train(self, mode: bool = True) -> "Frozen":
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


def _head_only(run: Run, network: Any, x: np.ndarray, y: np.ndarray, recipe: Recipe, draw: int) -> None:
    if run.augment == "identity" and run.crop is None:
        cached = features_of(network, x).cpu().numpy()

        def objective(model: nn.Module, batch: Batch) -> Tensor:
            return nn.functional.cross_entropy(model(batch["x"]), batch["y"])

        fit(network.head.cpu(), objective, {"x": cached, "y": y}, recipe, seed=draw)
    else:
        fit(Frozen(network), Augmented(None, run), {"x": x, "y": y}, recipe, seed=draw)


def _drawn(run: Run, network: nn.Module, *, environments: int, steps: int, seed: int) -> invariance.Erm:
    """The method's objective with the hyperparameters of the run's draw."""
    (*_, hyperparameters) = invariance.draws(run.method, run.draw + 1, seed)
    return invariance.objective(run.method, network, environments=environments, steps=steps, **hyperparameters)


def _planted_cue(run: Run, task: Task, seed: int, l2: float) -> Weights:
    """The planted-cue experiment: full batches of two environments, a small network from random weights."""
    parts = [task.train(domain, "full") for domain in run.domains]
    x = np.concatenate([reduced(part.x, run.method == GRAYSCALE) for part in parts])
    y = np.concatenate([part.y for part in parts])
    env = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    torch.manual_seed(derive(seed, "assay", "planted_cue", run.seed))
    network = architectures.build(run.model, x.shape[1:], task.classes)
    epochs = run.epochs(len(y))
    name, hyperparameters = METHODS[run.method]
    inner = invariance.objective(name, network, environments=len(parts), steps=epochs, **hyperparameters)
    recipe = Recipe(
        epochs=epochs, batch_size=len(y), lr=run.lr, weight_decay=2 * l2, schedule="constant", stratified=False
    )
    draw = derive(seed, "assay", "planted_cue", "fit", run.seed)
    fit(network, Augmented(inner, run), {"x": x, "y": y, "env": env}, recipe, seed=draw)
    return state(network)
