"""The long table of measurements as one row per (network, ordered pair of domains) (Sec. 5 of the brief)."""

from typing import Any

import numpy as np
import pandas as pd

from reprise.results import ResultsError

# What names a network: the settings it was trained with. `alpha` (WiSE-FT) and `draw` are "" where they do not apply.
NETWORK = [
    "dataset",
    "train_domain",
    "run",
    "model",
    "method",
    "arm",
    "regime",
    "finetune",
    "augment",
    "lr",
    "length",
    "alpha",
    "draw",
    "seed",
]
CORRUPTED_METRICS = ["error", "nll", "ece", "demographic_disparity"]
# Means are rounded: their last bits depend on the order of summation and would break ties between equal networks.
DIGITS = 12


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """One row per network and OOD test domain, sorted by pair and network.

    Columns: those of `NETWORK`, test_domain, n_id, n_ood, id_val_error, id_<metric> (ID test split),
    corrupted_<metric> (plain mean over corruptions and severities), ood_<metric>, estimate_<name>, heldout_error (mean
    error on the data set's other OOD domains except this pair's target; NaN where there is none). NaN where a network
    lacks a measurement. Networks without an OOD measurement are left out.

    Args:
        table: measurements after `results.expand`.

    Raises ResultsError for a table that was not expanded.
    """
    if "run" not in table or "arm" not in table:
        raise ResultsError("measurements name no run and arm: pass the table through results.expand first")
    absent = [name for name in NETWORK if name not in table]
    rows = table.assign(**dict.fromkeys(absent, "")) if absent else table
    rows = rows[(rows["run"] != "") & ~rows["metric"].str.endswith("_stderr")]
    rows = rows.assign(network=rows.groupby(NETWORK, sort=True).ngroup())
    networks = rows.drop_duplicates("network").set_index("network")[NETWORK]

    test = rows["split"] == "test"
    identical, shifted = rows["shift"] == "id", rows["shift"] == "ood"
    error = rows["metric"] == "error"
    pair = ["network", "test_domain"]
    parts: list[Any] = [
        _means(rows[identical & test], ["network"]).add_prefix("id_"),
        _means(rows[identical & (rows["split"] == "val") & error], ["network"]).rename(
            columns={"error": "id_val_error"}
        ),
        _means(rows[(rows["shift"] == "corrupted") & test], ["network"])
        .reindex(columns=CORRUPTED_METRICS)
        .dropna(axis="columns", how="all")
        .round(DIGITS)
        .add_prefix("corrupted_"),
        rows[identical & test & error].groupby("network")["n"].first().rename("n_id"),
    ]
    ood = _means(rows[shifted & test], pair)
    ood = ood.rename(columns={name: f"ood_{name}" for name in ood if not str(name).startswith("estimate_")})
    ood = ood.join(rows[shifted & test & error].groupby(pair)["n"].first().rename("n_ood")).reset_index("test_domain")
    found = networks.join(parts).join(ood, how="inner")
    if "ood_error" in found:
        by_network = found.groupby(level="network")["ood_error"]
        others = by_network.transform("count") - 1
        total = by_network.transform("sum") - found["ood_error"]
        found["heldout_error"] = (total / others.where(others > 0, np.nan)).round(DIGITS)
    order = ["dataset", "train_domain", "test_domain", "arm", "run", "finetune", "alpha", "seed"]
    return found.sort_values(order, ignore_index=True)


def _means(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Mean value per metric (columns) and `keys` (index)."""
    means = rows.groupby([*keys, "metric"], sort=True)["value"].mean()
    return means.unstack("metric").rename_axis(columns=None)


def sweep(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the wide table that belong to the sweep the paper's claims are about."""
    return frame[frame["arm"] == "sweep"]


def measures(frame: pd.DataFrame) -> list[str]:
    """The metrics the paper compares: error, NLL, ECE, demographic disparity and each adversarial error."""
    columns = map(str, frame)
    attacks = sorted(name.removeprefix("id_") for name in columns if name.startswith("id_adversarial_error_"))
    return [name for name in (*CORRUPTED_METRICS, *attacks) if f"id_{name}" in frame]
