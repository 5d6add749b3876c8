"""Figures: the one style, the grid of panels, and how a figure and its data are written.

Importing this module sets the style; it costs seaborn's import, so only code that draws imports it. A figure is written
as SVG on white (the report shows it on a white card in dark mode too), its letters as outlines, so that it looks the
same everywhere; the same data give the same bytes. Its data go beside it as CSV, for `dvc plots diff`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from reprise.progress import track

REPORTS = Path("reports")
DIGITS = 6
CLIP = re.compile(r"(?<=url\(#)p[0-9a-f]{10}(?=\))|(?<=<clipPath id=\")p[0-9a-f]{10}(?=\")")

# Seaborn's "colorblind" palette by name.
BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, PINK, GREY, YELLOW, SKY = sns.color_palette("colorblind").as_hex()
INK = "#262626"
MUTED = "#6b6b6b"

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#e3e3e3",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 5.5,
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
    "svg.fonttype": "path",
}
matplotlib.use("Agg")
sns.set_theme(style="ticks", palette="colorblind", rc=STYLE)


def grid(rows: int, columns: int, *, width: float = 3.5, height: float = 3.0, **options: Any) -> tuple[Figure, Any]:
    """A figure and its (rows, columns) array of axes; `width` and `height` are of one panel, in inches.

    The figure belongs to no global state, so nobody has to close it.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.05)
    figure = Figure(figsize=(max(width * columns, 4.6), height * rows), layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def panels(n: int, *, columns: int = 3, **options: Any) -> tuple[Figure, list[Axes]]:
    """`n` panels side by side, wrapped after `columns`; the places left over are blank."""
    columns = min(n, columns)
    figure, axes = grid(-(-n // columns), columns, **options)
    flat = list(axes.flat)
    for spare in flat[n:]:
        spare.set_axis_off()
    return figure, flat[:n]


def stacks(
    n: int, ratios: Sequence[float], *, columns: int = 3, width: float = 3.5, height: float = 2.5
) -> tuple[Figure, list[list[Axes]]]:
    """`n` stacks of panels (one above the other, heights in `ratios`), wrapped after `columns` stacks."""
    columns = min(n, columns)
    blocks = -(-n // columns)
    figure, axes = grid(blocks * len(ratios), columns, width=width, height=height, height_ratios=[*ratios] * blocks)
    found = [list(axes[b * len(ratios) : (b + 1) * len(ratios), c]) for b in range(blocks) for c in range(columns)]
    for stack in found[n:]:
        for spare in stack:
            spare.set_axis_off()
    return figure, found[:n]


def legend(figure: Figure, axes: Sequence[Axes], *, columns: int = 4) -> None:
    """One legend below all panels, each label once, in the order of first appearance."""
    found: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        columns = max(1, min(columns, len(found), round(figure.get_figwidth() / 2.6)))
        figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=columns)


def titles(ax: Axes, title: str, *, note: str = "", x: str = "", y: str = "") -> None:
    """Title in bold, an optional `note` in plain letters below it, and the labels of the axes."""
    lines = note.count("\n") + 1 if note else 0
    ax.set_title(title, pad=5 + 12.5 * lines)
    if note:
        ax.annotate(note, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", va="bottom", fontsize=9)
    ax.set_xlabel(x)
    ax.set_ylabel(y)


def clamp(ax: Axes, shown: Any, outlier: float, label: str) -> bool:
    """Fit the y axis to the values `shown` when `outlier` lies far below them, and say in words where it is.

    Returns whether the outlier was left out; otherwise the axis is as it was.
    """
    values = np.asarray(shown, float)
    low, high = np.nanmin(values), np.nanmax(values)
    if not outlier < low - 0.6 * (high - low):
        return False
    pad = 0.08 * (high - low) or 0.01
    ax.set_ylim(low - 2.4 * pad, high + pad)
    ax.annotate(
        f"↓ {label}: {outlier:.2f}", (0.98, 0.02), xycoords="axes fraction", ha="right", fontsize=8.5, color=MUTED
    )
    return True


def label_points(ax: Axes, points: Sequence[tuple[float, float]], texts: Sequence[str]) -> None:
    """Write each text beside its point, on the first side where it covers no other text or point.

    The figure must be laid out (`figure.draw_without_rendering()`), so that distances on paper are known.
    """
    placed: list[tuple[float, float]] = []
    dots = [tuple(ax.transData.transform(point)) for point in points]
    scale = ax.figure.dpi / 72
    sides = [(0, -15), (0, 9), (13, -4), (-13, -4), (13, 9), (-13, 9), (13, -13), (-13, -13), (0, 18), (0, -23)]
    for (x, y), point, text in zip(dots, points, texts, strict=True):

        def free(side: tuple[int, int], x: float = x, y: float = y) -> bool:
            where = (x + scale * side[0], y + scale * (side[1] + 3))
            return all(abs(where[0] - a) > 15 * scale or abs(where[1] - b) > 9 * scale for a, b in placed) and all(
                abs(where[0] - a) > 9 * scale or abs(where[1] - b) > 7 * scale for a, b in dots
            )

        side = next((side for side in sides if free(side)), sides[0])
        placed.append((x + scale * side[0], y + scale * (side[1] + 3)))
        ax.annotate(text, point, side, textcoords="offset points", ha="center", fontsize=8.5)


def error_points(ax: Axes, x: Any, y: Any, *, xerr: Any = None, yerr: Any = None, **style: Any) -> None:
    """Points with bars of one standard deviation over seeds; a single seed (sd missing) has no bar."""
    bars = {
        name: np.nan_to_num(np.asarray(bar, float)) for name, bar in (("xerr", xerr), ("yerr", yerr)) if bar is not None
    }
    faint = to_rgba(style["color"], 0.5)
    ax.errorbar(x, y, **bars, ecolor=faint, elinewidth=1.0, capsize=0, **style)


Exhibit = tuple[Callable[[pd.DataFrame], pd.DataFrame], Callable[[pd.DataFrame], Figure]]


def draw(exhibits: Mapping[str, Exhibit], table: pd.DataFrame, paper: str) -> None:
    """Draw and save every exhibit, (tidy data from the results table, figure from it) by name, side by side.

    One without data is left out: the run holds nothing of the kind.
    """
    # The workers inherit the table by the fork; it would take longer to send than most figures take to draw.
    pool = ProcessPoolExecutor(
        mp_context=get_context("fork"), initializer=_inherit, initargs=({**exhibits}, table, paper)
    )
    with pool:
        for _ in track(pool.map(_draw, exhibits), f"{paper}-report", len(exhibits), "figure"):
            pass


_inherited: tuple[dict[str, Exhibit], pd.DataFrame, str]


def _inherit(*work: Any) -> None:
    global _inherited
    _inherited = work


def _draw(name: str) -> None:
    exhibits, table, paper = _inherited
    tidy, figure = exhibits[name]
    data = tidy(table)
    if len(data):
        save(figure(data), data, name, paper)


def save(figure: Figure, data: pd.DataFrame, name: str, paper: str, *, reports: Path = REPORTS) -> None:
    """Write `figures/<paper>/<name>.svg` and `plots/<paper>/<name>.csv` under `reports`, aside first, then renamed."""
    path = reports / "figures" / paper / f"{name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp")
    with matplotlib.rc_context({"svg.hashsalt": f"{paper}/{name}"}):
        figure.savefig(aside, format="svg", metadata={"Date": None, "Creator": None}, dpi=150)
    aside.write_text(_numbered(aside.read_text()))
    aside.replace(path)
    save_data(data, name, paper, reports=reports)


def _numbered(svg: str) -> str:
    """Clip paths named by order: matplotlib names them by places that the layout's solver leaves at its last digits."""
    names = dict.fromkeys(CLIP.findall(svg))
    numbers = {name: f"clip{k}" for k, name in enumerate(names, start=1)}
    return CLIP.sub(lambda found: numbers[found[0]], svg)


def save_data(data: pd.DataFrame, name: str, paper: str, *, reports: Path = REPORTS) -> None:
    """Write the tidy data alone (a table has no picture): floats rounded, `\\n`."""
    path = reports / "plots" / paper / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp")
    floats = data.select_dtypes("float").columns
    rounded = data.assign(**{column: data[column].round(DIGITS) + 0.0 for column in floats})
    rounded.to_csv(aside, index=False, lineterminator="\n")
    aside.replace(path)
