"""Logits of every network on everything it is judged on, once; every metric is computed from them later.

One job applies the runs of one (sources, architecture, seed); those with a frozen body share its features. A
job's arrays, float16 (n, classes), are `<run>/<set>`, the sets being

    val/<domain>, test/<domain>            of the sources and of the task's test domains
    corrupted/<type>/<severity>            the source's test split, arm `sweep` only
    adversarial/<attack>/<domain>          a sample of `attacked` images of each test split, arm `sweep` only

`<strategy>/<set>` are the networks derived from finished runs: WiSE-FT, soups and last-layer retraining.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors.numpy import load_file
from torch import Tensor

from reprise import architectures, jobs
from reprise.assay.architectures import as_input, features_of, logits_of
from reprise.assay.attacks import Attack, perturb
from reprise.assay.corruptions import corrupt, image_seeds
from reprise.assay.plan import Run
from reprise.assay.planted import GRAYSCALE, reduced
from reprise.assay.tasks import Split, Task
from reprise.devices import device
from reprise.errors import UserError
from reprise.seeding import derive

Weights = dict[str, np.ndarray]
Sets = dict[str, Callable[[], np.ndarray]]  # name -> images (n, c, h, w), read or made when they are needed


def predict(
    runs: list[dict[str, Any]],
    folder: str,
    weights: str,
    start: str,
    *,
    seed: int,
    domains: list[str],
    evaluation: dict[str, Any],
    strategies: dict[str, Any],
) -> Weights:
    """Logits of the runs of one (sources, architecture, seed) and of the networks derived from them.

    Args:
        weights: folder of `<run id>.safetensors`.
        start: weights of the pretrained architecture; the body of head-only runs.
        domains: the test domains of the task (of the pool, for the invariance arm).
        evaluation, strategies: blocks of the parameters.
    """
    members = [Run(**run) for run in runs]
    first, task = members[0], Task(Path(folder))
    clean = _clean(first, task, domains, evaluation["max_images"], seed)
    judge = _Judge(first, task, clean, evaluation, seed) if first.arm == "sweep" else None
    kept = jobs.workdir()
    found: Weights = {}
    networks = _Networks(members, task, Path(weights), start)
    frozen: dict[str, Tensor] = {}  # features of the pretrained body
    for run in members:
        done = kept / f"{run.id}.npz" if kept else None
        if done and done.exists():  # by a run of this job that was killed
            found |= jobs.load(done)
            continue
        network = networks[run]
        sets = clean if run.method != GRAYSCALE else _clean(first, task, domains, evaluation["max_images"], seed, True)
        whole = judge is not None and run.arm == "sweep"
        if judge and whole:
            sets = sets | judge.corrupted
        cache = frozen if run.finetune == "head" else None
        logits = dict(_logits(network, sets, cache))
        if judge and whole:
            logits |= judge.attacked(network)
        arrays = {f"{run.id}/{name}": _half(value) for name, value in logits.items()}
        if done:
            done.parent.mkdir(parents=True, exist_ok=True)
            np.savez(done.with_suffix(".tmp.npz"), **arrays)  # type: ignore[arg-type]
            done.with_suffix(".tmp.npz").replace(done)
        found |= arrays
    if first.arm == "sweep" and strategies["names"]:
        for name, network in _derived(networks, clean, task, strategies):
            found |= {f"{name}/{key}": _half(value) for key, value in _logits(network, clean, None)}
    return found


def _half(logits: np.ndarray) -> np.ndarray:
    """For storage: large logits of a sound network must not become infinite, nor infinite ones look sound."""
    return np.where(np.isfinite(logits), np.clip(logits, -6e4, 6e4), np.nan).astype(np.float16)


def _clean(run: Run, task: Task, domains: list[str], limit: int | None, seed: int, grayscale: bool = False) -> Sets:
    """Validation images of the sources (of every domain, for the invariance arm), test images of all domains."""
    if run.arm == "planted_cue":
        splits = {f"val/{name}": task.split(name, "val") for name in run.domains}
        splits |= {f"test/{name}": task.sample(name, "test", limit, seed) for name in domains}
        return {name: partial(reduced, split.x, grayscale) for name, split in splits.items()}
    validated = domains if run.arm == "invariance" else run.domains
    sets = {f"val/{name}": task.split(name, "val") for name in validated}
    sets |= {f"test/{name}": task.sample(name, "test", limit, seed) for name in dict.fromkeys([*run.domains, *domains])}
    return {name: partial(_centred, split, run.crop) for name, split in sets.items()}


def _centred(split: Split, crop: int | None) -> np.ndarray:
    """The images, or a view of their middles: what lies on disk stays there."""
    if crop is None:
        return split.x
    top, left = ((side - crop) // 2 for side in split.x.shape[2:])
    if min(top, left) < 0:
        raise UserError(f"images of {split.x.shape[2:]} pixels are too small for crops of {crop}: enlarge image_size")
    return split.x[:, :, top : top + crop, left : left + crop]


class _Networks:
    """The finished networks of one job, restored on demand."""

    def __init__(self, members: list[Run], task: Task, folder: Path, start: str) -> None:
        self.members, self.task, self.folder, self.start = members, task, folder, start

    def weights(self, run: Run) -> dict[str, Tensor]:
        stored = load_file(self.folder / f"{run.id}.safetensors")
        if run.finetune == "head":
            body = load_file(self.start)
            stored |= {name: v for name, v in body.items() if not name.startswith("head.")}
        return {name: torch.from_numpy(value) for name, value in stored.items()}

    def restored(self, weights: dict[str, Tensor]) -> Any:
        run = self.members[0]
        shape = (self.task.shape[0], run.crop, run.crop) if run.crop else self.task.shape
        if run.arm == "planted_cue":
            shape = (2, shape[1] // 2, shape[2] // 2)
        network = architectures.build(run.model, shape, self.task.classes)
        network.load_state_dict(weights)
        return network.requires_grad_(False).to(device()).eval()  # attacks need the images' gradient alone

    def __getitem__(self, run: Run) -> Any:
        return self.restored(self.weights(run))

    def first(self, finetune: str) -> Run:
        """The run of this kind in the first cell of the grid."""
        return next(run for run in self.members if run.finetune == finetune)


def _logits(network: Any, sets: Sets, frozen: dict[str, Tensor] | None) -> Iterator[tuple[str, np.ndarray]]:
    """Logits of each set; `frozen` keeps the features of a body that several runs share."""
    for name, images in sets.items():
        if frozen is None:
            features = features_of(network, images())
        else:
            if name not in frozen:
                frozen[name] = features_of(network, images())
            features = frozen[name]
        with torch.inference_mode():
            yield name, network.head(features).float().cpu().numpy()


class _Judge:
    """Corrupted images of the source, made anew for each network (they are cheap, and many), and images to attack."""

    def __init__(self, run: Run, task: Task, clean: Sets, evaluation: dict[str, Any], seed: int) -> None:
        self.seed = seed
        two = {"loss": "ce"} if task.classes < 3 else {}  # the DLR loss compares three classes (Sec. 4)
        self.attacks = {name: Attack(**(settings | two)) for name, settings in evaluation["attacks"].items()}
        self.rows = task.sample(run.sources, "test", evaluation["max_images"], seed).rows
        self.images, self.purpose = clean[f"test/{run.sources}"], derive(seed, "assay", task.data.name)
        self.corrupted: Sets = {
            f"corrupted/{kind}/{severity}": partial(self._corrupted, kind, severity)
            for kind in evaluation["corruptions"]
            for severity in evaluation["severities"]
        }
        domains = [name.removeprefix("test/") for name in clean if name.startswith("test/")]
        samples = {domain: task.sample(domain, "test", evaluation["attacked"], seed) for domain in domains}
        self.victims = {
            domain: (torch.from_numpy(np.array(_centred(sample, run.crop))), torch.from_numpy(sample.y))
            for domain, sample in samples.items()
        }

    def _corrupted(self, kind: str, severity: int) -> np.ndarray:
        seeds = image_seeds(self.purpose, self.rows, kind, severity)
        return corrupt(torch.from_numpy(np.array(self.images())).to(device()), kind, severity, seeds).cpu().numpy()

    def attacked(self, network: Any) -> dict[str, np.ndarray]:
        """Logits of the perturbed images, all domains in one pass; those of misclassified images stay as they are."""
        x = as_input(torch.cat([images for images, _ in self.victims.values()]).to(device()))
        y = torch.cat([classes for _, classes in self.victims.values()]).to(device())
        found = {}
        clean = logits_of(network, x)
        correct = torch.from_numpy(clean.argmax(1)).to(y.device) == y
        for name, attack in self.attacks.items():
            seed = derive(self.seed, "assay", "attack", name) % 2**63
            perturbed = perturb(network, x, y, attack, seed, correct=correct)
            logits = clean.copy()  # one for each attack
            if correct.any():
                logits[correct.cpu().numpy()] = logits_of(network, perturbed[correct])
            ends = np.cumsum([len(classes) for _, classes in self.victims.values()])
            for domain, part in zip(self.victims, np.split(logits, ends[:-1]), strict=True):
                found[f"adversarial/{name}/{domain}"] = part
        return found


def _derived(networks: _Networks, clean: Sets, task: Task, settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Networks made of finished ones, by name: `wise_ft-<alpha>`, `uniform_soup`, `greedy_soup`, `last_layer`.

    WiSE-FT (Wortsman et al. 2022) goes from the pretrained body with its fitted head (alpha 0) to LP-FT (alpha 1),
    whose head starts from the same one. Soups average the fully fine-tuned runs (LP-FT among them) of the first regime
    and augmentation; the greedy one adds them in the order of their validation accuracy as long as it does not fall.
    The last layer is refitted on the validation split, which the features were not fitted to (Kirichenko et al. 2023,
    without their balanced groups).
    """
    names = settings["names"]
    if "wise_ft" in names:
        ends = [networks.weights(networks.first(finetune)) for finetune in ("head", "lp_ft")]
        for alpha in np.linspace(0.0, 1.0, settings["alphas"]):
            yield f"wise_ft-{alpha:g}", networks.restored(average(ends, [1 - alpha, alpha]))
    full = networks.first("full")
    val = f"val/{full.sources}"
    y = task.split(full.sources, "val").y
    if "soups" in names:
        alike = [run for run in networks.members if (run.regime, run.augment) == (full.regime, full.augment)]
        runs = [run for run in alike if run.finetune in ("full", "lp_ft")]
        ingredients = [networks.weights(run) for run in runs]
        yield "uniform_soup", networks.restored(average(ingredients))

        def accuracy(weights: dict[str, Tensor]) -> float:
            ((_, logits),) = _logits(networks.restored(weights), {val: clean[val]}, None)
            return float((logits.argmax(1) == y).mean())

        yield "greedy_soup", networks.restored(greedy_soup(ingredients, accuracy))
    if "last_layer" in names:
        network = networks[full]
        features = features_of(network, clean[val]()).cpu().numpy()
        if np.isfinite(features).all():  # else it diverged and stays as it is
            network.head.weight.data, network.head.bias.data = refit(features, y, task.classes)
        yield "last_layer", network.to(device())


def average(members: list[dict[str, Tensor]], shares: list[float] | None = None) -> dict[str, Tensor]:
    """Weighted mean of each weight (of the first member's, where it is a count); shares add up to one."""
    shares = shares or [1 / len(members)] * len(members)
    return {
        name: sum(share * member[name] for share, member in zip(shares, members, strict=True))  # type: ignore[misc]
        if value.is_floating_point()
        else value
        for name, value in members[0].items()
    }


def greedy_soup(members: list[dict[str, Tensor]], accuracy: Callable[[dict[str, Tensor]], float]) -> dict[str, Tensor]:
    """Wortsman et al. 2022, recipe 1: from the best member on, keep each next one that does not lower the accuracy."""
    ranked = sorted(members, key=accuracy, reverse=True)
    kept, best = ranked[:1], accuracy(ranked[0])
    for member in ranked[1:]:
        reached = accuracy(average([*kept, member]))
        if reached >= best:
            kept, best = [*kept, member], reached
    return average(kept)


def refit(features: Float[np.ndarray, "n m"], y: np.ndarray, classes: int) -> tuple[Tensor, Tensor]:
    """Weight (classes, m) and bias of a logistic regression on the standardised features."""
    from sklearn.linear_model import LogisticRegression

    mean, sd = features.mean(0), features.std(0) + 1e-6
    if len(present := np.unique(y)) < 2:
        raise UserError("last-layer retraining needs two classes or more in the validation split")
    model = LogisticRegression(max_iter=1000).fit((features - mean) / sd, y)
    scaled = np.concatenate([-model.coef_, model.coef_]) / 2 if len(present) == 2 else model.coef_
    offset = np.concatenate([-model.intercept_, model.intercept_]) / 2 if len(present) == 2 else model.intercept_
    weight, bias = np.zeros((classes, features.shape[1])), np.full(classes, -30.0)  # a class never seen
    weight[present] = scaled / sd
    bias[present] = offset - (scaled / sd) @ mean
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()
