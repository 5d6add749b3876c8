"""The few numbers a pull request is read by: one block per data set and target, means over seeds.

Networks with a strength are shown at two: `fair` is the middle lambda of the grid, `strongest` its end. What the run
does not hold (a target on which fewer methods are trained, data that cannot draw pairs) is left out.
"""

import pandas as pd

from reprise.fairness import tidy


def headline(results: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """`{data set: {target: {name: mean over seeds}}}` from the expanded results."""
    rows = tidy.complete(results)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (dataset, target), part in rows.groupby(tidy.TASK, sort=False):
        found.setdefault(str(dataset), {})[str(target)] = _numbers(part)
    return found


def _numbers(rows: pd.DataFrame) -> dict[str, float]:
    fair, strongest = f"{tidy.middle(rows):g}", f"{tidy.strengths(rows)[-1]:g}"
    head, regularised = tidy.first_head(rows), "ddp_squared"
    wanted = {
        "unconstrained_accuracy": ("unconstrained", "accuracy", {"level": "0"}),
        "unconstrained_ddp": ("unconstrained", "ddp", {"level": "0"}),
        "unconstrained_probe_accuracy": ("unconstrained", "probe_accuracy", {"level": "0"}),
        "fair_accuracy": (regularised, "accuracy", {"level": fair}),
        "fair_ddp": (regularised, "ddp", {"level": fair}),
        "strongest_probe_accuracy": (regularised, "probe_accuracy", {"level": strongest}),
        "merge_accuracy": ("merge", "accuracy", {"level": head, "eps": "near"}),
        "merge_ddp": ("merge", "ddp", {"level": head, "eps": "near"}),
        "group_head_accuracy": ("two_headed", "group_head_accuracy", {"level": head}),
        "fair_agreement": ("approximation", "agreement", {"level": fair}),
        "fair_agreement_threshold_only": ("approximation", "agreement_shift", {"level": fair}),
        "recovered_accuracy": ("recovered", "accuracy", {"level": fair}),
        "recovered_ddp": ("recovered", "ddp", {"level": fair}),
        "fair_pair_favours_0": (regularised, "pair_favours_0", {"level": fair}),
        "fair_pair_favours_1": (regularised, "pair_favours_1", {"level": fair}),
    }
    main = rows[rows["arm"] == "main"]
    numbers = {}
    for name, (method, metric, variant) in wanted.items():
        chosen = main[(main["method"] == method) & (main["metric"] == metric)]
        for key, value in variant.items():
            chosen = chosen[chosen[key] == value]
        if len(chosen):
            numbers[name] = float(chosen["value"].mean())
    return numbers
