"""`reprise why`: which file, parameter or upstream stage makes a stage run."""

import argparse

from reprise.cli.graph import Node, named, nodes


def run(arguments: argparse.Namespace) -> int:
    """Print the reasons of one stage, or group of stages, or of all that would run."""
    found = nodes([arguments.stage] if arguments.stage else [])
    asked = named(arguments.stage, found) if arguments.stage else [name for name, node in found.items() if node.runs]
    for name in asked:
        print("\n".join(_explained(found[name])))
    if not arguments.stage:
        running = len(asked)
        print(f"{running} of {len(found)} stages would run" if running else "nothing would run: all is up to date")
    return 0


def _explained(node: Node) -> list[str]:
    if not node.runs:
        return [f"{node.name} is up to date: nothing that it depends on has changed since it ran"]
    lines = [f"{node.name} would run:"]
    lines += [f"  {reason}" for reason in node.reasons]
    if node.upstream:
        wrote = "it writes" if len(node.upstream) == 1 else "they write"
        lines.append(f"  after {', '.join(node.upstream)}, if what {wrote} changes")
    return lines
