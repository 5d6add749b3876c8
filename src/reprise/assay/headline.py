"""The few numbers a pull request is read by: one block per data set, averages over its pairs.

Positive gains are accuracy won. What the run does not hold (no planted cue, no second OOD domain) is left out. Of more
than three data sets only the average over all is told.
"""

from collections.abc import Iterator

import pandas as pd

from reprise.assay import tidy
from reprise.assay.figures_labels import EVERYTHING, SHAPES

FEW = 3
# name -> analysis, metric, setting, factor of the value
WANTED: dict[str, tuple[str, str, dict[str, str], float]] = {
    "spearman_id_error": ("predictors", "spearman", {"predictor": "id_error"}, 1.0),
    "spearman_heldout_error": ("predictors", "spearman", {"predictor": "heldout_error"}, 1.0),
    "transfer_adversarial": ("transfer", "spearman", {"of": "adversarial_error_large"}, 1.0),
    "transfer_ece": ("transfer", "spearman", {"of": "ece"}, 1.0),
    "augmentation_ood_gain": (
        "interventions",
        "difference",
        {"factor": "augment", "regime": EVERYTHING, "of": "ood_error"},
        -1.0,
    ),
    "full_minus_head_ood_accuracy": (
        "interventions",
        "difference",
        {"factor": "finetune", "level": "full", "baseline": "head", "regime": "full", "of": "ood_error"},
        -1.0,
    ),
    "regret_id_validation": ("selection", "regret", {"rule": "id_val"}, 1.0),
    "regret_heldout_ood": ("selection", "regret", {"rule": "heldout_ood"}, 1.0),
    "doc_absolute_error": ("estimators", "mae", {"estimator": "doc"}, 1.0),
    "unchanged_absolute_error": ("estimators", "mae", {"estimator": "unchanged"}, 1.0),
}
PLANTED = ("erm", "irm", "erm_grayscale")


def headline(results: pd.DataFrame) -> dict[str, dict[str, float]]:
    """`{data set: {name: value}}` from the expanded results, measurements and analyses together."""
    rows = tidy.complete(results)
    names = [name for name in dict.fromkeys(rows["dataset"]) if name != EVERYTHING]
    blocks = {name: rows[rows["dataset"] == name] for name in names}
    if len(names) > FEW:
        blocks = {EVERYTHING: rows[rows["dataset"] == EVERYTHING]}
    return {name: dict(_numbers(part)) for name, part in blocks.items()}


def _numbers(rows: pd.DataFrame) -> Iterator[tuple[str, float]]:
    errors = tidy.sweep(rows)
    errors = errors[errors["metric"] == "error"]
    for shift in ("id", "ood"):
        if (errors["shift"] == shift).any():
            yield f"{shift}_error", float(errors.loc[errors["shift"] == shift, "value"].mean())
    averages = rows[rows["average"] == "pairs"]
    for name, (analysis, metric, setting, factor) in WANTED.items():
        chosen = averages[(averages["analysis"] == analysis) & (averages["metric"] == metric)]
        for key, value in setting.items():
            chosen = chosen[chosen[key] == value]
        if len(chosen):  # several levels of augmentation: their mean
            yield name, factor * float(chosen["value"].mean())
    counts = rows[(rows["analysis"] == "shapes") & (rows["metric"] == "count")]
    for shape in SHAPES:
        for value in counts.loc[counts["shape"] == shape, "value"]:
            yield f"pairs_{shape}", float(value)
    planted = rows[(rows["analysis"] == "planted_cue") & (rows["metric"] == "reversed_accuracy")]
    for method in PLANTED:
        if (planted["method"] == method).any():
            yield f"planted_cue_{method}", float(planted.loc[planted["method"] == method, "value"].mean())
