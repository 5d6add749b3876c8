"""Stage `fairness-pretrain`: `pretrain.py DATASET` writes the backbones that every network of a seed starts from."""

from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from reprise import jobs, params
from reprise.data.arrays import aside, open_prepared
from reprise.errors import run_stage
from reprise.fairness.params import load


def main() -> None:
    block, seed = load(), params.load_common().seed
    dataset = params.dataset_argument(block.tasks)
    task, source = block.tasks[dataset], Path("data/prepared", dataset)
    data = open_prepared(source)
    shared: dict[str, Any] = {
        "dataset": dataset,
        "folder": str(source),
        "seed": seed,
        "backbone": task.backbone,
        "init": task.init,
        "recipe": task.pretrain.model_dump() if task.pretrain else {},
    }
    todo = [{**shared, "draw": draw} for draw in block.seeds]
    if task.init == "factors":
        done = jobs.run(f"fairness-pretrain@{dataset}", "reprise.fairness.pretrain:start", todo, inputs=[data.digest])
        starts = [jobs.load(path) for path in done]
    else:  # nothing is trained
        from reprise.fairness import pretrain

        starts = [pretrain.start(**job) for job in todo]
    with aside(Path("data/models/fairness", dataset, "pretrain")) as folder:
        for job, weights in zip(todo, starts, strict=True):
            save_file(weights, folder / f"s{job['draw']}.safetensors")


if __name__ == "__main__":
    run_stage(main)
