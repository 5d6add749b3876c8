"""The data behind the figures and tables of numbers: from the results tables to means and deviations over seeds.

Every function takes the expanded results (`reprise.results.expand`) and returns a tidy table, empty where the run holds
nothing of the kind. IoUs and shares are fractions in [0, 1]; `x` and `x_sd` are the mean and the standard deviation
over seeds (missing for one seed). Scores are means over scored object-frames (`by=frame`) unless another average is
named.
"""

import functools
from collections.abc import Callable, Sequence

import pandas as pd

from reprise.amodal.figures_labels import ABLATIONS, HIDDEN, LABELS, METHODS, METRICS

SETTINGS = ("by", "rate", "subset", "bin", "adapted", "threshold")
AVERAGES = ("frame", "image", "video")
ENDS = ("low", "high")


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


def over_seeds(rows: pd.DataFrame, by: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """One row per `by`: `<metric>`, `<metric>_sd` and the number of `seeds`."""
    groups = wide(rows, by, metrics).groupby(list(by), sort=False)
    means, deviations = groups[list(metrics)].mean(), groups[list(metrics)].std(ddof=1).add_suffix("_sd")
    table = means.join(deviations).join(groups.size().rename("seeds")).reset_index()
    return table[[*by, *(name for metric in metrics for name in (metric, f"{metric}_sd")), "seeds"]]


def labelled(data: pd.DataFrame) -> pd.DataFrame:
    """With the method's name for people in `label`."""
    return data.assign(label=data["method"].map(LABELS))


@figure_data
def occlusion_rate(results: pd.DataFrame) -> pd.DataFrame:
    """Both IoUs over the occlusion rate: `rate` is the lower edge of a bin 0.1 wide that holds `frames` frames."""
    rows = variant(results[(results["test_domain"] == "test") & (results["n"] > 0)], rate="*")
    rows = rows.assign(rate=rows["rate"].astype(float))
    keys = ["dataset", "method", "rate"]
    frames = rows.groupby(keys)["n"].max().rename("frames").reset_index()
    data = over_seeds(rows.sort_values("rate", kind="stable"), keys, list(METRICS)).merge(frames, on=keys, how="left")
    return ordered(data, "method", list(METHODS))


@figure_data
def adaptation(results: pd.DataFrame) -> pd.DataFrame:
    """Both IoUs on the new distribution over the steps of adaptation (`step` 0: as trained)."""
    rows = results[results["test_domain"] == "unseen"]
    rows = pd.concat([variant(rows, by="frame"), variant(rows, by="frame", adapted="*")])
    rows = rows.assign(step=rows["adapted"].replace("", "0").astype(int))
    rows = rows.drop_duplicates(["dataset", "method", "seed", "step", "metric"])
    data = over_seeds(rows.sort_values("step", kind="stable"), ["dataset", "method", "step"], list(METRICS))
    return ordered(data, "method", list(METHODS))


@figure_data
def hidden_pixels(results: pd.DataFrame) -> pd.DataFrame:
    """Shares predicted: of hidden pixels seen in another frame or in none, and of pixels that hide nothing."""
    rows = variant(results[results["test_domain"] == "test"])
    return ordered(over_seeds(rows, ["dataset", "method"], list(HIDDEN)), "method", list(METHODS))


@figure_data
def ablations(results: pd.DataFrame) -> pd.DataFrame:
    """Each ablation minus SaVos of the same seed (of its mean where that seed was not trained), one row per seed.

    SaVos itself is there minus its own mean over seeds, as a measure of what a seed changes.
    """
    names = list(METRICS)
    rows = variant(
        results[(results["test_domain"] == "test") & results["method"].isin(["savos", *ABLATIONS])], by="frame"
    )
    each = wide(rows, ["dataset", "method"], names)
    tables = []
    for _, part in each.groupby("dataset", sort=False):
        whole = part[part["method"] == "savos"].set_index("seed")[names]
        if whole.empty or len(whole) == len(part):  # nothing to compare with, or nothing that is compared
            continue
        for method, rows in part.groupby("method", sort=False):
            same = whole.reindex(rows["seed"]).fillna(whole.mean())
            base = same if method != "savos" else same * 0 + whole.mean()
            tables.append(rows.assign(**{name: rows[name].to_numpy() - base[name].to_numpy() for name in names}))
    data = pd.concat(tables, ignore_index=True) if tables else each[:0]
    return labelled(ordered(data, "method", ["savos", *ABLATIONS]))


@figure_data
def reliability(results: pd.DataFrame) -> pd.DataFrame:
    """Per bin of probability its mean, the share of pixels that were the object's, and the share of all `pixels`."""
    rows = variant(results[(results["test_domain"] == "test") & (results["n"] > 0)], bin="*")
    rows = rows.assign(bin=rows["bin"].astype(int)).sort_values("bin", kind="stable")
    keys = ["dataset", "method", "bin"]
    data = over_seeds(rows, keys, ["reliability_confidence", "reliability_accuracy"])
    counts = rows[rows["metric"] == "reliability_accuracy"].groupby(keys)["n"].mean().rename("pixels").reset_index()
    data = data.merge(counts, on=keys, how="left")
    data = data.rename(columns=lambda name: name.removeprefix("reliability_"))
    share = data["pixels"] / data.groupby(["dataset", "method"])["pixels"].transform("sum")
    return ordered(data.drop(columns="confidence_sd").assign(share=share), "method", list(METHODS))


@figure_data
def methods(results: pd.DataFrame) -> pd.DataFrame:
    """Table: every method on the test videos and on the new distribution (`domain`), as trained and `adapted`.

    `iou_full_frame` is the mean over object-frames, `_image` over objects within an image and then over images (the
    paper's), `_video` over the means of videos, with its bootstrap interval over videos, `iou_full_video_low` and
    `_high`, both ends means over seeds; `iou_occluded_...` likewise.
    """
    keys = ["dataset", "test_domain", "method", "adapted"]
    rows = pd.concat(
        [variant(results, by=by, **adapted) for by in AVERAGES for adapted in ({}, {"adapted": "*"})]
    )  # fmt: skip
    ends = rows["metric"].str.extract(r"^(iou_\w+?)(_low|_high)?$")
    rows = rows.assign(metric=ends[0] + "_" + rows["by"] + ends[1].fillna(""))
    points = [f"{metric}_{by}" for metric in METRICS for by in AVERAGES]
    bounds = [f"{metric}_video_{end}" for metric in METRICS for end in ENDS]
    data = over_seeds(rows, keys, [*points, *bounds]).drop(columns=[f"{name}_sd" for name in bounds])
    sizes = variant(results[results["metric"] == "n_params"]).groupby(["dataset", "method"])["value"].first()
    data = data.merge(sizes.rename("n_params").reset_index(), on=["dataset", "method"], how="left")
    data = data.assign(step=data["adapted"].replace("", "0").astype(int)).sort_values("step", kind="stable")
    data = ordered(ordered(data, "method", list(METHODS)), "test_domain", ["test", "unseen"])
    return labelled(data.drop(columns=["step"])).rename(columns={"test_domain": "domain"})


@figure_data
def ablation_table(results: pd.DataFrame) -> pd.DataFrame:
    """Table: SaVos and its ablations, their IoUs and the mean difference to SaVos of the same seeds (`minus_savos`)."""
    rows = variant(results[results["test_domain"] == "test"], by="frame")
    levels = over_seeds(rows, ["dataset", "method"], list(METRICS))
    groups = ablations(results).groupby(["dataset", "method"])[list(METRICS)]
    differences = groups.mean().add_suffix("_minus_savos").reset_index()
    differences.loc[differences["method"] == "savos", [f"{name}_minus_savos" for name in METRICS]] = None
    data = levels.merge(differences, on=["dataset", "method"])
    return labelled(ordered(data, "method", ["savos", *ABLATIONS]))
