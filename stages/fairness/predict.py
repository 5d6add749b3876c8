"""Stage `fairness-predict`: `predict.py DATASET` applies every network once and keeps its logits and features."""

from itertools import groupby
from pathlib import Path

import numpy as np

from reprise import jobs, params
from reprise.data.arrays import aside, open_prepared, sha256
from reprise.errors import run_stage
from reprise.fairness import plan
from reprise.fairness.params import load


def main() -> None:
    block, seed = load(), params.load_common().seed
    dataset = params.dataset_argument(block.tasks)
    task, source = block.tasks[dataset], Path("data/prepared", dataset)
    data = open_prepared(source)
    models = Path("data/models/fairness", dataset)
    arms = plan.arms(block, dataset)
    todo = [
        {
            "runs": [run.as_job() for run in members],
            "folder": str(source),
            "weights": str(models / "train"),
            "starts": str(models / f"pretrain/s{members[0].seed}.safetensors"),
            "seed": seed,
            "protected": task.protected,
            "backbone": task.backbone,
            "max_rows": block.probe.max_rows,
        }
        for members in arms.values()
    ]
    name = f"fairness-predict@{dataset}"
    inputs = [data.digest, *(sha256(path) for path in sorted(models.glob("*/*.safetensors")))]
    done = jobs.run(name, "reprise.fairness.predict:predict", todo, inputs=inputs, labels=list(arms))
    with aside(Path("data/results/fairness", dataset, "predictions")) as folder:
        for label, path in zip(arms, done, strict=True):
            for split, arrays in groupby(sorted(jobs.load(path).items()), lambda item: item[0].split("/", 1)[0]):
                file = folder / ("test" if split == "pairs" else split) / plan.file_name(label, split)
                file.parent.mkdir(exist_ok=True)
                np.savez(file, allow_pickle=False, **{key.split("/", 1)[1]: value for key, value in arrays})
    jobs.prune(name, [])


if __name__ == "__main__":
    run_stage(main)
