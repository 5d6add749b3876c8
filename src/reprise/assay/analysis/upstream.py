"""Per architecture: upstream error against OOD accuracy (Sec. 5, analysis 4; claim F7), the radar chart (9)."""

from itertools import permutations, product
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from reprise.assay.analysis.bootstrap import Row, row
from reprise.assay.analysis.wide import sweep

# 9! orders are enumerated at once; beyond, scipy's approximation is good.
LARGEST_EXACT = 9


def upstream(frame: pd.DataFrame, models: pd.DataFrame) -> list[Row]:
    """Rows of analysis=upstream: per architecture upstream_error, ood_accuracy_best, ood_accuracy_mean; their Spearman.

    `ood_accuracy_best` is that of the network with the lowest ID validation error for each training domain,
    `ood_accuracy_mean` that of all its networks, both averaged over pairs. `spearman_best` and `spearman_mean` compare
    upstream accuracy with them; `_p` is exact for up to 9 architectures. For dataset="all" the metrics that end in
    `_tasks` weigh data sets equally; a further upstream error `<name>_error` gives those that end in `_<name>`.

    Args:
        frame: a wide table (only its sweep is used).
        models: columns model, error and any number of `<name>_error`.
    """
    per_pair = _accuracy_per_pair(sweep(frame))
    per_pair = per_pair[per_pair["model"].isin(models["model"])]
    errors = models.set_index("model")
    variants = {"": "error"} if "error" in errors else {}
    variants |= {f"_{str(c).removesuffix('_error')}": str(c) for c in errors if str(c).endswith("_error")}
    rows: list[Row] = []
    for dataset, members in [*per_pair.groupby("dataset", sort=True), ("all", per_pair)]:
        by_model = members.groupby("model", sort=True)
        accuracy = {"": by_model[["best", "mean"]].mean()}
        if dataset == "all":
            tasks = members.groupby(["dataset", "model"])[["best", "mean"]].mean()
            accuracy["_tasks"] = tasks.groupby("model").mean()

        def add(metric: str, value: float, n: int, model: str = "", dataset: str = str(dataset)) -> Row:
            return row("upstream", {"model": model}, metric, value, n, dataset=dataset)

        for model, part in by_model:
            name = str(model)
            known = {end: float(errors[c][name]) for end, c in variants.items()}
            rows += [add(f"upstream_error{end}", value, 1, name) for end, value in known.items() if np.isfinite(value)]
            rows += [
                add(f"ood_accuracy_{kind}{average}", table[kind][name], len(part), name)
                for average, table in accuracy.items()
                for kind in ("best", "mean")
            ]
        for (average, table), (end, column), kind in product(accuracy.items(), variants.items(), ("best", "mean")):
            rho, p = spearman_exact(1 - errors[column][table.index].to_numpy(float), table[kind].to_numpy())
            if np.isfinite(rho):
                metric = f"spearman_{kind}{average}{end}"
                rows += [add(metric, rho, len(table)), add(f"{metric}_p", p, len(table))]
    return rows


def spearman_exact(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Spearman's rho and its two-sided p over all orders of `y` (n <= 9; t approximation beyond); NaN if undefined."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan, np.nan
    if len(x) > LARGEST_EXACT:
        found = stats.spearmanr(x, y)
        return float(found.statistic), float(found.pvalue)
    a, b = (stats.rankdata(values) - (len(x) + 1) / 2 for values in (x, y))
    orders = np.fromiter(permutations(range(len(x))), dtype=np.dtype((np.int8, len(x))), count=factorial(len(x)))
    products = b[orders] @ a
    # Half-integers to quarter-integers: sums are exact, so equal orders compare equal.
    p = np.mean(np.abs(products) >= abs(a @ b))
    return float(a @ b / np.sqrt((a @ a) * (b @ b))), float(p)


def radar(frame: pd.DataFrame, models: pd.DataFrame) -> list[Row]:
    """Rows of analysis=radar per data set, architecture and regime; every axis in [0, 1], 1 is best.

    Means over networks and pairs of accuracy (ID), ood_accuracy, corrupted_accuracy, one_minus_ece and
    one_minus_disparity (ID); compactness is 1 - n_params/max.
    """
    axes = {
        "accuracy": "id_error",
        "ood_accuracy": "ood_error",
        "corrupted_accuracy": "corrupted_error",
        "one_minus_ece": "id_ece",
        "one_minus_disparity": "id_demographic_disparity",
    }
    chosen = sweep(frame)
    found = {axis: column for axis, column in axes.items() if column in chosen}
    n_params = models.set_index("model")["n_params"] if "n_params" in models else pd.Series(dtype=float)
    rows = []
    by_polygon: Any = chosen.groupby(["dataset", "model", "regime"], sort=True)
    for (dataset, model, regime), members in by_polygon:
        key = {"model": model, "regime": regime}
        n = members.drop_duplicates(["train_domain", "run"]).shape[0]
        values = {axis: 1 - members[column].mean() for axis, column in found.items()}
        if model in n_params:
            values["compactness"] = 1 - n_params[model] / n_params.max()
        rows += [
            row("radar", key, axis, value, n, dataset=str(dataset))
            for axis, value in values.items()
            if np.isfinite(value)
        ]
    return rows


def _accuracy_per_pair(frame: pd.DataFrame) -> pd.DataFrame:
    """OOD accuracy per pair and architecture: `mean`, and `best` of the lowest ID validation error (mean over ties)."""
    keys = ["dataset", "train_domain", "test_domain", "model"]
    frame = frame.assign(accuracy=1 - frame["ood_error"])
    lowest = frame.groupby(keys)["id_val_error"].transform("min")
    best = frame[frame["id_val_error"] == lowest].groupby(keys)["accuracy"].mean()
    return pd.DataFrame({"best": best, "mean": frame.groupby(keys)["accuracy"].mean()}).dropna().reset_index()
