"""Figures about what tells OOD error (Sec. 4.1 and 4.2): predictors, factors, transfer of metrics, upstream accuracy.

Tidy data (`reprise.assay.tidy`) in, Figure out. Pairs are faint dots, averages over pairs bars or diamonds with the
95 % bootstrap interval over networks.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from reprise.assay.figures_labels import ESTIMATORS, EVERYTHING, METRICS, PREDICTORS
from reprise.assay.tidy import bounds, datasets
from reprise.figures import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    SKY,
    YELLOW,
    grid,
    label_points,
    legend,
    panels,
    titles,
)

PALETTE = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY, BROWN, PINK, YELLOW, GREY)
DIVERGING = "RdBu_r"
NAMES = {EVERYTHING: "all data sets"}
FAMILIES = {
    "id": ("ID data", BLUE),
    "corrupted": ("corrupted ID data", GREEN),
    "estimate": ("ID data and unlabelled OOD data", PURPLE),
    "heldout": ("other, labelled OOD data", ORANGE),
    "all": ("several together", GREY),
}


def colors(names: Any) -> dict[str, str]:
    """A colour for each name, the same for the same set of names."""
    known = sorted(set(names))
    return {name: PALETTE[k % len(PALETTE)] for k, name in enumerate(known)}


def family(predictor: str) -> tuple[str, str]:
    """Which data a predictor needs, in words, and its colour."""
    return FAMILIES["all" if predictor in ("id", "all") else predictor.split("_")[0]]


def spread(ax: Axes, values: pd.Series, place: float, color: str, *, height: float = 0.5) -> None:
    """One faint dot per pair along a row, dots shifted up and down by turns so that equal values stay apart."""
    shift = height * (np.arange(len(values)) * 0.618 % 1 - 0.5)
    ax.scatter(values, place + shift, s=11, color=color, alpha=0.45, linewidths=0, zorder=1.5)


def interval_bar(ax: Axes, value: float, ends: tuple[float, float], place: float, *, vertical: bool = False) -> None:
    """A thin line from one end of an interval to the other; nothing where there is none."""
    if np.isfinite([value, *ends]).all():
        line = ax.vlines if vertical else ax.hlines
        line(place, *ends, color=INK, linewidth=1.3, zorder=3)


def rows_with_pairs(ax: Axes, part: pd.DataFrame, column: str, metric: str, names: list[str], look: Any) -> None:
    """One row per name: dots for pairs, a bar with its interval for the average (a diamond: data sets equal)."""
    low, high = bounds(metric)
    for place, name in enumerate(names):
        rows = part[(part[column] == name) & part[metric].notna()]
        label, color = look(name)
        spread(ax, rows.loc[rows["weight"] == "", metric], place, color)
        for _, mean in rows[rows["weight"] == "pairs"].iterrows():
            ax.barh(place, mean[metric], height=0.66, color=color, alpha=0.4, zorder=1, label=label)
            interval_bar(ax, mean[metric], (mean[low], mean[high]), place)
        for _, mean in rows[rows["weight"] == "tasks"].iterrows():
            ax.plot(mean[metric], place, marker="D", color=INK, markersize=4, linestyle="none", label=TASKS, zorder=4)
    ax.axvline(0, color=INK, linewidth=0.9)
    ax.grid(False, axis="y")
    ax.set_ylim(len(names) - 0.4, -0.6)


TASKS = "mean with data sets weighted equally"
MEASURES = {
    "spearman": ("rank correlation", "Spearman ρ with OOD error"),
    "adjusted_r2": ("linear fit, alone", "adjusted $R^2$ of OOD error"),
    "gain": ("linear fit, beside ID error", "gain in adjusted $R^2$"),
}


def predictors(data: pd.DataFrame) -> Figure:
    """Figure A: predictors of OOD error; one dot per pair behind the average."""
    sets = datasets(data)
    names = [name for name in PREDICTORS if name in set(data["predictor"])]
    figure, axes = grid(len(sets), len(MEASURES), width=3.1, height=1.0 + 0.235 * len(names), sharex="col", sharey=True)
    for dataset, row in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        for ax, (metric, (title, label)) in zip(row, MEASURES.items(), strict=True):
            rows_with_pairs(ax, part, "predictor", metric, names, family)
            if metric == "spearman":
                ax.set_xlim(-1.05, 1.05)
            else:  # a fit on few networks can be worse than the mean by any amount
                ax.set_xlim(max(-0.4, ax.get_xlim()[0]), min(1.05, ax.get_xlim()[1]))
            ax.tick_params(labelbottom=True)
            titles(ax, NAMES.get(dataset, dataset) if metric == "spearman" else "", note=title, x=label)
        row[0].set_yticks(range(len(names)), [PREDICTORS[name] for name in names])
    legend(figure, list(axes.flat), columns=3)
    return figure


def signed(value: float) -> str:
    """Two decimals with a minus sign as wide as a plus; nothing is "−0.00"."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def heat(ax: Axes, values: np.ndarray, columns: list[str], rows: list[str], *, limit: float = 1.0) -> AxesImage:
    """A matrix as colours centred at 0, each cell with its number; missing cells stay blank."""
    image = ax.imshow(values, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "white" if abs(value) > 0.62 * limit else INK
            ax.text(j, i, signed(value).replace("0.", ".", 1), ha="center", va="center", fontsize=8.5, color=color)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(False)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def predictors_heatmap(data: pd.DataFrame) -> Figure:
    """Figure A2: training domains against predictors; cells are mean rank correlations with OOD error."""
    names = [name for name in PREDICTORS if name in set(data["predictor"])]
    table = data.pivot(index=["dataset", "train_domain"], columns="predictor", values="spearman")
    keys = list(dict.fromkeys(zip(data["dataset"], data["train_domain"], strict=True)))
    keys = [key for dataset in datasets(data) for key in keys if key[0] == dataset]
    values = table.reindex(index=pd.MultiIndex.from_tuples(keys), columns=names).to_numpy(float)
    figure, axes = grid(1, 1, width=2.6 + 0.5 * len(names), height=2.0 + 0.32 * len(keys))
    ax = axes[0, 0]
    image = heat(ax, values, [PREDICTORS[name] for name in names], [f"{a}: {b}" for a, b in keys])
    ax.set_xticks(
        range(len(names)), [PREDICTORS[name] for name in names], rotation=40, ha="right", rotation_mode="anchor"
    )
    for place in range(1, len(keys)):
        if keys[place][0] != keys[place - 1][0]:
            ax.axhline(place - 0.5, color="white", linewidth=4)
    ax.set_ylabel("training domain")
    figure.colorbar(image, ax=ax, label="mean Spearman ρ with OOD error", fraction=0.03, pad=0.01)
    return figure


SPACES = {"id": "ID", "corrupted": "corrupted", "ood": "OOD"}


def variable(name: str) -> str:
    """A column of the factor analysis in words."""
    space, _, metric = name.partition("_")
    return f"{SPACES.get(space, space)}: {METRICS.get(metric, metric.replace('_', ' '))}"


def factors(data: pd.DataFrame) -> Figure:
    """Loadings of the rotated factors, diverging colours centred at 0."""
    sets = datasets(data)
    names = list(dict.fromkeys(data["variable"]))
    many = data["factor"].max()
    figure, axes = panels(len(sets), columns=2, width=2.2 + 0.6 * many, height=0.9 + 0.28 * len(names), sharey=True)
    for dataset, ax in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        table = part.pivot(index="variable", columns="factor", values="loading").reindex(names)
        image = heat(ax, table.to_numpy(float), [str(k) for k in table.columns], [variable(name) for name in names])
        titles(ax, NAMES.get(dataset, dataset), x="factor")
    figure.colorbar(image, ax=axes, label="loading", fraction=0.04, pad=0.02)
    return figure


def scree(data: pd.DataFrame) -> Figure:
    """Eigenvalues with those of noise (parallel analysis) and the Kaiser line."""
    sets = datasets(data)
    figure, axes = panels(len(sets), width=3.5, height=2.7, sharey=True)
    for dataset, ax in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        ax.plot(part["component"], part["eigenvalue"], color=BLUE, marker="o", label="eigenvalue")
        look = {"color": ORANGE, "linestyle": "--", "marker": "s", "markersize": 4}
        ax.plot(part["component"], part["parallel"], label="95th percentile of noise (parallel analysis)", **look)
        ax.axhline(1, color=MUTED, linestyle=":", label="Kaiser's line at 1")
        ax.set_ylim(0, 1.06 * data["eigenvalue"].max())
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        titles(ax, NAMES.get(dataset, dataset), x="component", y="eigenvalue" if ax is axes[0] else "")
        ax.tick_params(labelleft=True)
    legend(figure, axes, columns=3)
    return figure


FEWEST = 5  # pairs for which quartiles are drawn


def transfer(data: pd.DataFrame) -> Figure:
    """Figure B: box plot per metric over pairs, sorted by median."""
    pairs = data[data["weight"] == ""]
    sets = datasets(pairs)
    most = pairs["of"].nunique()
    figure, axes = panels(len(sets), columns=2, width=4.4, height=1.1 + 0.36 * most, sharex=True)
    for dataset, ax in zip(sets, axes, strict=True):
        part = pairs[pairs["dataset"] == dataset]
        names = list(part.groupby("of")["spearman"].median().sort_values(ascending=False).index)
        for place, name in enumerate(names):
            values = part.loc[part["of"] == name, "spearman"]
            if len(values) >= FEWEST:
                options: dict[str, Any] = {
                    "positions": [place],
                    "widths": 0.6,
                    "orientation": "horizontal",
                    "showfliers": False,
                }
                box = {"facecolor": SKY, "alpha": 0.35, "edgecolor": INK}
                ax.boxplot([values], patch_artist=True, boxprops=box, medianprops={"linewidth": 0}, **options)
            ax.vlines(values.median(), place - 0.3, place + 0.3, color=INK, linewidth=1.8, zorder=3)
            spread(ax, values, place, BLUE)
        ax.axvline(0, color=INK, linewidth=0.9)
        ax.set_yticks(range(len(names)), [METRICS[name] for name in names])
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.set_xlim(-1.05, 1.05)
        ax.grid(False, axis="y")
        ax.tick_params(labelbottom=True)
        titles(ax, dataset, x="Spearman ρ of OOD and ID values")
    return figure


def upstream(data: pd.DataFrame) -> Figure:
    """OOD accuracy after fine-tuning over upstream accuracy: one point per architecture and way of choosing."""
    sets = datasets(data)
    figure, axes = panels(len(sets), width=3.6, height=3.1)
    for dataset, ax in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        first = part.iloc[0]
        for name, label, look in (
            ("best", "network with the best ID validation", {"color": ORANGE, "marker": "s"}),
            ("mean", "mean over networks", {"color": BLUE, "marker": "o"}),
        ):
            ax.plot(part["upstream_accuracy"], part[f"ood_accuracy_{name}"], linestyle="none", label=label, **look)
        ranks = {name: (first[f"spearman_{name}"], first[f"spearman_{name}_p"]) for name in ("mean", "best")}
        note = ", ".join(f"{name}: ρ {signed(rho)} (p {p:.2f})" for name, (rho, p) in ranks.items() if np.isfinite(rho))
        titles(ax, NAMES.get(dataset, dataset), note=note, x="upstream test accuracy", y="mean OOD accuracy")
        ax.margins(0.2)
    legend(figure, axes, columns=2)
    figure.draw_without_rendering()
    for dataset, ax in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        points = list(zip(part["upstream_accuracy"], part["ood_accuracy_best"], strict=True))
        label_points(ax, points, list(part["model"]))
    return figure


def estimators(data: pd.DataFrame) -> Figure:
    """Estimated over true OOD error, a panel per estimate; below the diagonal the estimate is too hopeful."""
    sets = datasets(data)
    figure, axes = grid(len(sets), len(ESTIMATORS), width=2.5, height=2.6, sharex=True, sharey=True)
    for dataset, row in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        palette = colors(data["model"])
        for ax, (name, label) in zip(row, ESTIMATORS.items(), strict=True):
            ax.plot([0, 1], [0, 1], color=INK, linewidth=0.9)
            for model, points in part.groupby("model"):
                look = {"color": palette[str(model)], "label": model, "alpha": 0.5, "linewidths": 0, "rasterized": True}
                ax.scatter(points["error"], points[f"estimate_{name}"], s=12, **look)
            ax.set_xlim(-0.03, 1.03)
            ax.set_ylim(-0.03, 1.03)
            ax.tick_params(labelbottom=True)
            title = dataset if ax is row[0] else ""
            titles(ax, title, note=label, x="true OOD error", y="estimate" if ax is row[0] else "")
    legend(figure, list(axes.flat))
    return figure
