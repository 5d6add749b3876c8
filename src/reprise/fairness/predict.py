"""Predictions: every network of the plan applied once to validation and test (and pairs), its logits and features kept.

The runs of one (target, arm, seed) share a file per split, `predictions/<split>/<target>.<arm>.s<seed>.npz`:

    y, a                    labels and groups, (n,)
    <method>.<level>/logits (n, heads) float64, the network's own outputs
    <method>.<level>/features (n, m) float32, for the probes (train and test only; train up to `probe.max_rows` rows)
    <method>.<level>/weight, bias    the last layer, for the fold test (two-headed networks, test only)
    <method>.<level>/probability (n,)   of a positive decision, for a randomised classifier

Splits are separate files so that the stage that fits merges can depend on validation alone.
"""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from reprise.fairness import tasks
from reprise.fairness.networks import Weights, apply, build, restore
from reprise.fairness.plan import Run
from reprise.seeding import derive


def predict(
    runs: list[dict[str, Any]],
    folder: str,
    weights: str,
    starts: str,
    *,
    seed: int,
    protected: str,
    backbone: str,
    max_rows: int,
) -> Weights:
    """Predictions of the runs of one (target, arm, seed): `<split>/<array>` as in the module's docstring.

    Args:
        runs: of the plan; all of one target, arm and seed.
        folder: the prepared data.
        weights: folder of `<run label>.safetensors`.
        starts: the backbones before training; the main arm also gets their features, the probes' anchors.
    """
    members = [Run(**run) for run in runs]
    first = members[0]
    prefix = "fair_" if first.arm == "fair" else ""
    splits = tasks.load(Path(folder), first.target, protected, draw=first.seed, seed=seed, prefix=prefix)
    part = splits["train"]
    rng = np.random.default_rng(derive(seed, "fairness", "kept", first.seed))
    kept = np.sort(rng.permutation(len(part))[:max_rows])
    splits["train"] = tasks.Split(tasks.Rows(part.x, kept), part.y[kept], part.a[kept])
    found: Weights = {}
    for name, split in splits.items():
        found |= {f"{name}/y": split.y, f"{name}/a": split.a}
    shape = splits["val"].x.shape[1:]
    for run in members:
        state = load_file(Path(weights) / f"{run.label}.safetensors")
        if run.method == "exponentiated_gradient":
            for name in ("val", "test"):
                found[f"{name}/{run.key}/probability"] = _mixture(state, np.asarray(splits[name].x))
            continue
        network = restore(state, backbone, shape)
        for name, split in splits.items():
            probed = run.arm not in ("group", "twin") and run.method != "sgd_probe"
            if name == "train" and not probed:
                continue
            logits, features = apply(network, split.x)
            if name != "train":
                found[f"{name}/{run.key}/logits"] = logits
            if name in ("train", "test") and probed:
                found[f"{name}/{run.key}/features"] = features
        if run.method == "two_headed":
            found[f"test/{run.key}/weight"] = state["head.weight"]
            found[f"test/{run.key}/bias"] = state["head.bias"]
    if first.arm == "main" and starts:
        state = load_file(starts)
        for origin in ("pretrained", "random"):
            body = {f"backbone.{k.removeprefix(origin + '/')}": v for k, v in state.items() if k.startswith(origin)}
            if not body:
                continue
            head = build(backbone, shape, 1).state_dict()
            body |= {name: head[name].numpy() for name in ("head.weight", "head.bias")}
            network = restore(body, backbone, shape)
            for name in ("train", "test"):
                found[f"{name}/anchor.{origin}/features"] = apply(network, splits[name].x)[1]
    return found


def _mixture(state: Weights, x: np.ndarray) -> np.ndarray:
    """Probability of a positive decision under a random mixture of linear classifiers."""
    return np.clip(((x @ state["linear"].T + state["intercept"]) > 0) @ state["mixture"], 0.0, 1.0)
