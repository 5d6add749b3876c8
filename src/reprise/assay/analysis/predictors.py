"""Which measurement foretells OOD error? (Sec. 5, analysis 1; claims F1-F6, Figure A)

Per ordered pair and predictor X: Spearman's rho(X, OOD error), R2 of OOD error ~ 1 + X, and what X adds to ID error.
Rank statistics are of raw values; in linear fits error rates are on the scale `Settings.transform`.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float

from reprise.assay.analysis.bootstrap import Draws, Estimate, Pair, Row, all_rows, pairs, spearman
from reprise.assay.analysis.linear import (
    adjusted,
    correlations,
    linear_column,
    r2_of_all,
    r2_with_second,
    r2_without_groups,
    standardised,
)
from reprise.assay.analysis.settings import Settings
from reprise.assay.analysis.wide import CORRUPTED_METRICS, measures, sweep

TARGET = "ood_error"
BASELINE = "id_error"
ESTIMATES = ("estimate_atc", "estimate_doc", "estimate_agreement")
SMALLEST_RANGE = 1e-10


def predictors(frame: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of analysis=predictors: spearman, r2, adjusted_r2, gain and minus_id_error per predictor; the joint fits.

    predictor=id fits on all ID metrics, predictor=all on the ID, corrupted and held-out ones together (the label-free
    estimates, which the paper does not have, stand alone); both with adjusted_r2 and r2_cross.

    Args: `frame`, a wide table (only its sweep is used). A pair without a predictor, or in which it is constant, gives
    no row for it; fits need more networks than coefficients.
    """
    chosen = sweep(frame)
    estimates = [found for pair in pairs(chosen, settings) for found in _of_pair(pair, chosen, settings)]
    return all_rows("predictors", estimates)


def candidates(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Predictor columns of a wide table by kind: id, corrupted, heldout, estimate."""
    return {
        "id": [f"id_{name}" for name in measures(frame)],
        "corrupted": [f"corrupted_{name}" for name in CORRUPTED_METRICS if f"corrupted_{name}" in frame],
        "heldout": ["heldout_error"] if "heldout_error" in frame else [],
        "estimate": [name for name in ESTIMATES if name in frame],
    }


def _of_pair(pair: Pair, frame: pd.DataFrame, settings: Settings) -> Iterator[Estimate]:
    kinds = candidates(frame)
    raw, linear = {}, {}
    for name in (*(name for kind in kinds.values() for name in kind), TARGET):
        values, scaled = pair.column(name), linear_column(pair, name, settings.transform)
        # The scale of the fits may clip what little a column varies.
        if values is not None and scaled is not None and min(np.ptp(values), np.ptp(scaled)) > SMALLEST_RANGE:
            raw[name], linear[name] = values, scaled
    names = [name for name in raw if name != TARGET]
    if pair.n < 3 or TARGET not in raw or not names:
        return
    ranked = {name: spearman(raw[name], raw[TARGET], pair.weights) for name in names}
    found = {(name, "spearman"): draws for name, draws in ranked.items()}
    if BASELINE in ranked:
        others = (name for name in names if name != BASELINE)
        found |= {(name, "minus_id_error"): ranked[name] - ranked[BASELINE] for name in others}
    sets = {"id": kinds["id"], "all": kinds["id"] + kinds["corrupted"] + kinds["heldout"]}
    found |= _fits(standardised(list(linear.values())), pair, names, sets)
    for (name, metric), draws in found.items():
        yield Estimate(pair, {"predictor": name}, metric, draws, pair.n)


def _fits(
    design: Float[np.ndarray, "networks columns"], pair: Pair, names: list[str], sets: dict[str, list[str]]
) -> dict[tuple[str, str], Draws]:
    """Statistics of the linear fits by (predictor, metric); the columns are those of `names`, then the target."""
    weights = pair.weights
    correlation = correlations(design, weights)
    with_target = correlation[:, :, -1]
    base = names.index(BASELINE) if BASELINE in names else None
    found = {}
    for k, name in enumerate(names):
        found[name, "r2"] = with_target[:, k] ** 2
        found[name, "adjusted_r2"] = adjusted(found[name, "r2"], weights, 1)
        if base is not None and k != base:
            both = r2_with_second(with_target[:, base], with_target[:, k], correlation[:, base, k])
            found[name, "gain"] = adjusted(both, weights, 2) - adjusted(with_target[:, base] ** 2, weights, 1)
    for label, members in sets.items():
        chosen = [k for k, name in enumerate(names) if name in members]
        if chosen:
            places = np.array([*chosen, len(names)])
            part = r2_of_all(correlation[:, places[:, None], places])
            found[label, "adjusted_r2"] = adjusted(part, weights, len(chosen))
            found[label, "r2_cross"] = r2_without_groups(design[:, places], pair.columns["model"], weights)
    return found
