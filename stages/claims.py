"""Stage `claims`: the ledger, `reports/claims.json` and `reports/claims.md`, decided from the results tables."""

from pathlib import Path

from reprise import claims, params
from reprise.errors import run_stage


def main() -> None:
    blocks = params.read()
    datasets = {paper: blocks[paper]["datasets"] for paper in claims.wings() if paper in blocks}
    claims.write_ledger(Path("data/results"), Path("reports"), datasets)


if __name__ == "__main__":
    run_stage(main)
