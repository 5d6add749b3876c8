"""Stage `fairness-evaluate`: `evaluate.py DATASET` measures everything on the test split."""

import json
from pathlib import Path

from reprise import params, results
from reprise.errors import run_stage
from reprise.fairness import evaluate, plan
from reprise.fairness.params import load
from reprise.progress import track


def main() -> None:
    block = load()
    dataset = params.dataset_argument(block.tasks)
    task = block.tasks[dataset]
    folder = Path("data/results/fairness", dataset)
    fits = json.loads(Path("data/models/fairness", dataset, "merge.json").read_text())
    middle = f"{sorted(block.strengths)[len(block.strengths) // 2]:g}"
    rows: list[evaluate.Row] = []
    arms = plan.arms(block, dataset)
    for label, members in track(arms.items(), f"fairness-evaluate@{dataset}", len(arms), "arm"):
        first = members[0]
        if first.arm == "twin":
            continue  # read beside the main arm, as the ceiling of agreement
        files = {split: folder / f"predictions/{split}/{label}.npz" for split in ("train", "test")}
        files["pairs"] = folder / f"predictions/test/{label}.pairs.npz"
        twin = folder / f"predictions/test/{first.target}.twin.s{first.seed}.npz"
        compared = first.target in task.compare
        rows += evaluate.evaluate(
            {split: str(path) for split, path in files.items() if path.exists()},
            fits.get(label),
            dataset=dataset,
            model=task.backbone,
            target=first.target,
            arm=first.arm,
            seed=first.seed,
            heads=list(block.methods.two_headed if compared else block.methods.two_headed[:1]),
            probe_c=block.probe.c,
            probe_iterations=block.probe.max_iter,
            n_bootstrap=block.bootstrap,
            twin=str(twin) if twin.exists() else None,
            scatter=middle if first.seed == block.seeds[0] and compared else None,
        )
    results.write(rows, folder / "results.parquet")


if __name__ == "__main__":
    run_stage(main)
