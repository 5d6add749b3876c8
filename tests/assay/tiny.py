"""Prepared images that a network learns in a few steps, runs on them, and weights to start from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from reprise import architectures
from reprise.assay.architectures import state
from reprise.assay.plan import Run
from reprise.data import arrays

DOMAINS = ("a", "b", "c")
SIZES = {"train": 24, "val": 8, "test": 8}
PER_DOMAIN = sum(SIZES.values())
RUN = Run("tiny", "sweep", "a", "assay.cnn", "full", "full", "identity", "erm", 0.01, "2 epochs", 8, None, 0, 0)


def prepare(folder: Path, *, classes: int = 3, domains: tuple[str, ...] = DOMAINS, name: str = "tiny") -> Path:
    """40 images of 3x16x16 per domain: the class brightens a corner, the domain a channel."""
    random = np.random.default_rng(0)
    n = PER_DOMAIN * len(domains)
    x = random.integers(0, 120, (n, 3, 16, 16), dtype=np.uint8)
    # Each class occurs in each split; the order is shuffled, as in real ones.
    y = np.concatenate([random.permutation(np.arange(size) % classes) for _ in domains for size in SIZES.values()])
    for k, (image, label) in enumerate(zip(x, y, strict=True)):
        image[k // PER_DOMAIN % 3] += 30
        down, right = divmod(int(label), 2)
        image[:, 8 * down : 8 * down + 8, 8 * right : 8 * right + 8] += 90
    splits, start = {}, 0
    for domain in domains:
        for split, size in SIZES.items():
            splits[f"{domain}/{split}"] = (start, start + size)
            start += size
    arrays.write(
        folder,
        name=name,
        arrays={"x": x, "labels": y[:, None].astype(np.uint8)},
        splits=splits,
        label_names=["class"],
        classes=[f"class {k}" for k in range(classes)],
        domains=list(domains),
    )
    return folder


def run(**changes) -> Run:
    return replace(RUN, **changes)


def network(seed=0, model="assay.cnn", shape=(3, 16, 16), classes=3):
    """Random weights, and batch statistics that are not those of a new network."""
    torch.manual_seed(seed)
    made = architectures.build(model, shape, classes)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return made.eval()


def pretrained(folder: Path, model="assay.cnn", shape=(3, 16, 16)) -> str:
    """A start file, as the pretraining stage leaves it: its head has another number of classes."""
    path = folder / f"{model}.s0.safetensors"
    save_file(state(network(99, model, shape, classes=5)), path)
    return str(path)


def body(path: str) -> dict[str, np.ndarray]:
    return {name: value for name, value in load_file(path).items() if not name.startswith("head.")}
