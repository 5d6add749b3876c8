"""`reprise claims`: the ledger as a table on the terminal."""

import argparse
import json
import shutil
import textwrap
from collections import Counter
from pathlib import Path

from reprise.claims import NOT_MEASURED, criterion, shown, wings
from reprise.errors import UserError

LEDGER = Path("reports/claims.json")
NARROWEST = 30  # columns left for the statement, however narrow the terminal


def run(arguments: argparse.Namespace) -> int:
    """Print verdict, measured value, criterion and statement of every claim."""
    if not LEDGER.exists():
        raise UserError(f"{LEDGER} is missing: run `dvc repro claims`")
    decided = json.loads(LEDGER.read_text(encoding="utf-8"))
    found = wings()
    if arguments.paper and arguments.paper not in found:
        raise UserError(f"no paper {arguments.paper}; known: {', '.join(found)}")
    names = [arguments.paper] if arguments.paper else list(found)
    verdicts: Counter[str] = Counter()
    header = ["verdict", "here", "criterion", "claim"]
    rows: list[list[str]] = []
    for name in names:
        for claim in found[name].CLAIMS:
            entry = decided.get(claim.id, {"verdict": NOT_MEASURED})
            verdicts[entry["verdict"]] += 1
            rows.append([entry["verdict"], shown(entry), criterion(claim), f"{claim.id}: {claim.statement}"])
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(3)]
    room = max(shutil.get_terminal_size((120, 24)).columns - sum(widths) - 6, NARROWEST)
    for row in [header, *rows]:
        left = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        first, *rest = textwrap.wrap(row[3], room)
        print(f"{left}  {first}")
        for line in rest:
            print(" " * (len(left) + 2) + line)
    print(", ".join(f"{number} {verdict}" for verdict, number in verdicts.items()))
    return 0
