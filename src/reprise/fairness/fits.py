"""Everything that is chosen on validation: merges, thresholds, the weights that approximate or undo a fair network.

Nothing here can see a test label: the stage that runs it depends on the validation predictions alone. A fit is a plain
dict of numbers; `evaluate` applies it.
"""

from typing import Any

import numpy as np

from reprise.fairness.merge import demographic_parity_gap, fit_agreement, fit_merge
from reprise.fairness.params import Merge
from reprise.fairness.plan import UNCONSTRAINED
from reprise.fairness.thresholds import fit_perceived_groups, group_probability, lipton

Arrays = dict[str, np.ndarray]
BASE = f"{UNCONSTRAINED}.0/logits"


def fit(val: Arrays, *, heads: list[str], settings: Merge, randomised: bool) -> dict[str, Any]:
    """All fits of one (target, seed) from the predictions of its main arm on validation.

    Args:
        val: `<method>.<level>/logits`, `y`, `a`.
        heads: losses of the group head; the first is the one the paper merges.
        randomised: also fit fairlearn's randomised oracle (tables).
    """
    y, a = val["y"], val["a"]
    base = val[BASE][:, 0]
    z1, z2 = val[f"two_headed.{heads[0]}/logits"].T
    probability = group_probability(z2, heads[0])
    perceived = (probability > 0.5).astype(a.dtype)
    # Slack values up to the gap of the unconstrained network, as the release takes them; near parity has its own.
    gap = max(abs(demographic_parity_gap(base > 0, a)), 0.002)
    epsilons = np.append(np.linspace(0.001, gap, settings.epsilons, endpoint=False), settings.near_parity)
    grid: dict[str, Any] = {"b_points": settings.b_points, "b_range": settings.b_range}
    found: dict[str, Any] = {"epsilons": epsilons.tolist(), "near_parity": settings.near_parity}

    for loss in heads:
        task, group = val[f"two_headed.{loss}/logits"].T
        merged = fit_merge(task, group, y, a, epsilons=epsilons, **grid)
        found[f"merge.{loss}"] = _merges(merged)
        if loss == heads[0]:
            found["frontier"] = {"gap": merged.frontier.gap.tolist(), "accuracy": merged.frontier.accuracy.tolist()}
    near = np.array([settings.near_parity])
    chance = fit_merge(1 / (1 + np.exp(-z1)) - 0.5, probability, y, a, epsilons=near, **grid)
    found["plug_in"] = _merges(chance)
    found["equal_opportunity"] = _merges(fit_merge(z1, z2, y, a, epsilons=near, criterion="equal_opportunity", **grid))
    for name, group in (("oracle", a), ("perceived", perceived)):
        rule = fit_perceived_groups(z1, group, y, a, epsilons)
        found[name] = {"t0": rule.t0.tolist(), "t1": rule.t1.tolist()}
    for name, group in (("lipton", a), ("lipton_perceived", perceived)):
        if 0 < group.mean() < 1:
            found[name] = {"t": lipton(base, group, n_ratios=settings.epsilons).t.tolist()}
    if randomised:
        found["threshold_optimizer"] = _threshold_optimizer(base, y, a)

    for key in sorted(val):
        method, _, rest = key.partition(".")
        if method != "ddp_squared":
            continue
        fair, level = val[key][:, 0], rest.removesuffix("/logits")
        decision = (fair > 0).astype(a.dtype)
        closest, shifted = fit_agreement(z1, z2, decision, **grid), fit_agreement(z1, z2, decision, b_values=[0.0])
        own_gap = np.array([abs(demographic_parity_gap(decision, a))])
        found[f"agree.{level}"] = {
            "b": closest.b,
            "c": closest.c,
            "shift_c": shifted.c,
            "matched": _merges(fit_merge(z1, z2, y, a, epsilons=own_gap, **grid)),
        }
        anything = np.array([np.inf])
        found[f"recover.{level}"] = {
            "merge": _merges(fit_merge(fair, z2, y, a, epsilons=anything, **grid)),
            "shift": _merges(fit_merge(fair, z2, y, a, epsilons=anything, b_values=[0.0])),
        }
    return found


def _merges(merged: Any) -> dict[str, Any]:
    return {
        "b": merged.b.tolist(),
        "c": merged.c.tolist(),
        "gap": merged.gap.tolist(),
        "accuracy": merged.accuracy.tolist(),
    }


def _threshold_optimizer(score: np.ndarray, y: np.ndarray, a: np.ndarray) -> dict[str, Any]:
    """fairlearn's ThresholdOptimizer: per-group random mixtures of two thresholds; needs a at prediction time."""
    from fairlearn.postprocessing import ThresholdOptimizer
    from sklearn.base import BaseEstimator

    class Identity(BaseEstimator):
        """The scores themselves as a fitted estimator."""

        def fit(self, x: np.ndarray, y: np.ndarray) -> "Identity":
            return self

        def predict(self, x: np.ndarray) -> np.ndarray:
            return np.asarray(x)[:, 0]

        def __sklearn_is_fitted__(self) -> bool:
            return True

    optimizer = ThresholdOptimizer(
        estimator=Identity(), constraints="demographic_parity", prefit=True, predict_method="predict", grid_size=1000
    )
    optimizer.fit(score[:, None], y, sensitive_features=a)
    rules = optimizer.interpolated_thresholder_.interpolation_dict
    return {
        str(int(group)): {
            "p": [float(rule.p0), float(rule.p1)],
            "operator": [rule.operation0.operator, rule.operation1.operator],
            "threshold": [float(np.clip(part.threshold, -1e9, 1e9)) for part in (rule.operation0, rule.operation1)],
        }
        for group, rule in rules.items()
    }
