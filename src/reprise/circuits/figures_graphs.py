"""Figures that show circuits: the graphs of the priors, links before and after training, circuits made by text.

Circuits (`reprise.circuits.tidy_graphs`) in, Figure out. Link probabilities are shown from white (0) to dark (1).
"""

from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from scipy.cluster.hierarchy import leaves_list, linkage

from reprise.circuits import tidy_graphs
from reprise.circuits.figures_labels import LABELS, PRIORS, READERS, SWAPS
from reprise.circuits.tidy_graphs import Graph, Graphs, Questions, communities, degrees, draw
from reprise.figures import BLUE, GREEN, GREY, INK, MUTED, ORANGE, PINK, PURPLE, SKY, error_points, grid, legend, titles

LINKS, CHANGE, ITSELF = "Blues", "RdBu_r", "#d9d9d9"
TICKS = (0, 0.05, 0.2, 0.5, 1)
COMMUNITIES = (BLUE, ORANGE, GREEN, PINK)
KINDS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"))  # of questions
NETWORKS: dict[str, dict[str, Any]] = {
    "conditional": {"color": INK, "marker": "P"},
    "nac": {"color": MUTED, "marker": "o"},
    "perceiver": {"color": MUTED, "marker": "s", "fillstyle": "none"},
}
NAMES = LABELS | PRIORS
SHOWN = ("nac", "nac_planted", "nac_ring", "nac_random", "nac_small_world", "nac_no_prior")


def shown(graphs: Graphs) -> tuple[Graph, ...]:
    """One network of each prior, and that without; whatever there is where there is none of these."""
    return tuple(graph for graph in graphs.networks if graph.method in SHOWN) or graphs.networks


def matrix(ax: Axes, values: np.ndarray, **look: Any) -> AxesImage:
    """Links between processors as an image, without those to itself, which are always there.

    The colours of probabilities follow their square roots, so that weak links can be told from none.
    """
    apart = np.ma.array(values, mask=np.eye(len(values), dtype=bool))
    image = ax.imshow(apart, **(look or {"cmap": LINKS, "norm": PowerNorm(0.5, 0, 1)}), interpolation="none")
    ax.set_facecolor(ITSELF)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([])
    return image


def graphs(found: Graphs) -> Figure:
    """A row per prior: one draw of the learned circuit, its link probabilities, the prior's, and the degrees."""
    rows = shown(found)
    figure, axes = grid(len(rows), 4, width=2.15, height=1.6 + 1.2 / len(rows), width_ratios=[1.25, 1, 1, 1.25])
    for graph, (drawing, learned, wanted, ranks) in zip(rows, axes, strict=True):
        first = graph is rows[0]
        _network(drawing, graph.links)
        drawing.set_title(NAMES[graph.method])
        image = matrix(learned, graph.links)
        if graph.target is None:
            wanted.set_axis_off()
            wanted.text(0.5, 0.5, "none", ha="center", va="center", color=MUTED, transform=wanted.transAxes)
        else:
            matrix(wanted, graph.target)
        _ranks(ranks, graph)
        ranks.tick_params(labelbottom=graph is rows[-1])
        for ax, note in zip(axes[0], ("one draw", "learned P", "prior T", "degrees"), strict=True):
            if first:
                titles(ax, NAMES[graph.method] if ax is drawing else "", note=note)
    axes[-1, 3].set_xlabel("processors by degree")
    figure.colorbar(image, ax=list(axes[:, :3].flat), location="bottom", label="probability of a link", aspect=50,
                    fraction=0.03, pad=0.01, ticks=TICKS, format="%g")  # fmt: skip
    legend(figure, list(axes[:, 3]), columns=3)
    return figure


def _network(ax: Axes, links: np.ndarray) -> None:
    """Nodes and links of one draw, laid out by a spring model; size is the degree, colour the community."""
    drawn = draw(links)
    # A faint pull between all nodes, as strong as their links are probable, keeps those without a link near.
    pull = nx.from_numpy_array(0.15 * links * (1 - np.eye(len(links))) + nx.to_numpy_array(drawn))
    places = nx.spring_layout(pull, seed=tidy_graphs.SEED, iterations=200)
    points = np.array([places[k] for k in range(len(links))])
    ends = [points[list(pair)] for pair in drawn.edges]
    ax.add_collection(LineCollection(ends, colors=GREY, linewidths=0.5, alpha=0.6, zorder=1))
    group, size = communities(drawn), np.array([degree for _, degree in drawn.degree()])
    colors = [COMMUNITIES[k] if k >= 0 else GREY for k in group]
    area = 12 + 110 * size / max(size.max(), 1)
    ax.scatter(points[:, 0], points[:, 1], s=area, c=colors, edgecolors="white", linewidths=0.7, zorder=2)
    ax.set_axis_off()
    ax.margins(0.08)


def _ranks(ax: Axes, graph: Graph) -> None:
    """Expected degrees, the greatest first: of the target, before and after training."""
    rank = np.arange(1, len(graph.links) + 1)
    if graph.target is not None:
        wanted = np.sort(degrees(graph.target))[::-1]
        ax.plot(rank, wanted, color=INK, linewidth=1.0, linestyle=":", label="prior", zorder=4)
    for links, look in (
        (graph.start, {"color": ORANGE, "linestyle": "--", "label": "before training"}),
        (graph.links, {"color": BLUE, "label": "after training"}),
    ):
        ax.plot(rank, np.sort(degrees(links))[::-1], **look)
    ax.set_ylim(0, 1.12 * max(degrees(links).max() for links in (graph.links, graph.start)))
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def connectivity(found: Graphs) -> Figure:
    """Links before training, after it, and what changed, a column per prior."""
    columns = shown(found)
    data = tidy_graphs.changes(found).set_index("method")
    figure, axes = grid(3, len(columns), width=max(1.65, 4.6 / len(columns)), height=1.9)
    limit = max(np.abs(graph.links - graph.start).max() for graph in columns)
    for graph, column in zip(columns, axes.T, strict=True):
        image = matrix(column[0], graph.start)
        matrix(column[1], graph.links)
        change = matrix(column[2], graph.links - graph.start, cmap=CHANGE, vmin=-limit, vmax=limit)
        column[0].set_title(NAMES[graph.method], loc="center", fontsize=9.5)
        row = data.loc[graph.method]
        column[2].set_xlabel(f"mean change {row['mean_absolute_change']:.3f}", fontsize=9)
    for ax, label in zip(axes[:, 0], ("before training", "after training", "after − before"), strict=True):
        ax.set_ylabel(label)
    figure.colorbar(image, ax=list(axes[:2].flat), label="probability of a link", fraction=0.03, pad=0.01, aspect=25,
                    ticks=TICKS, format="%g")  # fmt: skip
    figure.colorbar(change, ax=list(axes[2]), label="change", fraction=0.03, pad=0.01, aspect=12)
    return figure


# ---------------------------------------------------------------- circuits made by text


def conditional(scores: pd.DataFrame, found: Graphs) -> Figure:
    """What text does to circuits: their mean by type of question, all of them, and what exchanging them does.

    Above the mean circuits and what sets each type apart; below the circuits of all questions, accuracy by type of
    question, and accuracy through circuits of other questions.
    """
    questions = found.questions
    if questions is None:
        raise ValueError("no circuits made by text")
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.05)
    figure = Figure(figsize=(10.4, 8.4), layout=layout)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.35, 1])[:, 0]
    _means(above, questions)
    points, kinds, swaps = below.subplots(1, 3)
    _embedding(points, tidy_graphs.embedding(found), scores)
    _kinds(kinds, scores, questions.types)
    _swaps(swaps, scores)
    legend(figure, [points, kinds], columns=4)
    return figure


def _means(figure: SubFigure, questions: Questions) -> None:
    """Mean circuit of each type, and below it what it has more or less than the mean of all."""
    means = np.stack([questions.circuits[questions.kinds == k].mean(0) for k in range(len(questions.types))])
    apart = means - questions.circuits.mean(0)
    order = alike(apart)
    means, apart = means[:, order][:, :, order], apart[:, order][:, :, order]
    limit = np.abs(apart).max()
    axes = figure.subplots(2, len(questions.types))
    for k, (upper, lower) in enumerate(axes.T):
        image = matrix(upper, means[k])
        change = matrix(lower, apart[k], cmap=CHANGE, vmin=-limit, vmax=limit)
        example = questions.texts[int(np.flatnonzero(questions.kinds == k)[0])]
        titles(upper, questions.types[k], note=f"“{example}”")
    axes[0, 0].set_ylabel("mean circuit")
    axes[1, 0].set_ylabel("minus mean of all")
    bar: dict[str, Any] = {"fraction": 0.03, "pad": 0.01, "aspect": 12}
    figure.colorbar(image, ax=list(axes[0]), label="probability of a link", ticks=TICKS, format="%g", **bar)
    figure.colorbar(change, ax=list(axes[1]), label="difference", **bar)


def alike(apart: np.ndarray) -> np.ndarray:
    """An order of processors (of (k, u, u) differences) that puts beside one another those that change alike."""
    profiles = np.concatenate(list(apart), axis=1)
    return leaves_list(linkage(profiles, "average", optimal_ordering=True))


def _embedding(ax: Axes, data: pd.DataFrame, scores: pd.DataFrame) -> None:
    """A mark per question at the two principal components of its circuit."""
    for (name, points), (color, marker) in zip(data.groupby("type", sort=False), KINDS, strict=False):
        look = {"color": color, "marker": marker, "edgecolors": "white", "linewidths": 0.5}
        ax.scatter(points["component_1"], points["component_2"], s=42, label=f"asks “{name}”", **look)
    found = value(scores, "retrieval"), value(scores, "retrieval_chance")
    note = f"nearest one of the same type: {found[0]:.0%}, chance {found[1]:.0%}" if all(found) else ""
    x, y = (f"component {k} ({data[f'share_{k}'].iloc[0]:.0%} of variance)" for k in (1, 2))
    titles(ax, "Circuits of the questions", note=note, x=x, y=y)


def value(scores: pd.DataFrame, score: str) -> float:
    """Mean of a score of the conditional network, 0 where it was not measured."""
    rows = scores[(scores["method"] == "conditional") & (scores["score"] == score) & (scores["kind"] == "")]
    return float(rows["value"].iloc[0]) if len(rows) else 0.0


def _kinds(ax: Axes, scores: pd.DataFrame, types: tuple[str, ...]) -> None:
    """Accuracy by type of question, of circuits made by text and of networks that read both."""
    part = scores[(scores["score"] == "accuracy") & (scores["kind"] != "")]
    names = [name for name in READERS if name in set(part["method"])]
    for k, name in enumerate(names):
        means = part[part["method"] == name].set_index("kind").reindex(types)
        places = np.arange(len(types)) + 0.2 * (k - (len(names) - 1) / 2)
        look = {"linestyle": "none", "label": READERS[name]} | NETWORKS[name]
        error_points(ax, places, means["value"], yerr=means["value_sd"], **look)
    ax.set_xticks(range(len(types)), types)
    ax.set_xlim(-0.5, len(types) - 0.5)
    ax.set_ylim(top=1.02)
    ax.grid(False, axis="x")
    titles(ax, "Accuracy", note="text makes the circuit, or is read as well", x="type of question", y="accuracy")


def _swaps(ax: Axes, scores: pd.DataFrame) -> None:
    """Bars: how often the answer is right, by whose circuit the image goes through."""
    part = scores[(scores["method"] == "conditional") & (scores["kind"] == "")].set_index("score")
    names = [name for name in SWAPS if name in part.index]
    values, spread = part.loc[names, "value"], part.loc[names, "value_sd"].fillna(0.0)
    colors = [GREY if name == "accuracy" else SKY for name in names]
    ax.barh(range(len(names)), values, height=0.62, color=colors, alpha=0.6)
    ax.hlines(range(len(names)), values - spread, values + spread, color=INK, linewidth=1.3)
    for place, number in enumerate(values):
        inside = number > 0.3
        ax.annotate(f"{number:.0%}", (0.02 if inside else number + 0.03, place), va="center", fontsize=9)
    ax.set_yticks(range(len(names)), [SWAPS[name] for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.grid(False, axis="y")
    titles(ax, "Exchanged circuits", note="through those of other questions", x="share of answers that are right")
