"""Figures about people and groups (Sec. 5): whom a decision rule moves, and how it tells the groups apart.

Tidy data (`reprise.fairness.tidy`) in, Figure out. Group 0 and group 1 keep their colours in all of them.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from reprise.fairness import tidy
from reprise.fairness.tidy import HEADS, LABELS, of_task
from reprise.figures import BLUE, GREY, INK, MUTED, ORANGE, error_points, grid, legend, panels, titles

GROUPS = {"0": ORANGE, "1": BLUE}
ARMS = {"scratch": ", from random weights", "fair": ", fair target (control)"}


def second_head_histogram(data: pd.DataFrame) -> Figure:
    """Distribution of the group head's score by true group, for each loss it was trained with."""
    keys = [(key, loss) for key in tidy.tasks(data) for loss in HEADS if (of_task(data, key)["loss"] == loss).any()]
    figure, axes = panels(len(keys), width=3.5, height=2.5)
    for (key, loss), ax in zip(keys, axes, strict=True):
        part = of_task(data, key)
        part = part[part["loss"] == loss]
        for group, shares in part.groupby("group"):
            edges = [*shares["z2"], shares["z2"].iloc[-1] + 0.1]
            ax.stairs(shares["share"], edges, fill=True, color=GROUPS[str(group)], alpha=0.55, label=f"group {group}")
            ax.stairs(shares["share"], edges, color=GROUPS[str(group)], linewidth=1)
        cut = 0.5 if loss == "mse_linear" else 0.0
        ax.axvline(cut, color=MUTED, linestyle="--", linewidth=1, label="boundary between perceived groups")
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        titles(ax, ", ".join(key), note=HEADS[loss], x="score of the group head, $z_2$", y="share of the group")
    legend(figure, axes)
    return figure


def affected(data: pd.DataFrame) -> Figure:
    """Who is moved: flips to positive on the right, to negative on the left, by perceived and true group."""
    keys = tidy.tasks(data)
    names = {key: _flip_rows(of_task(data, key)) for key in keys}
    height = 1.5 + 0.27 * max(len(rows) for rows in names.values())
    figure, axes = panels(len(keys), width=4.3, height=height)
    for key, ax in zip(keys, axes, strict=True):
        part = of_task(data, key)
        for place, (method, level) in enumerate(names[key]):
            rows = part[(part["method"] == method) & (part["level"] == level)]
            for direction, sign in (("up", 1), ("down", -1)):
                start = 0.0
                for perceived in ("0", "1"):
                    for true in (perceived, "1" if perceived == "0" else "0"):
                        cell = rows[
                            (rows["direction"] == direction)
                            & (rows["perceived_group"] == perceived)
                            & (rows["true_group"] == true)
                        ]
                        share = float(cell["share"].sum())
                        right = true == perceived
                        label = f"perceived as group {perceived}, " + ("and is" if right else f"is group {true}")
                        ax.barh(
                            place,
                            sign * share,
                            left=sign * start,
                            height=0.68,
                            color=GROUPS[perceived],
                            alpha=1.0 if right else 0.4,
                            hatch=None if right else "////",
                            edgecolor="white",
                            linewidth=0.4,
                            label=label,
                        )
                        start += share
        ax.set_yticks(range(len(names[key])), [_flip_label(*row) for row in names[key]])
        ax.invert_yaxis()
        ax.axvline(0, color=INK, linewidth=0.9)
        limit = 1.08 * max(abs(end) for end in ax.get_xlim())
        ax.set_xlim(-limit, limit)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.xaxis.set_major_formatter(_percent_either_way)
        ax.grid(False, axis="y")
        titles(ax, ", ".join(key), note=" ", x="share of test people")
        above: dict[str, Any] = {
            "xycoords": "axes fraction",
            "xytext": (0, 5),
            "textcoords": "offset points",
            "fontsize": 9,
        }
        ax.annotate("← to negative", (0.48, 1), ha="right", **above)
        ax.annotate("to positive →", (0.52, 1), ha="left", **above)
    legend(figure, axes)
    return figure


def _percent_either_way(value: float, _: object) -> str:
    return f"{abs(100 * value):.3g}%"


def _flip_rows(part: pd.DataFrame) -> list[tuple[str, str]]:
    """(method, level) from top to bottom: the merges, the fair networks by lambda, the noise of the seed."""
    found = set(zip(part["method"], part["level"], strict=True))
    order = ["merge", "merge_vs_head", "ddp_squared", "seed_noise"]
    return sorted(found, key=lambda row: (order.index(row[0]), float(row[1]) if row[0] == "ddp_squared" else 0.0))


def _flip_label(method: str, level: str) -> str:
    return {
        "merge": "merge",
        "merge_vs_head": "merge, against its task head",
        "ddp_squared": f"fair network, λ = {level}",
        "seed_noise": "another seed, unconstrained",
    }[method]


def pair_test(data: pd.DataFrame) -> Figure:
    """The same person with either group's cues: how often only one of the two is decided positively."""
    keys = tidy.tasks(data)
    rows = {key: _pair_rows(of_task(data, key)) for key in keys}
    most = max(len(part) for part in rows.values())
    height = 1.3 + 0.24 * most
    figure, axes = panels(len(keys), columns=2, width=4.9, height=height)
    for key, ax in zip(keys, axes, strict=True):
        part = rows[key]
        place = np.arange(len(part))
        for group in ("1", "0"):
            name, look = f"favours_{group}", {"color": GROUPS[group], "marker": "o" if group == "1" else "s"}
            label = f"positive only with the cues of group {group}"
            error_points(ax, part[name], place, xerr=part[f"{name}_sd"], linestyle="none", label=label, **look)
        ax.set_yticks(place, part["name"])
        ax.set_ylim(most - 0.5, -0.5)  # equal distances in all panels
        ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        titles(ax, ", ".join(key), x="share of test people")
    legend(figure, axes, columns=2)
    return figure


def _pair_rows(part: pd.DataFrame) -> pd.DataFrame:
    """Networks from top to bottom with their `name`: arms one after the other, methods in their usual order."""
    order = {name: k for k, name in enumerate(LABELS)}
    strength = pd.to_numeric(part["level"], errors="coerce").fillna(0.0)
    part = part.assign(arm_rank=part["arm"].map({arm: k for k, arm in enumerate(("main", *ARMS))}), strength=strength)
    part = part.assign(rank=part["method"].map(order)).sort_values(["arm_rank", "rank", "strength"], kind="stable")
    return part.assign(
        name=[_network(row["method"], row["level"]) + ARMS.get(row["arm"], "") for _, row in part.iterrows()]
    )


def _network(method: str, level: str) -> str:
    """A network or rule in few words."""
    if method in ("unconstrained", "merge"):
        return {"unconstrained": "unconstrained", "merge": "merge"}[method]
    if method == "two_headed":
        return f"two heads ({HEADS[level]}), task head"
    short = {"ddp_squared": "squared", "ddp_abs": "absolute", "ddp_unbiased": "squared, unbiased"}
    knob = "κ" if method == "massaging" else "λ"
    return f"{short.get(method, LABELS[method].split(' (')[0])}, {knob} = {level}"


def per_group(data: pd.DataFrame) -> Figure:
    """Accuracy and selection rate of each group under the main methods."""
    keys = tidy.tasks(data)
    most = max(len(of_task(data, key)) for key in keys)
    figure, axes = grid(len(keys), 2, width=4.1, height=1.1 + 0.27 * most, sharey="row")
    for key, row in zip(keys, axes, strict=True):
        part = of_task(data, key)
        order = {name: k for k, name in enumerate(LABELS)}
        part = part.assign(rank=part["method"].map(order), strength=pd.to_numeric(part["level"], errors="coerce"))
        part = part.sort_values(["rank", "strength"], kind="stable")
        place = np.arange(len(part))
        for ax, metric, label in zip(
            row, ("accuracy", "selection_rate"), ("test accuracy", "selection rate"), strict=True
        ):
            ends = part[[f"{metric}_0", f"{metric}_1"]].to_numpy()
            ax.hlines(place, ends.min(axis=1), ends.max(axis=1), color=GREY, linewidth=2, alpha=0.6)
            for group, marker in (("0", "s"), ("1", "o")):
                name = f"{metric}_{group}"
                look = {"color": GROUPS[group], "marker": marker, "linestyle": "none", "label": f"group {group}"}
                error_points(ax, part[name], place, xerr=part[f"{name}_sd"], **look)
            titles(ax, ", ".join(key) if metric == "accuracy" else "", x=label)
        names = [
            "thresholds by true group" if row.method == "oracle" else _network(str(row.method), str(row.level))
            for row in part.itertuples()
        ]
        row[0].set_yticks(place, names)
        row[0].invert_yaxis()
    legend(figure, list(axes.flat))
    return figure
