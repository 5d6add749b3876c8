"""Figures of measured scores: over the occlusion rate, over steps of adaptation, by kind of hidden pixel, ablations.

Tidy data (`reprise.amodal.tidy`) in, Figure out. A method keeps its colour and marker in all of them.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from reprise.amodal.figures_labels import ABLATIONS, HIDDEN, LABELS, LOOK, METHODS, METRICS, NEVER, REVEALED, WRONG
from reprise.amodal.tidy import datasets
from reprise.figures import GREY, INK, MUTED, grid, legend, panels, stacks, titles

FEW = 5  # frames below which a bin of occlusion rate is not drawn: their mean says nothing


def curve(ax: Axes, x: pd.Series, part: pd.DataFrame, metric: str, method: str) -> None:
    """Mean over seeds as a line, one standard deviation to either side as a band."""
    look = LOOK[method]
    spread = part[f"{metric}_sd"].fillna(0.0)
    ax.fill_between(x, part[metric] - spread, part[metric] + spread, color=look["color"], alpha=0.15, linewidth=0)
    ax.plot(x, part[metric], label=METHODS[method], zorder=4 if method == "savos" else 3, **look)


def occlusion_rate(data: pd.DataFrame) -> Figure:
    """Both IoUs against the occlusion rate (middle of its bin), a line per method."""
    sets = datasets(data)
    figure, axes = grid(2, len(sets), width=3.6, height=2.7, sharex=True)
    for dataset, column in zip(sets, axes.T, strict=True):
        part = data[(data["dataset"] == dataset) & (data["frames"] >= FEW)]
        for ax, (metric, label) in zip(column, METRICS.items(), strict=True):
            for method, points in part.groupby("method", sort=False):
                if metric == "iou_full" or method != "visible":  # of the occluded part, V covers nothing
                    curve(ax, points["rate"] + 0.05, points, metric, str(method))
            first = metric == "iou_full"
            titles(ax, dataset if first else "", x="" if first else "occlusion rate", y=label)
            ax.set_xticks(np.arange(0, 1, 0.2))
            ax.set_xlim(0, 0.9)
    legend(figure, list(axes.flat), columns=4)
    return figure


LEVEL = {"visible": ":", "per_frame": "-."}


def adaptation(data: pd.DataFrame) -> Figure:
    """Both IoUs on the new distribution over steps of adaptation; methods that do not adapt are level lines."""
    sets = datasets(data)
    figure, axes = grid(len(sets), 2, width=3.9, height=3.2)
    for dataset, row in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        for ax, (metric, label) in zip(row, METRICS.items(), strict=True):
            for method, points in part.groupby("method", sort=False):
                if len(points) > 1:
                    curve(ax, points["step"], points, metric, str(method))
                elif metric == "iou_full" or method != "visible":
                    look = LOOK[str(method)] | {"marker": "", "linestyle": LEVEL.get(str(method), "--")}
                    ax.axhline(points[metric].iloc[0], label=f"{METHODS[str(method)]}, not adapted", **look)
            titles(ax, dataset, note=label, x="steps of adaptation", y="IoU")
            ax.set_xticks(sorted(set(part["step"])))
    legend(figure, list(axes.flat), columns=3)
    return figure


KINDS = {
    "recall_revealed": {"color": REVEALED, "marker": "o"},
    "recall_never_revealed": {"color": NEVER, "marker": "D"},
    "false_positive": {"color": WRONG, "marker": "x", "markeredgewidth": 1.6},
}


def hidden_pixels(data: pd.DataFrame) -> Figure:
    """Per method the share predicted of each kind of pixel; a line joins the two kinds of hidden ones."""
    sets = datasets(data)
    names = [name for name in METHODS if name in set(data["method"])]
    figure, axes = panels(len(sets), width=3.9, height=1.3 + 0.32 * len(names), sharey=True)
    for dataset, ax in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset].set_index("method")
        for place, name in enumerate(names):
            if name not in part.index:
                continue
            row = part.loc[name]
            ax.hlines(place, row["recall_revealed"], row["recall_never_revealed"], color=GREY, linewidth=1.6)
            for metric, look in KINDS.items():
                bar = np.nan_to_num(row[f"{metric}_sd"])
                ax.hlines(place, row[metric] - bar, row[metric] + bar, color=look["color"], linewidth=1.0)
                ax.plot(row[metric], place, linestyle="none", label=HIDDEN[metric], zorder=4, **look)
        ax.set_yticks(range(len(names)), [METHODS[name] for name in names])
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.set_xlim(-0.03, 1.03)
        ax.grid(False, axis="y")
        titles(ax, dataset, x="share of pixels predicted")
    legend(figure, axes, columns=2)
    return figure


def signed(value: float) -> str:
    """Three decimals with a minus sign as wide as a plus; nothing is "−0.000"."""
    return f"{round(value, 3) + 0.0:+.3f}".replace("-", "−")


def ablations(data: pd.DataFrame) -> Figure:
    """IoU of each ablation minus that of SaVos: dots are seeds, lines and figures means, the band SaVos."""
    sets = datasets(data)
    names = [name for name in ABLATIONS if name in set(data["method"])]
    figure, axes = grid(len(sets), 2, width=3.9, height=1.1 + 0.28 * len(names), sharex="col", sharey=True)
    for dataset, row in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        own = part[part["method"] == "savos"]
        for ax, (metric, label) in zip(row, METRICS.items(), strict=True):
            if len(own) > 1:
                ends = own[metric].min(), own[metric].max()
                ax.axvspan(*ends, color=GREY, alpha=0.3, linewidth=0, label="SaVos, from seed to seed")
            ax.axvline(0, color=INK, linewidth=0.9, label="SaVos")
            for place, name in enumerate(names):
                values = part.loc[part["method"] == name, metric]
                if len(values):
                    color = LOOK["savos"]["color"]
                    ax.hlines(place, 0, values.mean(), color=color, linewidth=1.2, alpha=0.5)
                    ax.annotate(
                        signed(values.mean()),
                        (1.02, place),
                        xycoords=("axes fraction", "data"),
                        va="center",
                        fontsize=8.5,
                        annotation_clip=False,
                    )
                    ax.vlines(values.mean(), place - 0.3, place + 0.3, color=INK, linewidth=1.6, label="mean")
                    heights = np.full(len(values), place) + 0.12 * (np.arange(len(values)) - (len(values) - 1) / 2)
                    ax.plot(values, heights, "o", color=color, markersize=5, label="a seed", zorder=4)
            ax.set_yticks(range(len(names)), [ABLATIONS[name] for name in names])
            ax.set_ylim(len(names) - 0.4, -0.6)
            ax.grid(False, axis="y")
            ax.xaxis.set_major_locator(MaxNLocator(5))
            ax.tick_params(labelbottom=True)
            titles(ax, dataset, note=label, x="IoU minus that of SaVos")
    legend(figure, list(axes.flat), columns=4)
    return figure


def reliability(data: pd.DataFrame) -> Figure:
    """How often pixels of each predicted probability were the object's, and below how many pixels have it."""
    sets = datasets(data)
    figure, columns = stacks(len(sets), [2.2, 1], width=3.6, height=2.1)
    for dataset, (upper, lower) in zip(sets, columns, strict=True):
        upper.plot([0, 1], [0, 1], color=MUTED, linestyle=":", linewidth=1, label="as often as predicted")
        for method, points in data[data["dataset"] == dataset].groupby("method", sort=False):
            curve(upper, points["confidence"], points, "accuracy", str(method))
            look = LOOK[str(method)] | {"markersize": 4}
            lower.plot(points["confidence"], points["share"], label=LABELS[str(method)], **look)
        lower.set_yscale("log")
        lower.set_yticks([0.01, 0.1, 1.0], ["1 %", "10 %", "100 %"])
        lower.yaxis.set_minor_formatter(NullFormatter())  # else they are labelled, one over another
        for ax in (upper, lower):
            ax.set_xlim(-0.02, 1.02)
        upper.set_ylim(-0.02, 1.02)
        titles(upper, dataset, y="share that is the object's")
        titles(lower, "", x="predicted probability", y="share of pixels")
    legend(figure, [ax for stack in columns for ax in stack], columns=4)
    return figure
