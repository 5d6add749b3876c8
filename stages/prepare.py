"""Stages `prepare` and `generate`: `prepare.py NAME` makes the arrays of `data/prepared/NAME`.

Those of a fetched data set come from `data/raw/NAME`; a generated one reads nothing.
"""

import sys
from pathlib import Path

from reprise import params
from reprise.data import registry
from reprise.errors import run_stage


def main() -> None:
    (name,) = sys.argv[1:]
    options = params.load_block("data", name, model=registry.options_model(name))
    prepare = registry.prepare_function(name)
    prepare(Path("data/raw", name), Path("data/prepared", name), options, seed=params.load_common().seed)


if __name__ == "__main__":
    run_stage(main)
