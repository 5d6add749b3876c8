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


def tidy(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["value"] > 1].reset_index(drop=True)


def points(data: pd.DataFrame) -> figures.Figure:
    assert len(data), "asked to draw nothing"
    figure, (ax,) = figures.panels(1)
    ax.plot(data["value"])
    figures.titles(ax, "title", x="x", y="y")
    return figure


def test_every_exhibit_is_drawn_but_the_empty_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"name": ["a", "b", "c"], "value": [1.0, 2.0, 3.0]})
    exhibits = {f"exhibit_{k}": (tidy, points) for k in range(5)}
    exhibits |= {
        "empty": (lambda table: table[:0], points),
        "reversed": (lambda table: tidy(table[::-1]), lambda data: points(data)),  # workers need not pickle them
    }
    figures.draw(exhibits, table, "paper")
    written = {str(path.relative_to("reports")) for path in Path("reports").rglob("*.*")}
    drawn = [name for name in exhibits if name != "empty"]
    assert written == {f"figures/paper/{n}.svg" for n in drawn} | {f"plots/paper/{n}.csv" for n in drawn}
    assert Path("reports/plots/paper/exhibit_3.csv").read_text() == "name,value\nb,2.0\nc,3.0\n"
    assert Path("reports/plots/paper/reversed.csv").read_text() == "name,value\nc,3.0\nb,2.0\n"
    for name in ("exhibit_0", "exhibit_4"):  # the bytes of one that is drawn alone
        figures.save(points(tidy(table)), tidy(table), name, "paper", reports=Path("alone"))
        file = f"figures/paper/{name}.svg"
        assert Path("reports", file).read_bytes() == Path("alone", file).read_bytes()


def test_an_exhibit_that_fails_is_heard_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyError, match="value"):
        figures.draw({"good": (tidy, points)}, pd.DataFrame({"name": ["a"]}), "paper")
    figures.draw({}, pd.DataFrame(), "paper")
    assert not (tmp_path / "reports").exists()


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
