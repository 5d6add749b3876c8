"""Stage `amodal-predict`: `predict.py DATASET` applies every network once and keeps its predictions."""

import shutil
from pathlib import Path

from reprise import jobs, params
from reprise.amodal import plan
from reprise.amodal.params import load
from reprise.amodal.tracks import visible_digest
from reprise.data.arrays import aside, open_prepared, sha256
from reprise.errors import run_stage


def main() -> None:
    block = load()
    dataset = params.dataset_argument(block.tasks)
    source, models = Path("data/prepared", dataset), Path("data/models/amodal", dataset)
    data = open_prepared(source)
    splits = [name for name in ("test", "unseen") if name in data.card["splits"]]
    runs = [*plan.runs(block, dataset), *(plan.adapted(block, dataset) if "unseen" in splits else [])]
    todo = [
        {
            "method": run.method,
            "weights": str(models / f"{plan.Run(run.method, run.seed).label}{ending}.safetensors"),
            "folder": str(source),
            "splits": splits if run.adapted is None else ["unseen"],
            "steps": run.adapted,
            "settings": block.model_dump(include={"network", "training", "completion"}),
        }
        for run in runs
        for ending in ["" if run.adapted is None else ".adapted"]
    ]
    inputs = [visible_digest(data), *(sha256(path) for path in sorted(models.glob("*.safetensors")))]
    labels = [f"{dataset} {run.label}" for run in runs]
    name = f"amodal-predict@{dataset}"
    done = jobs.run(name, "reprise.amodal.predict:predict", todo, inputs=inputs, labels=labels)
    with aside(Path("data/results/amodal", dataset, "predictions")) as folder:
        for run, path in zip(runs, done, strict=True):
            shutil.copyfile(path, folder / f"{run.label}.npz")
    jobs.prune(name, [])


if __name__ == "__main__":
    run_stage(main)
