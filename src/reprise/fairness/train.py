"""Training of one network of the plan, from a start that the pretraining stage wrote."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file

from reprise import jobs
from reprise.fairness import objectives, tasks
from reprise.fairness.massaging import massage
from reprise.fairness.networks import Network, Weights, apply, build, restore, state
from reprise.fairness.plan import Run
from reprise.params import Recipe
from reprise.seeding import derive
from reprise.training import Objective, Table, fit


def train(
    run: dict[str, Any],
    folder: str,
    starts: str,
    *,
    seed: int,
    protected: str,
    backbone: str,
    recipe: dict[str, Any],
    group_weight: float,
) -> Weights:
    """Train one network of the plan; returns its weights and `loss_curve` (epochs,).

    All runs of one target and seed share the head's initial weights and the order of the batches, so methods differ by
    their objective alone; twins draw their own. The last epoch is kept: choosing by average precision, as the release
    does, favours unfair epochs.
    """
    this = Run(**run)
    prefix = "fair_" if this.arm == "fair" else ""
    splits = tasks.load(Path(folder), this.target, protected, draw=this.seed, seed=seed, prefix=prefix)
    part = splits["train"]
    y = part.a if this.method == "group" else part.y
    if this.method == "exponentiated_gradient":
        return _exponentiated_gradient(np.asarray(part.x), y, part.a, this.strength)
    draw = derive(seed, "fairness", this.dataset, "fit", this.seed, *(["twin"] if this.arm == "twin" else []))
    origins = load_file(starts)

    def fresh(heads: int) -> Network:
        torch.manual_seed(draw)
        network = build(backbone, part.x.shape[1:], heads)
        origin = "random/" if this.arm == "scratch" else "pretrained/"
        loaded = {k.removeprefix(origin): torch.from_numpy(v) for k, v in origins.items() if k.startswith(origin)}
        if loaded:
            network.backbone.load_state_dict(loaded)
        return network

    network = fresh(heads=2 if this.method == "two_headed" else 1)
    settings = Recipe(**recipe)
    validation = None
    if settings.schedule == "plateau":
        held_out = splits["val"]
        y_held = held_out.a if this.method == "group" else held_out.y
        validation = {"x": held_out.x, "y": y_held, "a": held_out.a}
    if this.method == "massaging":
        y = _massaged(fresh, part, settings, kappa=this.strength, seed=draw)
    curve = fit(
        network,
        _objective(this, network, group_weight),
        {"x": part.x, "y": y, "a": part.a},
        settings,
        seed=draw,
        validation=validation,
        groups=part.a,
    )
    return state(network) | {"loss_curve": np.asarray(curve, np.float32)}


def _objective(run: Run, network: Network, group_weight: float) -> Objective:
    match run.method:
        case "unconstrained" | "group" | "massaging":
            return objectives.cross_entropy
        case "two_headed":
            return objectives.two_headed(run.level, group_weight)
        case "adversarial":
            return objectives.Adversarial(network.head.in_features, run.strength)
        case "fair_mixup":
            return objectives.fair_mixup(run.strength)
    return objectives.regularised(run.method, run.strength)


def _massaged(fresh: Any, part: tasks.Split, recipe: Recipe, *, kappa: float, seed: int) -> np.ndarray:
    """Relabelled targets; the ranking scores come from two unconstrained networks, each fitted on the other half."""
    half = np.random.default_rng(derive(seed, "halves")).permutation(len(part)) % 2
    score, validated = np.empty(len(part)), recipe.schedule == "plateau"
    for k in (0, 1):
        fitted, held_out = np.flatnonzero(half != k), np.flatnonzero(half == k)
        ranker = fresh(heads=1)
        arrays: dict[str, Table] = {"x": tasks.Rows(part.x, fitted), "y": part.y[fitted], "a": part.a[fitted]}
        rest = tasks.Rows(part.x, held_out)
        fit(
            ranker,
            objectives.cross_entropy,
            arrays,
            recipe,
            seed=derive(seed, "ranker", k),
            validation={"x": rest, "y": part.y[held_out], "a": part.a[held_out]} if validated else None,
            groups=part.a[fitted],
        )
        score[held_out] = apply(ranker, rest)[0][:, 0]
    return massage(part.y, part.a, score, kappa)


def sgd_probe(
    run: dict[str, Any], folder: str, weights: str, *, seed: int, protected: str, backbone: str, recipe: dict[str, Any]
) -> Weights:
    """The release's probe: everything frozen but the last layer, which is retrained on a from where it stands.

    As there, BatchNorm stays in training mode (its statistics drift) and the layer starts from the target's weights.
    """
    this = Run(**run)
    part = tasks.load(Path(folder), this.target, protected, draw=this.seed, seed=seed)["train"]
    network = restore(jobs.load(Path(weights)), backbone, part.x.shape[1:])
    for parameter in network.backbone.parameters():
        parameter.requires_grad_(False)
    draw = derive(seed, "fairness", this.dataset, "sgd_probe", this.seed)
    fit(
        network,
        objectives.cross_entropy,
        {"x": part.x, "y": part.a, "a": part.a},
        Recipe(**recipe),
        seed=draw,
        groups=part.a,
    )
    return state(network)


def _exponentiated_gradient(x: np.ndarray, y: np.ndarray, a: np.ndarray, bound: float) -> Weights:
    """fairlearn's reduction (Agarwal et al. 2018) over logistic regressions: a random mixture of linear classifiers.

    Returns:
        `linear` (k, d), `intercept` (k,) and `mixture` (k,), the probability of each classifier.
    """
    from fairlearn.reductions import DemographicParity, ExponentiatedGradient
    from sklearn.linear_model import LogisticRegression

    reduction = ExponentiatedGradient(LogisticRegression(max_iter=1000), DemographicParity(difference_bound=bound))
    reduction.fit(x, y, sensitive_features=a)
    used = [k for k, weight in enumerate(reduction.weights_) if weight > 0]
    members = [reduction.predictors_[k] for k in used]
    return {
        "linear": np.stack([_linear(member, x.shape[1])[0] for member in members]),
        "intercept": np.array([_linear(member, x.shape[1])[1] for member in members]),
        "mixture": np.array([reduction.weights_[k] for k in used], float),
    }


def _linear(member: Any, d: int) -> tuple[np.ndarray, float]:
    """Coefficients and intercept; a member fitted on one class alone is a constant."""
    if hasattr(member, "coef_"):
        return member.coef_[0], float(member.intercept_[0])
    return np.zeros(d), 1.0 if float(member.constant_[0]) > 0 else -1.0
