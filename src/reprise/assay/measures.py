"""What the assay's claims measure: numbers picked from the rows of the analyses, with their bootstrap intervals.

Averages are over the 30 ordered pairs of `digits`; those of the paper's own claims are over all data sets, tasks equal,
as soon as some hold natural images (`scope`). Statements about ImageNet pretraining, nine architectures or the natural
data sets are measured where such data sets are in force; the laptop's re-rendered digits cannot bear them (`natural`).
"""

from collections.abc import Callable
from typing import Any

import pandas as pd

from reprise import results
from reprise.claims import Measure, Measured, Values

LEARNED = 0.55  # accuracy on the training environments of a planted cue
TOY = ("digits", "colored")  # and rows over all data sets count only beside others
NOTHING: Values = {}

ID_METRICS = (
    "id_nll",
    "id_ece",
    "id_demographic_disparity",
    "id_adversarial_error_small",
    "id_adversarial_error_large",
)
CORRUPTED = ("corrupted_error", "corrupted_nll", "corrupted_ece", "corrupted_demographic_disparity")
AUGMENTATIONS = ("random_color", "random_augment", "augmix")
TRANSFERRED = ("adversarial_error_large", "error", "nll", "demographic_disparity", "ece")


def rows_of(table: pd.DataFrame, analysis: str, metric: str, **keys: str) -> pd.DataFrame:
    """Rows of one analysis and metric, with these values in these columns."""
    return results.where(table, analysis=analysis, metric=metric, **keys)


def scope(table: pd.DataFrame, everywhere: bool) -> dict[str, str]:
    """Which average is read: tasks equal over all data sets if some hold natural images, else pairs of the digits."""
    if everywhere and set(table["dataset"]) - {*TOY, "all"}:
        return {"over": "tasks", "dataset": "all"}
    return {"over": "pairs", "dataset": "digits"}


def average(
    table: pd.DataFrame, analysis: str, metric: str, *, over: str = "pairs", dataset: str = "digits", **keys: str
) -> Measured | None:
    """An average with its interval; None where the run does not hold it."""
    where = {"average": over, "dataset": dataset, **keys}
    ends = ("", "_ci_low", "_ci_high")
    value, low, high = (rows_of(table, analysis, f"{metric}{end}", **where)["value"] for end in ends)
    if not len(value):
        return None
    bounds = (low, high) if len(low) and len(high) else (value, value)
    return Measured(float(value.iloc[0]), *(float(bound.iloc[0]) for bound in bounds))


def mean_of(analysis: str, metric: str, *, sign: float = 1.0, everywhere: bool = False, **keys: str) -> Measure:
    """An average as a measure; `sign` -1 turns a rise in error into one in accuracy. `everywhere`: see `scope`."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        found = average(table, analysis, metric, **scope(table, everywhere), **keys)
        return NOTHING if found is None else _signed(found, sign)

    return measure


def _signed(found: Measured, sign: float) -> Measured:
    low, high = sorted((sign * found.low, sign * found.high))
    return Measured(sign * found.value, low, high)


def extreme(
    choose: Callable[..., float],
    names: tuple[str, ...],
    analysis: str,
    metric: str,
    key: str,
    *,
    everywhere: bool = False,
    **keys: str,
) -> Measure:
    """The least or greatest (`min`, `max`) of an average over several values of `key`, with that one's interval."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        found = [average(table, analysis, metric, **scope(table, everywhere), **{key: name}, **keys) for name in names]
        known = {one.value: one for one in found if one is not None}
        return known[choose(known)] if known else NOTHING

    return measure


def apart(first: tuple[str, str, Any], second: tuple[str, str, Any], *, everywhere: bool = False) -> Measure:
    """Difference of two averages, (analysis, metric, keys) each; without an interval, which the rows do not give."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        where = scope(table, everywhere)
        one, other = (average(table, analysis, metric, **where, **keys) for analysis, metric, keys in (first, second))
        return NOTHING if one is None or other is None else _exact(one.value - other.value)

    return measure


def _exact(value: float) -> Measured:
    return Measured(value, value, value)


def transfer_lead(name: str, sign: float) -> Measure:
    """By how much the transfer of metric `name` lies above (sign 1) or below (-1) that of every other metric."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        found = {m: average(table, "transfer", "spearman", of=m, **scope(table, True)) for m in TRANSFERRED}
        known = {m: sign * one.value for m, one in found.items() if one is not None}
        if name not in known or len(known) < 2:
            return NOTHING
        return _exact(known[name] - max(value for m, value in known.items() if m != name))

    return measure


def count(shape: str, *, everywhere: bool = False) -> Measure:
    """Number of pairs with this shape of OOD over ID accuracy, of the digits or (`everywhere`) as `scope` says."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        dataset = scope(table, everywhere)["dataset"]
        found = rows_of(table, "shapes", "count", dataset=dataset, shape=shape, within="")["value"]
        return _exact(float(found.iloc[0])) if len(found) else NOTHING

    return measure


def shapes_found(table: pd.DataFrame) -> Values | Measured:
    """How many of line, vertical, horizontal and none occur among the pairs."""
    counts = [count(shape, everywhere=True)(table) for shape in ("line", "vertical", "horizontal", "none")]
    known = [one.value for one in counts if isinstance(one, Measured)]
    return _exact(float(sum(value > 0 for value in known))) if known else NOTHING


def share_decreasing(table: pd.DataFrame) -> Values | Measured:
    """Share of pairs of a decreasing shape."""
    shapes = ("line", "vertical", "horizontal", "none", "decreasing")
    counts = [count(shape, everywhere=True)(table) for shape in shapes]
    known = [one.value for one in counts if isinstance(one, Measured)]
    total = sum(known, 0.0)
    return _exact(known[-1] / total) if len(known) == len(shapes) and total else NOTHING


def over_pairs(choose: str, analysis: str, metric: str, **keys: str) -> Measure:
    """The least or greatest ("min", "max") value over the pairs of the digits."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        found = rows_of(table, analysis, metric, dataset="digits", average="", within="", **keys)
        return _exact(float(found["value"].agg(choose))) if len(found) else NOTHING

    return measure


def colored_spearman(table: pd.DataFrame) -> Values | Measured:
    """Rank correlation of ID accuracy and accuracy under the reversed cue, over the networks of `colored`."""
    found = [rows_of(table, "checks", f"colored_spearman{end}")["value"] for end in ("", "_ci_low", "_ci_high")]
    return Measured(*(float(one.iloc[0]) for one in found)) if all(map(len, found)) else NOTHING


def planted(metric: str, method: str) -> Measure:
    """One value per seed of the planted-cue experiment."""

    def measure(table: pd.DataFrame) -> Values:
        found = rows_of(table, "planted_cue", metric, method=method)
        return dict(zip(found["seed"].astype(int), found["value"].astype(float), strict=True))

    return measure


def planted_learned(method: str) -> Measure:
    """As `planted` on reversed_accuracy; 0 for a network that has learned nothing of its training environments.

    A constant is right half of the time everywhere, which under the reversed cue would look like a success.
    """

    def measure(table: pd.DataFrame) -> Values:
        reversed_, own = (planted(metric, method)(table) for metric in ("reversed_accuracy", "id_accuracy"))
        assert isinstance(reversed_, dict) and isinstance(own, dict)
        return {seed: value if own.get(seed, 0.0) >= LEARNED else 0.0 for seed, value in reversed_.items()}

    return measure


def planted_apart(methods: tuple[str, ...], other: str) -> Measure:
    """Per seed, the greatest distance of a method's accuracy under the reversed cue from that of `other`."""

    def measure(table: pd.DataFrame) -> Values:
        reference = planted("reversed_accuracy", other)(table)
        assert isinstance(reference, dict)
        distances: Values = {}
        for method in methods:
            values = planted("reversed_accuracy", method)(table)
            assert isinstance(values, dict)
            for seed in values.keys() & reference.keys():
                distances[seed] = max(distances.get(seed, 0.0), abs(values[seed] - reference[seed]))
        return distances

    return measure


def same_factor(first: str, second: str) -> Measure:
    """1 if two columns load most on one factor, else 0 (digits)."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        found = rows_of(table, "factors", "loading", dataset="digits")
        if not {first, second} <= set(found.get("variable", [])):
            return NOTHING
        loadings = found.assign(size=found["value"].abs()).sort_values("size").groupby("variable")["factor"].last()
        return _exact(float(loadings[first] == loadings[second]))

    return measure


def best_minus_erm(table: pd.DataFrame) -> Values:
    """OOD accuracy of the best invariance method less that of ERM on the same pooled data, per held-out domain.

    Each is chosen by training-domain validation; best is the greatest mean over held-out domains.
    """
    found = rows_of(table, "invariance", "minus_erm", selection="training_domain", average="")
    if not len(found):
        return NOTHING
    by_method = found.groupby("method")["value"].mean()
    return dict(enumerate(found[found["method"] == by_method.idxmax()]["value"].astype(float)))


def environments_agree(table: pd.DataFrame) -> Values | Measured:
    """Share of images that closed form and iterative ascent put into the same environment, for the worst network."""
    found = rows_of(table, "checks", "environments_agree")
    return _exact(float(found["value"].min())) if len(found) else NOTHING


def natural(analysis: str, metric: str, *, sign: float = 1.0, **keys: Any) -> Measure:
    """An average over all data sets with tasks weighed equally, where any of them holds natural images."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        if not set(table["dataset"]) - {*TOY, "all"}:
            return NOTHING
        found = average(table, analysis, metric, over="tasks", dataset="all", **keys)
        return NOTHING if found is None else _signed(found, sign)

    return measure


def natural_augmentation(table: pd.DataFrame, regime: str, of: str = "ood_error") -> Measured | None:
    """Mean gain of the paper's augmentations over none (and of the ends of their intervals), on natural images."""
    keys = {"factor": "augment", "baseline": "identity", "regime": regime, "of": of}
    found = [natural("interventions", "difference", sign=-1.0, level=level, **keys)(table) for level in AUGMENTATIONS]
    known = [one for one in found if isinstance(one, Measured)]
    if not known:
        return None
    ends = ([one.value for one in known], [one.low for one in known], [one.high for one in known])
    return Measured(*(sum(values) / len(known) for values in ends))


def augmentation(of: str) -> Measure:
    """Accuracy gained by strong over standard augmentation (digits), or by the paper's over none (natural images)."""
    keys: dict[str, Any] = {"factor": "augment", "level": "rand", "baseline": "standard", "regime": "all", "of": of}
    on_digits = mean_of("interventions", "difference", sign=-1.0, **keys)

    def measure(table: pd.DataFrame) -> Values | Measured:
        return natural_augmentation(table, "all", of) or on_digits(table)

    return measure


def augmentation_by_regime(table: pd.DataFrame) -> Values | Measured:
    """Gain of augmentation at ten images per class minus that with all, natural images alone."""
    few, full = natural_augmentation(table, "fewshot_10"), natural_augmentation(table, "full")
    return NOTHING if few is None or full is None else _exact(few.value - full.value)


def best_other_metric(table: pd.DataFrame) -> Values | Measured:
    """Correlation of the best ID metric besides ID error minus that of ID error, natural images alone."""
    found = [natural("predictors", "minus_id_error", predictor=name)(table) for name in ID_METRICS]
    known = [one for one in found if isinstance(one, Measured)]
    return max(known, key=lambda one: one.value) if known else NOTHING


def natural_upstream(table: pd.DataFrame) -> Values | Measured:
    """Spearman of upstream and OOD accuracy over nine architectures or more."""
    found = rows_of(table, "upstream", "spearman_best_tasks", dataset="all")
    enough = found[found["n"] >= 9] if len(found) else found
    return _exact(float(enough["value"].iloc[0])) if len(enough) else NOTHING
