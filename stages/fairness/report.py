"""Stage `fairness-report`: headline metrics, figures and their data, from the results tables alone."""

from pathlib import Path

from reprise import figures, results
from reprise.errors import run_stage
from reprise.fairness.figures import FIGURES, TABLES
from reprise.fairness.headline import headline
from reprise.fairness.params import load


def main() -> None:
    paths = [Path("data/results/fairness", dataset, "results.parquet") for dataset in load().datasets]
    table = results.expand(results.read(paths))
    results.write_json(headline(table), Path("reports/metrics/fairness.json"))
    figures.draw(FIGURES, table, "fairness")
    for name, tidy in TABLES.items():
        figures.save_data(tidy(table), name, "fairness")


if __name__ == "__main__":
    run_stage(main)
