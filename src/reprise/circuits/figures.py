"""All figures and tables of the circuits wing by name: the data of each and, for a figure, how it is drawn.

`FIGURES` and `TABLES` are made of the results (accuracies and latencies in one table), `PICTURES` of circuits
(`reprise.circuits.tidy_graphs`); `conditional` is made of both. `DATA` are data alone, too long for a table to read.
"""

from collections.abc import Callable
from typing import TypeVar

import pandas as pd
from matplotlib.figure import Figure

from reprise.circuits import figures_costs, figures_graphs, figures_scores, tidy, tidy_graphs
from reprise.circuits.tidy_graphs import Graphs
from reprise.figures import Exhibit

Shown = TypeVar("Shown", pd.DataFrame, Figure)
Tidy = Callable[[pd.DataFrame], pd.DataFrame]
Draw = Callable[[pd.DataFrame], Figure]

FIGURES: dict[str, tuple[Tidy, Draw]] = {
    "pruning": (tidy.pruning, figures_costs.pruning),
    "speed": (tidy.speed, figures_costs.speed),
    "low_shot": (tidy.low_shot, figures_scores.low_shot),
    "robustness": (tidy.robustness, figures_scores.robustness),
    "priors": (tidy.priors, figures_scores.priors),
    "modalities": (tidy.modalities, figures_scores.modalities),
    "ablation": (tidy.ablation, figures_scores.ablation),
    "scaling": (tidy.scaling, figures_costs.scaling),
}
PICTURES: dict[str, tuple[Callable[[Graphs], pd.DataFrame], Callable[[Graphs], Figure]]] = {
    "graphs": (tidy_graphs.nodes, figures_graphs.graphs),
    "connectivity": (tidy_graphs.changes, figures_graphs.connectivity),
}
CONDITIONAL = "conditional"
TABLES: dict[str, Tidy] = {
    "methods": tidy.methods,
    "domains": tidy.domains,
    "graph_errors": tidy.graph_errors,
}
DATA: dict[str, Callable[[Graphs], pd.DataFrame]] = {"conditional_circuits": tidy_graphs.embedding}


def exhibits(graphs: Graphs) -> dict[str, Exhibit]:
    """Every figure as `reprise.figures.draw` takes it; those that show circuits look at `graphs`."""

    def of_graphs(function: Callable[[Graphs], Shown]) -> Callable[[pd.DataFrame], Shown]:
        return lambda _: function(graphs)

    def asked(results: pd.DataFrame) -> pd.DataFrame:
        return tidy.conditional(results) if graphs.questions else pd.DataFrame()

    pictures: dict[str, Exhibit] = {
        name: (of_graphs(data), of_graphs(drawn)) for name, (data, drawn) in PICTURES.items()
    }
    conditional: Exhibit = (asked, lambda scores: figures_graphs.conditional(scores, graphs))
    return {CONDITIONAL: conditional} | pictures | FIGURES
