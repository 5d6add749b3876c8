"""Stage `amodal-evaluate`: `evaluate.py DATASET` judges every stored prediction and cuts out examples."""

from pathlib import Path

from reprise import params, results
from reprise.amodal import examples
from reprise.amodal.evaluate import evaluate, predictions
from reprise.amodal.params import load
from reprise.errors import run_stage

SHOWN = ("savos", "per_frame", "completion")  # in the pictures


def main() -> None:
    block, seed = load(), params.load_common().seed
    dataset = params.dataset_argument(block.tasks)
    folder = Path("data/prepared", dataset)
    runs = predictions(block, Path("data/results/amodal", dataset, "predictions"), folder)
    rows = evaluate(folder, runs, block.evaluation, seed)
    out = Path("data/results/amodal", dataset)
    results.write(rows, out / "results.parquet")
    # The pictures show the first seed of the methods that run.
    shown = {run.method: run.path for run in reversed(runs) if run.adapted is None and run.method in SHOWN}
    examples.write(examples.collect(folder, shown, block.evaluation), out / "examples.npz")


if __name__ == "__main__":
    run_stage(main)
