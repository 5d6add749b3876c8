"""Stage `circuits-evaluate`: every measurement of the trained networks, and the circuits that figures show."""

from pathlib import Path

import numpy as np

from reprise import params, results
from reprise.circuits import plan
from reprise.circuits.evaluate import Row, circuits_of_texts, evaluate, graphs, predictions
from reprise.circuits.params import load
from reprise.data.arrays import open_prepared
from reprise.errors import run_stage
from reprise.progress import track


def main() -> None:
    block, seed = load(), params.load_common().seed
    folder_of, out = Path("data/results/circuits/predictions"), Path("data/results/circuits/analysis")
    rows: list[Row] = []
    shown: dict[str, np.ndarray] = {}
    for dataset in track(block.datasets, "circuits-evaluate", len(block.datasets), "data set"):
        folder = Path("data/prepared", dataset)
        runs = predictions(block, dataset, folder_of / dataset)
        plan.check_data(folder_of / dataset, open_prepared(folder).digest)
        rows += evaluate(folder, runs, block.evaluation, block.few_shot, seed)
        if dataset == next((name for name in block.datasets if name in plan.PRUNED), None):
            shown |= graphs(runs)
        shown |= circuits_of_texts(folder, runs)
    results.write(rows, out / "results.parquet")
    aside = out / ".graphs.npz"
    np.savez_compressed(aside, **shown)  # type: ignore[arg-type]
    aside.replace(out / "graphs.npz")


if __name__ == "__main__":
    run_stage(main)
