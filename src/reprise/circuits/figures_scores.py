"""Figures of accuracies: by graph prior, by part of the method, by data set, under shifts, from few examples.

Tidy data (`reprise.circuits.tidy`) in, Figure out. A family of networks keeps its colour and marker in all of them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from reprise.circuits.figures_labels import COSTS, FAMILIES, LABELS, MODELS, PARTS, PRIORS, SHIFTS
from reprise.circuits.tidy import datasets
from reprise.figures import BLUE, GREEN, GREY, INK, MUTED, ORANGE, PURPLE, SKY, error_points, grid, legend, titles

LOOK: dict[str, dict[str, Any]] = {
    "nac": {"color": BLUE, "marker": "o"},
    "nac_nested": {"color": GREEN, "marker": "D"},
    "nac_no_prior": {"color": SKY, "marker": "v"},
    "conditional": {"color": INK, "marker": "P"},
    "perceiver": {"color": ORANGE, "marker": "s"},
    "interpreter": {"color": PURPLE, "marker": "^"},
}
SEED, MEAN = "a seed", "mean over seeds"


def known(data: pd.DataFrame) -> list[str]:
    """The columns of `SHIFTS` that hold anything."""
    return [name for name in SHIFTS if data[name].notna().any()]


def seeds_on_rows(ax: Axes, part: pd.DataFrame, metric: str, names: Sequence[str], colors: Sequence[str]) -> None:
    """A row per method: dots for seeds, a bar through them for their mean."""
    for place, (name, color) in enumerate(zip(names, colors, strict=True)):
        values = part.loc[part["method"] == name, metric].dropna()
        if len(values):
            ax.vlines(values.mean(), place - 0.32, place + 0.32, color=INK, linewidth=1.6, label=MEAN)
            heights = place + 0.14 * (np.arange(len(values)) - (len(values) - 1) / 2)
            ax.plot(values, heights, "o", color=color, markersize=5, alpha=0.85, zorder=4)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(False, axis="y")


def priors(data: pd.DataFrame) -> Figure:
    """Accuracy by graph prior on both kinds of test data: dots are seeds; the band is NAC's own from seed to seed."""
    sets, shifts = datasets(data), known(data)
    names = [name for name in [*PRIORS, "perceiver"] if name in set(data["method"])]
    words = dict(zip(data["method"], data["label"], strict=True))
    colors = [LOOK["perceiver" if name == "perceiver" else "nac"]["color"] for name in names]
    size = {"width": 3.9, "height": 1.1 + 0.27 * len(names)}
    figure, axes = grid(len(sets), len(shifts), **size, sharey=True)
    for dataset, row in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        for ax, shift in zip(row, shifts, strict=True):
            own = part.loc[part["method"] == "nac", shift]
            if len(own) > 1:
                ax.axvspan(own.min(), own.max(), color=GREY, alpha=0.3, linewidth=0, label="scale-free, seed to seed")
            seeds_on_rows(ax, part, shift, names, colors)
            ax.plot([], [], "o", color=MUTED, markersize=5, label=SEED)
            ax.xaxis.set_major_locator(MaxNLocator(5))
            titles(ax, dataset if ax is row[0] else "", x=SHIFTS[shift])
        row[0].set_yticks(range(len(names)), [words[name] for name in names])
    legend(figure, list(axes.flat), columns=3)
    return figure


LAYERS = {"FC": {"color": ORANGE, "marker": "s"}, "ModFC": {"color": BLUE, "marker": "o"}}
GRAPHS = ("complete", "sparse")


def ablation(data: pd.DataFrame) -> Figure:
    """The 2x2 of layers and graph: lines join means of the same layers, small dots are seeds."""
    sets, shifts = datasets(data), known(data)
    figure, axes = grid(len(sets), len(shifts), width=3.7, height=2.8, sharex=True)
    for dataset, row in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        for ax, shift in zip(row, shifts, strict=True):
            for k, (layers, look) in enumerate(LAYERS.items()):
                cells = part[part["layers"] == layers].groupby("graph")[shift]
                side = 0.06 * (2 * k - 1)
                for place, graph in enumerate(GRAPHS):
                    if graph in cells.groups:
                        values = cells.get_group(graph)
                        ax.plot(np.full(len(values), place + side), values, "o", color=look["color"], markersize=3.5,
                                alpha=0.6, linestyle="none")  # fmt: skip
                ax.plot(np.arange(2) + side, cells.mean().reindex(GRAPHS), label=f"{layers}, mean over seeds", **look)
            ax.plot([], [], "o", color=MUTED, markersize=3.5, label=SEED)
            ax.set_xticks(range(2), [f"{graph} graph" for graph in GRAPHS])
            ax.set_xlim(-0.35, 1.35)
            ax.grid(False, axis="x")
            ax.yaxis.set_major_locator(MaxNLocator(5))
            titles(ax, dataset if ax is row[0] else "", y=SHIFTS[shift].replace(", ", ",\n"))
    _name_corners(axes[0, 0], data)
    legend(figure, list(axes.flat), columns=3)
    return figure


def _name_corners(ax: Axes, data: pd.DataFrame) -> None:
    """Which corner is which network, in a note: FC with the complete graph is Perceiver IO itself."""
    if {"nac", "perceiver"} <= set(data["method"]):
        corners = (f"{PARTS[name][0]} and {PARTS[name][1]} is {LABELS[name]}" for name in ("perceiver", "nac"))
        titles(ax, ax.get_title(loc="left"), note="; ".join(corners), y=ax.get_ylabel())


def robustness(data: pd.DataFrame) -> Figure:
    """Above OOD over IID accuracy, a mark per network, with the line through all; below how far above it each lies."""
    sets = datasets(data)
    names = [name for name in LABELS if name in set(data["method"])]
    heights = [2.9, 0.9 + 0.24 * len(names)]
    figure, axes = grid(2, len(sets), width=3.4, height=sum(heights) / 2, height_ratios=heights)
    for dataset, (upper, lower) in zip(sets, axes.T, strict=True):
        part = data[data["dataset"] == dataset]
        line = part.sort_values("iid")
        upper.plot(line["iid"], line["line"], color=MUTED, linewidth=1, label="line through all networks (in logits)")
        for family, words in FAMILIES.items():
            points = part[part["family"] == family]
            if len(points):
                look = LOOK[family] | {"linestyle": "none", "alpha": 0.75}
                upper.plot(points["iid"], points["ood"], label=words, **look)
        for axis in (upper.xaxis, upper.yaxis):
            axis.set_major_locator(MaxNLocator(5))
        titles(upper, dataset, x="IID accuracy", y="OOD accuracy" if upper is axes[0, 0] else "")
        colors = [LOOK[family_of(part, name)]["color"] for name in names]
        seeds_on_rows(lower, part, "effective", names, colors)
        lower.axvline(0, color=INK, linewidth=0.9)
        lower.xaxis.set_major_locator(MaxNLocator(4))
        lower.set_yticks(range(len(names)), [LABELS[name] for name in names] if lower is axes[1, 0] else [])
        titles(lower, "", x="OOD accuracy above the line")
    legend(figure, list(axes.flat), columns=3)
    return figure


def family_of(part: pd.DataFrame, method: str) -> str:
    """The family of a method; NAC's where this data set does not have it."""
    found = part.loc[part["method"] == method, "family"]
    return str(found.iloc[0]) if len(found) else "nac"


def low_shot(data: pd.DataFrame) -> Figure:
    """Few-shot accuracy and the paired difference from Perceiver IO over examples of a class, with 95 % intervals."""
    sets = datasets(data)
    figure, axes = grid(len(sets), 2, width=4.1, height=3.2)
    for dataset, (levels, differences) in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        names = list(dict.fromkeys(part["method"]))
        for k, name in enumerate(names):
            points = part[part["method"] == name]
            x = points["shots"] * 1.035 ** (k - (len(names) - 1) / 2)
            for ax, column, low, high in (
                (levels, "accuracy", "low", "high"),
                (differences, "minus_perceiver", "minus_low", "minus_high"),
            ):
                if points[column].notna().any():
                    ax.vlines(x, points[low], points[high], color=LOOK[name]["color"], linewidth=1.3)
                    ax.plot(x, points[column], label=LABELS[name], **LOOK[name])
        differences.axhline(0, color=INK, linewidth=0.9)
        differences.axhline(CLAIMED, color=MUTED, linestyle=":", label="the paper: about +0.10")
        for ax in (levels, differences):
            ax.set_xscale("log")
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xticks(sorted(set(part["shots"])), [f"{shots}" for shots in sorted(set(part["shots"]))])
        titles(levels, dataset, x="examples of each class", y="accuracy")
        titles(differences, "", note="same episodes", x="examples of each class", y="minus Perceiver IO")
    legend(figure, list(axes.flat), columns=4)
    return figure


CLAIMED = 0.10  # what the abstract reports for ImageNet to CIFAR and CUB


def modalities(data: pd.DataFrame) -> Figure:
    """A row per data set, a panel per quantity: accuracy, weights, time of a training step, latency."""
    sets = datasets(data)
    names = [name for name in MODELS if name in set(data["method"])]
    columns = {"iid": "accuracy"} | {name: words for name, words in COSTS.items() if data[name].notna().any()}
    size = {"width": 2.7, "height": 1.3 + 0.6 * len(sets)}
    figure, axes = grid(1, len(columns), **size, sharey=True, width_ratios=[1.5] + [1] * (len(columns) - 1))
    row = list(axes[0])
    for ax, (column, words) in zip(row, columns.items(), strict=True):
        for k, name in enumerate(names):
            means = data[data["method"] == name].set_index("dataset").reindex(sets)
            places = np.arange(len(sets)) + 0.19 * (k - (len(names) - 1) / 2)
            bar = means["iid_sd"] if column == "iid" else None
            error_points(ax, means[column], places, xerr=bar, linestyle="none", label=LABELS[name], **LOOK[name])
        if column == "iid":
            floor, rows = data.groupby("dataset")["floor"].first().reindex(sets), np.arange(len(sets))
            ax.vlines(floor, rows - 0.4, rows + 0.4, color=MUTED, linestyle=":", label="best constant answer")
            ax.set_xlim(0, 1.02)
        else:
            _cost_axis(ax, data[column])
        for place in range(len(sets) - 1):
            ax.axhline(place + 0.5, color="#cfcfcf", linewidth=0.7)
        ax.grid(False, axis="y")
        titles(ax, "", x=words)
    row[0].set_yticks(range(len(sets)), sets)
    row[0].set_ylim(len(sets) - 0.5, -0.5)
    legend(figure, row, columns=5)
    return figure


def _cost_axis(ax: Axes, values: pd.Series) -> None:
    """From nothing where all values are of one order, else logarithmic, with a few round ticks either way."""
    low, high = values.min(), values.max()
    if high < 10 * low:
        ax.set_xlim(0, 1.15 * high)
        ax.xaxis.set_major_locator(MaxNLocator(3))
    else:
        ax.set_xscale("log")
        ax.set_xlim(low / 1.4, high * 1.4)
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda number, _: _short(number)))


def _short(number: float) -> str:
    """1000 is "1k", a million "1M"."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"
