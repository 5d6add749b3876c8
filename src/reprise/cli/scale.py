"""`reprise scale`: put another scale, whole or for some papers, into params.yaml.

Files are spliced as text, block by block, so comments and layout stay as they are written. The result is validated
before it is written.
"""

import argparse
import difflib
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from reprise.check import SHARED, problems
from reprise.errors import UserError
from reprise.params import FILE
from reprise.results import write_text

FOLDER = Path("params")
LAPTOP = "laptop"


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
    write_text(after, FILE)
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"{FILE} (before)",
        f"{FILE} ({arguments.name})",
    )
    diff = "".join(lines)
    print(diff if diff else f"{FILE} is at scale {arguments.name} already")
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
    for paper in papers:
        text = _replace(text, (paper,), _block(source, (paper,)))
    needed = {name for paper in papers for name in wanted[paper]}
    elsewhere = {name for names in _used(text).values() for name in names} - needed
    described = YAML(typ="safe", pure=True).load(source)["data"]
    for name in [name for name in described if name not in elsewhere]:
        text = _replace(text, ("data", name), _block(source, ("data", name)))
    return _with_datasets(text, source)


def _used(text: str) -> dict[str, list[str]]:
    """paper -> the data sets its block names; `upstream.dataset` is what its networks are pretrained on."""
    tree = YAML(typ="safe", pure=True).load(text)
    papers = {name: block for name, block in tree.items() if name not in SHARED}
    upstream = {name: block.get("upstream", {}).get("dataset") for name, block in papers.items()}
    return {n: [*block.get("datasets", []), *([upstream[n]] if upstream[n] else [])] for n, block in papers.items()}


def _with_datasets(text: str, source: str) -> str:
    """`text` with exactly the data sets that it uses in the lists of `common`; `source` names what `text` lacks."""
    used = list(dict.fromkeys(name for names in _used(text).values() for name in names))
    trees = [YAML(typ="safe", pure=True).load(written) for written in (text, source)]
    generated = {name for tree in trees for name in tree["common"]["generated"]}
    described = list(trees[0]["data"])
    # In the order of their blocks, so that going to a scale and back changes nothing.
    used.sort(key=lambda name: described.index(name) if name in described else len(described))
    wanted = {
        "fetched": [name for name in used if name not in generated],
        "generated": [name for name in used if name in generated],
    }
    for key, names in wanted.items():
        if names != trees[0]["common"][key]:
            text = _with_list(text, ("common", key), names)
    return text


def _with_list(text: str, path: tuple[str, ...], names: list[str]) -> str:
    changed = re.sub(r"\[[^]]*\]", lambda _: f"[{', '.join(names)}]", _block(text, path), count=1)
    return _replace(text, path, changed)


def _replace(text: str, path: tuple[str, ...], block: str) -> str:
    """`text` with the lines of the block at `path` replaced; a block it lacks goes to the end of its parent."""
    lines = text.splitlines(keepends=True)
    try:
        start, end = _lines(text, path)
    except KeyError:
        start = end = _lines(text, path[:-1])[1] if path[:-1] else len(lines)
    return "".join(lines[:start]) + block + "".join(lines[end:])


def _block(text: str, path: tuple[str, ...]) -> str:
    start, end = _lines(text, path)
    return "".join(text.splitlines(keepends=True)[start:end])


def _lines(text: str, path: tuple[str, ...]) -> tuple[int, int]:
    """First line of the block at `path` and the line after its last; blank and comment lines after it do not count.

    Raises KeyError if there is no such block.
    """
    node: Any = YAML().load(text)
    for key in path[:-1]:
        node = node[key]
    start, column = node.lc.key(path[-1])
    lines = text.splitlines()
    end = start + 1
    for number in range(start + 1, len(lines)):
        line = lines[number]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if len(line) - len(line.lstrip()) <= column:
            break
        end = number + 1
    return start, end
