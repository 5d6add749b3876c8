"""`reprise scale`: put another scale, whole or for some papers, into params.yaml.

Files are spliced as text, block by block, so comments and layout stay as they are written. The result is validated
before it is written.
"""

import argparse
import difflib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode

from reprise.check import SHARED, problems
from reprise.errors import UserError
from reprise.params import FILE
from reprise.results import write_text

FOLDER = Path("params")
BACKUP = Path(".reprise/params.before.yaml")  # edits that were not committed would be lost else
LAPTOP = "laptop"

Keys = tuple[str, ...]


class ScaleError(UserError):
    """The scale or the paper does not exist, or the result would not be valid."""


def run(arguments: argparse.Namespace) -> int:
    """Write params.yaml and print the unified diff."""
    before = FILE.read_text(encoding="utf-8")
    source = read_scale(arguments.name)
    after = splice(before, source, arguments.papers) if arguments.papers else source
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as aside:
        aside.write(after)
        aside.flush()
        found = problems(Path(aside.name))
        if found:
            listed = "\n".join(line.replace(aside.name, str(FILE)) for line in found)
            raise ScaleError(f"the result would not be valid, {FILE} is as it was:\n{listed}")
    if after != before:
        write_text(before, BACKUP)
    write_text(after, FILE)
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"{FILE} (before)",
        f"{FILE} ({arguments.name})",
    )
    diff = "".join(lines)
    print(f"{diff}\nas it was before: {BACKUP}" if diff else f"{FILE} is at scale {arguments.name} already")
    return 0


def read_scale(name: str) -> str:
    """Text of a scale: a file of `params/`, or for `laptop` the committed params.yaml."""
    if name != LAPTOP:
        path = FOLDER / f"{name}.yaml"
        if not path.exists():
            raise ScaleError(f"{path} is missing: run from the repository's root")
        return path.read_text(encoding="utf-8")
    try:
        shown = subprocess.run(["git", "show", f"HEAD:./{FILE}"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ScaleError(f"scale {LAPTOP} is the committed {FILE}, which git cannot show here: {error}") from None
    return shown.stdout.decode("utf-8")


def splice(text: str, source: str, papers: list[str]) -> str:
    """`text` with the blocks of `papers` taken from `source`, and with them of every data set only they use.

    A data set they share with another paper follows too; one that only other papers use stays as it is. Going to a
    scale and back changes nothing. The lists of `common` keep what the result uses, and gain what they lack.
    """
    wanted = _used(source)
    for paper in papers:
        if paper not in wanted:
            raise ScaleError(f"no paper {paper} in that scale; known: {', '.join(wanted)}")
    theirs = _blocks(source)
    text = _replace(text, {(paper,): theirs[paper,] for paper in papers})
    needed = {name for paper in papers for name in wanted[paper]}
    elsewhere = {name for names in _used(text).values() for name in names} - needed
    described = _load(source)["data"]
    text = _replace(text, {("data", name): theirs["data", name] for name in described if name not in elsewhere})
    return _with_datasets(text, source)


def _load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def _used(text: str) -> dict[str, list[str]]:
    """paper -> the data sets its block names; `upstream.dataset` is what its networks are pretrained on."""
    tree = _load(text)
    papers = {name: block for name, block in tree.items() if name not in SHARED}
    upstream = {name: block.get("upstream", {}).get("dataset") for name, block in papers.items()}
    return {n: [*block.get("datasets", []), *([upstream[n]] if upstream[n] else [])] for n, block in papers.items()}


def _with_datasets(text: str, source: str) -> str:
    """`text` with exactly the data sets that it uses in the lists of `common`; `source` names what `text` lacks."""
    used = list(dict.fromkeys(name for names in _used(text).values() for name in names))
    trees = [_load(written) for written in (text, source)]
    generated = {name for tree in trees for name in tree["common"]["generated"]}
    described = list(trees[0]["data"])
    # In the order of their blocks, so that going to a scale and back changes nothing.
    used.sort(key=lambda name: described.index(name) if name in described else len(described))
    wanted = {
        "fetched": [name for name in used if name not in generated],
        "generated": [name for name in used if name in generated],
    }
    ours = _blocks(text)
    lists: dict[Keys, str] = {}
    for key, names in wanted.items():
        if names != trees[0]["common"][key]:
            written = f"[{', '.join(names)}]"
            lists["common", key] = re.sub(r"\[[^]]*\]", written, ours["common", key], count=1)
    return _replace(text, lists)


def _replace(text: str, blocks: dict[Keys, str]) -> str:
    """`text` with the lines of the blocks at these paths replaced; one that it lacks goes to the end of its parent."""
    lines, spans = text.splitlines(keepends=True), _spans(text)
    # From the last line up, so that the spans of what still waits stay true; of new ones, the last first.
    placed = [(_place(path, spans, len(lines)), block) for path, block in reversed(blocks.items())]
    for (start, end), block in sorted(placed, key=lambda pair: pair[0], reverse=True):
        lines[start:end] = block.splitlines(keepends=True)
    return "".join(lines)


def _place(path: Keys, spans: dict[Keys, tuple[int, int]], length: int) -> tuple[int, int]:
    """Lines that a block at `path` takes: its own, or none at the end of its parent."""
    end = spans[path[:-1]][1] if path[:-1] else length
    return spans.get(path, (end, end))


def _blocks(text: str) -> dict[Keys, str]:
    """path -> the lines of its block, for paths of one and two keys."""
    lines = text.splitlines(keepends=True)
    return {path: "".join(lines[start:end]) for path, (start, end) in _spans(text).items()}


def _spans(text: str) -> dict[Keys, tuple[int, int]]:
    """path -> first line of its block and the line after its last, for paths of one and two keys.

    Blank and comment lines after a block do not count as its own.
    """
    lines = text.splitlines()
    blank = [not line.strip() or line.lstrip().startswith("#") for line in lines]

    def spans(node: Any, above: Keys, stop: int) -> Iterator[tuple[Keys, tuple[int, int]]]:
        starts = [key.start_mark.line for key, _ in node.value]
        for (key, value), start, following in zip(node.value, starts, [*starts[1:], stop], strict=True):
            end = max(number for number in range(start, following) if not blank[number]) + 1
            yield (*above, key.value), (start, end)
            if not above and isinstance(value, MappingNode) and value.start_mark.line > start:
                yield from spans(value, (key.value,), end)

    return dict(spans(YAML(typ="safe", pure=True).compose(text), (), len(lines)))
