"""Stage `download`: `download.py NAME` fetches a data set's official files into `data/raw/NAME`, checked."""

import sys
from pathlib import Path

from reprise.data import sources
from reprise.errors import run_stage


def main() -> None:
    (name,) = sys.argv[1:]
    sources.fetch(name, Path("data/raw", name))


if __name__ == "__main__":
    run_stage(main)
