"""The few numbers a pull request is read by: one block per data set, means over seeds, fractions in [0, 1].

IoUs are means over scored object-frames. Gains are differences of such means: of SaVos over a baseline, and of adapting
to the new distribution for the most steps there are over not adapting. What the run does not hold is left out.
"""

from collections.abc import Iterator

import pandas as pd

from reprise.amodal import tidy
from reprise.amodal.figures_labels import METRICS

METHODS = ("savos", "per_frame", "completion", "convex")
RIVALS = ("per_frame", "completion")


def headline(results: pd.DataFrame) -> dict[str, dict[str, float]]:
    """`{data set: {name: value}}` from the expanded results."""
    table, curves = tidy.methods(results), tidy.adaptation(results)
    found = {}
    for dataset in tidy.datasets(table):
        tested = table[(table["dataset"] == dataset) & (table["domain"] == "test")]
        numbers = dict(_levels(tested.set_index("method")))
        found[dataset] = numbers | dict(_gains(numbers)) | dict(_adapted(curves[curves["dataset"] == dataset]))
    return found


def _levels(table: pd.DataFrame) -> Iterator[tuple[str, float]]:
    for method in METHODS:
        for metric in METRICS:
            if method in table.index:
                yield f"{method}_{metric}", float(table[f"{metric}_frame"][method])


def _gains(numbers: dict[str, float]) -> Iterator[tuple[str, float]]:
    for method in RIVALS:
        for metric in METRICS:
            ends = f"savos_{metric}", f"{method}_{metric}"
            if all(name in numbers for name in ends):
                yield f"gain_over_{method}_{metric}", numbers[ends[0]] - numbers[ends[1]]


def _adapted(curves: pd.DataFrame) -> Iterator[tuple[str, float]]:
    for method, curve in curves.groupby("method", sort=False):
        points = curve.set_index("step")
        last = points.index.max()
        if 0 in points.index and last > 0:
            for metric in METRICS:
                yield f"adaptation_gain_{method}_{metric}", float(points[metric][last] - points[metric][0])
