"""Linear fits per pair: scales of rates, R2 of many fits at once, leave-architectures-out R2 (Sec. 5, analysis 1).

The fits of a pair all come from the correlation matrix of its columns, one matrix per resample.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped
from scipy.special import logit, ndtri

from reprise.assay.analysis.bootstrap import Draws, Pair, Weights
from reprise.errors import UserError

TRANSFORMS = ("logit", "probit", "raw")
# Far below any real spread of standardised columns; keeps fits on resamples with collinear columns finite.
RIDGE = 1e-9
# Singular values below this share of the largest are rounding of columns that others add up to.
SMALLEST_DIRECTION = 1e-9


def transformed(
    rate: Float[np.ndarray, " networks"], n: Float[np.ndarray, " networks"], transform: str
) -> Float[np.ndarray, " networks"]:
    """A rate over `n` images on the scale of linear fits: logit or probit of clip(rate, 1/(2n), 1 - 1/(2n)), or raw.

    Raises UserError for an unknown transform.
    """
    if transform not in TRANSFORMS:
        raise UserError(f"unknown transform {transform!r}: choose one of {', '.join(TRANSFORMS)}")
    if transform == "raw":
        return rate
    clipped = np.clip(rate, 1 / (2 * n), 1 - 1 / (2 * n))
    return logit(clipped) if transform == "logit" else ndtri(clipped)


def linear_column(pair: Pair, name: str, transform: str) -> Float[np.ndarray, " networks"] | None:
    """A column of a pair for a linear fit: error rates and their estimates transformed, other metrics as they are."""
    values = pair.column(name)
    if values is None or not ("error" in name or name.startswith("estimate_")):
        return values
    n = pair.column("n_ood" if name.startswith(("ood_", "heldout_", "estimate_")) else "n_id")
    return None if n is None else transformed(values, n, transform)


def standardised(columns: Sequence[Float[np.ndarray, " networks"]]) -> Float[np.ndarray, "networks columns"]:
    """Columns with mean 0 and standard deviation 1; ValueError for a constant one."""
    stacked = np.column_stack(columns)
    spread = stacked.std(0)
    if (spread <= 1e-10).any():
        raise ValueError("a constant column cannot be standardised")
    return (stacked - stacked.mean(0)) / spread


def correlations(
    columns: Float[np.ndarray, "networks columns"], weights: Weights
) -> Float[np.ndarray, "draws columns columns"]:
    """Correlation matrix of standardised columns in every resample; NaN for a column that is constant in it."""
    size = columns.shape[1]
    total = weights.sum(1)[:, None]
    products = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
    means = weights @ columns / total
    covariance = (weights @ products / total).reshape(-1, size, size) - means[:, :, None] * means[:, None, :]
    variance = np.einsum("dii->di", covariance)
    deviation = np.sqrt(np.where(variance > 1e-12, variance, np.nan))
    return covariance / deviation[:, :, None] / deviation[:, None, :]


def r2_with_second(r_first: Draws, r_second: Draws, between: Draws) -> Draws:
    """R2 of a fit on two columns from their correlations with the target and with each other."""
    left = 1 - between**2
    both = (r_first**2 + r_second**2 - 2 * r_first * r_second * between) / np.where(left > RIDGE, left, np.nan)
    # A second column that repeats the first adds nothing.
    return np.clip(np.where(left > RIDGE, both, r_first**2), 0.0, 1.0)


def r2_of_all(correlation: Float[np.ndarray, "draws columns columns"]) -> Draws:
    """R2 of the fit of the last column on all others, in [0, 1]; NaN where a column is constant."""
    found = np.full(len(correlation), np.nan)
    whole = np.isfinite(correlation).all((1, 2))
    inner, target = correlation[whole, :-1, :-1], correlation[whole, :-1, -1]
    solved = np.linalg.solve(inner + RIDGE * np.eye(inner.shape[1]), target[..., None])[..., 0]
    found[whole] = np.clip(np.einsum("dp,dp->d", solved, target), 0.0, 1.0)
    return found


def adjusted(r2: Draws, weights: Weights, p: int) -> Draws:
    """1 - (1 - R2)(n - 1)/(n - p - 1) for `p` columns and the `n` distinct networks of each draw; NaN unless n > p + 1.

    A network drawn twice is no second observation: with the size of the resample for n, a fit of many columns would
    look better in nearly every draw than on the sample itself.
    """
    n = (weights > 0).sum(1)
    return 1 - (1 - r2) * (n - 1) / np.where(n > p + 1, n - p - 1, np.nan)


def r2_without_groups(
    columns: Float[np.ndarray, "networks columns"], groups: Shaped[np.ndarray, " networks"], weights: Weights
) -> Draws:
    """R2 of predicting the last column for each group of networks by a fit on all networks of the other groups.

    1 - (sum of squared errors)/(sum of squares around the mean), below 0 where the mean would predict better. A draw
    resamples the networks on which the fits are judged; the fits stay those of the sample, since a dozen columns
    interpolate the few distinct networks of a resample. NaN with one group, or too few networks to fit without one.
    """
    design = np.column_stack([np.ones(len(columns)), columns[:, :-1]])
    target = columns[:, -1]
    errors = np.empty(len(columns))
    for group in np.unique(groups):
        fitted = groups != group
        if fitted.sum() <= design.shape[1]:
            return np.full(len(weights), np.nan)
        coefficients = np.linalg.lstsq(design[fitted], target[fitted], rcond=SMALLEST_DIRECTION)[0]
        errors[~fitted] = (target[~fitted] - design[~fitted] @ coefficients) ** 2
    squares = weights @ target**2 - (weights @ target) ** 2 / weights.sum(1)
    return 1 - weights @ errors / np.where(squares > 1e-12, squares, np.nan)
