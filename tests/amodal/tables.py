"""Synthetic tables of measurements in the format of data/results/amodal.

`rows()` is a small but complete run: three data sets, every method with its seeds, the new distribution of
`fishbowl_lite` and the adaptation to it. Its levels lie near those of the specification's 300 steps (6.2), so that all
acceptance checks hold on it. A test of one statement adds or replaces single rows (`row`, `iou`, `replaced`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from reprise import results

Row = dict[str, Any]

DATASETS = ("chewgum", "chewgum_radial", "fishbowl_lite")
UNSEEN = "fishbowl_lite"  # the data set with a new distribution
RUNS: Mapping[str, Sequence[int]] = {
    "visible": (0,),
    "convex": (0,),
    "completion": (0, 1),
    "completion_clean": (0,),
    "per_frame": (0, 1),
    "savos": (0, 1),
    "no_consistency": (0,),
    "forward_only": (0,),
    "no_flow": (0,),
    "no_residual": (0,),
    "current_label": (0,),
    "occluder_input": (0,),
    "supervised": (0,),
    "supervised_image": (0,),
}
UNET = ("completion", "completion_clean", "supervised_image")
UNTRAINED = ("visible", "convex", "data")
STEPS = (50, 100, 150, 200)
SUBSETS = ("box_grows", "never_revealed", "shape_changes", "fast")
RATES = tuple(k / 10 for k in range(8))  # no frame is hidden by more: empty bins have no row
BINS = tuple(range(10))

# method -> (full, occluded) of seed 0, data set by data set
LEVELS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "chewgum": {
        "visible": (0.555, 0.0),
        "convex": (0.723, 0.386),
        "completion": (0.806, 0.582),
        "completion_clean": (0.790, 0.560),
        "per_frame": (0.812, 0.594),
        "savos": (0.833, 0.634),
        "no_consistency": (0.816, 0.602),
        "forward_only": (0.822, 0.618),
        "no_flow": (0.829, 0.625),
        "no_residual": (0.829, 0.625),
        "current_label": (0.700, 0.330),
        "occluder_input": (0.836, 0.640),
        "supervised": (0.879, 0.741),
        "supervised_image": (0.890, 0.764),
    },
    "chewgum_radial": {
        "visible": (0.798, 0.0),
        "convex": (0.887, 0.440),
        "completion": (0.898, 0.535),
        "completion_clean": (0.899, 0.540),
        "per_frame": (0.892, 0.486),
        "savos": (0.909, 0.565),
        "no_consistency": (0.899, 0.530),
        "forward_only": (0.901, 0.535),
        "no_flow": (0.906, 0.552),
        "no_residual": (0.906, 0.552),
        "current_label": (0.860, 0.300),
        "occluder_input": (0.910, 0.571),
        "supervised": (0.918, 0.606),
        "supervised_image": (0.915, 0.600),
    },
    "fishbowl_lite": {
        "visible": (0.630, 0.0),
        "convex": (0.803, 0.474),
        "completion": (0.834, 0.562),
        "completion_clean": (0.862, 0.644),
        "per_frame": (0.857, 0.627),
        "savos": (0.874, 0.660),
        "no_consistency": (0.868, 0.640),
        "forward_only": (0.861, 0.636),
        "no_flow": (0.870, 0.652),
        "no_residual": (0.870, 0.652),
        "current_label": (0.790, 0.400),
        "occluder_input": (0.876, 0.668),
        "supervised": (0.894, 0.720),
        "supervised_image": (0.890, 0.715),
    },
}
# On the new distribution everything falls by (full, occluded); what adaptation brings after 200 steps.
FALL = {
    "savos": (0.134, 0.220),
    "per_frame": (0.133, 0.262),
    "completion": (0.125, 0.222),
    "convex": (0.071, 0.081),
    "visible": (0.05, 0.0),
}
GAIN = {"savos": (0.054, 0.079), "completion": (-0.002, -0.025)}
# method -> recall of hidden pixels revealed elsewhere, of those never revealed, false positives
RECALLS = {
    "visible": (0.0, 0.0, 0.0),
    "convex": (0.45, 0.35, 0.02),
    "completion": (0.62, 0.58, 0.07),
    "per_frame": (0.64, 0.62, 0.11),
    "savos": (0.76, 0.68, 0.06),
}
FACTS = {  # occlusion rate, share of hidden pixels never revealed
    "chewgum": (0.462, 0.645),
    "chewgum_radial": (0.151, 0.310),
    "fishbowl_lite": (0.318, 0.420),
}


def row(
    dataset: str,
    method: str,
    metric: str,
    value: float,
    *,
    seed: int = 0,
    domain: str = "test",
    n: int = 100,
    **keys: Any,
) -> Row:
    """One measurement; `domain` "unseen" is the new distribution."""
    return {
        "paper": "amodal",
        "dataset": dataset,
        "train_domain": "train",
        "test_domain": domain,
        "shift": "unseen" if domain == "unseen" else "",
        "model": "unet" if method in UNET else "none" if method in UNTRAINED else "savos",
        "method": method,
        "setting": results.setting(**keys),
        "seed": seed,
        "split": "test",
        "metric": metric,
        "value": float(value),
        "n": n,
    }


def table(*groups: Iterable[Row]) -> pd.DataFrame:
    """The groups of rows as the stages read them: validated, sorted, one column per key of `setting`."""
    return results.expand(results.table([one for group in groups for one in group]))


def iou(dataset: str, method: str, full: float, occluded: float, **place: Any) -> Iterator[Row]:
    """Both IoUs in the three averages, the one over videos with its interval."""
    for metric, value in (("iou_full", full), ("iou_occluded", occluded)):
        yield row(dataset, method, metric, value, by="frame", **place)
        yield row(dataset, method, metric, max(0.0, value - 0.001), by="image", **place)
        for end, shift in (("", 0.0), ("_low", -0.02), ("_high", 0.02)):
            yield row(dataset, method, f"{metric}{end}", max(0.0, value + shift - 0.002), by="video", **place)


def replaced(rows: Iterable[Row], *others: Row) -> list[Row]:
    """The rows, with `others` in the place of those that measure the same."""

    def key(one: Row) -> tuple[Any, ...]:
        return tuple(one[name] for name in results.KEY)

    new = {key(one): one for one in others}
    return [one for one in rows if key(one) not in new] + list(new.values())


def rows(
    datasets: Sequence[str] = DATASETS,
    runs: Mapping[str, Sequence[int]] = RUNS,
    steps: Sequence[int] = STEPS,
) -> list[Row]:
    """A whole run. A seed's values lie 0.004 above those of the seed before; no steps is no new distribution."""
    found: list[Row] = []
    for dataset in datasets:
        found += facts(dataset)
        if dataset == UNSEEN and steps:
            found += facts(dataset, domain="unseen")
        for method, seeds in runs.items():
            for seed in seeds:
                found += measured(dataset, method, seed)
                if dataset == UNSEEN and steps and method in FALL:
                    found += unseen(method, seed, steps)
    return found


def facts(dataset: str, **place: Any) -> Iterator[Row]:
    rate, never = FACTS[dataset]
    values = {
        "occlusion_rate": rate,
        "never_revealed": never,
        "hidden_outside_occluders": 0.0,
        "short_tracks": 0.0,
        "tracks": 80.0,
        "videos": 80.0,
        "frames": 1600.0,
    }
    for metric, value in values.items():
        yield row(dataset, "data", metric, value, **place)


def measured(dataset: str, method: str, seed: int) -> Iterator[Row]:
    full, occluded = LEVELS[dataset][method]
    if occluded:
        full, occluded = full + 0.004 * seed, occluded + 0.004 * seed
    yield from iou(dataset, method, full, occluded, seed=seed)
    if method == "savos":
        yield from iou(dataset, method, full + 0.01, occluded + 0.03, seed=seed, threshold=0.2)
    if method not in UNTRAINED:
        yield row(dataset, method, "n_params", 258_000 if method in UNET else 740_000, seed=seed)
    for k, rate in enumerate(RATES):
        yield row(dataset, method, "iou_full", max(0.0, min(1.0, full + 0.15 - 0.05 * k)), seed=seed, rate=rate, n=20)
        yield row(dataset, method, "iou_occluded", occluded, seed=seed, rate=rate, n=20)
    for k, subset in enumerate(SUBSETS):
        for metric, value in (("iou_full", full), ("iou_occluded", occluded)):
            yield row(dataset, method, metric, max(0.0, value - 0.03 * k), seed=seed, by="frame", subset=subset)
    yield from recalls(dataset, method, seed)
    if method not in UNTRAINED:
        for k in BINS:
            confidence = (k + 0.5) / 10
            yield row(dataset, method, "reliability_confidence", confidence, seed=seed, bin=k, n=1000 - 50 * k)
            yield row(dataset, method, "reliability_accuracy", 0.05 + 0.85 * confidence, seed=seed, bin=k)


def recalls(dataset: str, method: str, seed: int, **place: Any) -> Iterator[Row]:
    values = RECALLS.get(method, (0.7, 0.65, 0.08))
    fall = 0.1 if place else 0.0
    for metric, value in zip(("recall_revealed", "recall_never_revealed", "false_positive"), values, strict=True):
        drop = min(value, fall * (2 if metric == "recall_never_revealed" else 1))
        yield row(dataset, method, metric, value - drop + (0.002 * seed if value else 0.0), seed=seed, **place)


def unseen(method: str, seed: int, steps: Sequence[int]) -> Iterator[Row]:
    full, occluded = (
        value - fall + 0.004 * seed for value, fall in zip(LEVELS[UNSEEN][method], FALL[method], strict=True)
    )
    yield from iou(UNSEEN, method, full, max(0.0, occluded), seed=seed, domain="unseen")
    yield from recalls(UNSEEN, method, seed, domain="unseen")
    for number in steps if method in GAIN else ():
        more, hidden = (gain * number / max(steps) for gain in GAIN[method])
        yield from iou(UNSEEN, method, full + more, occluded + hidden, seed=seed, domain="unseen", adapted=number)
