"""Figures, tables, headline numbers and page of the assay, on synthetic tables of every shape of run."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from assay.tables import MODELS, sweep_table
from reprise import results
from reprise.assay import figures, tidy
from reprise.assay import figures_labels as labels
from reprise.assay.headline import headline
from reprise.assay.page import PAGE

Row = dict[str, Any]
DOMAINS = ("pen", "font", "color")
TASKS = {"digits": (DOMAINS, DOMAINS), "colored": (("e10",), ("e10", "e50", "e90"))}
OF = ("error", "nll", "ece", "demographic_disparity", "adversarial_error_small", "adversarial_error_large")
LEVELS = {"augment": ("rand", "standard"), "finetune": ("full", "head")}


def row(analysis: str, metric: str, value: float, **rest: Any) -> Row:
    fixed = ("dataset", "train_domain", "test_domain", "model", "method", "seed", "n")
    own = dict.fromkeys(fixed, "") | {"paper": "assay", "dataset": "digits", "seed": 0, "n": 30}
    own |= {name: rest.pop(name) for name in fixed if name in rest}
    return own | {"metric": metric, "value": value, "setting": results.setting(analysis=analysis, **rest)}


class Analyses:
    """Rows of every analysis with numbers drawn at random, where a real one would compute them."""

    def __init__(self, tasks: dict[str, Any], models: tuple[str, ...], *, intervals: bool = True) -> None:
        self.random = np.random.default_rng(1)
        self.tasks, self.models, self.intervals = tasks, models, intervals
        self.pairs = [(name, a, b) for name, (train, test) in tasks.items() for a in train for b in test if a != b]

    def average(self, analysis: str, metric: str, value: float, **rest: Any) -> Iterator[Row]:
        yield row(analysis, metric, value, **rest)
        if self.intervals:
            yield row(analysis, f"{metric}_ci_low", value - 0.07, **rest)
            yield row(analysis, f"{metric}_ci_high", value + 0.05, **rest)

    def per_pair(self, analysis: str, metric: str, center: float, width: float, **rest: Any) -> Iterator[Row]:
        for dataset, train, test in self.pairs:
            value = float(np.clip(center + width * self.random.standard_normal(), -1, 1))
            where = {"dataset": dataset, "train_domain": train, "test_domain": test}
            yield row(analysis, metric, value, **where, **rest)
        for dataset, weight in product([*self.tasks, "all"], ["pairs", "tasks", "pairs_median"]):
            value = center + (0.05 if weight == "tasks" else 0.0)
            yield from self.average(analysis, metric, value, dataset=dataset, average=weight, **rest)

    def rows(self) -> Iterator[Row]:
        for k, name in enumerate(labels.PREDICTORS):
            joint = name in ("id", "all")
            metrics = ("adjusted_r2", "r2_cross") if joint else ("spearman", "adjusted_r2", "gain", "minus_id_error")
            for metric in metrics:
                yield from self.per_pair("predictors", metric, 0.5 - k / 30, 0.25, predictor=name)
        columns = [f"{space}_{name}" for space in ("id", "ood") for name in OF] + ["corrupted_error"]
        for dataset in self.tasks:
            for name, factor in product(columns, range(1, 5)):
                value = float(np.clip(0.5 * self.random.standard_normal(), -1, 1))
                yield row("factors", "loading", value, dataset=dataset, variable=name, factor=factor)
            for k in range(1, len(columns) + 1):
                yield row("factors", "eigenvalue", 5 / k, dataset=dataset, component=k)
                yield row("factors", "parallel", 1.6 - 0.1 * k, dataset=dataset, component=k)
            yield row("factors", "kaiser", 3, dataset=dataset)
            yield row("upstream", "spearman_mean", 0.8, dataset=dataset)
            yield row("upstream", "spearman_mean_p", 0.2, dataset=dataset)
            yield row("upstream", "spearman_best", -0.4, dataset=dataset)
            yield row("upstream", "spearman_best_p", 0.6, dataset=dataset)
            for k, model in enumerate(self.models):
                values = {"upstream_error": 0.4 + 0.07 * k, "ood_accuracy_best": 0.5 - 0.04 * k}
                for metric, value in (values | {"ood_accuracy_mean": 0.3 - 0.05 * k}).items():
                    yield row("upstream", metric, value, dataset=dataset, model=model)
                for metric, regime in product(labels.RADAR, ("full", "fewshot_10")):
                    value = self.random.uniform(0.2, 1)
                    yield row("radar", metric, value, dataset=dataset, model=model, regime=regime)
            for by, levels in {**LEVELS, "regime": ("full", "fewshot_10"), "model": self.models}.items():
                for level in levels:
                    value = 0.3 * self.random.standard_normal()
                    rest = {"dataset": dataset, "by": by, "level": level, "average": "pairs"}
                    yield from self.average("effective_robustness", "residual", value, **rest)
        for name in OF:
            yield from self.per_pair("transfer", "spearman", self.random.uniform(-0.3, 0.6), 0.3, of=name)
        spaces = ["id_error", "ood_error", "corrupted_error", "id_ece", "ood_ece", "id_adversarial_error_small"]
        for of, (factor, (level, base)), regime in product(spaces, LEVELS.items(), ("all", "fewshot_10", "full")):
            rest = {"of": of, "factor": factor, "level": level, "baseline": base, "regime": regime}
            yield from self.per_pair("interventions", "difference", 0.05 * self.random.standard_normal(), 0.05, **rest)
        for k, (dataset, train, test) in enumerate(self.pairs):
            where = {"dataset": dataset, "train_domain": train, "test_domain": test}
            for within in ("", "model:cnn", "regime:full"):
                rest = where | ({"within": within} if within else {})
                yield row("shapes", "shape", k % 4, **rest)
            yield row("shapes", "spearman_accuracy", 0.4 - k / 40, **where)
            yield row("shapes", "logit_r2", 0.3, **where)
            yield row("shapes", "chance", 0.1 if dataset == "digits" else 0.5, **where)
        for dataset, shape in product(self.tasks, labels.SHAPES):
            yield row("shapes", "count", 5, dataset=dataset, shape=shape)
        for k, name in enumerate(labels.RULES):
            yield from self.per_pair("selection", "regret", 0.05 + 0.08 * k, 0.03, rule=name)
        for k, name in enumerate(labels.ESTIMATORS):
            yield from self.per_pair("estimators", "mae", 0.2 + 0.08 * k, 0.05, estimator=name)

    def methods(self) -> Iterator[Row]:
        """What only the laptop scale and larger ones hold."""
        for k, method in enumerate(labels.METHODS):
            for seed in range(3):
                value = 0.1 + 0.05 * k + 0.01 * seed
                yield row("planted_cue", "reversed_accuracy", value, dataset="colored", method=method, seed=seed)
            for selection in labels.SELECTIONS if method != "erm_grayscale" else ():
                for metric in ("ood_accuracy", "minus_erm"):
                    rest = {"method": method, "selection": selection}
                    for domain in DOMAINS:
                        value = 0.03 * self.random.standard_normal()
                        yield row("invariance", metric, value, test_domain=domain, **rest)
                    yield from self.average("invariance", metric, 0.01 * k - 0.05, average="pairs", **rest)


def frame(*, models: tuple[str, ...] = MODELS, methods: bool = True, intervals: bool = True) -> pd.DataFrame:
    arms = ("sweep", "strategies") if methods else ("sweep",)
    measured = sweep_table(domains=DOMAINS, models=models, arms=arms)
    tasks = TASKS if methods else {"digits": TASKS["digits"]}
    measured = pd.concat([measured[measured["dataset"] == name] for name in tasks])
    found = Analyses(tasks, models, intervals=intervals)
    analysed = results.table([*found.rows(), *(found.methods() if methods else ())])
    return results.expand(pd.concat([measured, analysed], ignore_index=True))


RUNS = {"everything": frame(), "small": frame(models=("cnn", "vit"), methods=False, intervals=False)}
BEYOND = {"planted_cue", "invariance", "strategies"}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", figures.FIGURES)
def test_every_figure_is_drawn_or_has_no_data(run: str, name: str) -> None:
    make, draw = figures.FIGURES[name]
    data = make(RUNS[run])
    assert data.empty == (name in BEYOND and run == "small")
    if len(data):
        figure = draw(data)
        figure.draw_without_rendering()
        assert any(ax.has_data() for ax in figure.axes)


@pytest.mark.parametrize("name", figures.FIGURES | figures.TABLES)
def test_a_table_without_networks_gives_no_data(name: str) -> None:
    make = figures.TABLES[name] if name in figures.TABLES else figures.FIGURES[name][0]
    assert make(results.expand(results.table([]))).empty


@pytest.mark.parametrize("name", figures.FIGURES | figures.TABLES)
def test_data_sets_come_in_the_order_of_the_results(name: str) -> None:
    make = figures.TABLES[name] if name in figures.TABLES else figures.FIGURES[name][0]
    order = tidy.datasets(make(RUNS["everything"]))
    assert order == [known for known in ("digits", "colored", "all") if known in order]
    assert "all" not in tidy.datasets(make(RUNS["small"]))


def test_predictors_keep_pairs_and_both_weights_of_the_average() -> None:
    data = tidy.predictors(RUNS["everything"])
    error = data[data["predictor"] == "id_error"].set_index("dataset")
    assert error.loc["digits", "weight"].value_counts().to_dict() == {"": 6, "pairs": 1}
    assert error.loc["colored", "weight"].value_counts().to_dict() == {"": 2, "pairs": 1}
    means = error.loc["all"].set_index("weight")
    assert means["spearman"].to_dict() == pytest.approx({"pairs": 0.5, "tasks": 0.55})
    assert means.loc["pairs", "spearman_ci_low"] == pytest.approx(0.43)
    assert set(data.loc[data["predictor"] == "all", "spearman"].dropna()) == set()


def test_heat_map_holds_means_over_the_pairs_of_a_training_domain() -> None:
    data = tidy.predictors_heatmap(RUNS["everything"]).set_index(["train_domain", "predictor"])
    pairs = tidy.predictors(RUNS["everything"])
    mine = pairs[(pairs["train_domain"] == "pen") & (pairs["predictor"] == "heldout_error")]
    assert data.loc[("pen", "heldout_error"), "spearman"] == pytest.approx(mine["spearman"].mean())
    assert data.loc[("pen", "heldout_error"), "pairs"] == 2
    assert data.loc[("e10", "heldout_error"), "pairs"] == 2


def measured(network: str, errors: dict[str, float], **setting: Any) -> list[Row]:
    """Test errors of one network: on "a", where it was trained, and on other domains."""
    base = {"paper": "assay", "dataset": "digits", "train_domain": "a", "model": "cnn", "method": "erm", "seed": 0}
    keys = {"arm": "sweep", "regime": "full", "finetune": "full", "augment": "standard", **setting}
    base |= {"split": "test", "metric": "error", "n": 100, "setting": results.setting(run=network, **keys)}
    return [
        base | {"test_domain": domain, "shift": "id" if domain == "a" else "ood", "value": value}
        for domain, value in errors.items()
    ]


def test_accuracies_match_networks_with_their_own_id_accuracy() -> None:
    rows = measured("one", {"a": 0.1, "b": 0.4, "c": 0.6}) + measured("two", {"a": 0.3, "b": 0.5})
    corrupted = rows[0] | {"shift": "corrupted", "setting": rows[0]["setting"] + ";severity=1", "value": 0.9}
    table = tidy.complete(results.expand(results.table([*rows, corrupted])))
    data = tidy.accuracies(tidy.sweep(table)).set_index(["run", "test_domain"])
    assert data["id_accuracy"].to_dict() == pytest.approx({("one", "b"): 0.9, ("one", "c"): 0.9, ("two", "b"): 0.7})
    assert data["ood_accuracy"].to_dict() == pytest.approx({("one", "b"): 0.6, ("one", "c"): 0.4, ("two", "b"): 0.5})


def test_shapes_carry_name_and_chance_of_their_pair() -> None:
    shape = {"dataset": "digits", "train_domain": "a", "test_domain": "b"}
    analysed = [row("shapes", "shape", 2, **shape), row("shapes", "chance", 0.1, **shape)]
    analysed.append(row("shapes", "shape", 0, within="model:cnn", **shape))
    rows = measured("one", {"a": 0.1, "b": 0.9, "c": 0.6})
    data = tidy.shapes(results.expand(results.table([*rows, *analysed]))).set_index("test_domain")
    assert data["shape"].to_dict() == {"b": "horizontal", "c": ""}
    assert data.loc["b", "chance"] == 0.1
    assert np.isnan(data.loc["c", "chance"])


def test_shapes_are_counted_over_all_networks_and_within_parts() -> None:
    counts = tidy.shape_counts(RUNS["everything"]).set_index(["dataset", "networks"])
    assert counts.loc[("digits", "all"), list(labels.SHAPES)].tolist() == [2, 2, 1, 1, 0]
    assert counts.loc[("colored", "model cnn"), list(labels.SHAPES)].sum() == 2


def test_strategies_are_means_over_networks_beside_the_cells_they_come_from() -> None:
    rows = measured("probe", {"a": 0.4, "b": 0.8}, finetune="head")
    rows += measured("plain", {"a": 0.2, "b": 0.6, "c": 0.8})
    rows += measured("other cell", {"a": 0.9, "b": 0.9}, augment="rand")
    for alpha, error in ((0.0, 0.4), (0.5, 0.2), (1.0, 0.3)):
        rows += measured(f"mix {alpha}", {"a": error, "b": error}, arm="strategies", finetune="wise_ft", alpha=alpha)
    data = tidy.strategies(results.expand(results.table(rows))).set_index("finetune")
    assert data.loc["wise_ft", "alpha"].tolist() == [0.0, 0.5, 1.0]
    assert data.loc["wise_ft", "id_accuracy"].tolist() == pytest.approx([0.6, 0.8, 0.7])
    assert data.loc["full", ["id_accuracy", "ood_accuracy"]].tolist() == pytest.approx([0.8, 0.3])
    assert data.loc["head", "networks"] == 1


def test_interventions_show_the_sweep_alone() -> None:
    rest = {"factor": "finetune", "level": "lp_ft", "baseline": "full", "regime": "full", "of": "ood_error"}
    extra = results.expand(results.table([row("interventions", "difference", 0.1, average="pairs", **rest)]))
    data = tidy.interventions(pd.concat([RUNS["everything"], extra], ignore_index=True).fillna(""))
    assert set(data["level"]) == {"rand", "full"}
    assert tidy.regimes(["all", "fewshot_10", "fewshot_100", "full"]) == ["full", "fewshot_100", "fewshot_10", "all"]


def test_of_many_data_sets_the_average_alone_is_kept() -> None:
    data = pd.DataFrame({"dataset": ["a", "b", "c", "all"]})
    assert tidy.few_or_all(data)["dataset"].tolist() == ["a", "b", "c"]
    more = pd.DataFrame({"dataset": ["a", "b", "c", "d", "all"]})
    assert tidy.few_or_all(more)["dataset"].tolist() == ["all"]


def test_headline_is_small_and_leaves_out_what_was_not_measured() -> None:
    numbers = headline(RUNS["everything"])
    assert list(numbers) == ["digits", "colored"]
    assert sum(map(len, numbers.values())) < 40
    assert numbers["digits"]["spearman_id_error"] == pytest.approx(0.5)
    assert numbers["digits"]["pairs_line"] == 5
    assert numbers["colored"]["planted_cue_erm"] == pytest.approx(0.11)
    small = headline(RUNS["small"])
    assert list(small) == ["digits"]
    assert not [name for name in small["digits"] if name.startswith("planted")]


def test_headline_gains_are_accuracy_won() -> None:
    where = {"factor": "finetune", "level": "full", "baseline": "head", "regime": "full", "of": "ood_error"}
    rows = measured("one", {"a": 0.1, "b": 0.4, "c": 0.6})
    rows.append(row("interventions", "difference", -0.03, average="pairs", **where))
    numbers = headline(results.expand(results.table(rows)))["digits"]
    assert numbers == pytest.approx({"id_error": 0.1, "ood_error": 0.5, "full_minus_head_ood_accuracy": 0.03})


def test_page_shows_every_figure_and_table_once() -> None:
    names = [exhibit.name for exhibit in PAGE.exhibits]
    assert sorted(names) == sorted([*figures.FIGURES, *figures.TABLES])
    for exhibit in PAGE.exhibits:
        assert bool(exhibit.alt) == (exhibit.name in figures.FIGURES)
        assert bool(exhibit.columns) == (exhibit.name in figures.TABLES)


@pytest.mark.parametrize("name", figures.TABLES)
def test_columns_of_printed_tables_exist(name: str) -> None:
    exhibit = next(exhibit for exhibit in PAGE.exhibits if exhibit.name == name)
    data = figures.TABLES[name](RUNS["everything"])
    for pattern in exhibit.columns.values():
        for column in re.findall(r"{(\w+)", pattern):
            assert column in data
    assert set(exhibit.rows) <= set(data)
