"""The data behind each figure and table of the assay: from the long tables to one tidy table per figure.

Every function takes the expanded results (`reprise.results.expand`; measurements of networks and rows of analyses
together) and returns a tidy table, empty where the run holds nothing of the kind. A pair is a training domain and
another domain of the same data set; an average over pairs weighs pairs equally (weight "pairs") or data sets equally
("tasks"), and its interval is a bootstrap over networks.
"""

import functools
from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from reprise.assay.figures_labels import (
    ESTIMATORS,
    EVERYTHING,
    METHODS,
    METRICS,
    PREDICTORS,
    RADAR,
    RULES,
    SELECTIONS,
    SHAPES,
    STRATEGIES,
)

SETTINGS = (
    "run", "arm", "regime", "finetune", "augment", "lr", "length", "corruption", "severity", "alpha", "draw",
    "analysis", "predictor", "factor", "variable", "component", "of", "level", "baseline", "average", "within", "shape",
    "rule", "by", "estimator", "selection",
)  # fmt: skip
PAIR = ["dataset", "train_domain", "test_domain"]


def complete(results: pd.DataFrame) -> pd.DataFrame:
    """The table with every column a setting may have, text, "" where a run has no such variant."""
    return results.assign(**{name: "" for name in SETTINGS if name not in results})


def figure_data(function: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Give `function` complete results, and put the data sets of its table in the order of the results.

    Averages over all data sets come last; they are left out where there is one data set, which they would repeat.
    """

    @functools.wraps(function)
    def by_dataset(results: pd.DataFrame) -> pd.DataFrame:
        table = function(complete(results))
        order = [name for name in dict.fromkeys(results["dataset"]) if name != EVERYTHING]
        several = len(set(table["dataset"]) - {EVERYTHING}) > 1
        return ordered(table, "dataset", [*order, EVERYTHING] if several else order)

    return by_dataset


def datasets(data: pd.DataFrame) -> list[str]:
    """Data sets of a tidy table in its order."""
    return list(dict.fromkeys(data["dataset"]))


def few_or_all(data: pd.DataFrame) -> pd.DataFrame:
    """Three data sets at most stand beside each other, without their average; of more the average alone is kept."""
    each = data[data["dataset"] != EVERYTHING]
    return each if each["dataset"].nunique() <= 3 else data[data["dataset"] == EVERYTHING]


def analysis(results: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one analysis."""
    return results[results["analysis"] == name]


def wide(rows: pd.DataFrame, by: Sequence[str], metrics: Sequence[str], *, intervals: bool = False) -> pd.DataFrame:
    """One row per `by`, in the order of the rows, with a column per metric (missing where not measured).

    With `intervals` also `<metric>_ci_low` and `<metric>_ci_high`.
    """
    names = [name for metric in metrics for name in (metric, *(bounds(metric) if intervals else ()))]
    columns = [*by, *names, "n"]
    chosen = rows[rows["metric"].isin(names)]
    if chosen.empty:
        return pd.DataFrame({name: pd.Series(dtype=str if name in by else float) for name in columns})
    groups = chosen.groupby(list(by), sort=False)["n"].max()
    table = chosen.pivot(index=list(by), columns="metric", values="value").reindex(index=groups.index, columns=names)
    return table.join(groups).reset_index()[columns]


def bounds(metric: str) -> tuple[str, str]:
    """The names of a metric's interval."""
    return f"{metric}_ci_low", f"{metric}_ci_high"


def over_pairs(rows: pd.DataFrame, by: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Pairs and their averages in one table: `weight` is "" for a pair, else how the average weighs them.

    Within one data set both weights are the same; "pairs" is kept.
    """
    both = ["", "pairs", "tasks"]
    rows = rows[rows["average"].isin(both) & ((rows["average"] != "tasks") | (rows["dataset"] == EVERYTHING))]
    keys = [*PAIR, *by, "average"]
    return wide(rows, keys, metrics, intervals=True).rename(columns={"average": "weight"})


def ordered(data: pd.DataFrame, column: str, names: Sequence[str]) -> pd.DataFrame:
    """Rows of known `column`, in the order of `names` within the order they have."""
    rank = {name: k for k, name in enumerate(names)}
    data = data[data[column].isin(names)]
    order = data[column].map(rank).argsort(kind="stable")
    return data.iloc[order].reset_index(drop=True)


@figure_data
def predictors(results: pd.DataFrame) -> pd.DataFrame:
    """Figure A: how each predictor goes with OOD error, per pair and on average."""
    rows = analysis(results, "predictors")
    data = over_pairs(rows, ["predictor"], ["spearman", "adjusted_r2", "gain", "r2_cross"])
    return ordered(data, "predictor", list(PREDICTORS))


@figure_data
def predictors_heatmap(results: pd.DataFrame) -> pd.DataFrame:
    """Figure A2: mean over the pairs of a training domain of the rank correlation with OOD error."""
    rows = analysis(results, "predictors")
    rows = rows[(rows["average"] == "") & (rows["metric"] == "spearman")]
    keys = ["dataset", "train_domain", "predictor"]
    means = rows.groupby(keys, sort=False)["value"].agg(spearman="mean", pairs="size").reset_index()
    return ordered(means, "predictor", list(PREDICTORS))


@figure_data
def predictor_averages(results: pd.DataFrame) -> pd.DataFrame:
    """Table: averages of the predictors with intervals, pairs equal, tasks equal, and the median over pairs."""
    rows = analysis(results, "predictors")
    names = ["spearman", "minus_id_error", "adjusted_r2", "gain", "r2_cross"]
    means = wide(rows[rows["average"] == "pairs"], ["dataset", "predictor"], names, intervals=True)
    for weight in ("tasks", "pairs_median"):
        other = wide(rows[rows["average"] == weight], ["dataset", "predictor"], ["spearman"])
        other = other.rename(columns={"spearman": f"spearman_{weight}"}).drop(columns="n")
        means = means.merge(other, on=["dataset", "predictor"], how="left")
    data = ordered(means, "predictor", list(PREDICTORS))
    return data.assign(label=data["predictor"].map(PREDICTORS))


@figure_data
def factors(results: pd.DataFrame) -> pd.DataFrame:
    """Loadings of the factor analysis: data set, variable, factor, loading."""
    rows = analysis(results, "factors")
    rows = rows[rows["metric"] == "loading"]
    data = rows[["dataset", "variable", "factor", "value"]].rename(columns={"value": "loading"})
    families = ("id", "corrupted", "ood")
    names = [f"{family}_{metric}" for family in families for metric in METRICS]
    others = [name for name in dict.fromkeys(data["variable"]) if name not in names]
    return ordered(data.astype({"factor": int}).sort_values("factor", kind="stable"), "variable", [*names, *others])


@figure_data
def scree(results: pd.DataFrame) -> pd.DataFrame:
    """Eigenvalues of the correlation matrix and the 95th percentile of those of noise."""
    rows = analysis(results, "factors")
    rows = rows[rows["component"] != ""]
    data = wide(rows, ["dataset", "component"], ["eigenvalue", "parallel"]).drop(columns="n")
    data = data.astype({"component": int})
    return data.sort_values(["dataset", "component"], kind="stable", ignore_index=True)


@figure_data
def transfer(results: pd.DataFrame) -> pd.DataFrame:
    """Figure B: per pair, how a metric on OOD data follows the same metric on ID data."""
    rows = analysis(results, "transfer")
    return ordered(over_pairs(rows, ["of"], ["spearman", "r2"]), "of", list(METRICS))


@figure_data
def upstream(results: pd.DataFrame) -> pd.DataFrame:
    """One row per architecture; the rank correlations with upstream accuracy repeat in every row of a data set."""
    rows = analysis(results, "upstream")
    names = ["upstream_error", "ood_accuracy_best", "ood_accuracy_mean"]
    data = wide(rows[rows["model"] != ""], ["dataset", "model"], names).drop(columns="n")
    ranks = ["spearman_best", "spearman_best_p", "spearman_mean", "spearman_mean_p"]
    shared = wide(rows[rows["model"] == ""], ["dataset"], ranks).drop(columns="n")
    data = data.assign(upstream_accuracy=1 - data.pop("upstream_error"))
    return data.merge(shared, on="dataset", how="left")


@figure_data
def interventions(results: pd.DataFrame) -> pd.DataFrame:
    """Figure C: average difference a level of the sweep makes against its baseline, by metric and regime."""
    rows = analysis(results, "interventions")
    beyond = (rows["factor"] == "finetune") & (rows["baseline"] != "head")  # strategies that the paper does not have
    rows = rows[(rows["average"] == "pairs") & ~beyond]
    keys = ["dataset", "factor", "level", "baseline", "regime", "of"]
    data = wide(rows, keys, ["difference", "share_positive"], intervals=True)
    data = few_or_all(data).drop(columns=list(bounds("share_positive")))
    return ordered(data, "regime", regimes(data["regime"]))


def regimes(names: Iterable[str]) -> list[str]:
    """Regimes from much data to little, their mean ("all") last."""
    few = sorted((name for name in set(names) if name.startswith("fewshot_")), key=lambda name: -int(name[8:]))
    return [name for name in ("full", *few, EVERYTHING) if name in set(names)]


def sweep(results: pd.DataFrame) -> pd.DataFrame:
    """The networks of the main sweep: error rows on the test splits of ID and OOD data."""
    rows = results
    return rows[(rows["arm"] == "sweep") & (rows["split"] == "test") & (rows["analysis"] == "")]


RUN = ["dataset", "train_domain", "run", "model", "regime", "finetune", "augment", "seed"]


def accuracies(rows: pd.DataFrame, by: Sequence[str] = RUN) -> pd.DataFrame:
    """One row per network and OOD domain: `id_accuracy` and `ood_accuracy`, both in [0, 1]."""
    errors = rows[rows["metric"] == "error"]
    inside = errors[errors["shift"] == "id"].set_index(list(by))["value"].rename("id_accuracy")
    outside = errors[errors["shift"] == "ood"].set_index([*by, "test_domain"])["value"].rename("ood_accuracy")
    return (1 - outside).reset_index().merge((1 - inside).reset_index(), on=list(by))


@figure_data
def shapes(results: pd.DataFrame) -> pd.DataFrame:
    """Figure D: ID and OOD accuracy of every network and pair, with the shape the pair was given."""
    data = accuracies(sweep(results))
    rows = analysis(results, "shapes")
    names = ["shape", "spearman_accuracy", "logit_r2", "chance"]
    found = wide(rows[(rows["average"] == "") & (rows["within"] == "") & (rows["test_domain"] != "")], PAIR, names)
    found = found.assign(shape=[SHAPES[int(code)] if code == code else "" for code in found["shape"]])
    return data.merge(found.drop(columns="n"), on=PAIR, how="left").fillna({"shape": ""})


@figure_data
def shape_counts(results: pd.DataFrame) -> pd.DataFrame:
    """Table: how many pairs have each shape, over all networks and within one architecture or regime."""
    rows = analysis(results, "shapes")
    rows = rows[(rows["metric"] == "shape") & (rows["average"] == "") & (rows["test_domain"] != "")]
    named = rows.assign(shape=[SHAPES[int(code)] for code in rows["value"]])
    counts = named.groupby(["dataset", "within", "shape"], sort=False).size().unstack(fill_value=0)
    counts = counts.reindex(columns=list(SHAPES), fill_value=0).rename_axis(columns=None).reset_index()
    return counts.assign(networks=[text.replace(":", " ") or "all" for text in counts["within"]])


@figure_data
def selection(results: pd.DataFrame) -> pd.DataFrame:
    """OOD accuracy lost by choosing a network by each rule, per pair and on average."""
    return ordered(over_pairs(analysis(results, "selection"), ["rule"], ["regret"]), "rule", list(RULES))


@figure_data
def effective_robustness(results: pd.DataFrame) -> pd.DataFrame:
    """Mean residual of logit OOD accuracy from the pair's line, by a property of the network."""
    rows = analysis(results, "effective_robustness")
    rows = rows[rows["average"] == "pairs"]
    data = wide(rows, ["dataset", "by", "level"], ["residual"], intervals=True)
    return ordered(few_or_all(data), "by", ["regime", "finetune", "augment", "model", "method"])


@figure_data
def radar(results: pd.DataFrame) -> pd.DataFrame:
    """Per architecture and regime, six qualities in [0, 1], 1 best."""
    rows = analysis(results, "radar")
    data = wide(rows, ["dataset", "model", "regime"], list(RADAR)).drop(columns="n")
    return ordered(data, "regime", regimes(data["regime"]))


@figure_data
def planted_cue(results: pd.DataFrame) -> pd.DataFrame:
    """Accuracy where the planted cue is reversed: a row per method and seed."""
    rows = analysis(results, "planted_cue")
    rows = rows[rows["metric"] == "reversed_accuracy"]
    data = rows[["dataset", "method", "seed", "value"]].rename(columns={"value": "reversed_accuracy"})
    return ordered(data, "method", list(METHODS))


@figure_data
def invariance(results: pd.DataFrame) -> pd.DataFrame:
    """OOD accuracy of each method minus ERM's, per held-out domain (weight "") and on average, by selection rule."""
    rows = analysis(results, "invariance")
    data = over_pairs(rows, ["method", "selection"], ["ood_accuracy", "minus_erm"])
    return ordered(ordered(data, "method", list(METHODS)), "selection", list(SELECTIONS))


@figure_data
def estimators(results: pd.DataFrame) -> pd.DataFrame:
    """Estimated and true OOD error per network and pair."""
    rows = sweep(results)
    rows = rows[rows["shift"] == "ood"]
    names = ["error", *(f"estimate_{name}" for name in ESTIMATORS)]
    data = wide(rows, [*RUN, "test_domain"], names).drop(columns="n")
    return data[data["estimate_atc"].notna()].reset_index(drop=True)


@figure_data
def estimator_errors(results: pd.DataFrame) -> pd.DataFrame:
    """Table: mean absolute error of each label-free estimate of OOD error, averages over pairs."""
    rows = analysis(results, "estimators")
    data = wide(rows[rows["average"] == "pairs"], ["dataset", "estimator"], ["mae"], intervals=True)
    return ordered(data.assign(label=data["estimator"].map(ESTIMATORS)), "estimator", list(ESTIMATORS))


@figure_data
def strategies(results: pd.DataFrame) -> pd.DataFrame:
    """ID and mean OOD accuracy of each fine-tuning strategy: mean over the networks of a training domain.

    The sweep's networks of the same cells (architecture, regime, augmentation) stand beside them.
    """
    rows = results[results["arm"].isin(["strategies", "sweep"]) & (results["split"] == "test")]
    runs = accuracies(rows, [*RUN, "alpha", "arm"])
    cell = ["dataset", "train_domain", "model", "regime", "augment"]
    cells = pd.MultiIndex.from_frame(runs.loc[runs["arm"] == "strategies", cell])
    runs = runs[pd.MultiIndex.from_frame(runs[cell]).isin(cells)]
    keys = ["dataset", "train_domain", "regime", "finetune", "alpha"]
    each = runs.groupby([*keys, "run"], sort=False)[["id_accuracy", "ood_accuracy"]].mean()
    groups = each.groupby(level=keys, sort=False)
    data = groups.mean().join(groups.size().rename("networks")).reset_index()
    data = data.assign(alpha=pd.to_numeric(data["alpha"])).sort_values("alpha", kind="stable")
    return ordered(data, "finetune", list(STRATEGIES))


@figure_data
def domains(results: pd.DataFrame) -> pd.DataFrame:
    """Table: per pair the median ID and OOD accuracy over networks, their rank correlation and the shape."""
    data = shapes(results)
    columns = ["id_accuracy", "ood_accuracy", "spearman_accuracy", "logit_r2"]
    table = data.groupby(PAIR, sort=False).agg(**{name: (name, "median") for name in columns}, shape=("shape", "first"))
    return table.join(data.groupby(PAIR).size().rename("networks")).reset_index()
