"""Tiny prepared data sets of every kind of input, and the block of parameters of networks of a few hundred weights."""

from pathlib import Path

import numpy as np

from reprise.circuits import plan
from reprise.circuits.params import Params
from reprise.data import arrays

TRAIN, TEST, CLASSES = 24, 10, 3
NETWORK = {
    "state": 8, "code": 6, "signature": 4, "outputs": 2, "layers": 2, "heads": 2, "head": 4,
    "read_heads": 1, "read_head": 4, "feed_forward": 1.0, "strength": 1.0, "bandwidth": 0.3, "learnable": True,
    "temperature": 0.5, "layer_scale": None, "drop_path": 0.0, "pooling": 1.0,
}  # fmt: skip
METHODS = list(plan.VARIANTS)
TOKENS = {
    "handwriting": {"patches": {"side": 2, "bands": 1}},
    "characters": {"patches": {"side": 2, "bands": 1}},
    "points": {"points": {"width": 6, "bands": 1}},
    "listops": {"symbols": {"width": 6}},
    "nlvr_mini": {"patches": {"side": 4, "bands": 1}},
}


def _task(dataset):
    text = dataset == "nlvr_mini"
    methods = [name for name in METHODS if name != ("interpreter" if text else "conditional")]
    return {
        "processors": 8,
        "tokens": TOKENS[dataset],
        "text": {"width": 8} if text else None,
        "augmentation": {"scale": [0.85, 1.15], "shift": 0.2, "jitter": 0.01, "clip": 0.02}
        if dataset == "points"
        else None,
        "epochs": 2,
        "batch_size": 8,
        "lr": 0.01,
        "runs": {name: [0] for name in methods},
    }


CLUSTERS = {"clusters": 2, "inside": 0.9, "outside": 0.05}
BLOCK = {
    "datasets": list(TOKENS),
    "network": NETWORK,
    "wide": {"processors": 12},
    "conditional": {"bandwidth": 0.8},
    "perceiver": {"feed_forward": 2.0},
    "interpreter": {
        "width": 8, "functions": 2, "signature": 4, "scripts": 1, "iterations": 2, "lines": 1, "heads": 2,
        "hidden": 1.0, "reach": 1.4,
    },
    "prior": {
        "kind": "scale_free", "weight": 0.1, "steps": 20, "lr": 0.05,
        "graphs": {
            "scale_free": {"m": 2.0}, "planted_partition": dict(CLUSTERS), "ring_of_cliques": dict(CLUSTERS),
            "erdos_renyi": {"p": 0.1}, "watts_strogatz": {"neighbours": 2, "p": 0.4},
        },
    },
    "optimiser": {"weight_decay": 0.05, "clip_norm": 1.0, "warmup": 0.1, "label_smoothing": 0.05},
    "nested": {"probability": 0.6, "smallest": 0.25},
    "tasks": {name: _task(name) for name in TOKENS},
    "pruning": {"fractions": [1.0, 0.5, 0.25], "draws": 2},
    "few_shot": {"dataset": "characters", "way": 2, "shots": [1], "queries": 1, "episodes": 2},
    "latency": {
        "batch_size": 2, "repeats": 3, "tokens": [4, 8], "functions": [1, 2], "processors": [4, 8], "steps": [1, 2],
    },
    "evaluation": {"permutations": 10, "cut": 0.01},
}  # fmt: skip


def params() -> Params:
    return Params.model_validate(BLOCK)


def settings(dataset):
    return plan.settings(params(), dataset)


def prepare(root: Path, dataset: str) -> Path:
    """Inputs that tell the class plainly; the second domain, and the split of new classes, where there are any."""
    random = np.random.default_rng(0)
    splits = {"iid/train": TRAIN, "iid/test": TEST}
    if dataset in ("handwriting", "characters"):
        splits |= {"shifted/test": TEST}
    if dataset == "characters":
        splits |= {"greek/few": 6}
    n = sum(splits.values())
    labels = (np.arange(n) % CLASSES).astype(np.uint8)
    more = {}
    if dataset == "points":
        x = random.normal(0, 0.1 + labels[:, None, None], (n, 12, 3)).astype(np.float32)
    elif dataset == "listops":
        x = np.repeat(1 + labels[:, None], 7, 1)
        x[::2, 5:] = 0
        more["symbols"] = ["", *"abcde"]
    else:
        x = random.integers(0, 40, (n, 3 if dataset == "nlvr_mini" else 1, 8, 8), dtype=np.uint8)
        x[:, :, :, :4] += (90 * labels)[:, None, None, None]
    given = {"x": x}
    if dataset == "nlvr_mini":
        texts = np.array([[1, 2, 3], [2, 1, 4], [4, 4, 0]], dtype=np.uint8)
        given |= {"text": texts[np.arange(n) // 2 % 3], "type": (np.arange(n) // 2 % 3).astype(np.uint8)}
        more |= {"words": ["", *"abcd"], "types": list("xyz")}
    if dataset == "characters":
        labels[-6:] += CLASSES
    bounds = np.cumsum([0, *splits.values()]).tolist()
    ranges = {name: (bounds[k], bounds[k + 1]) for k, name in enumerate(splits)}
    arrays.write(
        root / dataset, name=dataset, arrays=given | {"labels": labels[:, None]}, splits=ranges,
        label_names=["class"], **more,
    )  # fmt: skip
    return root / dataset
