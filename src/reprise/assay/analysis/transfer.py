"""What carries over from ID to OOD: each metric itself (Sec. 5, analysis 3; claim F8, Figure B), and the label-free
estimates of OOD error (Sec. 8)."""

import numpy as np
import pandas as pd

from reprise.assay.analysis.bootstrap import Estimate, Row, all_rows, correlation, mean, pairs, spearman
from reprise.assay.analysis.linear import linear_column
from reprise.assay.analysis.settings import Settings
from reprise.assay.analysis.wide import measures, sweep

ESTIMATORS = ("atc", "doc", "agreement", "unchanged")


def transfer(frame: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of analysis=transfer: spearman and r2 of each metric on OOD against itself on ID, over the sweep."""
    chosen = sweep(frame)
    estimates = []
    for pair in pairs(chosen, settings):
        n = pair.n
        for name in measures(chosen):
            at_home, abroad = pair.column(f"id_{name}"), pair.column(f"ood_{name}")
            if n < 3 or at_home is None or abroad is None:
                continue
            key = {"of": name}
            estimates.append(Estimate(pair, key, "spearman", spearman(at_home, abroad, pair.weights), n))
            x, y = (linear_column(pair, f"{shift}_{name}", settings.transform) for shift in ("id", "ood"))
            if x is not None and y is not None:
                estimates.append(Estimate(pair, key, "r2", correlation(x, y, pair.weights) ** 2, n))
    return all_rows("transfer", estimates)


def estimators(frame: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of analysis=estimators: mean |estimated - true| OOD error of each label-free estimator, over the sweep.

    "unchanged" supposes that OOD error equals ID error.
    """
    estimates = []
    for pair in pairs(sweep(frame), settings):
        truth = pair.column("ood_error")
        for name in ESTIMATORS:
            guess = pair.column(f"estimate_{name}")
            if truth is not None and guess is not None:
                error = mean(np.abs(guess - truth), pair.weights)
                estimates.append(Estimate(pair, {"estimator": name}, "mae", error, len(truth)))
    return all_rows("estimators", estimates)
