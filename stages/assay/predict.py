"""Stage `assay-predict`: `predict.py DATASET` applies every network once and keeps its logits."""

import shutil
from pathlib import Path

from reprise import architectures, jobs, params
from reprise.assay import plan
from reprise.assay.params import load
from reprise.assay.tasks import Task
from reprise.data.arrays import aside, sha256
from reprise.errors import run_stage


def main() -> None:
    block, seed = load(), params.load_common().seed
    dataset = params.dataset_argument(block.tasks)
    task, source = block.tasks[dataset], Path("data/prepared", dataset)
    models = Path("data/models/assay", dataset)
    groups = plan.groups(block, dataset)
    todo = []
    for members in groups.values():
        first = members[0]
        strategies = block.strategies.model_dump(exclude={"architectures"})
        if first.model not in block.strategies.architectures:
            strategies["names"] = []
        domains = {"invariance": task.pool, "planted_cue": [task.planted_cue.test] if task.planted_cue else []}
        todo.append(
            {
                "runs": [run.as_job() for run in members],
                "folder": str(source),
                "weights": str(models),
                "start": str(Path("data/models/assay/pretrain", first.start)),
                "seed": seed,
                "domains": domains.get(first.arm, task.test),
                "evaluation": block.evaluation.model_dump(),
                "strategies": strategies,
            }
        )
    name = f"assay-predict@{dataset}"
    inputs = [Task(source).data.digest, *(sha256(path) for path in sorted(models.glob("*.safetensors")))]
    inputs += [architectures.fingerprint(model) for model in block.architectures]
    done = jobs.run(name, "reprise.assay.predict:predict", todo, inputs=inputs, labels=list(groups))
    with aside(Path("data/results/assay", dataset, "predictions")) as folder:
        for label, path in zip(groups, done, strict=True):
            shutil.copyfile(path, folder / f"{label}.npz")
    jobs.prune(name, [])


if __name__ == "__main__":
    run_stage(main)
