"""Stage `assay-report`: headline metrics, figures and their data, from the results tables alone."""

from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from reprise import figures, results
from reprise.assay.figures import FIGURES, TABLES
from reprise.assay.headline import headline
from reprise.assay.params import load
from reprise.errors import run_stage


def draw(name: str, table: pd.DataFrame) -> None:
    """One figure and its data; nothing where the run holds nothing of the kind."""
    tidy, figure = FIGURES[name]
    data = tidy(table)
    if len(data):
        figures.save(figure(data), data, name, "assay")


def main() -> None:
    folder = Path("data/results/assay")
    # The analyses come last: figures show data sets in the order of the parameters.
    paths = [folder / "measurements" / f"{name}.parquet" for name in load().datasets]
    table = results.expand(results.read([*paths, folder / "analysis/results.parquet"]))
    results.write_json(headline(table), Path("reports/metrics/assay.json"))
    with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:  # drawing is most of this stage
        list(pool.map(draw, FIGURES, repeat(table)))
    for name, tidy in TABLES.items():
        figures.save_data(tidy(table), name, "assay")


if __name__ == "__main__":
    run_stage(main)
