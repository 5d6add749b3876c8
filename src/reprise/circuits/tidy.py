"""The data behind the figures and tables of numbers: from the results tables to means and deviations over seeds.

Every function takes the expanded results (`reprise.results.expand`), accuracies and latencies together, and returns a
tidy table, empty where the run holds nothing of the kind. Accuracies are fractions in [0, 1]; `x` and `x_sd` are the
mean and the standard deviation over seeds (missing for one seed). `iid` is the accuracy on the test set of the training
distribution, `ood` the mean of those on the shifted ones, each weighing the same.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import t as student

from reprise.circuits.figures_labels import (
    COSTS,
    FEW_SHOT,
    HOW,
    LABELS,
    MODELS,
    ORDERS,
    OVER,
    PARTS,
    PRIORS,
    SWAPS,
    WIDE,
)

SETTINGS = ("kept", "order", "cut", "kind", "shots", "episode", "processors", "how", "over", "at")
CONFIDENCE = 0.95
FEWEST = 4  # networks through which a line is laid


def complete(results: pd.DataFrame) -> pd.DataFrame:
    """The table with every column a setting may have, text, "" where a run has no such variant."""
    return results.assign(**{name: "" for name in SETTINGS if name not in results})


def figure_data(function: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Give `function` complete results, and put the data sets of its table in the order of the results."""

    @functools.wraps(function)
    def by_dataset(results: pd.DataFrame) -> pd.DataFrame:
        return ordered(function(complete(results)), "dataset", list(dict.fromkeys(results["dataset"])))

    return by_dataset


def datasets(data: pd.DataFrame) -> list[str]:
    """Data sets of a tidy table in its order."""
    return list(dict.fromkeys(data["dataset"]))


def ordered(data: pd.DataFrame, column: str, names: Sequence[str]) -> pd.DataFrame:
    """Rows of known `column`, in the order of `names` within the order they have."""
    rank = {name: k for k, name in enumerate(names)}
    data = data[data[column].isin(names)]
    order = data[column].map(rank).argsort(kind="stable")
    return data.iloc[order].reset_index(drop=True)


def variant(results: pd.DataFrame, **keys: str) -> pd.DataFrame:
    """Rows whose setting is exactly `keys`, whatever the value of those given as "*"."""
    rows = results
    for name in SETTINGS:
        wanted = keys.get(name, "")
        rows = rows[rows[name] != ""] if wanted == "*" else rows[rows[name] == wanted]
    return rows


def wide(rows: pd.DataFrame, by: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """One row per `by` and seed, in the order of the rows, with a column per metric."""
    chosen = rows[rows["metric"].isin(metrics)]
    keys = [*by, "seed"]
    if chosen.empty:
        return chosen[keys].assign(**{name: pd.Series(dtype=float) for name in metrics})
    order = pd.MultiIndex.from_frame(chosen[keys].drop_duplicates())
    table = chosen.pivot(index=keys, columns="metric", values="value").reindex(index=order, columns=list(metrics))
    return table.rename_axis(columns=None).reset_index()


def spread(each: pd.DataFrame, by: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """One row per `by`: `<name>`, `<name>_sd` and the number of `seeds`, from one row per seed (or seed and draw)."""
    groups = each.groupby(list(by), sort=False)
    means, deviations = groups[list(names)].mean(), groups[list(names)].std(ddof=1).add_suffix("_sd")
    table = means.join(deviations).join(groups["seed"].nunique().rename("seeds")).reset_index()
    return table[[*by, *(column for name in names for column in (name, f"{name}_sd")), "seeds"]]


def over_seeds(rows: pd.DataFrame, by: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """`spread` of measured rows."""
    return spread(wide(rows, by, metrics), by, metrics)


def labelled(data: pd.DataFrame) -> pd.DataFrame:
    """With the method's name for people in `label`."""
    return data.assign(label=data["method"].map(LABELS))


def runs(results: pd.DataFrame) -> pd.DataFrame:
    """One row per trained network: `iid` and `ood` (missing where a data set has no shifted test set)."""
    keys = ["dataset", "method", "seed"]
    rows = variant(results[(results["metric"] == "accuracy") & results["method"].isin(LABELS)])
    means = [
        rows[shifted].groupby(keys, sort=False)["value"].mean().rename(name)
        for name, shifted in (("iid", rows["shift"] == ""), ("ood", rows["shift"] != ""))
    ]
    return means[0].to_frame().join(means[1]).reset_index()


def facts(results: pd.DataFrame, by: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """One row per `by` with the first value of each metric: what no seed changes."""
    chosen = results[results["metric"].isin(metrics)].drop_duplicates([*by, "metric"])
    table = chosen.pivot(index=list(by), columns="metric", values="value").reindex(columns=list(metrics))
    return table.rename_axis(columns=None).reset_index()


@figure_data
def priors(results: pd.DataFrame) -> pd.DataFrame:
    """`iid` and `ood` of every network by graph prior, one row per seed, with Perceiver IO to compare with."""
    each = runs(results)
    several = each["dataset"].isin(each.loc[each["method"].isin(set(PRIORS) - {"nac"}), "dataset"])
    names = PRIORS | {"perceiver": LABELS["perceiver"]}
    data = ordered(each[several], "method", list(names))
    return data.assign(label=data["method"].map(names))


@figure_data
def ablation(results: pd.DataFrame) -> pd.DataFrame:
    """`iid` and `ood` of {FC, ModFC} x {complete, sparse}, one row per seed; `layers` and `graph` name the cell."""
    each = runs(results)
    several = each["dataset"].isin(each.loc[each["method"].isin(["plain_sparse", "nac_complete"]), "dataset"])
    data = labelled(ordered(each[several], "method", list(PARTS)))
    return data.assign(
        **{part: [PARTS[name][k] for name in data["method"]] for k, part in enumerate(("layers", "graph"))}
    )


@figure_data
def robustness(results: pd.DataFrame) -> pd.DataFrame:
    """`ood` over `iid`, one row per network, and how far above the data set's line it lies (`effective`).

    The line is linear in logits, least squares through all networks of the data set (`line` is its value at `iid`);
    of fewer than four it is missing.
    """
    data = runs(results).dropna(subset="ood")
    parts = [part.assign(line=_line(part["iid"], part["ood"])) for _, part in data.groupby("dataset", sort=False)]
    data = pd.concat(parts) if parts else data.assign(line=0.0)
    families = results.drop_duplicates("method").set_index("method")["model"]
    data = data.assign(effective=data["ood"] - data["line"], family=data["method"].map(families))
    return labelled(ordered(data, "method", list(LABELS)))


def _line(x: pd.Series, y: pd.Series) -> np.ndarray:
    """Values at `x` of the line through both in logits; accuracies of 0 and 1 count as 0.001 and 0.999."""
    if len(x) < FEWEST or x.nunique() < 2:
        return np.full(len(x), np.nan)
    a, b = (logit(np.clip(values.to_numpy(float), 0.001, 0.999)) for values in (x, y))
    return expit(np.polyval(np.polyfit(a, b, 1), a))


@figure_data
def pruning(results: pd.DataFrame) -> pd.DataFrame:
    """Accuracy over the fraction of processors kept, by order of removal; the spread is over seeds and random draws.

    `loss` is the accuracy lost to the whole network of the same seed. A whole network has no order, so it has a row in
    each.
    """
    each = pruned(results)
    data = spread(each, ["dataset", "method", "order", "kept"], ["accuracy", "loss"])
    data = data.sort_values("kept", ascending=False, kind="stable")
    return labelled(ordered(ordered(data, "order", list(ORDERS)), "method", list(LABELS)))


def pruned(results: pd.DataFrame) -> pd.DataFrame:
    """One row per network, order, draw and kept fraction, with the loss to the same network as a whole."""
    rows = variant(results[results["metric"] == "accuracy"], kept="*", order="*")
    names = rows["order"].str.extract(r"^([a-z]+)(\d*)$")
    each = rows.assign(order=names[0], draw=names[1], kept=rows["kept"].astype(float), accuracy=rows["value"])
    each = each[["dataset", "method", "seed", "order", "draw", "kept", "accuracy"]]
    each = each.merge(runs(results).drop(columns="ood"), on=["dataset", "method", "seed"], how="left")
    return each.assign(loss=each["iid"] - each["accuracy"]).drop(columns="iid")


@figure_data
def speed(results: pd.DataFrame) -> pd.DataFrame:
    """Accuracy lost by the wide networks over the measured speed-up, by fraction kept and how it is executed (`how`).

    Speed is measured once per size: it depends on no weight.
    """
    losses = spread(pruned(results).query("order == 'degree'"), ["dataset", "method", "kept"], ["loss"])
    losses = losses[losses["method"].isin(WIDE)]
    times = variant(results[results["method"].isin(WIDE)], processors="*", kept="*", how="*")
    times = facts(times, ["processors", "kept", "how"], ["latency_ms", "speed_up"])
    times = times.assign(kept=times["kept"].astype(float))
    data = losses.merge(times, on="kept").sort_values("kept", ascending=False, kind="stable")
    return labelled(ordered(ordered(data, "how", list(HOW)), "method", list(LABELS)))


@figure_data
def low_shot(results: pd.DataFrame) -> pd.DataFrame:
    """Few-shot accuracy by examples of a class, and minus Perceiver IO on the same episodes.

    `low` and `high`, `minus_low` and `minus_high` are 95 % intervals (Student's t) over the `n` episodes of all seeds.
    """
    rows = variant(results[results["metric"] == "few_shot_accuracy"], shots="*", episode="*")
    keys = ["dataset", "shots", "seed", "episode"]
    base = rows[rows["method"] == "perceiver"].set_index(keys)["value"].rename("base")
    each = rows.join(base, on=keys).assign(shots=rows["shots"].astype(int))
    each = each.assign(minus=each["value"] - each["base"]).sort_values("shots", kind="stable")
    groups = each.groupby(["dataset", "method", "shots"], sort=False)
    ends = {name: groups[name].agg(["mean", "std", "count"]) for name in ("value", "minus")}
    data = pd.DataFrame(index=ends["value"].index)
    for column, prefix, table in (("accuracy", "", ends["value"]), ("minus_perceiver", "minus_", ends["minus"])):
        reach = student.ppf((1 + CONFIDENCE) / 2, table["count"] - 1) * table["std"] / np.sqrt(table["count"])
        data[column] = table["mean"]
        data[f"{prefix}low"], data[f"{prefix}high"] = table["mean"] - reach, table["mean"] + reach
    data = data.assign(n=ends["value"]["count"]).reset_index()
    data.loc[data["method"] == "perceiver", ["minus_perceiver", "minus_low", "minus_high"]] = np.nan
    return labelled(ordered(data, "method", list(FEW_SHOT)))


@figure_data
def conditional(results: pd.DataFrame) -> pd.DataFrame:
    """What is known of circuits made by text: accuracy by `kind` of question, exchanged circuits, similarities."""
    asked = set(results.loc[results["method"] == "conditional", "dataset"])
    rows = results[results["dataset"].isin(asked) & results["method"].isin(MODELS)]
    names = [*SWAPS, "similarity_within", "similarity_between", "similarity_gap", "similarity_gap_start",
             "similarity_p", "retrieval", "retrieval_start", "retrieval_chance"]  # fmt: skip
    rows = pd.concat([variant(rows[rows["metric"].isin(names)]), variant(rows[rows["metric"] == "accuracy"], kind="*")])
    rows = rows[rows["shift"] == ""]
    each = rows[["dataset", "method", "metric", "kind", "seed", "value"]].rename(columns={"metric": "score"})
    return labelled(ordered(spread(each, ["dataset", "method", "score", "kind"], ["value"]), "method", list(MODELS)))


@figure_data
def modalities(results: pd.DataFrame) -> pd.DataFrame:
    """Every model on every data set: accuracy, weights, times; `floor` is the accuracy of the best constant answer."""
    keys = ["dataset", "method"]
    data = spread(runs(results), keys, ["iid"])
    constant = results[(results["method"] == "data") & results["metric"].isin(["chance", "majority"])]
    floors = constant.groupby("dataset")["value"].max().rename("floor")
    sizes = facts(variant(results), keys, ["n_params"])
    times = facts(pd.concat([variant(results), variant(results, at="default")]), keys, ["train_step_ms", "latency_ms"])
    data = data.join(floors, on="dataset").merge(sizes, on=keys, how="left").merge(times, on=keys, how="left")
    return labelled(ordered(data[[*keys, "iid", "iid_sd", "seeds", "floor", *COSTS]], "method", list(MODELS)))


def scaling(results: pd.DataFrame) -> pd.DataFrame:
    """Latency and counted operations (`macs`, of a sample) over one size at a time, and both fitted exponents."""
    rows = complete(results)
    points = variant(rows, over="*", at="*")
    data = facts(points, ["method", "over", "at"], ["latency_ms", "macs"])
    data = data.assign(at=data["at"].astype(float)).sort_values("at", kind="stable")
    slopes = facts(variant(rows, over="*"), ["method", "over"], ["exponent", "macs_exponent"])
    data = data.merge(slopes, on=["method", "over"], how="left")
    return labelled(ordered(ordered(data, "over", list(OVER)), "method", list(LABELS)))


@figure_data
def methods(results: pd.DataFrame) -> pd.DataFrame:
    """Table: every method on every data set; `iid_cut` is without the links that are hardly there."""
    keys = ["dataset", "method"]
    data = spread(runs(results), keys, ["iid", "ood"])
    cut = variant(results[results["metric"] == "accuracy"], cut="*").groupby(keys)["value"].mean().rename("iid_cut")
    sizes = facts(variant(results), keys, ["n_params", "macs"])
    data = data.join(cut, on=keys).merge(sizes, on=keys, how="left")
    return labelled(ordered(data, "method", list(LABELS)))


@figure_data
def domains(results: pd.DataFrame) -> pd.DataFrame:
    """Table: accuracy of every method on each test set (`domain`)."""
    rows = variant(results)
    data = over_seeds(rows, ["dataset", "test_domain", "method"], ["accuracy"])
    return labelled(ordered(data, "method", list(LABELS))).rename(columns={"test_domain": "domain"})


@figure_data
def graph_errors(results: pd.DataFrame) -> pd.DataFrame:
    """Table: how far a circuit's links are from their prior before and after training, and how unequal its degrees."""
    names = ["prior_error_start", "prior_error", "prior_correlation", "degree_gini"]
    data = over_seeds(variant(results), ["dataset", "method"], names)
    return labelled(ordered(data, "method", list(LABELS)))
