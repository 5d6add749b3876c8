"""Effective robustness (Sec. 5, analysis 8): OOD accuracy above what the pair's ERM line says for the ID accuracy."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped

from reprise.assay.analysis.bootstrap import Estimate, Pair, Row, Weights, all_rows, mean, pairs
from reprise.assay.analysis.linear import transformed
from reprise.assay.analysis.settings import Settings

# Which networks are compared by what: an arm varies some things only.
ARMS = {
    "augment": ("sweep",),
    "regime": ("sweep",),
    "model": ("sweep",),
    "finetune": ("sweep", "strategies"),
    "method": ("invariance",),
}


def effective_robustness(frame: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of analysis=effective_robustness: mean residual per level of augment, regime, finetune, method and model.

    The residual is a network's OOD accuracy minus the line through the pair's ERM networks of the sweep, both on the
    scale `Settings.transform`. Networks trained on several domains are measured from the ERM networks trained on the
    same ones. A WiSE-FT level carries its alpha.
    """
    chosen = frame[frame["arm"].isin({arm for arms in ARMS.values() for arm in arms})]
    estimates = [found for pair in pairs(chosen, settings) for found in _of_pair(pair, settings)]
    return all_rows("effective_robustness", estimates)


def _of_pair(pair: Pair, settings: Settings) -> Iterator[Estimate]:
    x, y = (_accuracy(pair, shift, settings) for shift in ("id", "ood"))
    if x is None or y is None:
        return
    arm, method = (pair.columns[name] for name in ("arm", "method"))
    reference = method == "erm"
    if (arm == "sweep").any():
        reference &= arm == "sweep"
    if reference.sum() < 3 or np.ptp(x[reference]) == 0:
        return
    residual = residuals(x, y, reference, pair.weights)
    for by, arms in ARMS.items():
        level = levels(pair.columns, by)
        within = np.isin(arm, arms)
        for name in np.unique(level[within]):
            members = within & (level == name)
            weights = pair.weights[:, members]
            total = weights.sum(1)
            part = np.einsum("dr,dr->d", weights, residual[:, members]) / np.where(total > 0, total, np.nan)
            yield Estimate(pair, {"by": by, "level": name}, "residual", part, int(members.sum()))


def levels(columns: Mapping[str, np.ndarray], by: str) -> Shaped[np.ndarray, " networks"]:
    """A factor's levels as text; WiSE-FT's is wise_ft_<alpha>, since its ends are other strategies."""
    if by != "finetune":
        return columns[by]
    named = zip(columns["finetune"], columns["alpha"], strict=True)
    return np.array([f"{name}_{alpha}" if alpha else name for name, alpha in named], dtype=object)


def residuals(
    x: Float[np.ndarray, " networks"],
    y: Float[np.ndarray, " networks"],
    reference: Bool[np.ndarray, " networks"],
    weights: Weights,
) -> Float[np.ndarray, "draws networks"]:
    """y minus the least-squares line through the drawn networks of `reference`; NaN in draws where x is constant."""
    fitted = weights[:, reference]
    x_mean, y_mean = mean(x[reference], fitted), mean(y[reference], fitted)
    x_centred = x[reference] - x_mean[:, None]
    variance = (fitted * x_centred**2).sum(1)
    slope = (fitted * x_centred) @ y[reference] / np.where(variance > 1e-12, variance, np.nan)
    return y - y_mean[:, None] - slope[:, None] * (x - x_mean[:, None])


def _accuracy(pair: Pair, shift: str, settings: Settings) -> Float[np.ndarray, " networks"] | None:
    error, n = pair.column(f"{shift}_error"), pair.column(f"n_{shift}")
    return None if error is None or n is None else transformed(1 - error, n, settings.transform)
