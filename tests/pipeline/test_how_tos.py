"""The how-tos of `docs/`, done as they say: their files are written, their changes made, their commands run."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from conftest import ROOT, copy_of, run_in

BLOCK = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def follow(page: str, folder: Path) -> list[str]:
    """Does everything the page shows; returns what its commands printed."""
    printed = []
    run = run_in(folder)
    for kind, where, text in BLOCK.findall((ROOT / "docs" / page).read_text()):
        if kind == "sh":
            printed += [run("bash", "-c", f"set -e -o pipefail; {line}").stdout for line in text.splitlines()]
        elif kind == "diff":
            for pattern in where.split():
                assert [change(file, text) for file in folder.glob(pattern)], f"{pattern} is no file"
        else:
            (folder / where).parent.mkdir(parents=True, exist_ok=True)
            (folder / where).write_text(text)
    return printed


def change(file: Path, diff: str) -> None:
    """Lines that begin with " " and "-" become those with " " and "+", in the one place where they stand."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    text = file.read_text()
    assert text.count(before) == 1, f"{file} holds this {text.count(before)} times:\n{before}"
    file.write_text(text.replace(before, after))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("adding-a-method.md", ("fishbowl_lite,test,grown", "file src/reprise/amodal/evaluate.py is changed")),
        ("adding-a-data-set.md", ("raffle", "fair_accuracy")),
        ("adding-a-paper.md", ("coins-evaluate@penny", "coins.fair: A fair coin shows")),
    ],
)
def test_a_how_to_does_what_it_says(smoke: Path, tmp_path: Path, page: str, expected: tuple[str, ...]) -> None:
    folder = copy_of(smoke, tmp_path / "clone")
    printed = "\n".join(follow(page, folder))
    for text in expected:
        assert text in printed, printed
    # What was added keeps the graph's contract: stages depend on what they import, and on nothing else.
    for name in ("conftest.py", "pipeline/test_graph.py"):
        (folder / "tests/pipeline").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / name, folder / "tests" / name)
    run_in(folder)(sys.executable, "-m", "pytest", "-q", "tests/pipeline/test_graph.py")


def test_departures_are_those_of_the_pages() -> None:
    from reprise.report import departures

    written = (ROOT / "docs/departures.md").read_text()
    assert written == departures.text(), "python -m reprise.report.departures > docs/departures.md"
