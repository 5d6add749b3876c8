"""Time papers one by one, each in a fresh clone; writes `benchmarks/papers.md`.

    python benchmarks/papers.py [PAPER ...] [--plain]

Runs what is committed, with the packages of this environment, on a machine with nothing else to do (5 minutes a paper).
`--plain` times `dvc repro` instead of `reprise repro -j 2`. Rows of what is not timed again stay.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks/papers.md"
PAPERS = ("fairness", "assay", "amodal", "circuits")


def timed(paper: str, plain: bool) -> str:
    """A row of the table."""
    command = [*(("dvc", "repro") if plain else ("reprise", "repro", "-j", "2")), f"{paper}-report"]
    with tempfile.TemporaryDirectory() as aside:
        clone = Path(aside, "clone")
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone / "src"), "DVC_NO_ANALYTICS": "1"}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(command, cwd=clone, env=environment, check=True)
        seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"| `{' '.join(command)}` | {seconds:.0f} | {work:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("papers", nargs="*", metavar="PAPER", help=", ".join(PAPERS))
    parser.add_argument("--plain", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.papers) - set(PAPERS):
        parser.error(f"no paper {', '.join(sorted(unknown))}; known: {', '.join(PAPERS)}")
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| `")] if TABLE.exists() else []
    for paper in arguments.papers or PAPERS:
        row = timed(paper, arguments.plain)
        print(row, flush=True)
        rows = sorted([one for one in rows if one.split("|")[1] != row.split("|")[1]] + [row])
        lines = [
            "# One paper, from a fresh clone",
            "",
            "Written by `benchmarks/papers.py`: from data to figures at the laptop scale, installation not counted. "
            f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; no GPU.",
            "The last column adds up what all cores did.",
            "",
            "| command | seconds | core-seconds |",
            "| --- | --- | --- |",
            *rows,
        ]
        TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
