"""The circuits behind the figures that show them, and tidy tables of these.

From `graphs.npz` of the evaluation: of every method with links the link probabilities P (u, u) of one network, averaged
over its layers, before and after training, and the target T of its prior; all three are in the target's order. Of the
conditional network the circuits of test questions. Tables are empty where there is nothing of the kind.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from reprise.circuits.figures_labels import LABELS
from reprise.results import ResultsError

LARGEST = 4  # communities that are told apart
SEED = 0  # of the one draw that is shown


@dataclass(frozen=True)
class Graph:
    """Link probabilities of one network; `target` is missing where there is no prior."""

    method: str
    links: Float[np.ndarray, "u u"]
    start: Float[np.ndarray, "u u"]
    target: Float[np.ndarray, "u u"] | None


@dataclass(frozen=True)
class Questions:
    """A circuit for each of n different questions, which were asked `times`; `kinds` count through `types`.

    Only types that occur are there. A question makes the same circuit whatever the image, so each counts once.
    """

    circuits: Float[np.ndarray, "n u u"]
    kinds: Int[np.ndarray, " n"]
    times: Int[np.ndarray, " n"]
    texts: tuple[str, ...]
    types: tuple[str, ...]


@dataclass(frozen=True)
class Graphs:
    """Everything of `graphs.npz`; methods in the order of the figures."""

    networks: tuple[Graph, ...]
    questions: Questions | None


def read(path: Path) -> Graphs:
    """Open `graphs.npz`. Raises ResultsError where it is missing."""
    if not path.exists():
        raise ResultsError(f"{path} is missing: run `dvc repro` for the stage that evaluates it")
    with np.load(path) as stored:
        arrays = dict(stored)
    networks = tuple(
        Graph(name, arrays[f"{name}/links"], arrays[f"{name}/links_start"], arrays.get(f"{name}/target"))
        for name in LABELS
        if f"{name}/links" in arrays
    )
    return Graphs(networks, _questions(arrays) if "conditional/circuits" in arrays else None)


def _questions(arrays: Mapping[str, np.ndarray]) -> Questions:
    asked, first, times = np.unique(arrays["conditional/text"], axis=0, return_index=True, return_counts=True)
    present, kinds = np.unique(arrays["conditional/type"][first], return_inverse=True)
    return Questions(
        circuits=arrays["conditional/circuits"][first].astype(np.float32),
        kinds=kinds,
        times=times,
        texts=tuple(" ".join(str(arrays["words"][k]) for k in text if k) for text in asked),
        types=tuple(str(arrays["types"][k]) for k in present),
    )


def degrees(links: Float[np.ndarray, "u u"]) -> Float[np.ndarray, " u"]:
    """Expected number of links of each processor, the one to itself left out."""
    return links.sum(1) - np.diag(links)


def draw(links: Float[np.ndarray, "u u"]) -> nx.Graph:
    """One circuit whose links are there with these probabilities, always the same one."""
    drawn = np.triu(np.random.default_rng(SEED).random(links.shape) < links, 1)
    return nx.from_numpy_array(drawn | drawn.T)


def communities(graph: nx.Graph) -> Int[np.ndarray, " u"]:
    """The community of each node by greedy modularity, 0 the largest; -1 in all but the largest ones."""
    found = np.full(len(graph), -1)
    parts = nx.community.greedy_modularity_communities(graph) if graph.number_of_edges() else []
    for k, members in enumerate(sorted(parts, key=lambda part: (-len(part), min(part)))[:LARGEST]):
        if len(members) > 1:
            found[list(members)] = k
    return found


def nodes(graphs: Graphs) -> pd.DataFrame:
    """One row per processor: its degrees in target and circuit, links and community in the one draw that is shown."""
    return _stacked(_nodes(graph) for graph in graphs.networks)


def _nodes(graph: Graph) -> pd.DataFrame:
    drawn = draw(graph.links)
    return pd.DataFrame(
        {
            "method": graph.method,
            "label": LABELS[graph.method],
            "processor": np.arange(len(graph.links)),
            "degree_target": np.nan if graph.target is None else degrees(graph.target),
            "degree_start": degrees(graph.start),
            "degree": degrees(graph.links),
            "drawn": [degree for _, degree in drawn.degree()],
            "community": communities(drawn),
        }
    )


def changes(graphs: Graphs) -> pd.DataFrame:
    """What training does to the links off the diagonal: mean change, correlation of both, and which hubs remain.

    `hubs_kept` is the share of the best connected quarter that belongs to it before and after; `error_start` and
    `error` are mean squares of the differences from the target.
    """
    return _stacked(pd.DataFrame([_change(graph)]) for graph in graphs.networks)


def _change(graph: Graph) -> dict[str, object]:
    off = ~np.eye(len(graph.links), dtype=bool)
    before, after = graph.start[off], graph.links[off]
    quarter = max(1, len(graph.links) // 4)
    hubs = [set(np.argsort(-degrees(links), kind="stable")[:quarter]) for links in (graph.start, graph.links)]
    varied = before.std() > 0 and after.std() > 0
    return {
        "method": graph.method,
        "label": LABELS[graph.method],
        "mean_absolute_change": np.abs(after - before).mean(),
        "correlation": np.corrcoef(before, after)[0, 1] if varied else np.nan,
        "hubs_kept": len(hubs[0] & hubs[1]) / quarter,
        "mean_link_start": before.mean(),
        "mean_link": after.mean(),
        "error_start": np.nan if graph.target is None else ((before - graph.target[off]) ** 2).mean(),
        "error": np.nan if graph.target is None else ((after - graph.target[off]) ** 2).mean(),
    }


def embedding(graphs: Graphs) -> pd.DataFrame:
    """The two principal components of the circuits of all questions, and the share of variance in each.

    One question alone has no components.
    """
    questions = graphs.questions
    if questions is None or len(questions.texts) < 2:
        return pd.DataFrame()
    rows, columns = np.triu_indices(questions.circuits.shape[1], 1)
    links = questions.circuits[:, rows, columns].astype(np.float64)
    links -= links.mean(0)
    u, s, axes = np.linalg.svd(links, full_matrices=False)
    # The sign of a component means nothing: its largest entry is made positive, so that it does not turn at random.
    signs = np.sign(axes[[0, 1], np.abs(axes[:2]).argmax(1)])
    points = u[:, :2] * s[:2] * signs
    shares = s[:2] ** 2 / max((s**2).sum(), np.finfo(float).tiny)
    data = pd.DataFrame(
        {
            "type": [questions.types[k] for k in questions.kinds],
            "text": questions.texts,
            "times": questions.times,
            "component_1": points[:, 0],
            "component_2": points[:, 1],
            "share_1": shares[0],
            "share_2": shares[1],
        }
    )
    order = data["type"].map(questions.types.index).argsort(kind="stable")
    return data.iloc[order].reset_index(drop=True)


def _stacked(tables: Iterator[pd.DataFrame]) -> pd.DataFrame:
    found = list(tables)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
