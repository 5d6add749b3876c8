"""Simple shares and means that show the measurements behave (Sec. 5, analysis 13; acceptance tests A1, A2, A8, A15)."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from reprise.assay.analysis.bootstrap import (
    Average,
    Estimate,
    Row,
    averages,
    mean,
    pairs,
    row,
    spearman,
    with_interval,
)
from reprise.assay.analysis.settings import Settings
from reprise.assay.analysis.wide import sweep

# The planted cue and the domain in which it is reversed (Sec. 6).
PLANTED, REVERSED = "colored", "e90"


def checks(frame: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of analysis=checks, all averages over pairs of the sweep with intervals.

    share_corrupted_worse: networks whose mean error on corrupted images is at least their ID error; share_ood_worse:
    OOD error above ID error; ece_id, ece_ood, and ece_ratio, the ratio of their averages; colored_spearman: ID accuracy
    against accuracy where the planted cue is reversed (no average: one pair per training domain).
    """
    estimates, planted = [], []
    for pair in pairs(sweep(frame), settings):
        column, weights = pair.column, pair.weights
        clean, corrupted, ood = column("id_error"), column("corrupted_error"), column("ood_error")
        ece_id, ece_ood = column("id_ece"), column("ood_ece")
        found = {}
        if clean is not None and corrupted is not None:
            found["share_corrupted_worse"] = mean((corrupted >= clean).astype(float), weights)
        if clean is not None and ood is not None:
            found["share_ood_worse"] = mean((ood > clean).astype(float), weights)
            if (pair.dataset, pair.test_domain) == (PLANTED, REVERSED) and pair.n > 2:
                planted.append(Estimate(pair, {}, "colored_spearman", spearman(clean, ood, weights), pair.n))
        if ece_id is not None and ece_ood is not None:
            found |= {"ece_id": mean(ece_id, weights), "ece_ood": mean(ece_ood, weights)}
        estimates += [Estimate(pair, {}, metric, draws, pair.n) for metric, draws in found.items()]
    found_averages = list(averages(estimates))
    rows = [line for each in found_averages + _ratios(found_averages) for line in _rows(each)]
    for each in planted:
        place = {"train_domain": each.pair.train_domain, "test_domain": each.pair.test_domain}
        lines = with_interval("checks", {}, each.metric, each.draws, each.n, dataset=each.pair.dataset)
        rows += [line | place for line in lines]
    return rows


def environments(table: pd.DataFrame) -> list[Row]:
    """Rows of analysis=checks, metric environments_agree: the least share per training domain (A17; Sec. 4, DD).

    Args: `table`, measurements after `results.expand`.
    """
    found = table[table["metric"] == "environments_agree"]
    least: Any = found.groupby(["dataset", "train_domain"], sort=True)
    lines = []
    for (dataset, train), values in least["value"]:
        line = row("checks", {}, "environments_agree", values.min(), len(values), dataset=dataset)
        lines.append(line | {"train_domain": train})
    return lines


def _rows(average: Average) -> list[Row]:
    return with_interval("checks", average.key, average.metric, average.draws, average.n, dataset=average.dataset)


def _ratios(found: list[Average]) -> list[Average]:
    """ece_ratio, the average OOD calibration error over the average ID one."""
    inside = {(each.dataset, each.key["average"]): each.draws for each in found if each.metric == "ece_id"}
    ratios = []
    for each in found:
        if each.metric == "ece_ood":
            below = inside[each.dataset, each.key["average"]]
            ratios.append(replace(each, metric="ece_ratio", draws=each.draws / np.where(below > 0, below, np.nan)))
    return ratios
