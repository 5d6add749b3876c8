"""Stage `amodal-train`: `train.py DATASET` trains every network of the plan and adapts those that go on."""

from pathlib import Path

from safetensors.numpy import save_file

from reprise import jobs, params
from reprise.amodal import plan
from reprise.amodal.params import load
from reprise.amodal.tracks import visible_digest
from reprise.data.arrays import aside, open_prepared
from reprise.errors import UserError, run_stage

EVERYWHERE = "every frame"  # has a full mask, what a card says where it is not so in `truth`


def main() -> None:
    block, seed = load(), params.load_common().seed
    dataset = params.dataset_argument(block.tasks)
    source, task = Path("data/prepared", dataset), block.tasks[dataset]
    data = open_prepared(source)
    shared = {
        "folder": str(source),
        "settings": block.model_dump(include={"network", "training", "completion"}),
        "common_seed": seed,
    }
    name, runs = f"amodal-train@{dataset}", plan.runs(block, dataset)
    hidden = list(dict.fromkeys(run.method for run in runs if run.method in plan.SUPERVISED))
    if hidden and (known := data.card.get("truth", EVERYWHERE)) != EVERYWHERE:
        raise UserError(
            f"{', '.join(hidden)}: trained on full masks, which {dataset} has for {known} only; "
            f"take it out of amodal.tasks.{dataset}.runs"
        )
    # Supervised baselines alone depend on the hidden truth: changing it retrains nothing else.
    todo = [
        {"method": run.method, "seed": run.seed, "steps": task.steps, "batch_size": task.batch_size, **shared}
        | ({"batch_size": task.supervised_batch_size, "truth": data.digest} if run.method in hidden else {})
        for run in runs
    ]
    labels = [f"{dataset} {run.label}" for run in runs]
    inputs = [visible_digest(data)]
    done = jobs.run(name, "reprise.amodal.train:train", todo, inputs=inputs, labels=labels)
    stored = dict(zip(runs, done, strict=True))
    adaptation = block.adaptation
    split = {"transductive": "unseen", "inductive": "unseen_adapt"}[adaptation.mode]
    going = plan.adapting(block, dataset) if split in data.card["splits"] else []
    todo = [
        {
            "method": run.method,
            "seed": run.seed,
            "weights": str(stored[run]),
            "split": split,
            "at": adaptation.steps,
            "lr": adaptation.lr,
            "batch_size": adaptation.batch_size,
            **shared,
        }
        for run in going
    ]
    labels = [f"{dataset} {run.label} adapted" for run in going]
    adapted = jobs.run(f"{name}-adapt", "reprise.amodal.train:adapt", todo, inputs=inputs, labels=labels)
    with aside(Path("data/models/amodal", dataset)) as folder:
        for run, path in stored.items():
            save_file(jobs.load(path), folder / f"{run.label}.safetensors")
        for run, path in zip(going, adapted, strict=True):
            save_file(jobs.load(path), folder / f"{run.label}.adapted.safetensors")
    jobs.prune(name, done)
    jobs.prune(f"{name}-adapt", adapted)


if __name__ == "__main__":
    run_stage(main)
