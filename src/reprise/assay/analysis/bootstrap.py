"""Statistics per ordered pair, their averages over pairs and tasks, and bootstrap intervals (Sec. 5, "Averages").

A bootstrap draw is a vector of weights: how often each network was drawn. Every statistic is computed for a whole
matrix of weights at once, shape (1 + draws, networks), whose first row is all ones: entry 0 of a result is the
statistic itself, the others are its bootstrap distribution. NaN marks a draw in which a statistic is undefined.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from reprise.assay.analysis.settings import Settings
from reprise.results import setting
from reprise.seeding import derive

Row = dict[str, Any]
Draws = Float[np.ndarray, " draws"]
Weights = Float[np.ndarray, "draws networks"]
PERCENTILES = (2.5, 97.5)
DOMAIN = ["dataset", "train_domain"]


@dataclass(frozen=True)
class Pair:
    """The networks trained on one domain and tested on another, in a fixed order, with their bootstrap weights.

    `columns` holds an array (networks,) per column of the wide table.
    """

    dataset: str
    train_domain: str
    test_domain: str
    columns: Mapping[str, np.ndarray]
    weights: Weights

    @property
    def n(self) -> int:
        """Number of networks."""
        return self.weights.shape[1]

    def column(self, name: str) -> Float[np.ndarray, " networks"] | None:
        """A column of numbers; None where the table lacks it, or any of the networks does."""
        values = self.columns.get(name)
        return values if values is not None and np.isfinite(values).all() else None


@dataclass(frozen=True)
class Estimate:
    """A statistic of one pair: what it is (`key`, `metric`), its value and bootstrap draws, from `n` networks."""

    pair: Pair
    key: Mapping[str, Any]
    metric: str
    draws: Draws
    n: int


def resample(n: int, draws: int, seed: int, *key: str) -> Weights:
    """Weights of `draws` samples with replacement of `n` networks, below a first row of ones."""
    random = np.random.default_rng(derive(seed, "bootstrap", *key))
    drawn = random.multinomial(n, np.full(n, 1 / n), size=draws)
    return np.vstack([np.ones(n), drawn])


def pairs(frame: pd.DataFrame, settings: Settings) -> Iterator[Pair]:
    """The ordered pairs of a wide table; a training domain's pairs share one resample of its networks per arm."""
    networks = [*DOMAIN, "arm", "run", "finetune", "alpha", "seed"]
    frame = frame.sort_values(networks, ignore_index=True)
    arrays = {str(name): frame[name].to_numpy() for name in frame}
    network = frame.groupby(networks, sort=True).ngroup().to_numpy()
    domains: Mapping[Any, Any] = frame.groupby(DOMAIN, sort=True).indices
    for (dataset, train), rows in domains.items():
        first = network[rows].min()
        arms = arrays["arm"][rows][np.unique(network[rows], return_index=True)[1]]
        weights = np.ones((1 + settings.bootstrap, len(arms)))
        for arm in np.unique(arms):
            weights[:, arms == arm] = resample(
                (arms == arm).sum(), settings.bootstrap, settings.seed, dataset, train, arm
            )
        tests = arrays["test_domain"][rows]
        for test in np.unique(tests):
            members = rows[tests == test]
            columns = {name: array[members] for name, array in arrays.items()}
            yield Pair(dataset, train, test, columns, weights[:, network[members] - first])


def mid_ranks(values: Float[np.ndarray, " networks"], weights: Weights) -> Float[np.ndarray, "draws networks"]:
    """Rank of each network's value in every resample, ties (also those made by resampling) sharing their mean rank.

    The rank of x_i is the weight below it plus half of the weight that ties with it (itself included), plus 1/2.
    """
    below = (values[:, None] < values) + 0.5 * (values[:, None] == values)
    return weights @ below + 0.5


def correlation(
    x: Float[np.ndarray, "*draws networks"], y: Float[np.ndarray, "*draws networks"], weights: Weights
) -> Draws:
    """Weighted Pearson correlation per draw; NaN where either side is constant."""
    total = weights.sum(1)
    x, y = np.broadcast_to(x, weights.shape), np.broadcast_to(y, weights.shape)
    x = x - ((weights * x).sum(1) / total)[:, None]
    y = y - ((weights * y).sum(1) / total)[:, None]
    scaled = weights * x
    xx, yy = np.einsum("dr,dr->d", scaled, x), np.einsum("dr,dr->d", weights * y, y)
    # A constant's variance is rounding noise, far below that of any real spread.
    spread = (xx > 1e-20 * total) & (yy > 1e-20 * total)
    scale = np.sqrt(np.where(spread, xx * yy, np.nan))
    return np.clip(np.einsum("dr,dr->d", scaled, y) / scale, -1.0, 1.0)


def spearman(x: Float[np.ndarray, " networks"], y: Float[np.ndarray, " networks"], weights: Weights) -> Draws:
    """Spearman's rank correlation in every resample; NaN where either side is constant."""
    return correlation(mid_ranks(x, weights), mid_ranks(y, weights), weights)


def mean(values: Float[np.ndarray, " networks"], weights: Weights) -> Draws:
    """Mean in every resample; NaN where none of the networks was drawn."""
    total = weights.sum(1)
    return weights @ values / np.where(total > 0, total, np.nan)


def intervals(draws: Float[np.ndarray, "names draws"]) -> Float[np.ndarray, "2 names"]:
    """95 % percentile intervals of rows of bootstrap draws; NaN where there is none to take it from."""
    found = np.full((2, len(draws)), np.nan)
    drawn = draws[:, 1:]
    if drawn.shape[1]:
        whole = np.isfinite(drawn).all(1)
        found[:, whole] = np.percentile(drawn[whole], PERCENTILES, axis=1)
        for name in np.flatnonzero(np.isfinite(drawn).any(1) & ~whole):
            found[:, name] = np.percentile(drawn[name][np.isfinite(drawn[name])], PERCENTILES)
    return found


def pair_rows(analysis: str, estimates: Iterable[Estimate]) -> list[Row]:
    """One row per estimate that is defined."""
    return [
        {
            **row(analysis, found.key, found.metric, found.draws[0], found.n, dataset=found.pair.dataset),
            "train_domain": found.pair.train_domain,
            "test_domain": found.pair.test_domain,
        }
        for found in estimates
        if np.isfinite(found.draws[0])
    ]


def row(analysis: str, key: Mapping[str, Any], metric: str, value: float, n: int, *, dataset: str) -> Row:
    """A row in the house format, of no particular pair; entries of `key` that are columns of the table go there."""
    columns = {name: key.get(name, "") for name in ("model", "method")}
    rest = {name: value for name, value in key.items() if name not in columns}
    return {
        "paper": "assay",
        "dataset": dataset,
        "train_domain": "",
        "test_domain": "",
        "shift": "",
        **columns,
        "setting": setting(analysis=analysis, **rest),
        "seed": 0,
        "split": "",
        "metric": metric,
        "value": float(value),
        "n": int(n),
    }


def with_interval(
    analysis: str, key: Mapping[str, Any], metric: str, draws: Draws, n: int, *, dataset: str
) -> list[Row]:
    """A row and, where the bootstrap gives one, the rows `<metric>_ci_low` and `<metric>_ci_high`."""
    low, high = intervals(draws[None])[:, 0]
    named = {metric: draws[0], f"{metric}_ci_low": low, f"{metric}_ci_high": high}
    return [row(analysis, key, name, value, n, dataset=dataset) for name, value in named.items() if np.isfinite(value)]


@dataclass(frozen=True)
class Average:
    """An average of a statistic over `n` pairs; `key` says which in `average`, `dataset` is "all" over data sets."""

    key: Mapping[str, Any]
    metric: str
    dataset: str
    draws: Draws
    n: int


def averages(estimates: Iterable[Estimate]) -> Iterator[Average]:
    """Averages of each statistic over pairs, by data set and over all ("all").

    average=pairs and pairs_median are the mean and median over pairs (A: pairs equal), average=tasks the mean over data
    sets of their means (B: tasks equal). Pairs without the statistic are left out, as are, draw by draw, the pairs in
    which the draw left it undefined.
    """
    grouped: dict[tuple[Any, ...], dict[str, list[Draws]]] = {}
    for found in estimates:
        if np.isfinite(found.draws[0]):
            name = (found.metric, *sorted(found.key.items()))
            grouped.setdefault(name, {}).setdefault(found.pair.dataset, []).append(found.draws)
    for (metric, *items), by_dataset in grouped.items():
        key = dict(items)
        stacks = {dataset: np.stack(draws) for dataset, draws in sorted(by_dataset.items())}
        means = {dataset: _over(stack, np.mean, np.nanmean) for dataset, stack in stacks.items()}
        medians = {dataset: _over(stack, np.median, np.nanmedian) for dataset, stack in stacks.items()}
        sizes = {dataset: len(stack) for dataset, stack in stacks.items()}
        sizes["all"] = sum(sizes.values())
        if len(stacks) == 1:
            (means["all"],), (medians["all"],) = means.values(), medians.values()
            tasks = means["all"]
        else:
            tasks = _over(np.stack(list(means.values())), np.mean, np.nanmean)
            stack = np.concatenate(list(stacks.values()))
            means["all"], medians["all"] = _over(stack, np.mean, np.nanmean), _over(stack, np.median, np.nanmedian)
        for dataset, n in sizes.items():
            yield Average({**key, "average": "pairs"}, metric, dataset, means[dataset], n)
            yield Average({**key, "average": "pairs_median"}, metric, dataset, medians[dataset], n)
        yield Average({**key, "average": "tasks"}, metric, "all", tasks, sizes["all"])


def _over(
    stack: Float[np.ndarray, "pairs draws"], average: Callable[..., Any], without_nan: Callable[..., Any]
) -> Float[np.ndarray, " draws"]:
    """Average over the pairs of each draw; NaN for a draw without any pair."""
    known = np.isfinite(stack)
    if known.all():
        return average(stack, axis=0)
    found = np.full(stack.shape[1], np.nan)
    found[known.any(0)] = without_nan(stack[:, known.any(0)], axis=0)
    return found


def average_rows(analysis: str, estimates: Iterable[Estimate]) -> list[Row]:
    """The rows of all averages, each with its interval."""
    found = list(averages(estimates))
    if not found:
        return []
    rows = []
    ends = intervals(np.stack([each.draws for each in found])).T
    for each, (low, high) in zip(found, ends, strict=True):
        named = {each.metric: each.draws[0], f"{each.metric}_ci_low": low, f"{each.metric}_ci_high": high}
        rows += [
            row(analysis, each.key, name, value, each.n, dataset=each.dataset)
            for name, value in named.items()
            if np.isfinite(value)
        ]
    return rows


def all_rows(analysis: str, estimates: list[Estimate]) -> list[Row]:
    """Rows per pair, then the averages."""
    return pair_rows(analysis, estimates) + average_rows(analysis, estimates)
