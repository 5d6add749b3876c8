"""Stage `circuits-predict`: applies every trained network once and keeps its predictions."""

import shutil
from pathlib import Path

from reprise import jobs, params
from reprise.circuits import plan
from reprise.circuits.params import load
from reprise.data.arrays import aside, open_prepared, sha256
from reprise.errors import run_stage

NAME = "circuits-predict"


def main() -> None:
    block, seed = load(), params.load_common().seed
    runs = [(dataset, run) for dataset in block.datasets for run in plan.runs(block, dataset)]
    folders = {dataset: Path("data/prepared", dataset) for dataset in block.datasets}
    digests = {dataset: open_prepared(folder).digest for dataset, folder in folders.items()}
    models = {dataset: Path("data/models/circuits", dataset) for dataset in block.datasets}
    for dataset, digest in digests.items():
        plan.check_data(models[dataset], digest)
    files = [models[dataset] / f"{run.label}.safetensors" for dataset, run in runs]
    todo = [
        {
            "method": run.method,
            "seed": run.seed,
            "weights": str(file),
            "folder": str(folders[dataset]),
            "settings": plan.settings(block, dataset),
            "pruning": block.pruning.model_dump(),
            "cut": block.evaluation.cut,
            "common_seed": seed,
        }
        for (dataset, run), file in zip(runs, files, strict=True)
    ]
    inputs = [*digests.values(), *map(sha256, files)]
    labels = [f"{dataset} {run.label}" for dataset, run in runs]
    done = jobs.run(NAME, "reprise.circuits.predict:predict", todo, inputs=inputs, labels=labels)
    with aside(Path("data/results/circuits/predictions")) as folder:
        for (dataset, run), path in zip(runs, done, strict=True):
            (folder / dataset).mkdir(exist_ok=True)
            plan.name_data(folder / dataset, digests[dataset])
            shutil.copyfile(path, folder / dataset / f"{run.label}.npz")
    jobs.prune(NAME, [])


if __name__ == "__main__":
    run_stage(main)
