"""Judging decision rules and representations on the test split: point values, bootstrap intervals, probes."""

from collections.abc import Mapping
from typing import Any, SupportsFloat

import numpy as np

from reprise.results import setting

Arrays = Mapping[str, np.ndarray]
Row = dict[str, Any]


class Rows:
    """Collects rows that share their context (data set, target, arm, seed)."""

    def __init__(self, *, dataset: str, model: str, target: str, arm: str, seed: int) -> None:
        self.rows: list[Row] = []
        self._fixed = {"paper": "fairness", "dataset": dataset, "model": model, "seed": seed, "split": "test"}
        self._setting = {"target": target, "arm": arm}

    def add(self, method: str, metric: str, value: SupportsFloat, n: int, **variant: Any) -> None:
        row = {"method": method, "setting": setting(**self._setting, **variant), "metric": metric}
        self.rows.append({**self._fixed, **row, "value": float(value), "n": int(n)})


def judge(decision: np.ndarray, y: np.ndarray, a: np.ndarray) -> dict[str, float]:
    """Measures of a decision rule; `decision` (n,) holds probabilities of a positive decision in [0, 1]."""
    decision = np.asarray(decision, float)
    correct = np.where(y == 1, decision, 1 - decision)
    found = {
        "accuracy": correct.mean(),
        "balanced_accuracy": (correct[y == 1].mean() + correct[y == 0].mean()) / 2,
        "selection_rate": decision.mean(),
    }
    for group in (0, 1):
        found[f"selection_rate_{group}"] = decision[a == group].mean()
        found[f"accuracy_{group}"] = correct[a == group].mean()
        positives = (a == group) & (y == 1)
        if positives.any():
            found[f"true_positive_rate_{group}"] = decision[positives].mean()
    found["ddp"] = found["selection_rate_1"] - found["selection_rate_0"]
    if {"true_positive_rate_0", "true_positive_rate_1"} <= found.keys():
        found["equal_opportunity"] = found["true_positive_rate_1"] - found["true_positive_rate_0"]
    return {name: float(value) for name, value in found.items()}


def bootstrap(decision: np.ndarray, y: np.ndarray, a: np.ndarray, n: int, seed: int) -> dict[str, float]:
    """95 % percentile intervals of accuracy and gap under resampling within each group.

    Accuracy and gap depend on a sample only through how many people of each group fall into each of the four cells of
    (y, decision), so a resample is one multinomial draw per group. Randomised rules use expected counts.
    """
    rng = np.random.default_rng(seed)
    selected, correct = [], []
    for group in (0, 1):
        d, label = np.asarray(decision[a == group], float), y[a == group]
        cells = np.array(
            [(d * label).sum(), (d * (1 - label)).sum(), ((1 - d) * label).sum(), ((1 - d) * (1 - label)).sum()]
        )
        draws = rng.multinomial(len(d), cells / len(d), size=n)
        selected.append((draws[:, 0] + draws[:, 1]) / len(d))
        correct.append(draws[:, 0] + draws[:, 3])
    accuracy = (correct[0] + correct[1]) / len(y)
    gap = selected[1] - selected[0]
    found: dict[str, float] = {}
    for name, values in (("accuracy", accuracy), ("ddp", gap), ("abs_ddp", np.abs(gap))):
        low, high = np.quantile(values, [0.025, 0.975])
        found |= {f"{name}_ci_low": float(low), f"{name}_ci_high": float(high)}
    return found


def probe(train: Arrays, test: Arrays, key: str, *, c: float, max_iter: int) -> tuple[float, float]:
    """Test accuracy and AUC of a logistic regression of the group on the standardised representation (Sec. 3)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    x, x_test = standardise(train[f"{key}/features"], test[f"{key}/features"])
    model = LogisticRegression(C=c, max_iter=max_iter).fit(x, train["a"])
    score = model.decision_function(x_test)
    return float(((score > 0) == test["a"]).mean()), float(roc_auc_score(test["a"], score))


def standardise(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with the mean and standard deviation of `train`; constant columns become 0."""
    mean, sd = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    sd[sd == 0] = np.inf
    return (train - mean) / sd, (test - mean) / sd
