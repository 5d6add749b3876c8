"""Factor analysis of all metrics (Sec. 5, analysis 2; claims F1, F4, F5).

Rows are networks x pairs, columns all ID, corrupted and OOD metrics, each standardised within its pair; maximum
likelihood with a rotation; the scree with Kaiser's rule and Horn's parallel analysis.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.decomposition import FactorAnalysis

from reprise.assay.analysis.bootstrap import Row, row
from reprise.assay.analysis.settings import Settings
from reprise.assay.analysis.wide import CORRUPTED_METRICS, measures, sweep
from reprise.seeding import derive

PARALLEL_DRAWS = 100
PARALLEL_PERCENTILE = 95


@dataclass(frozen=True)
class Factors:
    """Loadings (factors by explained variance, largest first) and the scree of one data set."""

    variables: list[str]
    loadings: Float[np.ndarray, "factors variables"]
    eigenvalues: Float[np.ndarray, " variables"]
    parallel: Float[np.ndarray, " variables"]
    n: int


def factors(frame: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of analysis=factors per data set of the sweep: loading, eigenvalue, parallel, kaiser, parallel_count.

    `parallel` is the 95th percentile of each eigenvalue over random normal data of the same size; parallel_count is
    the number of leading eigenvalues above it, kaiser the number above 1.
    """
    rows = []
    for dataset, members in sweep(frame).groupby("dataset", sort=True):
        found = fit(members, settings, str(dataset))
        if found is None:
            continue

        def add(metric: str, value: float, found: Factors = found, dataset: str = str(dataset), **key: object) -> Row:
            return row("factors", key, metric, value, found.n, dataset=dataset)

        for k, loadings in enumerate(found.loadings, 1):
            rows += [
                add("loading", value, factor=k, variable=name)
                for name, value in zip(found.variables, loadings, strict=True)
            ]
        for k, (value, chance) in enumerate(zip(found.eigenvalues, found.parallel, strict=True), 1):
            rows += [add("eigenvalue", value, component=k), add("parallel", chance, component=k)]
        leading = np.cumprod(found.eigenvalues > found.parallel).sum()
        rows += [add("kaiser", (found.eigenvalues > 1).sum()), add("parallel_count", leading)]
    return rows


def fit(frame: pd.DataFrame, settings: Settings, dataset: str) -> Factors | None:
    """Factor analysis of the wide rows of one data set; None with fewer than 3 columns or too few rows.

    Columns that any row lacks, or that are constant within every pair, are left out. Rotated factors have no order and
    no sign of their own: the largest comes first, and ID error loads positively on each.
    """
    table = standardised_within_pairs(frame)
    n, size = table.shape
    if size < 3 or n <= size:
        return None
    values = table.to_numpy()
    k = min(settings.n_factors, size - 1)
    model = FactorAnalysis(k, rotation=settings.rotation, svd_method="lapack", tol=1e-5, max_iter=20_000)
    loadings = model.fit(_condensed(values)).components_
    reference = list(table).index("id_error") if "id_error" in table else 0
    loadings = loadings * np.where(loadings[:, reference] < 0, -1, 1)[:, None]
    loadings = loadings[np.argsort(-(loadings**2).sum(1), kind="stable")]
    return Factors(
        [str(name) for name in table], loadings, scree(values), parallel_analysis(n, size, settings.seed, dataset), n
    )


def standardised_within_pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """ID, corrupted and OOD metrics of a wide table with mean 0 and variance 1 within each pair (0 where constant)."""
    metrics = measures(frame)
    names = [f"id_{name}" for name in metrics]
    names += [f"corrupted_{name}" for name in CORRUPTED_METRICS] + [f"ood_{name}" for name in metrics]
    table = frame[[name for name in names if name in frame]].dropna(axis="columns")
    by_pair = table.groupby([frame["train_domain"], frame["test_domain"]])
    centred = table - by_pair.transform("mean")
    spread = by_pair.transform("std", ddof=0)
    found = (centred / spread.where(spread > 1e-10, np.inf)).astype(float)
    return found.loc[:, (found != 0).any()]


def _condensed(values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "few columns"]:
    """Few rows with the means (zero) and covariance of `values`, all that factor analysis sees of them, for speed."""
    triangle: Any = np.linalg.qr(values, mode="r")
    return np.vstack([triangle, -triangle]) * np.sqrt(len(triangle) / len(values))


def scree(values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " columns"]:
    """Eigenvalues of the correlation matrix, largest first."""
    return np.linalg.eigvalsh(np.corrcoef(values, rowvar=False))[::-1]


def parallel_analysis(n: int, size: int, seed: int, dataset: str) -> Float[np.ndarray, " columns"]:
    """Horn's parallel analysis: 95th percentile of the scree of 100 tables of independent normal values (n, size)."""
    random = np.random.default_rng(derive(seed, "parallel analysis", dataset))
    found = [scree(random.standard_normal((n, size))) for _ in range(PARALLEL_DRAWS)]
    return np.percentile(found, PARALLEL_PERCENTILE, axis=0)
