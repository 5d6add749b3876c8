"""Stage `assay-report`: headline metrics, figures and their data, from the results tables alone."""

from pathlib import Path

from reprise import figures, results
from reprise.assay.figures import FIGURES, TABLES
from reprise.assay.headline import headline
from reprise.assay.params import load
from reprise.errors import run_stage


def main() -> None:
    folder = Path("data/results/assay")
    # The analyses come last: figures show data sets in the order of the parameters.
    paths = [folder / "measurements" / f"{name}.parquet" for name in load().datasets]
    table = results.expand(results.read([*paths, folder / "analysis/results.parquet"]))
    results.write_json(headline(table), Path("reports/metrics/assay.json"))
    figures.draw(FIGURES, table, "assay")
    for name, tidy in TABLES.items():
        figures.save_data(tidy(table), name, "assay")


if __name__ == "__main__":
    run_stage(main)
