"""Synthetic tables of measurements in the format of data/results/assay/*/results.parquet.

`sweep_table()` is a small but complete one: the digits sweep of 192 networks on 6 domains, the planted-cue data set
"colored", the other fine-tuning strategies, the multi-environment arms. The relation of ID and OOD accuracy is chosen
pair by pair: a training domain's worse half of networks spreads widely, the better half lies close together, so that
every shape of Figure D can be had from the same ID accuracies.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from reprise import results

DOMAINS = ("pen", "font", "texture", "color", "outline", "rotated")
MODELS = ("cnn", "mixer", "resnet", "vit")
ARMS = ("sweep", "strategies", "invariance", "planted_cue")
SHAPES = ("line", "vertical", "horizontal", "none")
N_TEST, N_VAL = 540, 180
CLASSES = {"digits": 10, "colored": 2}
METRICS = (
    "error",
    "nll",
    "ece",
    "demographic_disparity",
    "confidence",
    "entropy",
    "adversarial_error_small",
    "adversarial_error_large",
)
CORRUPTIONS = ("brightness", "contrast", "gaussian_noise")

Relation = str | Mapping[tuple[str, str], str]


def sweep_table(
    *,
    domains: Sequence[str] = DOMAINS,
    models: Sequence[str] = MODELS,
    relation: Relation | None = None,
    arms: Sequence[str] = ARMS,
    seed: int = 0,
) -> pd.DataFrame:
    """Measurements of all `arms` on digits and colored; `relation` gives the shape of (train, test) pairs of digits.

    A relation is line, vertical, horizontal, none or decreasing, one for all pairs or one per pair (the pairs left out,
    or all, take the four observed shapes in turn).
    """
    rows: list[dict[str, Any]] = []
    if "sweep" in arms:
        rows += sweep_rows(domains=domains, models=models, relation=relation, seed=seed)
        colored = {("e10", "e50"): "none", ("e10", "e90"): "decreasing"}
        rows += sweep_rows(
            "colored", domains=("e10", "e50", "e90"), train_domains=("e10",), models=models, relation=colored, seed=seed
        )
    if "strategies" in arms:
        rows += strategy_rows(domains=domains, models=models, relation=relation, seed=seed)
    if "invariance" in arms:
        rows += invariance_rows(domains=domains, seed=seed)
    if "planted_cue" in arms:
        rows += planted_cue_rows(seed=seed)
    return results.table(rows)


def sweep_rows(
    dataset: str = "digits",
    *,
    domains: Sequence[str] = DOMAINS,
    train_domains: Sequence[str] | None = None,
    models: Sequence[str] = MODELS,
    regimes: Sequence[str] = ("full", "fewshot_10"),
    finetunes: Sequence[str] = ("full", "head"),
    augments: Sequence[str] = ("standard", "rand"),
    relation: Relation | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Rows of arm=sweep: models x regimes x finetunes x augments on each of `train_domains` (default: all)."""
    rows = []
    for train in train_domains or domains:
        cells = list(product(models, regimes, finetunes, augments))
        networks = [
            {"model": model, "arm": "sweep", "regime": regime, "finetune": finetune, "augment": augment}
            for model, regime, finetune, augment in cells
        ]
        rows += _evaluated(dataset, train, domains, networks, relation, seed)
    return rows


def strategy_rows(
    dataset: str = "digits",
    *,
    domains: Sequence[str] = DOMAINS,
    models: Sequence[str] = MODELS,
    relation: Relation | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Rows of arm=strategies: LP-FT, WiSE-FT at three alphas, two soups and last-layer retraining per model."""
    strategies: list[dict[str, Any]] = [
        {"finetune": name} for name in ("lp_ft", "uniform_soup", "greedy_soup", "last_layer")
    ]
    strategies += [{"finetune": "wise_ft", "alpha": alpha} for alpha in (0.0, 0.5, 1.0)]
    rows = []
    for train in domains:
        networks = [
            {"model": model, "arm": "strategies", "regime": "full", "augment": "standard", **strategy}
            for model, strategy in product(models, strategies)
        ]
        rows += _evaluated(dataset, train, domains, networks, relation, seed)
    return rows


def invariance_rows(
    dataset: str = "digits",
    *,
    domains: Sequence[str] = DOMAINS,
    methods: Sequence[str] = ("erm", "coral", "group_dro"),
    draws: int = 3,
    seeds: Sequence[int] = (0, 1),
    leave_two_out: bool = True,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Rows of arm=invariance: `draws` networks per method and seed, trained on all domains but one and all but two."""
    random = np.random.default_rng([seed, 3])
    left_out = [(t,) for t in domains] + (list(combinations(domains, 2)) if leave_two_out else [])
    hardness = dict(zip(domains, random.uniform(0.2, 0.6, len(domains)), strict=True))
    rows: list[dict[str, Any]] = []
    for method, repeat in product(methods, seeds):
        penalty = 0.15 * random.random((draws,))  # what a draw's hyperparameters cost, wherever it is trained
        for out, draw in product(left_out, range(draws)):
            train = "+".join(name for name in domains if name not in out)
            setting = {
                "arm": "invariance",
                "regime": "full",
                "finetune": "full",
                "augment": "standard",
                "lr": 0.001,
                "length": "300steps",
                "draw": draw,
            }
            base = {
                "paper": "assay",
                "dataset": dataset,
                "train_domain": train,
                "model": "cnn",
                "method": method,
                "seed": repeat,
                "setting": results.setting(run=_run_id(train, method, repeat, draw), **setting),
            }
            error = 0.1 + penalty[draw] + 0.03 * random.random()
            rows.append(_row(base, "id", train, "error", error, "val", N_VAL))
            rows.append(_row(base, "id", train, "error", error + 0.02 * random.random(), "test", N_TEST))
            for test in out:
                value = hardness[test] + penalty[draw] + 0.05 * random.random()
                rows.append(_row(base, "ood", test, "error", value, "test", N_TEST))
    return rows


def planted_cue_rows(
    accuracy: Mapping[str, float] | None = None, *, seeds: Sequence[int] = (0, 1, 2), seed: int = 0
) -> list[dict[str, Any]]:
    """Rows of arm=planted_cue: `accuracy` of each method on the reversed domain e90, spread by 0.03 over `seeds`."""
    chosen = accuracy or {"erm": 0.12, "group_dro": 0.12, "irm": 0.55, "vrex": 0.60, "erm_grayscale": 0.73}
    random = np.random.default_rng([seed, 4])
    rows: list[dict[str, Any]] = []
    for (method, level), repeat in product(chosen.items(), seeds):
        setting = results.setting(
            arm="planted_cue",
            run=_run_id("planted", method, repeat),
            regime="full",
            finetune="full",
            augment="identity",
            lr=0.002,
            length="301steps",
        )
        base = {"paper": "assay", "dataset": "colored", "train_domain": "e10+e20", "model": "mlp", "method": method}
        base |= {"setting": setting, "seed": repeat}
        value = 1 - level + 0.03 * (random.random() - 0.5)
        rows.append(_row(base, "id", "e10+e20", "error", 0.2, "val", N_VAL))
        rows.append(_row(base, "id", "e10+e20", "error", 0.2, "test", N_TEST))
        rows.append(_row(base, "ood", "e90", "error", value, "test", 4000))
    return rows


def upstream_table(models: Sequence[str] = MODELS) -> pd.DataFrame:
    """One row per architecture: its error on the upstream letters and on a shifted copy of them, its parameters."""
    n = len(models)
    return pd.DataFrame(
        {
            "model": list(models),
            "n_params": np.linspace(36_000, 79_000, n).astype(int),
            "error": np.linspace(0.4, 0.6, n),
            "shifted_error": np.linspace(0.6, 0.7, n),
        }
    )


def _evaluated(
    dataset: str,
    train: str,
    domains: Sequence[str],
    networks: list[dict[str, Any]],
    relation: Relation | None,
    seed: int,
) -> list[dict[str, Any]]:
    """All measurements of `networks`, which share the training domain `train`."""
    arm = networks[0]["arm"]
    random = np.random.default_rng([seed, *hashlib.sha256(f"{dataset} {train} {arm}".encode()).digest()[:4]])
    n = len(networks)
    # A score per network orders the ID accuracies; the better half lies close together.
    score = np.array([_score(network) for network in networks]) + 0.3 * random.standard_normal(n)
    place = np.argsort(np.argsort(score)) / max(n - 1, 1)
    accuracy = np.where(place < 0.5, 0.45 + 0.8 * place, 0.85 + 0.12 * (place - 0.5))
    robust = np.array([0.3 * (network["augment"] == "rand") for network in networks]) + random.standard_normal(n)
    attackable = random.uniform(0.3, 0.5, n)
    measured = {("id", train): accuracy}
    for test in domains:
        if test != train:
            shape = _shape(train, test, domains, relation)
            measured["ood", test] = _related(shape, accuracy, robust, CLASSES.get(dataset, 10), random)

    rows: list[dict[str, Any]] = []
    for k, network in enumerate(networks):
        setting = {name: value for name, value in network.items() if name != "model"}
        setting |= {"lr": 0.001 if network["finetune"] == "full" else 0.005, "length": "100steps"}
        base = {
            "paper": "assay",
            "dataset": dataset,
            "train_domain": train,
            "model": network["model"],
            "method": "erm",
            "setting": results.setting(run=_run_id(dataset, train, *network.values()), **setting),
            "seed": 0,
        }
        for (shift, test), value in measured.items():
            found = _metrics(1 - float(value[k]), shift, float(attackable[k]), random)
            for metric, number in found.items():
                rows.append(_row(base, shift, test, metric, number, "test", N_TEST))
            rows.append(_row(base, shift, test, "error_stderr", found["error"] / 30, "test", N_TEST))
            if shift == "id":
                val = found | {"error": min(1.0, max(0.0, found["error"] + 0.01 * random.standard_normal()))}
                rows += [_row(base, shift, test, name, val[name], "val", N_VAL) for name in METRICS[:6]]
                clean = found
            else:
                truth = found["error"]
                for name, bias in (("atc", -0.1), ("doc", -0.2), ("agreement", 0.05)):
                    estimate = float(np.clip(truth + bias + 0.03 * random.standard_normal(), 0, 1))
                    rows.append(_row(base, shift, test, f"estimate_{name}", estimate, "test", N_TEST))
                rows.append(_row(base, shift, test, "estimate_unchanged", clean["error"], "test", N_TEST))
        for corruption, severity in product(CORRUPTIONS, (1, 3)):
            place_of = {"corruption": corruption, "severity": severity}
            worse = base | {
                "setting": results.setting(run=_run_id(dataset, train, *network.values()), **setting, **place_of)
            }
            error = clean["error"] + (1 - clean["error"]) * 0.05 * severity
            for metric, number in _metrics(error, "corrupted", 0.4, random).items():
                if metric in METRICS[:4]:
                    rows.append(_row(worse, "corrupted", train, metric, number, "test", N_TEST))
    return rows


def _score(network: Mapping[str, Any]) -> float:
    return (
        1.0 * (network["regime"] == "full")
        + 0.5 * (network["finetune"] != "head")
        - 0.3 * (network["augment"] == "rand")
        - 1.0 * (network["model"] == "vit")
    )


def _shape(train: str, test: str, domains: Sequence[str], relation: Relation | None) -> str:
    if isinstance(relation, str):
        return relation
    turn = (list(domains).index(test) - list(domains).index(train)) % len(domains)
    return (relation or {}).get((train, test), SHAPES[turn % len(SHAPES)])


def _related(
    shape: str, accuracy: np.ndarray, robust: np.ndarray, classes: int, random: np.random.Generator
) -> np.ndarray:
    """OOD accuracies of the chosen shape; `robust` is what a network has in common over all domains."""
    logit = np.log(accuracy / (1 - accuracy))
    noise = 0.8 * robust + 0.6 * random.standard_normal(len(robust))
    chance = 1 / classes
    value = {
        "line": 1 / (1 + np.exp(-(0.7 * logit - 0.8 + 0.1 * noise))),
        "decreasing": 1 / (1 + np.exp(0.8 * logit + 0.1 * noise)),
        "vertical": 0.6 + 0.12 * noise,
        "horizontal": chance + 0.02 + 0.01 * noise,
        "none": np.maximum(0.55, chance + 0.3) + 0.005 * noise,
    }[shape]
    return np.clip(np.round(value * N_TEST) / N_TEST, 0.02, 0.98)


def _metrics(error: float, shift: str, attackable: float, random: np.random.Generator) -> dict[str, float]:
    """The measurements of one network on one set; calibration is worse under shift and tells nothing about error."""
    large = error + (1 - error) * attackable
    ece = (0.25 if shift == "ood" else 0.1) + 0.03 * random.random()
    confidence = min(1.0, 1 - error + ece)
    return {
        "error": error,
        "nll": 2 * error + 0.1 * random.random(),
        "ece": ece,
        "demographic_disparity": 0.05 + 0.05 * random.random(),
        "confidence": confidence,
        "entropy": 2 * (1 - confidence),
        "adversarial_error_small": error + (large - error) * random.uniform(0.4, 0.6),
        "adversarial_error_large": large,
    }


def _row(
    base: Mapping[str, Any], shift: str, test: str, metric: str, value: float, split: str, n: int
) -> dict[str, Any]:
    return {
        **base,
        "shift": shift,
        "test_domain": test,
        "metric": metric,
        "value": float(value),
        "split": split,
        "n": n,
    }


def _run_id(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]
