"""Stage `circuits-latency`: how long networks take; it trains none, and runs alone so that nothing disturbs it."""

from pathlib import Path

from reprise import params, results
from reprise.circuits.latency import measure, one_thread
from reprise.circuits.params import load
from reprise.errors import run_stage


def main() -> None:
    block, seed = load(), params.load_common().seed
    with one_thread():
        results.write(
            measure(block, Path("data/prepared"), seed), Path("data/results/circuits/latency/results.parquet")
        )


if __name__ == "__main__":
    run_stage(main)
