"""Choosing a network (Sec. 5, analysis 7): the OOD accuracy that is lost by choosing without OOD labels."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from reprise.assay.analysis.bootstrap import Draws, Estimate, Row, Weights, all_rows, mean, pairs
from reprise.assay.analysis.settings import Settings
from reprise.assay.analysis.wide import sweep

RULES = {"id_val": "id_val_error", "heldout_ood": "heldout_error"}


def selection(frame: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of analysis=selection: regret = best OOD accuracy of the pair's networks minus that of the chosen one.

    Rules: lowest ID validation error, lowest error on the other OOD domains, at random (the expectation).
    """
    estimates = []
    for pair in pairs(sweep(frame), settings):
        error = pair.column("ood_error")
        if error is None:
            continue
        best = _lowest(error, pair.weights)
        regrets = {"random": mean(error, pair.weights) - best}
        for rule, column in RULES.items():
            criterion = pair.column(column)
            if criterion is not None:
                regrets[rule] = error_of_chosen(criterion, error, pair.weights) - best
        estimates += [Estimate(pair, {"rule": rule}, "regret", draws, len(error)) for rule, draws in regrets.items()]
    return all_rows("selection", estimates)


def error_of_chosen(
    criterion: Float[np.ndarray, " networks"], error: Float[np.ndarray, " networks"], weights: Weights
) -> Draws:
    """Mean error of the networks drawn with the lowest criterion (more than one where it ties)."""
    chosen = weights * (criterion == _lowest(criterion, weights)[:, None])
    return (chosen @ error) / chosen.sum(1)


def _lowest(values: Float[np.ndarray, " networks"], weights: Weights) -> Draws:
    """Lowest value among the networks drawn."""
    return np.where(weights > 0, values, np.inf).min(1)
