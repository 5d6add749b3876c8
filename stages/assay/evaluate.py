"""Stage `assay-evaluate`: `evaluate.py DATASET` computes every metric from the stored logits, as one tidy table."""

from pathlib import Path

from reprise import jobs, params, results
from reprise.assay import plan
from reprise.assay.evaluate import Labels, Logits, Row, classes, evaluate
from reprise.assay.params import load
from reprise.errors import run_stage
from reprise.progress import track
from reprise.seeding import derive


def main() -> None:
    block, seed = load(), params.load_common().seed
    dataset = params.dataset_argument(block.tasks)
    settings = block.evaluation
    labels = Labels(Path("data/prepared", dataset), seed, settings.max_images, settings.attacked)
    folder = Path("data/results/assay", dataset)
    out = Path("data/results/assay/measurements", f"{dataset}.parquet")
    rows: list[Row] = [classes(dataset, labels)]
    groups = plan.groups(block, dataset)
    for label, members in track(groups.items(), f"assay-evaluate@{dataset}", len(groups), "group"):
        logits: Logits = {}
        for key, values in jobs.load(folder / "predictions" / f"{label}.npz").items():
            run, _, name = key.partition("/")
            logits.setdefault(run, {})[name] = values
        rows += evaluate(members, logits, labels, draws=settings.bootstrap, seed=derive(seed, "assay", "stderr"))
    results.write(rows, out)


if __name__ == "__main__":
    run_stage(main)
