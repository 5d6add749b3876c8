"""Stage `amodal-report`: headline metrics, figures and their data, from results tables and examples alone."""

from pathlib import Path

from reprise import figures, results
from reprise.amodal import animation, examples
from reprise.amodal.figures import ANIMATION, TABLES, exhibits
from reprise.amodal.headline import headline
from reprise.amodal.params import load
from reprise.amodal.tidy_examples import strips
from reprise.errors import run_stage


def main() -> None:
    folder, names = Path("data/results/amodal"), load().datasets
    # Figures show data sets in the order of the parameters.
    table = results.expand(results.read([folder / name / "results.parquet" for name in names]))
    found = [example for name in names for example in examples.read(folder / name / "examples.npz", name)]
    results.write_json(headline(table), Path("reports/metrics/amodal.json"))
    figures.draw(exhibits(found), table, "amodal")
    for name, tidy in TABLES.items():
        figures.save_data(tidy(table), name, "amodal")
    animation.save(found, ANIMATION, "amodal")
    figures.save_data(strips(found), ANIMATION, "amodal")


if __name__ == "__main__":
    run_stage(main)
