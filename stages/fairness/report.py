"""Stage `fairness-report`: headline metrics, figures and their data, from the results tables alone."""

from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from reprise import figures, results
from reprise.errors import run_stage
from reprise.fairness.figures import FIGURES, TABLES
from reprise.fairness.headline import headline
from reprise.fairness.params import load


def draw(name: str, table: pd.DataFrame) -> None:
    """One figure and its data; nothing where the run holds nothing of the kind."""
    tidy, figure = FIGURES[name]
    data = tidy(table)
    if len(data):
        figures.save(figure(data), data, name, "fairness")


def main() -> None:
    paths = [Path("data/results/fairness", dataset, "results.parquet") for dataset in load().datasets]
    table = results.expand(results.read(paths))
    results.write_json(headline(table), Path("reports/metrics/fairness.json"))
    with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:  # drawing is most of this stage
        list(pool.map(draw, FIGURES, repeat(table)))
    for name, tidy in TABLES.items():
        figures.save_data(tidy(table), name, "fairness")


if __name__ == "__main__":
    run_stage(main)
