"""Tidy tables of the circuits wing: the right numbers from results tables and circuits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from circuits import tables, toy_graphs
from reprise import results
from reprise.circuits import tidy, tidy_graphs
from reprise.circuits.figures import FIGURES, TABLES
from reprise.results import ResultsError

RUN = tables.table(tables.rows(), tables.latency_rows())
ALL = {name: make for name, (make, _) in FIGURES.items()} | TABLES | {"conditional": tidy.conditional}


@pytest.mark.parametrize("name", ALL)
def test_a_table_without_rows_gives_no_data(name: str):
    assert ALL[name](results.expand(results.table([]))).empty


@pytest.mark.parametrize("name", [name for name in ALL if name != "scaling"])
def test_data_sets_come_in_the_order_of_the_results(name: str):
    order = [*reversed(tables.DATASETS), ""]
    found = tidy.datasets(ALL[name](tidy.ordered(RUN, "dataset", order)))
    assert found == [dataset for dataset in order if dataset in found]
    assert found


def test_ood_is_the_mean_over_shifted_test_sets():
    data = tidy.priors(RUN).set_index(["method", "seed"])
    assert data.loc[("nac", 1), "iid"] == pytest.approx(0.943)
    assert data.loc[("nac", 1), "ood"] == pytest.approx(0.943 + 0.02 - (0.40 + 0.20 + 0.48) / 3)
    assert data.loc[("nac", 1), "label"] == "scale-free"
    assert data.index.get_level_values("method")[-1] == "perceiver"


def test_priors_and_ablation_are_shown_where_there_is_something_to_compare():
    assert set(tidy.priors(RUN)["dataset"]) == {"handwriting"}
    data = tidy.ablation(RUN)
    assert set(data["dataset"]) == {"handwriting"}
    cells = data.groupby(["layers", "graph"])["iid"].mean()
    assert cells[("FC", "sparse")] == pytest.approx(0.912)
    assert cells[("ModFC", "complete")] == pytest.approx(0.932)
    assert cells[("FC", "complete")] == pytest.approx(0.911)


def of_runs(points: list[tuple[float, float]]) -> pd.DataFrame:
    """One network of NAC per pair of IID and OOD accuracy."""
    rows = [
        tables.row("points", "nac", "accuracy", value, seed=seed, domain=domain)
        for seed, pair in enumerate(points)
        for domain, value in zip(("iid", "rotated"), pair, strict=True)
    ]
    return tables.table(rows)


def test_networks_on_a_line_in_logits_have_no_effective_robustness():
    iid = np.array([0.6, 0.7, 0.8, 0.9])
    data = tidy.robustness(of_runs(list(zip(iid, expit(0.7 * logit(iid) - 1), strict=True))))
    assert data["effective"].to_numpy() == pytest.approx(0)
    assert data["line"].to_numpy() == pytest.approx(expit(0.7 * logit(iid) - 1))
    assert set(data["family"]) == {"nac"}


def test_networks_above_the_line_are_more_robust():
    found = tidy.robustness(of_runs([(0.6, 0.5), (0.7, 0.6), (0.8, 0.7), (0.9, 0.8), (0.75, 0.75)]))
    assert found["effective"].idxmax() == 4


def test_too_few_networks_have_no_line():
    data = tidy.robustness(of_runs([(0.6, 0.5), (0.7, 0.6), (1.0, 0.0)]))
    assert data["effective"].isna().all() and len(data) == 3


def test_pruning_spreads_over_seeds_and_draws():
    data = tidy.pruning(RUN).set_index(["method", "order", "kept"]).sort_index()
    random = data.loc[("nac", "random", 0.5)]
    draws = [0.939 + wobble - 0.055 - 0.002 * draw for wobble in tables.WOBBLE for draw in range(tables.DRAWS)]
    assert random["accuracy"] == pytest.approx(np.mean(draws))
    assert random["accuracy_sd"] == pytest.approx(np.std(draws, ddof=1))
    assert random["seeds"] == 3
    degree = data.loc[("nac", "degree", 0.25)]
    assert degree["loss"] == pytest.approx(0.090)
    assert degree["loss_sd"] == pytest.approx(0.0, abs=1e-12)  # to the whole network of the same seed


def test_speed_joins_losses_with_measured_times():
    data = tidy.speed(RUN)
    row = data[(data["method"] == "nac_wide_nested") & (data["how"] == "compiled") & (data["kept"] == 0.25)].iloc[0]
    assert (row["speed_up"], row["latency_ms"], row["loss"]) == pytest.approx((4.0, 10.0, 0.008))
    assert row["processors"] == "64"
    assert set(data["how"]) == {"compiled", "dynamic", "masked"}
    assert set(data["method"]) == {"nac_wide", "nac_wide_nested"}


def test_low_shot_differences_are_of_the_same_episodes():
    # Episodes differ far more than the two methods do, so only paired differences are exact.
    values = {(seed, episode): 0.3 + 0.1 * seed + 0.2 * episode for seed in (0, 1) for episode in (0, 1)}
    rows = [
        tables.row("characters", method, "few_shot_accuracy", value + lead, seed=seed, shots=5, episode=episode)
        for (seed, episode), value in values.items()
        for method, lead in (("nac", 0.05 + 0.01 * seed), ("perceiver", 0.0))
    ]
    data = tidy.low_shot(tables.table(rows)).set_index("method")
    nac = data.loc["nac"]
    leads = [0.05, 0.05, 0.06, 0.06]
    reach = 3.182446 * np.std(leads, ddof=1) / 2  # Student's t, three degrees of freedom
    assert nac["minus_perceiver"] == pytest.approx(0.055)
    assert (nac["minus_low"], nac["minus_high"]) == pytest.approx((0.055 - reach, 0.055 + reach))
    assert nac["high"] - nac["low"] > 0.3
    assert nac["n"] == 4
    assert np.isnan(data.loc["perceiver", "minus_perceiver"])


def test_conditional_holds_kinds_and_exchanges_of_data_sets_with_texts():
    data = tidy.conditional(RUN)
    assert set(data["dataset"]) == {"nlvr_mini"}
    table = data.set_index(["method", "score", "kind"])["value"]
    assert table["conditional", "accuracy", ""] == pytest.approx(0.952)
    assert table["perceiver", "accuracy", "all"] == pytest.approx(0.614 + 0.015)
    assert table["conditional", "swapped_stays", ""] == pytest.approx(0.07)


def test_modalities_hold_what_a_model_costs():
    data = tidy.modalities(RUN).set_index(["dataset", "method"])
    row = data.loc[("source_bytes", "interpreter")]
    assert (row["latency_ms"], row["train_step_ms"], row["n_params"]) == pytest.approx((15.0, 45.0, 87_000))
    assert data.loc[("listops", "nac"), "floor"] == pytest.approx(0.119)
    assert ("nlvr_mini", "conditional") in data.index and ("nlvr_mini", "interpreter") not in data.index


def test_scaling_holds_times_operations_and_exponents():
    data = tidy.scaling(RUN).set_index(["over", "method", "at"])
    row = data.loc[("tokens", "interpreter", 256.0)]
    assert row["latency_ms"] == pytest.approx(5 * 16**1.7)
    assert (row["exponent"], row["macs_exponent"]) == pytest.approx((1.7, 1.6))
    assert ("functions", "nac", 2.0) not in data.index


def test_tables_hold_every_method_and_domain():
    methods = tidy.methods(RUN).set_index(["dataset", "method"])
    assert methods.loc[("handwriting", "nac"), "iid_cut"] == pytest.approx(0.938)
    assert np.isnan(methods.loc[("handwriting", "perceiver"), "iid_cut"])
    assert methods.loc[("handwriting", "interpreter"), "macs"] == pytest.approx(3e6)
    domains = tidy.domains(RUN).set_index(["dataset", "domain", "method"])
    assert domains.loc[("points", "outliers", "perceiver"), "accuracy"] == pytest.approx(0.912 - 0.15)
    errors = tidy.graph_errors(RUN).set_index("method")
    assert errors.loc["nac_prefit", "prior_error_start"] == pytest.approx(0.002)
    assert np.isnan(errors.loc["nac_no_prior", "prior_error"])
    assert errors.loc["nac_no_prior", "degree_gini"] == pytest.approx(0.1)


# ---------------------------------------------------------------- circuits


def test_graphs_are_read_in_the_order_of_the_figures(tmp_path: Path):
    graphs = toy_graphs.make(tmp_path / "graphs.npz")
    assert [graph.method for graph in graphs.networks] == [
        "nac", "nac_nested", "nac_planted", "nac_ring", "nac_random", "nac_small_world", "nac_prefit", "nac_no_prior",
    ]  # fmt: skip
    assert graphs.networks[-1].target is None


def test_missing_circuits_name_what_to_run(tmp_path: Path):
    with pytest.raises(ResultsError, match="dvc repro"):
        tidy_graphs.read(tmp_path / "graphs.npz")


def test_nodes_have_their_degrees_without_themselves(tmp_path: Path):
    target = np.array([[1, 1, 0.5], [1, 1, 0], [0.5, 0, 1]], np.float32)
    arrays = {"nac/links": target, "nac/links_start": np.eye(3), "nac/target": target}
    data = tidy_graphs.nodes(toy_graphs.make(tmp_path / "graphs.npz", [arrays]))
    assert data["degree"].tolist() == pytest.approx([1.5, 1.0, 0.5])
    assert data["degree_start"].tolist() == [0, 0, 0]
    assert data["drawn"].tolist()[1] == 1  # a link of probability 1 is always there, one of 0 never


def test_communities_are_those_that_were_planted(tmp_path: Path):
    graphs = toy_graphs.make(tmp_path / "graphs.npz", [toy_graphs.networks(kinds={"nac_planted": "planted_partition"})])
    data = tidy_graphs.nodes(graphs)
    clusters = data["community"].to_numpy().reshape(4, 8)
    assert (clusters == clusters[:, :1]).all() and len(set(clusters[:, 0])) == 4


def test_changes_compare_links_before_and_after(tmp_path: Path):
    start = np.array([[1, 0.8, 0.2, 0.1], [0.8, 1, 0.1, 0.1], [0.2, 0.1, 1, 0.1], [0.1, 0.1, 0.1, 1]])
    after = start + 0.1 * (1 - np.eye(4))
    arrays = {"nac/links": after, "nac/links_start": start, "nac/target": start}
    (row,) = tidy_graphs.changes(toy_graphs.make(tmp_path / "graphs.npz", [arrays])).to_dict("records")
    assert row["mean_absolute_change"] == pytest.approx(0.1)
    assert row["correlation"] == pytest.approx(1.0)
    assert row["hubs_kept"] == 1.0
    assert (row["error_start"], row["error"]) == pytest.approx((0.0, 0.01))


def test_a_question_counts_once(tmp_path: Path):
    graphs = toy_graphs.make(tmp_path / "graphs.npz", [toy_graphs.questions(40)])
    questions = graphs.questions
    assert questions is not None
    assert len(set(questions.texts)) == len(questions.texts) == len(questions.circuits) < 40
    assert questions.times.sum() == 40
    assert [questions.types[kind] for kind in questions.kinds] == [text.split()[0] for text in questions.texts]


def test_types_that_are_never_asked_are_not_there(tmp_path: Path):
    arrays = toy_graphs.questions(40)
    asked = arrays["conditional/type"] != 1
    arrays |= {name: array[asked] for name, array in arrays.items() if name.startswith("conditional/")}
    questions = toy_graphs.make(tmp_path / "graphs.npz", [arrays]).questions
    assert questions is not None
    assert questions.types == ("exists", "more", "all")
    assert {questions.types[kind] for kind in questions.kinds} == {"exists", "more", "all"}


def test_the_first_component_sets_two_types_apart(tmp_path: Path):
    arrays = toy_graphs.questions(200)
    asked = arrays["conditional/type"] < 2
    arrays |= {name: array[asked] for name, array in arrays.items() if name.startswith("conditional/")}
    data = tidy_graphs.embedding(toy_graphs.make(tmp_path / "graphs.npz", [arrays]))
    assert data["type"].unique().tolist() == ["exists", "count"]
    one, other = (part["component_1"] for _, part in data.groupby("type"))
    assert one.max() < -0.5 < 0.5 < other.min() or other.max() < -0.5 < 0.5 < one.min()
    assert 0 < data["share_2"].iloc[0] < 0.2 < 0.3 < data["share_1"].iloc[0] < 1
    assert data["component_1"].sum() == pytest.approx(0, abs=1e-6)


def test_one_question_has_no_components(tmp_path: Path):
    assert tidy_graphs.embedding(toy_graphs.make(tmp_path / "graphs.npz", [toy_graphs.questions(1)])).empty
