"""Stage `circuits-train`: `train.py DATASET` trains every network of the plan."""

from pathlib import Path

from safetensors.numpy import save_file

from reprise import jobs, params
from reprise.circuits import plan
from reprise.circuits.params import load
from reprise.data.arrays import aside, open_prepared
from reprise.errors import run_stage


def main() -> None:
    block, seed = load(), params.load_common().seed
    dataset = params.dataset_argument(block.tasks)
    source = Path("data/prepared", dataset)
    data = open_prepared(source)
    runs, shared = plan.runs(block, dataset), {"settings": plan.settings(block, dataset), "common_seed": seed}
    todo = [{"method": run.method, "seed": run.seed, "folder": str(source), **shared} for run in runs]
    labels = [f"{dataset} {run.label}" for run in runs]
    name = f"circuits-train@{dataset}"
    done = jobs.run(name, "reprise.circuits.train:train", todo, inputs=[data.digest], labels=labels)
    with aside(Path("data/models/circuits", dataset)) as folder:
        for run, path in zip(runs, done, strict=True):
            save_file(jobs.load(path), folder / f"{run.label}.safetensors")
        plan.name_data(folder, data.digest)
    jobs.prune(name, done)


if __name__ == "__main__":
    run_stage(main)
