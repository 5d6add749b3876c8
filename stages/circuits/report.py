"""Stage `circuits-report`: headline metrics, figures and their data, from results tables and circuits alone."""

from pathlib import Path

from reprise import figures, results
from reprise.circuits import tidy, tidy_graphs
from reprise.circuits.figures import DATA, TABLES, exhibits
from reprise.circuits.headline import headline
from reprise.circuits.params import load
from reprise.errors import run_stage


def main() -> None:
    analysis, latency = (Path("data/results/circuits", name) for name in ("analysis", "latency"))
    table = results.expand(results.read([analysis / "results.parquet", latency / "results.parquet"]))
    # Figures show data sets in the order of the parameters; what is timed without one comes last.
    table = tidy.ordered(table, "dataset", [*load().datasets, ""])
    graphs = tidy_graphs.read(analysis / "graphs.npz")
    results.write_json(headline(table), Path("reports/metrics/circuits.json"))
    figures.draw(exhibits(graphs), table, "circuits")
    for name, of_results in TABLES.items():
        figures.save_data(of_results(table), name, "circuits")
    for name, of_graphs in DATA.items():
        figures.save_data(of_graphs(graphs), name, "circuits")


if __name__ == "__main__":
    run_stage(main)
