"""The data behind each figure and table: from the results tables to means and standard deviations over seeds.

Every function marked `figure_data` takes the expanded results (`reprise.results.expand`) and returns a tidy table,
empty where the run holds nothing of the kind (tables have no pairs, one scale trains fewer methods). `x` and `x_sd` are
the mean and the standard deviation over seeds (missing for one seed); `strength` is lambda.
"""

import functools
from collections.abc import Callable

import pandas as pd

TASK = ["dataset", "target"]
SETTINGS = ("target", "arm", "level", "eps", "step", "group", "direction", "true", "perceived", "bin", "i")

LABELS = {
    "unconstrained": "unconstrained",
    "ddp_squared": "squared regulariser, eq. (2)",
    "ddp_abs": "absolute regulariser, eq. (3)",
    "ddp_unbiased": "squared regulariser, unbiased",
    "two_headed": "two heads, task head alone",
    "merge": "merged two heads",
    "plug_in": "merge of probabilities",
    "perceived": "thresholds by perceived group",
    "oracle": "thresholds by true group",
    "lipton": "Lipton's thresholds by true group",
    "lipton_perceived": "Lipton's, by perceived group",
    "threshold_optimizer": "fairlearn's, random, by true group",
    "massaging": "massaging (preprocessing)",
    "adversarial": "adversary",
    "fair_mixup": "fair mixup",
    "exponentiated_gradient": "exponentiated gradient (fairlearn)",
    "constant": "constant",
}
HEADS = {
    "mse_linear": "squared loss",
    "mse_sigmoid": "squared loss on sigmoid",
    "bce": "log-loss",
}
NEEDS_GROUP = ("oracle", "lipton", "threshold_optimizer")  # at prediction time


def complete(results: pd.DataFrame) -> pd.DataFrame:
    """The table with every column a setting may have, text, "" where a run has no such variant."""
    absent = {name: "" for name in SETTINGS if name not in results}
    return results.assign(**absent)


def figure_data(function: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Give `function` complete results, and put the tasks of its table in one order for all figures.

    Data sets come as the results have them; of their targets those with the most rows (on which every method was
    trained) come first.
    """

    @functools.wraps(function)
    def ordered(results: pd.DataFrame) -> pd.DataFrame:
        table = function(complete(results))
        if table.empty:
            return table
        counts = results.groupby(TASK).size()
        datasets = list(dict.fromkeys(results["dataset"]))
        order = sorted(counts.index, key=lambda key: (datasets.index(key[0]), -counts[key], key[1]))
        rank = [order.index(key) for key in zip(table["dataset"], table["target"], strict=True)]
        return table.iloc[pd.Series(rank).argsort(kind="stable")].reset_index(drop=True)

    return ordered


def tasks(data: pd.DataFrame) -> list[tuple[str, str]]:
    """The (data set, target) pairs of a tidy table, in its order."""
    return list(dict.fromkeys(zip(data["dataset"], data["target"], strict=True)))


def of_task(data: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
    """The rows of one (data set, target)."""
    return data[(data["dataset"] == key[0]) & (data["target"] == key[1])]


def over_seeds(rows: pd.DataFrame, by: list[str], metrics: list[str]) -> pd.DataFrame:
    """One row per `by`: `<metric>`, `<metric>_sd` and the number of `seeds`."""
    columns = [*by, *(name for metric in metrics for name in (metric, f"{metric}_sd")), "seeds"]
    rows = rows[rows["metric"].isin(metrics)]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    each = rows.pivot(index=[*by, "seed"], columns="metric", values="value").reindex(columns=metrics)
    groups = each.groupby(level=by, sort=False)
    table = groups.mean().join(groups.std(ddof=1).add_suffix("_sd")).join(groups.size().rename("seeds"))
    return table.reset_index()[columns]


def strengths(results: pd.DataFrame) -> list[float]:
    """Every lambda of eq. (2) in the run, with 0 (unconstrained)."""
    levels = results.loc[results["method"].isin(["unconstrained", "ddp_squared"]), "level"]
    return sorted({float(level) for level in levels})


def middle(results: pd.DataFrame) -> float:
    """The lambda at which a single fair network is shown: the middle of the grid, 0 excepted where there are others."""
    grid = strengths(results)
    return grid[len(grid) // 2]


def _regularised(results: pd.DataFrame) -> pd.DataFrame:
    """Unconstrained and eq. (2) networks as one curve over `strength`."""
    rows = results[results["method"].isin(["unconstrained", "ddp_squared"])]
    return rows.assign(strength=rows["level"].astype(float))


def first_head(results: pd.DataFrame) -> str:
    """Loss of the group head that is merged: the only one merged at every slack."""
    rows = results[(results["method"] == "merge") & ~results["eps"].isin(["", "near"])]
    return str(rows["level"].iloc[0]) if len(rows) else ""


def _ranked(rows: pd.DataFrame) -> pd.DataFrame:
    """Merges with `step` = rank of their slack within a seed: the grids of two seeds differ, their ranks correspond."""
    rows = rows[(rows["eps"] != "") & (rows["eps"] != "near")]
    slack = rows["eps"].astype(float)
    rank = slack.groupby([rows[name] for name in (*TASK, "method", "level", "seed")]).rank(method="dense")
    return rows.assign(step=rank)


@figure_data
def fairness_vs_accuracy(results: pd.DataFrame) -> pd.DataFrame:
    """Signed gap and task accuracy of each method over its own knob (`step`: lambda, or the rank of the slack)."""
    rows = results[results["arm"] == "main"]
    by_level = rows[rows["method"].isin(["unconstrained", "ddp_squared", "ddp_abs", "massaging"])]
    by_level = by_level.assign(step=by_level["level"].astype(float))
    merged = _ranked(rows[rows["method"] == "merge"])
    thresholds = rows[rows["method"] == "lipton"]
    thresholds = thresholds.assign(step=thresholds["step"].astype(float))
    fixed = rows[rows["method"].isin(["constant", "labels"]) & (rows["level"] == "")].assign(step=0.0)
    table = over_seeds(pd.concat([by_level, merged, thresholds, fixed]), [*TASK, "method", "step"], ["ddp", "accuracy"])
    table.loc[table["method"] == "constant", "ddp"] = 0.0
    return table.sort_values([*TASK, "method", "step"], kind="stable", ignore_index=True)


@figure_data
def fairness_vs_awareness(results: pd.DataFrame) -> pd.DataFrame:
    """Gap of the network and accuracy of the probe per arm and lambda; the anchors as rows of their own.

    `series`: probe (logistic regression), paper_probe (last layer retrained by SGD), and the anchors majority, random,
    pretrained, ceiling (a network trained on the group itself), which belong to every arm of their target.
    """
    rows, gaps = results, _regularised(results)
    by = [*TASK, "arm", "strength"]
    probe = over_seeds(gaps, by, ["ddp", "probe_accuracy"]).assign(series="probe")
    probe = probe[probe["probe_accuracy"].notna()]
    retrained = rows[(rows["method"] == "sgd_probe") & (rows["metric"] == "accuracy")]
    retrained = retrained.assign(strength=retrained["level"].astype(float), metric="probe_accuracy")
    partner = gaps[(gaps["metric"] == "ddp") & (gaps["arm"] == "main")]
    keys = [*TASK, "seed", "strength"]
    partner = partner.merge(retrained[keys].drop_duplicates(), on=keys)
    paper = over_seeds(pd.concat([retrained, partner]), by, ["ddp", "probe_accuracy"]).assign(series="paper_probe")

    anchors = rows[(rows["method"].isin(["anchor", "constant"])) & (rows["metric"] == "probe_accuracy")]
    ceiling = rows[(rows["arm"] == "group") & (rows["metric"] == "accuracy")]
    ceiling = ceiling.assign(level="ceiling", metric="probe_accuracy", arm="main")
    lines = over_seeds(pd.concat([anchors, ceiling]), [*TASK, "arm", "level"], ["probe_accuracy"])
    lines = lines.rename(columns={"level": "series"})
    parts = [part for part in (probe, paper, lines) if len(part)]
    if not len(probe):
        return probe
    table = pd.concat(parts, ignore_index=True)
    columns = [*TASK, "arm", "series", "strength", "ddp", "ddp_sd", "probe_accuracy", "probe_accuracy_sd", "seeds"]
    return table[columns]


@figure_data
def second_head_histogram(results: pd.DataFrame) -> pd.DataFrame:
    """Share of each true group's test people per bin of z2 (`z2`: the bin's left edge), mean over seeds."""
    rows = results[results["metric"] == "z2_count"].assign(metric="share")
    total = rows.groupby([*TASK, "level", "group", "seed"])["value"].transform("sum")
    rows = rows.assign(value=rows["value"] / total, z2=rows["bin"].replace("", "0").astype(float))
    table = over_seeds(rows, [*TASK, "level", "group", "z2"], ["share"]).rename(columns={"level": "loss"})
    heads = table.groupby(TASK)["loss"].transform("nunique")
    most = heads.groupby(table["dataset"]).transform("max")  # leaves out targets on which one loss alone was trained
    table = table[heads == most]
    return table.sort_values([*TASK, "loss", "group", "z2"], kind="stable", ignore_index=True)


@figure_data
def logit_scatter(results: pd.DataFrame) -> pd.DataFrame:
    """Logits of one fair network, of its best merge and of the shifted task head, person by person (first seed).

    Agreement and R^2 are those on the whole test split, repeated on every row of the network.
    """
    rows = results[results["method"].isin(["scatter", "approximation"])]
    points = rows[rows["method"] == "scatter"]
    if points.empty:
        return pd.DataFrame()
    keys = [*TASK, "seed", "level"]
    fits = rows[rows["method"] == "approximation"].pivot(index=keys, columns="metric", values="value")
    fits = fits[["agreement", "agreement_shift", "logit_r2", "logit_r2_task_only"]].reset_index()
    table = points.pivot(index=[*keys, "i", "group"], columns="metric", values="value").reset_index()
    table = table.assign(i=table["i"].astype(int)).merge(fits, on=keys).rename(columns={"level": "strength"})
    numbers = table.select_dtypes("float").columns
    table = table.assign(**table[numbers].round(3)).drop(columns="seed")  # the file is kept in git
    return table.sort_values([*TASK, "i"], kind="stable", ignore_index=True)


@figure_data
def approximation(results: pd.DataFrame) -> pd.DataFrame:
    """Agreement with each fair network of the merge, its floors and ceiling, and the weight b, over lambda."""
    rows = results[results["method"] == "approximation"]
    metrics = ["agreement", "agreement_matched", "agreement_shift", "agreement_raw", "agreement_seed2seed"]
    rows = rows.assign(strength=rows["level"].replace("", "0").astype(float))
    table = over_seeds(rows, [*TASK, "strength"], [*metrics, "kappa", "logit_r2", "logit_r2_task_only", "b"])
    return table.sort_values([*TASK, "strength"], kind="stable", ignore_index=True)


@figure_data
def recovered(results: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and gap of each fair network, of what is made from it, and of the network it is to become again."""
    rows = results[(results["arm"] == "main") & results["metric"].isin(["accuracy", "ddp"])]
    names = ["unconstrained", "ddp_squared", "rethresholded", "refitted", "recovered"]
    curves = rows[rows["method"].isin(names)]
    curves = curves.assign(strength=curves["level"].astype(float))
    majority = rows[(rows["method"] == "constant") & (rows["level"] == "")].assign(strength=0.0)
    table = over_seeds(pd.concat([curves, majority]), [*TASK, "method", "strength"], ["accuracy", "ddp"])
    table.loc[table["method"] == "constant", "ddp"] = 0.0
    if not (table["method"] == "recovered").any():
        return table.iloc[:0]
    return table.sort_values([*TASK, "method", "strength"], kind="stable", ignore_index=True)


@figure_data
def affected(results: pd.DataFrame) -> pd.DataFrame:
    """Share of all test people whose decision flips, by direction, true group and group as perceived by head 2."""
    rows = results[results["method"].str.startswith("flips.") & (results["metric"] == "flips")]
    rows = rows.assign(
        method=rows["method"].str.removeprefix("flips."), metric="share", value=rows["value"] / rows["n"]
    )
    by = [*TASK, "method", "level", "direction", "true", "perceived"]
    table = over_seeds(rows, by, ["share"]).rename(columns={"true": "true_group", "perceived": "perceived_group"})
    return table


@figure_data
def pair_test(results: pd.DataFrame) -> pd.DataFrame:
    """Share of test people decided positively only with one group's cues; `effect`: mean logit as 1 less that as 0."""
    rows = results[(results["method"] != "group_head") & results["metric"].str.startswith("pair_")]
    rows = rows.assign(metric=rows["metric"].str.removeprefix("pair_"))
    return over_seeds(rows, [*TASK, "arm", "method", "level"], ["favours_1", "favours_0", "effect"])


@figure_data
def near_parity(results: pd.DataFrame) -> pd.DataFrame:
    """Every method where it comes nearest to parity: slack near 0, else the strongest setting that was trained.

    The bounds are the means over seeds of each seed's bootstrap bounds (people), the `_sd` columns the seeds' spread.
    """
    rows = results[(results["arm"] == "main") & results["method"].isin(LABELS)]
    number = pd.to_numeric(rows["level"], errors="coerce")
    slack = rows["method"].isin(["merge", "oracle", "perceived"])
    trained = number.notna() & ~slack
    strongest = number.where(trained).groupby([rows[name] for name in (*TASK, "method")]).transform("max")
    stepped = pd.to_numeric(rows["step"], errors="coerce")
    last = stepped.groupby([rows[name] for name in (*TASK, "method")]).transform("max")
    chosen = (
        (slack & (rows["eps"] == "near"))
        | (trained & (number == strongest))
        | (stepped.notna() & (stepped == last))
        | rows["method"].isin(["plug_in", "threshold_optimizer", "two_headed"])
        | ((rows["method"] == "constant") & (rows["level"] == ""))
    )
    rows = rows[chosen]
    rows = pd.concat(
        [rows, rows[rows["metric"] == "ddp"].assign(metric="abs_ddp", value=lambda frame: frame["value"].abs())]
    )
    bounds = [f"{metric}_ci_{end}" for metric in ("accuracy", "abs_ddp") for end in ("low", "high")]
    table = over_seeds(rows, [*TASK, "method", "level"], ["accuracy", "ddp", "abs_ddp", "selection_rate", *bounds])
    table = table.drop(columns=[f"{name}_sd" for name in (*bounds, "selection_rate")])
    table.loc[table["method"] == "constant", ["ddp", "abs_ddp"]] = 0.0
    order = {name: k for k, name in enumerate(LABELS)}
    table = table.assign(
        label=table["method"].map(LABELS),
        setting=[_setting(method, level) for method, level in zip(table["method"], table["level"], strict=True)],
        group_at_prediction=table["method"].isin(NEEDS_GROUP).map({True: "yes", False: "no"}),
        order=table["method"].map(order),
    )
    return table.sort_values(["order", "level"], kind="stable", ignore_index=True).drop(columns=["order", "level"])


def _setting(method: str, level: str) -> str:
    """The variant in words."""
    if level in HEADS:
        return HEADS[level]
    if method == "massaging":
        return f"κ = {level}"
    if method == "exponentiated_gradient":
        return f"bound {level}"
    if method in ("ddp_squared", "ddp_abs", "ddp_unbiased", "adversarial", "fair_mixup"):
        return f"λ = {level}"
    return "equal rates" if method.startswith("lipton") else ""


@figure_data
def per_group(results: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and selection rate in each group for the main methods (levelling down shows here, not in a gap)."""
    rows = results[results["arm"] == "main"]
    grid = strengths(rows)
    number = pd.to_numeric(rows["level"], errors="coerce")
    shown = (
        (rows["method"] == "unconstrained")
        | ((rows["method"] == "ddp_squared") & number.isin([middle(rows), grid[-1]]))
        | ((rows["method"] == "merge") & (rows["eps"] == "near") & (rows["level"] == first_head(rows)))
        | ((rows["method"] == "oracle") & (rows["eps"] == "near"))
        | rows["method"].isin(["massaging"])
    )
    metrics = [f"{name}_{group}" for name in ("accuracy", "selection_rate") for group in (0, 1)]
    return over_seeds(rows[shown], [*TASK, "method", "level"], metrics)
