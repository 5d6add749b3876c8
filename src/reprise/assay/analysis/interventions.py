"""What augmentation and fine-tuning strategy change (Sec. 5, analysis 5; claims F9, F10, Figure C).

Networks are matched that differ in one factor only; their difference is one observation, and the bootstrap resamples
such observations within each training domain.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import rankdata

from reprise.assay.analysis.bootstrap import (
    DOMAIN,
    Estimate,
    Pair,
    Row,
    Weights,
    average_rows,
    pair_rows,
    resample,
)
from reprise.assay.analysis.robustness import levels
from reprise.assay.analysis.settings import Settings
from reprise.assay.analysis.wide import sweep

PAIR = [*DOMAIN, "test_domain"]
# What matched networks share beside the pair. A learning rate is matched by its place among those tried for the
# strategy: head-only training has rates of its own.
SHARED = ["model", "regime", "rate", "length", "seed"]
# Strategies beyond the paper stand for a whole grid or for its first cell: they meet the mean over rates and lengths.
SHARED_STRATEGIES = ["model", "regime", "augment", "seed"]
EVERY_REGIME = "all"


def interventions(frame: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of analysis=interventions: difference (level minus baseline), share_positive and share_negative.

    Augmentations are compared with "identity", or "standard" where that was not run; all parameters ("full") with the
    head only; the other strategies with "full". Differences are of the value of the metric `of`: negative is better.
    By regime and over all of them (regime=all); shares as averages only.
    """
    estimates = []
    names = ("difference", "share_positive", "share_negative")
    for factor, level, baseline, table in _comparisons(frame):
        for regime, pair in _parts(table[level] - table[baseline], settings, f"{factor} {level} {baseline}"):
            key = {"factor": factor, "level": level, "baseline": baseline, "regime": regime}
            for of in pair.columns:
                values = pair.column(of)
                if values is not None:
                    draws = _means(np.column_stack([values, values > 0, values < 0]), pair.weights)
                    estimates += [
                        Estimate(pair, {**key, "of": of}, name, part, pair.n)
                        for name, part in zip(names, draws.T, strict=True)
                    ]
    differences = [found for found in estimates if found.metric == "difference"]
    return pair_rows("interventions", differences) + average_rows("interventions", estimates)


def ranks(frame: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of analysis=ranks: mean_rank of each level of the sweep (1 = lowest value), where all levels were run."""
    estimates = []
    for factor in ("augment", "finetune"):
        table = _matched_sweep(frame, factor)
        found = list(table.columns.unique(0))
        if len(found) < 2:
            continue
        stacked = np.stack([table[level].to_numpy() for level in found])
        complete = np.isfinite(stacked).all(0)
        ranked = np.where(complete, rankdata(stacked, axis=0), np.nan)
        for level, values in zip(found, ranked, strict=True):
            ranks_of_level = pd.DataFrame(values, index=table.index, columns=table[level].columns)
            for regime, pair in _parts(ranks_of_level, settings, f"{factor} ranks"):
                key = {"factor": factor, "level": level, "regime": regime}
                for of in pair.columns:
                    rank = pair.column(of)
                    if rank is not None:
                        draws = _means(rank[:, None], pair.weights)[:, 0]
                        estimates.append(Estimate(pair, {**key, "of": of}, "mean_rank", draws, pair.n))
    return pair_rows("ranks", estimates) + average_rows("ranks", estimates)


def _comparisons(frame: pd.DataFrame) -> Iterator[tuple[str, str, str, Any]]:
    """Factor, level, baseline and the table of matched networks."""
    for factor, baselines in (("augment", ("identity", "standard")), ("finetune", ("head",))):
        table = _matched_sweep(frame, factor)
        found = list(table.columns.unique(0))
        baseline = next((name for name in baselines if name in found), None)
        for level in found:
            if baseline is not None and level != baseline:
                yield factor, level, baseline, table
    chosen = frame[((frame["arm"] == "sweep") & (frame["finetune"] == "full")) | (frame["arm"] == "strategies")]
    columns = {name: chosen[name].to_numpy() for name in ("finetune", "alpha")}
    table = _matched(chosen.assign(finetune=levels(columns, "finetune")), "finetune", SHARED_STRATEGIES)
    found = list(table.columns.unique(0))
    for level in found:
        if "full" in found and level != "full":
            yield "finetune", level, "full", table


def _matched_sweep(frame: pd.DataFrame, factor: str) -> pd.DataFrame:
    chosen = sweep(frame)
    rates = pd.to_numeric(chosen["lr"]).groupby([chosen["dataset"], chosen["finetune"]])
    other = "finetune" if factor == "augment" else "augment"
    return _matched(chosen.assign(rate=rates.rank(method="dense")), factor, [*SHARED, other])


def _matched(frame: pd.DataFrame, factor: str, shared: list[str]) -> pd.DataFrame:
    """One row per pair and set of matched networks, columns (level of the factor, metric)."""
    attacks = sorted(str(name) for name in frame if str(name).startswith("id_adversarial_error_"))
    metrics = ["id_error", "ood_error", "corrupted_error", *attacks, "id_ece", "ood_ece"]
    found = [name for name in metrics if name in frame]
    means: Any = frame.groupby([*PAIR, *shared, factor], sort=True)[found].mean().unstack(factor)
    return means.swaplevel(axis="columns")


def _parts(table: pd.DataFrame, settings: Settings, purpose: str) -> Iterator[tuple[str, Pair]]:
    """The rows of each pair and regime (and of all regimes); pairs of one training domain share their resample."""
    table = table.dropna(how="all")
    index = table.index.to_frame(index=False)
    arrays = {str(of): table[of].to_numpy() for of in table}
    tests, regimes = (index[name].to_numpy() for name in ("test_domain", "regime"))
    cells = index.groupby([name for name in index if name != "test_domain"], sort=True).ngroup().to_numpy()
    domains: Mapping[Any, Any] = index.groupby(DOMAIN, sort=True).indices
    for (dataset, train), rows in domains.items():
        cell = np.unique(cells[rows], return_inverse=True)[1]
        weights = resample(cell.max() + 1, settings.bootstrap, settings.seed, dataset, train, purpose)
        for test in np.unique(tests[rows]):
            here = tests[rows] == test
            for regime in [*np.unique(regimes[rows][here]), EVERY_REGIME]:
                chosen = here & ((regimes[rows] == regime) | (regime == EVERY_REGIME))
                columns = {of: array[rows[chosen]] for of, array in arrays.items()}
                yield regime, Pair(dataset, train, test, columns, weights[:, cell[chosen]])


def _means(columns: Float[np.ndarray, "cells columns"], weights: Weights) -> Float[np.ndarray, "draws columns"]:
    """Weighted mean of each column per draw; NaN where nothing was drawn."""
    total = weights.sum(1)[:, None]
    return weights @ columns / np.where(total > 0, total, np.nan)
