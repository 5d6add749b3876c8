"""The figure of a sweep: every metric against what was swept."""

import re
import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reprise import figures
from reprise.claims import interval
from reprise.sweeps import MEASURED

MARKERS = "osD^vP*X"


def curves(table: pd.DataFrame, *, x: str, log: bool, seed: str) -> Figure:
    """A panel per metric, `value` over the column `x`; a line for every combination of the others that vary beside it.

    Bars are 95 % intervals of the mean over the values of `seed` (Student's t); a single one has none.
    """
    # What goes with x, as settings of the one thing that x names do, is no line of its own.
    varied = table.groupby(x, sort=False, dropna=False).nunique(dropna=False).gt(1).any()
    others = [str(name) for name in table if name not in (*MEASURED, x, seed) and varied[str(name)]]
    metrics = list(table["metric"].unique())
    figure, axes = figures.panels(len(metrics), columns=2, width=4.2)
    words = not pd.api.types.is_numeric_dtype(table[x])  # text is placed in the order of the table
    places = {value: place for place, value in enumerate(dict.fromkeys(table[x]))}
    for ax, metric in zip(axes, metrics, strict=True):
        part = table[table["metric"] == metric]
        groups = part.groupby(others, sort=False, dropna=False) if others else [((), part)]
        for number, (names, group) in enumerate(groups):
            means = group.groupby(x, sort=False)["value"]
            at = [places[value] if words else value for value in means.groups]
            centre = means.mean().to_numpy()
            low, high = np.array([interval(list(values)) for _, values in means]).T
            label = ", ".join(f"{key.split('.')[-1]} {_plain(name)}" for key, name in zip(others, names, strict=True))
            figures.error_points(ax, at, centre, yerr=[centre - low, high - centre], color=f"C{number}")
            ax.plot(
                at, centre, marker=MARKERS[number % len(MARKERS)], color=f"C{number}", label=label or None,
                linestyle="none" if words else "-",
            )  # fmt: skip
        paper, _, name = metric.partition(".")
        title = textwrap.fill(name.replace("_", " ").replace(".", ", "), width=32)
        figures.titles(ax, title, x=x, y=paper)
        if words:
            ax.set_xticks(list(places.values()), [_plain(value) for value in places], rotation=20)
        elif log:
            ax.set_xscale("log")
            ax.set_xticks(list(places), [f"{value:g}" for value in places])  # what was swept, no powers of ten
            ax.minorticks_off()
    figures.legend(figure, axes)
    return figure


def _plain(value: object) -> str:
    """A value as the table has it, a list of one word as that word."""
    alone = re.fullmatch(r'\["([^"]*)"\]', str(value))
    return alone[1] if alone else str(value)
