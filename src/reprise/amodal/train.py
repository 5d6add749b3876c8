"""Training of one network, and its adaptation to other videos (Sec. 2.6, 2.7)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reprise import jobs
from reprise.amodal.completion import Erase, Frames, FullMasks, UNet, every_frame, untouched
from reprise.amodal.objectives import Objective, Weights
from reprise.amodal.params import Completion, Training
from reprise.amodal.plan import COMPLETIONS, IMAGE, SUPERVISED
from reprise.amodal.predictor import Predictor, predictor_of
from reprise.amodal.tracks import Tracks, windows
from reprise.errors import UserError
from reprise.params import Recipe
from reprise.seeding import derive
from reprise.training import Batch, Table, fit

States = dict[str, np.ndarray]
EPOCH = 2000  # steps, at most


def train(
    method: str,
    seed: int,
    folder: str,
    *,
    steps: int,
    batch_size: int,
    settings: dict[str, Any],
    common_seed: int,
    truth: str | None = None,
) -> States:
    """Train one network on the split `train`; returns its weights.

    Args:
        folder: the prepared videos.
        steps, batch_size: of the video networks, those of images have their own.
        settings: blocks `network`, `training` and `completion` of the parameters.
        truth: digest of the full masks, which makes a supervised job another one when they change.
    """
    tracks = Tracks(Path(folder), "train", occluded=method not in COMPLETIONS)
    draw = derive(common_seed, "amodal", tracks.data.name, method, seed)
    torch.manual_seed(derive(common_seed, "amodal", "start", seed))
    if method in IMAGE:
        completion = Completion(**settings["completion"])
        unet = UNet(completion.widths)
        _fit_images(unet, tracks, method, completion.steps, completion.lr, completion, draw)
        return state(unet)
    predictor = predictor_of(method, settings)
    training = Training(**settings["training"])
    recipe = Recipe(
        epochs=1, batch_size=batch_size, lr=training.lr, weight_decay=0.0, schedule=training.schedule, stratified=False
    )
    objective = Objective(_weights(method, training))
    _fit_clips(predictor, objective, tracks, recipe, steps, training, draw, truth=method in SUPERVISED)
    return state(predictor.network)


def adapt(
    method: str,
    seed: int,
    folder: str,
    weights: str,
    *,
    split: str,
    at: Sequence[int],
    lr: float,
    batch_size: int,
    settings: dict[str, Any],
    common_seed: int,
) -> States:
    """Go on training on another split, without labels; returns `<steps>/<name>`, the weights after `at` steps.

    Args:
        weights: the stored job that trained the network.
        split: `unseen`, the test clips themselves (transductive), or `unseen_adapt`, other ones (inductive).
    """
    tracks = Tracks(Path(folder), split, occluded=method not in COMPLETIONS)
    draw = derive(common_seed, "amodal", tracks.data.name, "adapt", method, seed)
    start = {name: torch.from_numpy(value) for name, value in jobs.load(Path(weights)).items()}
    recipe = Recipe(epochs=1, batch_size=batch_size, lr=lr, weight_decay=0.0, schedule="constant", stratified=False)
    found = {0: start}
    last = max(at)
    if method in IMAGE:
        completion = Completion(**settings["completion"])
        unet = UNet(completion.widths)
        unet.load_state_dict(start)
        watch = Snapshots(Erase(completion), at)
        if last:
            _fit_images(unet, tracks, method, last, lr, completion, draw, constant=True, objective=watch)
        found |= watch.states | {last: _tensors(unet)}
    else:
        predictor = predictor_of(method, settings)
        predictor.network.load_state_dict(start)
        training = Training(**settings["training"])
        watch = Snapshots(Objective(_weights(method, training)), at)
        if last:
            _fit_clips(predictor, watch, tracks, recipe, last, training, draw)
        found |= {k: _stripped(v) for k, v in watch.states.items()} | {last: _tensors(predictor.network)}
    return {f"{steps}/{name}": value.numpy() for steps in at for name, value in found[steps].items()}


class Snapshots(nn.Module):
    """An objective that keeps copies of the model's weights before the updates number `at`."""

    def __init__(self, inner: nn.Module, at: Sequence[int]) -> None:
        super().__init__()
        self.inner, self.at = inner, set(at)
        self.calls = 0
        self.states: dict[int, dict[str, Tensor]] = {}

    def get_extra_state(self) -> tuple[int, dict[int, dict[str, Tensor]]]:
        return self.calls, self.states  # with the weights they come back from checkpoints and forked processes

    def set_extra_state(self, state: tuple[int, dict[int, dict[str, Tensor]]]) -> None:
        self.calls, self.states = state

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        if self.calls in self.at:
            self.states[self.calls] = _tensors(model)
        self.calls += 1
        return self.inner(model, batch)


def _weights(method: str, training: Training) -> Weights:
    without = ("per_frame", "no_consistency", "supervised")
    return Weights(
        consistency=0.0 if method in without else training.consistency,
        photometric=training.photometric, eps=training.eps, supervised=method == "supervised",
    )  # fmt: skip


def _fit_clips(
    predictor: Predictor,
    objective: nn.Module,
    tracks: Tracks,
    recipe: Recipe,
    steps: int,
    training: Training,
    draw: int,
    *,
    truth: bool = False,
) -> None:
    """`steps` batches of random clips, drawn beforehand so that a resumed training sees the same ones.

    Long trainings see the same clips in several epochs, since checkpoints are kept at the end of one.
    """
    random = np.random.default_rng(derive(draw, "clips"))
    epochs, each = _epochs(steps)
    recipe = recipe.model_copy(update={"epochs": epochs})
    samples = windows(tracks.lengths, training.clip_length, each * recipe.batch_size, random)
    length = min(training.clip_length, int(tracks.lengths.max()))
    columns: dict[str, Table] = {**tracks.columns(samples, length, truth=truth)}
    fit(predictor, objective, columns, recipe, seed=draw, clip_norm=training.clip_norm, warmup=0.1)


def _fit_images(
    unet: UNet,
    tracks: Tracks,
    method: str,
    steps: int,
    lr: float,
    settings: Completion,
    draw: int,
    *,
    constant: bool = False,
    objective: nn.Module | None = None,
) -> None:
    """`steps` batches of random frames, each with the eraser of another random frame."""
    random = np.random.default_rng(derive(draw, "frames"))
    rows = every_frame(tracks)
    if method == "completion_clean":
        rows = rows[untouched(tracks, rows)]
        if len(rows) == 0:
            raise UserError(
                f"{tracks.data.name}: every mask touches another one, completion_clean has nothing to learn"
            )
    epochs, each = _epochs(steps)
    count = each * settings.batch_size
    own, other = rows[random.integers(0, len(rows), count)], every_frame(tracks)
    eraser = other[random.integers(0, len(other), count)]
    supervised = method == "supervised_image"
    columns: dict[str, Table] = {**Frames(tracks, own).columns(None if supervised else eraser, truth=supervised)}
    recipe = Recipe(
        epochs=epochs, batch_size=settings.batch_size, lr=lr, weight_decay=0.0, stratified=False,
        schedule="constant" if constant else "one_cycle",
    )  # fmt: skip
    if objective is None:
        objective = FullMasks(settings) if supervised else Erase(settings)
    fit(unet, objective, columns, recipe, seed=draw, warmup=0.1)


def _epochs(steps: int) -> tuple[int, int]:
    """Epochs of a training of about so many steps, and the steps of each."""
    epochs = -(-steps // EPOCH)
    return epochs, -(-steps // epochs)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _stripped(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of the network inside a predictor."""
    return {name.removeprefix("network."): value for name, value in weights.items()}


def state(model: nn.Module) -> States:
    """The weights as arrays."""
    return {name: value.contiguous().numpy() for name, value in _tensors(model).items()}
