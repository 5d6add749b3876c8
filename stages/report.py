"""Stage `report`: the ledger and a page per paper as static HTML."""

from pathlib import Path

from reprise.errors import run_stage
from reprise.params import FILE
from reprise.report.build import build, discover


def main() -> None:
    for path in build(discover(), reports=Path("reports"), params=FILE):
        print(path)


if __name__ == "__main__":
    run_stage(main)
