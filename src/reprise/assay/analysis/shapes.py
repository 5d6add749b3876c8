"""The shape of the relation between ID and OOD accuracy, pair by pair (Sec. 5, analysis 6; claim F11, Figure D)."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from reprise.assay.analysis.bootstrap import Row, correlation, row
from reprise.assay.analysis.linear import transformed
from reprise.assay.analysis.settings import Settings, ShapeThresholds
from reprise.assay.analysis.wide import sweep
from reprise.errors import UserError

# Their codes in the results are their places here.
SHAPES = ("line", "vertical", "horizontal", "none", "decreasing")
# Within one architecture or regime (Simpson's paradox: a line over all may come from differences between them alone).
WITHIN = ("model", "regime")
FEWEST = 4


@dataclass(frozen=True)
class Shape:
    """The shape of one cloud of points and what decided it; rho and p are NaN where an accuracy is constant."""

    name: str
    rho: float
    p: float
    iqr_id: float
    iqr_ood: float


def shapes(frame: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of analysis=shapes per pair of the sweep, also within each model and regime; counts per data set and of all.

    Metrics: shape (its place in `SHAPES`), spearman_accuracy, spearman_p, logit_r2, chance, iqr_id and iqr_ood of the
    better half; `count` with setting shape=<name>, n = pairs. Raises UserError for a data set of unknown classes.
    """
    rows: list[Row] = []
    counts: Counter[tuple[str, str]] = Counter()
    totals: Counter[str] = Counter()
    keys = ["dataset", "train_domain", "test_domain"]
    chosen = sweep(frame).dropna(subset=["id_error", "ood_error"])
    for (dataset, train, test), members in chosen.groupby(keys, sort=True):
        if dataset not in settings.classes:
            raise UserError(f"number of classes of {dataset} is unknown: name it in Settings.classes")
        parts = [("", members)]
        parts += [(f"{kind}:{level}", part) for kind in WITHIN for level, part in members.groupby(kind, sort=True)]
        for within, part in parts:
            if len(part) < FEWEST:
                continue
            found = classify(
                1 - part["id_error"].to_numpy(),
                1 - part["ood_error"].to_numpy(),
                chance=1 / settings.classes[str(dataset)],
                thresholds=settings.shapes,
            )
            key = {"within": within} if within else {}
            values = {
                "shape": SHAPES.index(found.name),
                "spearman_accuracy": found.rho,
                "spearman_p": found.p,
                "logit_r2": logit_r2(part),
                "chance": 1 / settings.classes[str(dataset)],
                "iqr_id": found.iqr_id,
                "iqr_ood": found.iqr_ood,
            }
            place = {"train_domain": train, "test_domain": test}
            rows += [
                row("shapes", key, metric, value, len(part), dataset=str(dataset)) | place
                for metric, value in values.items()
                if np.isfinite(value)
            ]
            if not within:
                for counted in (str(dataset), "all"):
                    counts[counted, found.name] += 1
                    totals[counted] += 1
    for counted, total in totals.items():
        rows += [
            row("shapes", {"shape": name}, "count", counts[counted, name], total, dataset=counted) for name in SHAPES
        ]
    return rows


def classify(
    id_accuracy: Float[np.ndarray, " n"],
    ood_accuracy: Float[np.ndarray, " n"],
    *,
    chance: float,
    thresholds: ShapeThresholds,
) -> Shape:
    """The first shape that fits of horizontal, decreasing, line, vertical and none.

    The better half are the networks with at least the median ID accuracy.
    """
    i, o = np.asarray(id_accuracy, float), np.asarray(ood_accuracy, float)
    varied = len(i) > 2 and np.ptp(i) > 0 and np.ptp(o) > 0
    rho, p = stats.spearmanr(i, o) if varied else (np.nan, np.nan)
    better = i >= np.median(i)
    iqr_id, iqr_ood = float(stats.iqr(i[better])), float(stats.iqr(o[better]))
    if np.percentile(o, 90) <= chance + thresholds.horizontal * (1 - chance):
        name = "horizontal"
    elif rho <= thresholds.decreasing and p < thresholds.p:
        name = "decreasing"
    elif rho >= thresholds.line:
        name = "line"
    elif iqr_id <= thresholds.vertical_iqr and iqr_ood >= thresholds.vertical_ratio * iqr_id:
        name = "vertical"
    else:
        name = "none"
    return Shape(name, float(rho), float(p), iqr_id, iqr_ood)


def logit_r2(frame: pd.DataFrame) -> float:
    """R2 of the line through logit ID and logit OOD accuracy; NaN where either is constant."""
    x, y = (
        transformed(1 - frame[f"{shift}_error"].to_numpy(float), frame[f"n_{shift}"].to_numpy(float), "logit")
        for shift in ("id", "ood")
    )
    return float(correlation(x, y, np.ones((1, len(x))))[0] ** 2)
