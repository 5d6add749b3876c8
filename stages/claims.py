"""Stage `claims`: the ledger, `reports/claims.json` and `reports/claims.md`, decided from the results tables."""

from pathlib import Path

from reprise import claims
from reprise.errors import run_stage


def main() -> None:
    claims.write_ledger(Path("data/results"), Path("reports"))


if __name__ == "__main__":
    run_stage(main)
