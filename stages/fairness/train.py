"""Stage `fairness-train`: `train.py DATASET` trains every network of the plan."""

from pathlib import Path

from safetensors.numpy import save_file

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
    starts = {draw: models / f"pretrain/s{draw}.safetensors" for draw in block.seeds}
    inputs = [data.digest, *(sha256(path) for path in starts.values())]
    shared = {"folder": str(source), "seed": seed, "protected": task.protected, "backbone": task.backbone}
    name = f"fairness-train@{dataset}"

    networks = [run for run in plan.runs(block, dataset) if run.method != "sgd_probe"]
    todo = []
    for run in networks:
        recipe = task.scratch if run.arm == "scratch" and task.scratch else task.train
        extra = {"starts": str(starts[run.seed]), "group_weight": block.methods.group_weight}
        todo.append({"run": run.as_job(), "recipe": recipe.model_dump(), **extra, **shared})
    done = jobs.run(name, "reprise.fairness.train:train", todo, inputs=inputs, labels=[run.label for run in networks])
    with aside(models / "train") as folder:
        for run, path in zip(networks, done, strict=True):
            save_file(jobs.load(path), folder / f"{run.label}.safetensors")

        # The release's probe retrains the last layer of finished networks, so it comes second.
        probes = [run for run in plan.runs(block, dataset) if run.method == "sgd_probe"]
        stored = dict(zip((run.label for run in networks), done, strict=True))
        todo = [
            {"run": run.as_job(), "weights": str(stored[run.probed]), "recipe": block.probe.sgd.model_dump(), **shared}
            for run in probes
        ]
        labels = [run.label for run in probes]
        probed = jobs.run(f"{name}-probe", "reprise.fairness.train:sgd_probe", todo, inputs=inputs, labels=labels)
        for run, path in zip(probes, probed, strict=True):
            save_file(jobs.load(path), folder / f"{run.label}.safetensors")
    jobs.prune(name, done)
    jobs.prune(f"{name}-probe", probed)


if __name__ == "__main__":
    run_stage(main)
