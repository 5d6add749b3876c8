"""Stage `assay-analyse`: the analyses of Section 5 over all tasks, from the tables of measurements alone."""

import json
from pathlib import Path

import pandas as pd

from reprise import params, results
from reprise.assay.analysis.analyse import analyse
from reprise.assay.analysis.settings import Settings
from reprise.assay.params import load
from reprise.errors import run_stage
from reprise.seeding import derive


def main() -> None:
    block, seed = load(), params.load_common().seed
    folder = Path("data/results/assay")
    table = results.expand(results.read([folder / "measurements" / f"{name}.parquet" for name in block.datasets]))
    upstream = pd.DataFrame(json.loads(Path("data/models/assay/pretrain/upstream.json").read_text())["architectures"])
    upstream = upstream.groupby("model", as_index=False).mean(numeric_only=True)  # over seeds
    counts = table[table["metric"] == "classes"]
    settings = Settings(
        classes={name: int(count) for name, count in zip(counts["dataset"], counts["value"], strict=True)},
        bootstrap=block.analysis.bootstrap,
        transform=block.analysis.transform,
        n_factors=block.analysis.factors,
        rotation=block.analysis.rotation,
        seed=derive(seed, "assay", "analysis"),
    )
    results.write(analyse(table, upstream, settings), folder / "analysis/results.parquet")


if __name__ == "__main__":
    run_stage(main)
