"""Figures of what circuits cost: processors removed after training, measured speed, and how time grows with size.

Tidy data (`reprise.circuits.tidy`) in, Figure out.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from reprise.circuits.figures_labels import HOW, LABELS, ORDERS, OVER, PRUNED
from reprise.circuits.figures_scores import LOOK
from reprise.circuits.tidy import datasets
from reprise.figures import BLUE, BROWN, GREEN, INK, MUTED, ORANGE, SKY, grid, legend, titles

ORDER_LOOK: dict[str, dict[str, Any]] = {
    "degree": {"color": BLUE, "marker": "o"},
    "random": {"color": ORANGE, "marker": "s", "linestyle": "--"},
    "reversed": {"color": BROWN, "marker": "v", "linestyle": ":"},
}


def kept_axis(ax: Axes, kept: pd.Series) -> None:
    """Fractions kept, from everything at the left to little at the right, a factor as far as another."""
    ax.set_xscale("log")
    halves = [value for value in 0.5 ** np.arange(8) if value >= kept.min() * 0.99]
    ax.set_xticks(halves, [f"{value:.3g}" if value == 1 else f"1/{1 / value:g}" for value in halves])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(1.12, kept.min() / 1.12)


def pruning(data: pd.DataFrame) -> Figure:
    """Accuracy over the fraction of processors kept, a panel per network, a line per order; bands are deviations."""
    sets = datasets(data)
    names = [name for name in PRUNED if name in set(data["method"])]
    figure, axes = grid(len(sets), len(names), width=2.65, height=2.9, sharex=True, sharey="row")
    for dataset, row in zip(sets, axes, strict=True):
        for ax, name in zip(row, names, strict=True):
            part = data[(data["dataset"] == dataset) & (data["method"] == name)]
            for order, points in part.groupby("order", sort=False):
                look = ORDER_LOOK[str(order)]
                spread = points["accuracy_sd"].fillna(0.0)
                ends = points["accuracy"] - spread, points["accuracy"] + spread
                ax.fill_between(points["kept"], *ends, color=look["color"], alpha=0.18, linewidth=0)
                ax.plot(points["kept"], points["accuracy"], label=ORDERS[str(order)], **look | {"markersize": 4.5})
            kept_axis(ax, data["kept"])
            titles(ax, dataset if ax is row[0] else "", note=LABELS[name], x="fraction of processors kept")
        row[0].set_ylabel("accuracy")
    legend(figure, list(axes.flat), columns=3)
    return figure


WIDE_LOOK: dict[str, dict[str, Any]] = {
    "nac_wide": {"color": BLUE, "marker": "o"},
    "nac_wide_nested": {"color": GREEN, "marker": "D"},
}
HOW_LOOK: dict[str, dict[str, Any]] = {
    "compiled": {"color": INK, "marker": "o"},
    "dynamic": {"color": SKY, "marker": "^", "linestyle": "--"},
    "masked": {"color": ORANGE, "marker": "x", "linestyle": ":"},
}
CLAIMED = (8.0, 3.0)  # speed-up at fewer points of accuracy lost, in the abstract
HIGHEST = 15.0  # points of loss that are shown: with more the processors that are left are not worth having


def speed(data: pd.DataFrame) -> Figure:
    """Left the measured speed-up over the fraction kept, right the accuracy lost over it, with the paper's point."""
    sets = datasets(data)
    figure, axes = grid(len(sets), 2, width=4.2, height=3.3)
    for dataset, (left, right) in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        for how, points in part.drop_duplicates(["how", "kept"]).groupby("how", sort=False):
            left.plot(points["kept"], points["speed_up"], label=HOW[str(how)], **HOW_LOOK[str(how)])
        kept_axis(left, part["kept"])
        wide = part["processors"].iloc[0]
        words = {"x": "fraction of processors kept", "y": "measured speed-up"}
        titles(left, dataset, note=f"{wide} processors, forward pass of a batch", **words)
        for method, points in part[part["how"] == "compiled"].groupby("method", sort=False):
            _losses(right, points, str(method))
        right.set_ylim(min(-1.0, 100 * part["loss"].min() - 1), HIGHEST)
        right.axhline(CLAIMED[1], color=MUTED, linewidth=0.9, linestyle=":", label="3 points lost")
        star: dict[str, Any] = {"linestyle": "none", "marker": "*", "markersize": 13, "zorder": 5}
        right.plot(*CLAIMED, color=INK, label="the paper: 8x at less than 3 % lost (another task)", **star)
        for ax, axis in ((left, "y"), (right, "x")):
            _speed_axis(ax, axis, max(part["speed_up"].max(), CLAIMED[0]))
        note = f"best connected kept, compiled; losses to {HIGHEST:g} points"
        titles(right, "", note=note, x="measured speed-up", y="accuracy lost, points")
    legend(figure, list(axes.flat), columns=3)
    return figure


def _losses(ax: Axes, points: pd.DataFrame, method: str) -> None:
    """Loss in points over speed-up, each point named by the fraction kept."""
    look = WIDE_LOOK[method]
    lost, spread = 100 * points["loss"], 100 * points["loss_sd"].fillna(0.0)
    ax.fill_between(points["speed_up"], lost - spread, lost + spread, color=look["color"], alpha=0.18, linewidth=0)
    ax.plot(points["speed_up"], lost, label=LABELS[method], **look)


def _speed_axis(ax: Axes, axis: str, high: float) -> None:
    """A logarithmic axis of factors from 1."""
    ticks = [value for value in (1, 2, 4, 8, 16, 32) if value <= 1.3 * high]
    ax.set(**{f"{axis}scale": "log", f"{axis}lim": (0.9, 1.3 * high)})
    ax.set(**{f"{axis}ticks": ticks, f"{axis}ticklabels": [f"{value}x" for value in ticks]})
    getattr(ax, f"{axis}axis").set_minor_locator(NullLocator())


MEASURES = {
    "latency_ms": ("exponent", "latency of a batch, ms"),
    "macs": ("macs_exponent", "multiply-adds of a sample"),
}


def scaling(data: pd.DataFrame) -> Figure:
    """Latency, and below it counted operations, over one size at a time; each curve ends in its fitted exponent."""
    sizes = [name for name in OVER if name in set(data["over"])]
    rows = [name for name in MEASURES if data[name].notna().any()]
    figure, axes = grid(len(rows), len(sizes), width=2.75, height=2.7, sharex="col", sharey="row")
    for k, (row, metric) in enumerate(zip(axes, rows, strict=True)):
        exponent, words = MEASURES[metric]
        slopes = data[data[metric].notna()].drop_duplicates(["over", "method"]).dropna(subset=exponent)
        most = slopes.groupby("over").size().max()
        for ax, size in zip(row, sizes, strict=True):
            for method, points in data[(data["over"] == size) & data[metric].notna()].groupby("method", sort=False):
                ax.plot(points["at"], points[metric], label=LABELS[str(method)], **LOOK[str(method)])
            ax.set_xscale("log")
            ax.set_yscale("log")
            ticks = sorted(set(data.loc[data["over"] == size, "at"]))
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            ax.xaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_minor_formatter(NullFormatter())
            own = slopes[slopes["over"] == size]
            lines = [f"{SHORT[name]} ∝ n^{value:.2f}" for name, value in zip(own["method"], own[exponent], strict=True)]
            note = "\n".join([*lines, *[" "] * (most - len(lines))])  # as high as the others, so that titles line up
            titles(ax, "" if k else OVER[size], note=note, x=f"number of {OVER[size]}" if k == len(rows) - 1 else "")
        row[0].set_ylabel(words)
    legend(figure, list(axes.flat), columns=4)
    return figure


SHORT = {"nac": "NAC", "perceiver": "PIO", "interpreter": "NI"}
