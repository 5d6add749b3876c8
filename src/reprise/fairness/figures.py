"""Figures about decision rules (Sec. 3 to 5), and the list of all figures of the paper.

One function per figure: tidy data (`reprise.fairness.tidy`) in, Figure out. A method keeps its colour and marker in all
of them; groups are "group 0" and "group 1", whatever the data set calls them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reprise.fairness import people, tidy
from reprise.fairness.people import GROUPS
from reprise.fairness.tidy import LABELS, of_task
from reprise.figures import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    INK,
    MUTED,
    PURPLE,
    RED,
    SKY,
    clamp,
    error_points,
    grid,
    label_points,
    legend,
    panels,
    stacks,
    titles,
)

LOOK: dict[str, dict[str, Any]] = {
    "unconstrained": {"color": INK, "marker": "*", "markersize": 11},
    "ddp_squared": {"color": BLUE, "marker": "s"},
    "ddp_abs": {"color": SKY, "marker": "o"},
    "merge": {"color": RED, "marker": "D", "markersize": 4},
    "lipton": {"color": MUTED, "marker": "x"},
    "massaging": {"color": GREEN, "marker": "^"},
    "constant": {"color": INK, "marker": "o"},
}
GAP = "gap in selection rate, group 1 − group 0"


def fairness_vs_accuracy(data: pd.DataFrame) -> Figure:
    """Accuracy against the signed gap; the closer to 0 and the higher, the better."""
    keys = tidy.tasks(data)
    figure, axes = panels(len(keys), width=3.7, height=3.3)
    for key, ax in zip(keys, axes, strict=True):
        part = of_task(data, key)
        ax.axvline(0, color=MUTED, linewidth=0.8)
        for gap in part.loc[part["method"] == "labels", "ddp"]:
            ax.axvline(gap, color=INK, linestyle=":", linewidth=1.2, label="gap of the true labels")
        for method in ("lipton", "merge", "ddp_abs", "ddp_squared", "massaging", "unconstrained", "constant"):
            curve = part[part["method"] == method]
            if curve.empty:
                continue
            if method == "ddp_squared":  # the curve starts at lambda 0
                start = part[part["method"] == "unconstrained"]
                ax.plot(
                    [*start["ddp"], *curve["ddp"]], [*start["accuracy"], *curve["accuracy"]], color=BLUE, linewidth=1
                )
            bars = {"xerr": curve["ddp_sd"], "yerr": curve["accuracy_sd"]} if method != "constant" else {}
            label = "constant decision" if method == "constant" else LABELS[method]
            line = "-" if method in ("merge", "lipton") else "none"
            error_points(
                ax, curve["ddp"], curve["accuracy"], label=label, linestyle=line, linewidth=0.8, **bars, **LOOK[method]
            )
        titles(ax, ", ".join(key), x=GAP, y="test accuracy")
        others = part.loc[~part["method"].isin(["constant", "labels"]), "accuracy"]
        for constant in part.loc[part["method"] == "constant", "accuracy"]:
            clamp(ax, others, constant, "constant decision")
    legend(figure, axes)
    return figure


ANCHORS = {
    "ceiling": ("network trained on the group", "-", INK),
    "pretrained": ("probe before fine-tuning", "--", GREEN),
    "random": ("probe of a random network", "-.", BROWN),
    "majority": ("majority group", ":", MUTED),
}
ARMS = {"main": "from the pretrained backbone", "scratch": "from random weights", "fair": "fair target (control)"}


def fairness_vs_awareness(data: pd.DataFrame) -> Figure:
    """How well the group is read from the last layer, against the gap; lambda beside the points (Fig. 2)."""
    shown = data[data["series"] == "probe"]
    keys = [(key, arm) for key in tidy.tasks(data) for arm in ARMS if (of_task(shown, key)["arm"] == arm).any()]
    figure, axes = panels(len(keys), width=3.7, height=3.3)
    for (key, arm), ax in zip(keys, axes, strict=True):
        part = of_task(data, key)
        for name, (label, style, color) in ANCHORS.items():
            if name == "pretrained" and arm == "scratch":
                continue
            for level in part.loc[part["series"] == name, "probe_accuracy"]:
                ax.axhline(level, linestyle=style, color=color, linewidth=1.1, label=label)
        curve = part[(part["series"] == "probe") & (part["arm"] == arm)].sort_values("strength")
        ax.plot(curve["ddp"], curve["probe_accuracy"], color=BLUE, linewidth=0.9)
        for method, points in (
            ("ddp_squared", curve[curve["strength"] > 0]),
            ("unconstrained", curve[curve["strength"] == 0]),
        ):
            look = {"label": LABELS[method], "linestyle": "none", **LOOK[method]}
            bars = {"xerr": points["ddp_sd"], "yerr": points["probe_accuracy_sd"]}
            error_points(ax, points["ddp"], points["probe_accuracy"], **bars, **look)
        retrained = part[(part["series"] == "paper_probe") & (part["arm"] == arm)]
        look = {"color": PURPLE, "linestyle": "none", "label": "the paper's probe (last layer retrained by SGD)"}
        if len(retrained):
            ax.plot(retrained["ddp"], retrained["probe_accuracy"], marker="v", **look)
        note = ARMS[arm] if arm != "main" or (part["series"] == "pretrained").any() else "from random weights"
        titles(ax, ", ".join(key), note=note, x=GAP, y="test accuracy of the probe")
        others = part[part["series"] != "majority"]
        ends = others["probe_accuracy"], others["probe_accuracy_sd"].fillna(0.0)
        every = pd.concat([ends[0] - ends[1], ends[0] + ends[1]])
        ax.set_ylim(every.min() - 0.01, every.max() + 0.01)  # one scale for all panels of a target
        for majority in part.loc[part["series"] == "majority", "probe_accuracy"]:
            if not clamp(ax, every, majority, "majority group"):
                ax.set_ylim(bottom=min(majority, every.min()) - 0.01)
    legend(figure, axes, columns=3)
    figure.draw_without_rendering()
    for (key, arm), ax in zip(keys, axes, strict=True):
        curve = of_task(shown, key)
        curve = curve[curve["arm"] == arm].sort_values("strength")
        places = list(zip(curve["ddp"], curve["probe_accuracy"], strict=True))
        label_points(ax, places, [f"{strength:g}" for strength in curve["strength"]])
    return figure


IMITATIONS = (
    ("with group head", "merge_logit", "agreement", "logit_r2"),
    ("without group head", "shift_logit", "agreement_shift", "logit_r2_task_only"),
)


def logit_scatter(data: pd.DataFrame) -> Figure:
    """The fair network's logit against its best merge, one point per person; without the group head beside it."""
    keys = tidy.tasks(data)
    figure, axes = grid(len(keys), 2, width=3.7, height=3.4)
    for key, row in zip(keys, axes, strict=True):
        points = of_task(data, key)
        for ax, (words, logit, agreement, r2) in zip(row, IMITATIONS, strict=True):
            x, y, first = points["fair_logit"], points[logit], points.iloc[0]
            for group, color in GROUPS.items():
                mine = points["group"] == group
                ax.scatter(
                    x[mine],
                    y[mine],
                    s=7,
                    color=color,
                    alpha=0.55,
                    linewidths=0,
                    label=f"group {group}",
                    rasterized=True,
                )
            ax.axhline(0, color=INK, linewidth=0.9)
            ax.axvline(0, color=INK, linewidth=0.9)
            ax.margins(0.12)
            for horizontal, vertical in ((0, 0), (0, 1), (1, 0), (1, 1)):
                share = (((x > 0) == bool(horizontal)) & ((y > 0) == bool(vertical))).mean()
                ax.text(
                    0.02 + 0.96 * horizontal,
                    0.02 + 0.96 * vertical,
                    f"{share:.0%}",
                    transform=ax.transAxes,
                    ha="right" if horizontal else "left",
                    va="top" if vertical else "bottom",
                    fontweight="bold",
                )
            note = f"{words}: agreement {first[agreement]:.3f}, $R^2$ {first[r2]:.2f}"
            y_label = "logit of the merge" if logit == "merge_logit" else "logit of the task head, shifted"
            x_label = f"logit of the fair network, λ = {first['strength']}"
            titles(ax, ", ".join(key), note=note, x=x_label, y=y_label)
    legend(figure, list(axes.flat))
    return figure


AGREEMENT = {
    "agreement_seed2seed": ("same training, another seed (ceiling)", INK, "--", ""),
    "agreement": ("best merge of two heads", RED, "-", "D"),
    "agreement_matched": ("merge chosen by gap and accuracy alone", PURPLE, "-", "o"),
    "agreement_shift": ("task head, threshold shifted (floor)", GREY, "-", "v"),
    "agreement_raw": ("task head as it is (floor)", GREY, ":", "x"),
}


def approximation(data: pd.DataFrame) -> Figure:
    """Agreement with the fair networks over lambda, and the weight of the group head that gives it."""
    keys = tidy.tasks(data)
    figure, axes = stacks(len(keys), [1.6, 1])
    for key, (upper, lower) in zip(keys, axes, strict=True):
        part = of_task(data, key)
        x = np.arange(len(part))
        for name, (label, color, line, marker) in AGREEMENT.items():
            known = part[name].notna().to_numpy()
            if known.any():
                look = {"color": color, "linestyle": line, "marker": marker or "_"}
                error_points(upper, x[known], part[name][known], yerr=part[f"{name}_sd"][known], label=label, **look)
        error_points(lower, x, part["b"], yerr=part["b_sd"], color=RED, marker="D", label="best merge of two heads")
        lower.axhline(0, color=MUTED, linewidth=0.8)
        titles(upper, ", ".join(key), y="share of equal decisions")
        _strength_axis((upper, lower), part["strength"])
        lower.set_ylabel("weight $b$ of $z_2$")
    legend(figure, [ax for stack in axes for ax in stack], columns=3)
    return figure


RECOVERY = {
    "ddp_squared": ("fair network", {"color": BLUE, "marker": "s"}),
    "rethresholded": ("with a new threshold", {"color": GREY, "marker": "v"}),
    "refitted": ("last layer refitted to the task", {"color": PURPLE, "marker": "o"}),
    "recovered": ("with the group head added", {"color": RED, "marker": "D"}),
}


def recovered(data: pd.DataFrame) -> Figure:
    """Accuracy and gap of fair networks, and of what a threshold, a refit and the group head make of them."""
    keys = tidy.tasks(data)
    figure, axes = stacks(len(keys), [1.2, 1])
    for key, stack in zip(keys, axes, strict=True):
        part = of_task(data, key)
        levels = sorted(part.loc[part["method"] == "recovered", "strength"].unique())
        for ax, metric in zip(stack, ("accuracy", "ddp"), strict=True):
            for k, (method, (label, look)) in enumerate(RECOVERY.items()):
                curve = part[part["method"] == method].set_index("strength").reindex(levels)
                x = np.arange(len(levels)) + 0.14 * (k - 1.5)
                error_points(ax, x, curve[metric], yerr=curve[f"{metric}_sd"], linestyle="none", label=label, **look)
            for value in part.loc[part["method"] == "unconstrained", metric]:
                ax.axhline(value, color=INK, linewidth=1.1, label="unconstrained")
            others = part.loc[part["method"] != "constant", metric]
            for value in part.loc[part["method"] == "constant", metric]:
                if metric == "ddp" or not clamp(ax, others, value, "constant decision"):
                    ax.axhline(value, color=INK, linestyle=":", linewidth=1.1, label="constant decision")
        titles(stack[0], ", ".join(key), y="test accuracy")
        stack[1].set_ylabel("gap, group 1 − group 0")
        _strength_axis(stack, pd.Series(levels))
    legend(figure, [ax for stack in axes for ax in stack], columns=3)
    return figure


def _strength_axis(stack: Sequence[Axes], strengths: pd.Series) -> None:
    """Lambda at equal distances: its grid spans decades and holds 0."""
    for ax in stack:
        ax.set_xticks(range(len(strengths)), [f"{value:g}" for value in strengths])
        ax.set_xlim(-0.5, len(strengths) - 0.5)
        ax.grid(False, axis="x")
    stack[-1].set_xlabel("strength of the regulariser, λ")


Tidy = Callable[[pd.DataFrame], pd.DataFrame]
Draw = Callable[[pd.DataFrame], Figure]

FIGURES: dict[str, tuple[Tidy, Draw]] = {
    "fairness_vs_accuracy": (tidy.fairness_vs_accuracy, fairness_vs_accuracy),
    "fairness_vs_awareness": (tidy.fairness_vs_awareness, fairness_vs_awareness),
    "second_head_histogram": (tidy.second_head_histogram, people.second_head_histogram),
    "logit_scatter": (tidy.logit_scatter, logit_scatter),
    "approximation": (tidy.approximation, approximation),
    "recovered": (tidy.recovered, recovered),
    "affected": (tidy.affected, people.affected),
    "pair_test": (tidy.pair_test, people.pair_test),
    "per_group": (tidy.per_group, people.per_group),
}
TABLES: dict[str, Tidy] = {"near_parity": tidy.near_parity}
