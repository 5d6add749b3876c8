"""Figures of what goes beyond the paper: the planted cue, methods for several environments, fine-tuning strategies.

Tidy data (`reprise.assay.tidy`) in, Figure out.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reprise.assay.figures_choices import regime
from reprise.assay.figures_labels import METHODS, SELECTIONS, STRATEGIES
from reprise.assay.figures_proxies import NAMES, interval_bar, spread
from reprise.assay.tidy import bounds, datasets
from reprise.figures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    grid,
    label_points,
    legend,
    panels,
    titles,
)

CHANCE, BEST_INVARIANT = 0.5, 0.75  # two classes, a quarter of whose labels are flipped


def planted_cue(data: pd.DataFrame) -> Figure:
    """Accuracy of each method where the cue is reversed: a dot per seed, a line at their mean."""
    names = list(dict.fromkeys(data["method"]))
    figure, axes = grid(1, 1, width=5.6, height=1.5 + 0.3 * len(names))
    ax = axes[0, 0]
    ax.axvline(CHANCE, color=MUTED, linestyle=":", label="chance")
    ax.axvline(BEST_INVARIANT, color=GREEN, linestyle="--", label="best that ignores the cue")
    for place, name in enumerate(names):
        values = data.loc[data["method"] == name, "reversed_accuracy"]
        ax.vlines(values.mean(), place - 0.36, place + 0.36, color=INK, linewidth=1.6, label="mean over seeds")
        heights = place + np.linspace(-0.24, 0.24, len(values))
        ax.plot(values, heights, "o", color=BLUE, markersize=4, alpha=0.8, label="a seed", zorder=4)
    ax.set_yticks(range(len(names)), [METHODS[name] for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.grid(False, axis="y")
    ax.set_xlabel("accuracy with the cue reversed")
    legend(figure, [ax])
    return figure


RULE_LOOK = {
    "training_domain": {"color": BLUE, "marker": "o"},
    "leave_one_domain_out": {"color": ORANGE, "marker": "s"},
    "oracle": {"color": GREY, "marker": "D"},
}


def invariance(data: pd.DataFrame) -> Figure:
    """OOD accuracy of each method minus ERM's under the three ways of choosing hyperparameters."""
    sets = datasets(data)
    shown = data[data["method"] != "erm"]
    names = [name for name in METHODS if name in set(shown["method"])]
    figure, axes = panels(len(sets), width=5.2, height=1.4 + 0.46 * len(names), sharey=True)
    low, high = bounds("minus_erm")
    for dataset, ax in zip(sets, axes, strict=True):
        part = shown[shown["dataset"] == dataset]
        ax.axvline(0, color=INK, linewidth=0.9, label="ERM")
        for k, (rule, look) in enumerate(RULE_LOOK.items()):
            for place, name in enumerate(names):
                rows = part[(part["method"] == name) & (part["selection"] == rule)]
                at = place + 0.25 * (k - 1)
                spread(ax, rows.loc[rows["weight"] == "", "minus_erm"], at, look["color"], height=0.12)
                for _, mean in rows[rows["weight"] == "pairs"].iterrows():
                    interval_bar(ax, mean["minus_erm"], (mean[low], mean[high]), at)
                    ax.plot(mean["minus_erm"], at, linestyle="none", label=SELECTIONS[rule], zorder=4, **look)
        ax.set_yticks(range(len(names)), [METHODS[name] for name in names])
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.grid(False, axis="y")
        titles(ax, NAMES.get(dataset, dataset), x="accuracy on the held-out domain, minus ERM's")
    legend(figure, axes, columns=2)
    return figure


STRATEGY_LOOK = {
    "head": {"color": INK, "marker": "^"},
    "full": {"color": INK, "marker": "o"},
    "lp_ft": {"color": ORANGE, "marker": "s"},
    "uniform_soup": {"color": SKY, "marker": "P"},
    "greedy_soup": {"color": GREEN, "marker": "D"},
    "last_layer": {"color": PURPLE, "marker": "v"},
}


def strategies(data: pd.DataFrame) -> Figure:
    """ID and mean OOD accuracy: the path of WiSE-FT from the fitted head to fine-tuned weights, points for the rest."""
    keys = list(dict.fromkeys(zip(data["dataset"], data["train_domain"], data["regime"], strict=True)))
    figure, axes = panels(len(keys), width=3.2, height=2.9)
    for (dataset, domain, name), ax in zip(keys, axes, strict=True):
        part = _panel(data, (dataset, domain, name))
        path = part[part["finetune"] == "wise_ft"]
        ax.plot(path["id_accuracy"], path["ood_accuracy"], color=RED, marker=".", label=STRATEGIES["wise_ft"])
        for strategy, look in STRATEGY_LOOK.items():
            points = part[part["finetune"] == strategy]
            if len(points):
                x, y = points["id_accuracy"], points["ood_accuracy"]
                ax.plot(x, y, linestyle="none", label=STRATEGIES[strategy], **look)
        titles(ax, f"{dataset}: {domain}", note=regime(name), x="ID accuracy", y="mean OOD accuracy")
        ax.margins(0.12)
    legend(figure, axes)
    figure.draw_without_rendering()
    for key, ax in zip(keys, axes, strict=True):
        path = _panel(data, key)
        path = path[(path["finetune"] == "wise_ft") & path["alpha"].isin([0.0, 0.5, 1.0])]
        places = list(zip(path["id_accuracy"], path["ood_accuracy"], strict=True))
        label_points(ax, places, [f"{alpha:g}" for alpha in path["alpha"]])
    return figure


def _panel(data: pd.DataFrame, key: tuple[str, str, str]) -> pd.DataFrame:
    return data[(data[["dataset", "train_domain", "regime"]] == list(key)).all(axis=1)]
