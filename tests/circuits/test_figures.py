"""Figures of the circuits wing: drawn without warnings for every shape of run, with their labels, in the same bytes."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from circuits import tables, toy_graphs
from reprise import figures as shared
from reprise.circuits import figures_graphs, tidy_graphs
from reprise.circuits.figures import CONDITIONAL, DATA, FIGURES, PICTURES, TABLES, exhibits
from reprise.circuits.figures_labels import LABELS
from reprise.circuits.page import PAGE
from reprise.circuits.tidy_graphs import Graphs

RUNS = {
    "everything": tables.table(tables.rows(), tables.latency_rows()),
    "small": tables.table(tables.rows(datasets=["handwriting"], seeds=(0,))),
}
WITHOUT = {
    "low_shot",
    "scaling",
    "speed",
    CONDITIONAL,
}  # in the small run: it has neither times nor few shots nor texts


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    return toy_graphs.make(tmp_path_factory.mktemp("toy") / "graphs.npz")


@pytest.fixture(scope="module")
def one_graph(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    """Of a run with few modules, without a prior, and without texts."""
    arrays = toy_graphs.networks(4, {"nac_no_prior": ""})
    return toy_graphs.make(tmp_path_factory.mktemp("toy") / "graphs.npz", [arrays])


def texts(figure: Figure) -> str:
    found = [text.get_text() for ax in figure.axes for text in (*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label)]
    found += [ax.get_title(loc="left") for ax in figure.axes]
    found += [label.get_text() for ax in figure.axes for label in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    found += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return "\n".join(found)


@pytest.mark.parametrize("name", [*FIGURES, *PICTURES, CONDITIONAL])
def test_every_figure_is_drawn(name: str, graphs: Graphs):
    make, draw = exhibits(graphs)[name]
    data = make(RUNS["everything"])
    assert len(data)
    figure = draw(data)
    figure.draw_without_rendering()
    assert any(ax.has_data() for ax in figure.axes)


@pytest.mark.parametrize("name", [*FIGURES, *PICTURES, CONDITIONAL])
def test_a_small_run_has_fewer_figures(name: str, one_graph: Graphs):
    make, draw = exhibits(one_graph)[name]
    data = make(RUNS["small"])
    assert data.empty == (name in WITHOUT)
    if len(data):
        draw(data).draw_without_rendering()


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "graphs": ["scale-free", "no prior", "learned P", "prior T", "probability of a link", "before training"],
        "connectivity": ["ring of cliques", "before training", "after − before", "mean change"],
        "conditional": ["exists", "minus mean of all", "nearest one of the same type: 97%, chance 25%", "component 1",
                        "text makes the circuit", "its own circuit", "the image's own", "7%"],
        "pruning": ["handwriting", "NAC nested", "best connected kept", "Perceiver IO", "1/16"],
        "speed": ["measured speed-up", "64 processors", "masked only", "NAC U=64 nested", "the paper: 8x"],
        "low_shot": ["examples of each class", "minus Perceiver IO", "the paper: about +0.10"],
        "robustness": ["IID accuracy", "OOD accuracy above the line", "NAC and its variants", "Watts–Strogatz"],
        "priors": ["scale-free, seed to seed", "planted partition", "a seed"],
        "modalities": ["source_bytes", "training step, ms", "best constant answer", "conditional NAC"],
        "ablation": ["complete graph", "FC and complete is Perceiver IO", "ModFC, mean over seeds"],
        "scaling": ["NI ∝ n^1.70", "NAC ∝ n^0.10", "number of functions", "multiply-adds of a sample"],
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_labels_are_there(name: str, expected: list[str], graphs: Graphs):
    make, draw = exhibits(graphs)[name]
    words = texts(draw(make(RUNS["everything"])))
    assert [word for word in expected if word not in words] == []


def test_figures_are_saved_in_the_same_bytes_with_their_data(graphs: Graphs, tmp_path: Path):
    for place in ("one", "two"):
        for name in ("graphs", "conditional"):
            make, draw = exhibits(graphs)[name]
            data = make(RUNS["everything"])
            shared.save(draw(data), data, name, "circuits", reports=tmp_path / place)
    written = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(written) == 4
    for path in written:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path


def test_without_circuits_nothing_is_drawn_of_them(tmp_path: Path):
    nothing = toy_graphs.make(tmp_path / "graphs.npz", [])
    drawn = exhibits(nothing)
    assert [name for name in (*PICTURES, CONDITIONAL) if len(drawn[name][0](RUNS["everything"]))] == []
    assert [name for name, data in DATA.items() if len(data(nothing))] == []


def test_processors_that_change_alike_stand_together():
    arrays = toy_graphs.questions(200)
    circuits, kinds = arrays["conditional/circuits"].astype(float), arrays["conditional/type"]
    shuffled = [(7 * k) % 32 for k in range(32)]  # 7 and 32 have no common divisor
    circuits = circuits[:, shuffled][:, :, shuffled]
    apart = [circuits[kinds == k].mean(0) - circuits.mean(0) for k in range(4)]
    order = figures_graphs.alike(apart)
    blocks = [shuffled[k] // 8 for k in order]
    assert sum(a != b for a, b in zip(blocks[1:], blocks[:-1], strict=True)) == 3


def test_every_exhibit_of_the_page_is_made():
    assert {one.name for one in PAGE.exhibits} == {CONDITIONAL, *PICTURES, *FIGURES, *TABLES}


def test_methods_have_names():
    assert {method for levels in tables.LEVELS.values() for method in levels} <= set(LABELS)


def test_one_draw_has_the_links_of_its_probabilities(graphs: Graphs):
    planted = next(graph for graph in graphs.networks if graph.method == "nac_planted")
    drawn = tidy_graphs.draw(planted.links)
    inside = sum(a // 8 == b // 8 for a, b in drawn.edges)
    assert not any(a == b for a, b in drawn.edges)
    assert 4 * 28 * 0.75 < inside <= 4 * 28
    assert drawn.number_of_edges() - inside < 384 * 0.15
