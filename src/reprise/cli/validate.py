"""`reprise check`: every block of a parameter file against the model of the code that reads it."""

import argparse
import sys
from pathlib import Path

from reprise.check import problems
from reprise.params import FILE


def run(arguments: argparse.Namespace) -> int:
    """Print "FILE: ok" or every problem of each file; 1 if there was one."""
    files = [Path(name) for name in arguments.files] or [FILE, *sorted(Path("params").glob("*.yaml"))]
    status = 0
    for file in files:
        found = problems(file)
        if found:
            print("\n".join(found), file=sys.stderr)
            status = 1
        else:
            print(f"{file}: ok")
    return status
