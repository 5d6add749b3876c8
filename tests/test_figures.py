"""The shared style: what a saved figure leaves on disk."""

from pathlib import Path

import pandas as pd
import pytest

from reprise import figures


def draw() -> tuple[figures.Figure, pd.DataFrame]:
    data = pd.DataFrame({"name": ["a", "b"], "value": [1 / 3, 2e-9], "sd": [0.1, None]})
    figure, (ax,) = figures.panels(1)
    figures.error_points(ax, [0, 1], data["value"], yerr=data["sd"], color=figures.BLUE, marker="o", label="points")
    figures.titles(ax, "title", note="note", x="x", y="y")
    figures.legend(figure, [ax])
    return figure, data


def test_save_is_deterministic_and_leaves_nothing_aside(tmp_path: Path) -> None:
    for place in ("one", "two"):
        figures.save(*draw(), "name", "paper", reports=tmp_path / place)
    written = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert [str(path) for path in written] == ["figures/paper/name.svg", "plots/paper/name.csv"]
    for path in written:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_saved_files_hold_no_date_and_rounded_numbers(tmp_path: Path) -> None:
    figures.save(*draw(), "name", "paper", reports=tmp_path)
    assert "<dc:date>" not in (tmp_path / "figures/paper/name.svg").read_text()
    assert (tmp_path / "plots/paper/name.csv").read_bytes() == b"name,value,sd\na,0.333333,0.1\nb,0.0,\n"


@pytest.mark.parametrize(("n", "shape"), [(1, (1, 1)), (3, (1, 3)), (5, (2, 3))])
def test_panels_wrap(n: int, shape: tuple[int, int]) -> None:
    figure, axes = figures.panels(n)
    assert len(axes) == n
    assert len(figure.axes) == shape[0] * shape[1]


def test_stacks_wrap() -> None:
    figure, stacks = figures.stacks(4, [2, 1])
    assert [len(stack) for stack in stacks] == [2] * 4
    assert len(figure.axes) == 12


def test_a_far_value_is_told_in_words() -> None:
    _, (ax,) = figures.panels(1)
    assert figures.clamp(ax, [0.8, 0.9], 0.5, "constant")
    assert ax.get_ylim()[0] > 0.7
    assert "0.50" in ax.texts[0].get_text()
    assert not figures.clamp(ax, [0.8, 0.9], 0.79, "constant")
