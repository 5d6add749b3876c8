"""Stage `fairness-merge`: `merge.py DATASET` chooses merges and thresholds; it sees validation predictions only."""

import itertools
from pathlib import Path

import numpy as np

from reprise import params, results
from reprise.errors import run_stage
from reprise.fairness import fits
from reprise.fairness.params import load
from reprise.progress import track


def main() -> None:
    block = load()
    dataset = params.dataset_argument(block.tasks)
    task = block.tasks[dataset]
    folder = Path("data/results/fairness", dataset, "predictions/val")
    found = {}
    arms = list(itertools.product(block.seeds, task.targets))
    for seed, target in track(arms, f"fairness-merge@{dataset}", len(arms), "arm"):
        label = f"{target}.main.s{seed}"
        heads = block.methods.two_headed if target in task.compare else block.methods.two_headed[:1]
        with np.load(folder / f"{label}.npz", allow_pickle=False) as archive:
            val = {name: archive[name] for name in archive.files}
        found[label] = fits.fit(val, heads=list(heads), settings=block.merge, randomised=task.backbone == "mlp")
    out = Path("data/models/fairness", dataset, "merge.json")
    results.write_json(found, out, digits=None)  # thresholds are exact between neighbouring scores


if __name__ == "__main__":
    run_stage(main)
