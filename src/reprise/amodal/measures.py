"""What the amodal claims measure: numbers of the results table, one per seed, as fractions (0.03 is three points).

The acceptance checks read the mean over all scored object-frames (`by=frame`), for which their bounds were set; the
paper's own claims the mean over objects within an image, then over images (`by=image`), which is its protocol. The
two baselines without training have the same value beside every seed. Where training was repeated with fewer seeds for
one method than for another, the seeds that both have are compared.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pandas as pd

from reprise import results
from reprise.claims import Measure, Measured, Values

Measurement = Callable[[pd.DataFrame, str], Values]  # of one data set
NOTHING: Values = {}

UNTRAINED = ("visible", "convex")
SELF_SUPERVISED = ("convex", "completion")  # what the paper compares itself with
SUPERVISED = ("supervised", "supervised_image")
SMALL = ("chewgum", "chewgum_radial", "fishbowl_lite")  # those for which the acceptance checks have bounds
SUBSETS = ("box_grows", "never_revealed", "shape_changes", "fast")
FULL, OCCLUDED = "iou_full", "iou_occluded"


def rows_of(
    table: pd.DataFrame, dataset: str, method: str, metric: str, domain: str = "test", **keys: str
) -> pd.DataFrame:
    """Rows of one method and metric whose setting is exactly `keys`."""
    variants = set(map(str, table)) - set(results.COLUMNS)
    setting = dict.fromkeys(sorted(variants), "") | keys
    return results.where(table, dataset=dataset, method=method, metric=metric, test_domain=domain, **setting)


def score(table: pd.DataFrame, dataset: str, method: str, metric: str, domain: str = "test", **keys: str) -> Values:
    """seed -> value; a method without training has its one value beside every seed of the data set."""
    found = rows_of(table, dataset, method, metric, domain, **keys)
    values = dict(zip(found["seed"].astype(int), found["value"].astype(float), strict=True))
    if method in UNTRAINED and values:
        (value,) = values.values()
        return dict.fromkeys(sorted({int(seed) for seed in table.loc[table["dataset"] == dataset, "seed"]}), value)
    return values


def combine(function: Callable[..., float], *values: Values) -> Values:
    """`function` of several measurements, for each seed that has them all."""
    seeds = set.intersection(*(set(one) for one in values)) if values else set()
    return {seed: function(*(one[seed] for one in values)) for seed in sorted(seeds)}


def minus(first: Values, second: Values) -> Values:
    return combine(lambda a, b: a - b, first, second)


def best(*values: Values) -> Values:
    return combine(lambda *items: max(items), *values)


def least(values: Sequence[Values]) -> Values:
    """The least per seed of those that were measured at all."""
    return combine(lambda *items: min(items), *(one for one in values if one))


def mean(values: Values) -> float:
    return sum(values.values()) / len(values)


def exact(value: float) -> Measured:
    return Measured(value, value, value)


def named(table: pd.DataFrame) -> list[str]:
    """The data sets of the table."""
    return sorted(set(table["dataset"]))


# ---------------------------------------------------------------- differences on one data set


def lead(method: str, others: Sequence[str], metric: str, *, domain: str = "test", **keys: str) -> Measurement:
    """By how much `method` lies above the best of `others`; nothing where one of them is missing."""

    def measurement(table: pd.DataFrame, dataset: str) -> Values:
        of_others = [score(table, dataset, other, metric, domain, **keys) for other in others]
        return minus(score(table, dataset, method, metric, domain, **keys), best(*of_others))

    return measurement


def ahead(method: str, others: Sequence[str], metric: str = OCCLUDED) -> Measurement:
    """`lead` in the mean over object-frames, as the acceptance checks have it."""
    return lead(method, others, metric, by="frame")


def best_supervised_lead(metric: str) -> Measurement:
    """The better of the networks trained on full masks minus SaVos."""

    def measurement(table: pd.DataFrame, dataset: str) -> Values:
        return minus(_best_supervised(table, dataset, metric), score(table, dataset, "savos", metric, by="frame"))

    return measurement


def _best_supervised(table: pd.DataFrame, dataset: str, metric: str) -> Values:
    """Of those that were trained."""
    bounds = (score(table, dataset, method, metric, by="frame") for method in SUPERVISED)
    return best(*(one for one in bounds if one))


def ahead_at_equal_thresholds(metric: str) -> Measurement:
    """SaVos minus PCNet-M, both at the threshold of the latter."""

    def measurement(table: pd.DataFrame, dataset: str) -> Values:
        found = {str(text) for text in table.get("threshold", [])} - {""}
        if len(found) != 1:
            return NOTHING
        lowered = score(table, dataset, "savos", metric, by="frame", threshold=found.pop())
        return minus(lowered, score(table, dataset, "completion", metric, by="frame"))

    return measurement


def ahead_by_image(dataset: str, *metrics: str) -> Measure:
    """SaVos minus the better of convex hull and PCNet-M on one data set, least of the metrics (the paper's average)."""
    leads = [lead("savos", SELF_SUPERVISED, metric, by="image") for metric in metrics]
    return lambda table: combine(lambda *items: min(items), *(one(table, dataset) for one in leads))


def on(dataset: str, measurement: Measurement) -> Measure:
    return lambda table: measurement(table, dataset)


def level(dataset: str, method: str, metric: str) -> Measure:
    return lambda table: score(table, dataset, method, metric, by="frame")


# ---------------------------------------------------------------- over data sets


def worst(measurement: Measurement, datasets: Sequence[str] = SMALL) -> Measure:
    """Per seed, the least over the data sets in force."""
    return lambda table: least([measurement(table, dataset) for dataset in datasets])


def worst_of_all(measurement: Measurement, datasets: Sequence[str] = SMALL) -> Measure:
    """The least over data sets and seeds: "every seed" where some methods were trained once."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        found = [value for dataset in datasets for value in measurement(table, dataset).values()]
        return exact(min(found)) if found else NOTHING

    return measure


def across(measurement: Measurement) -> Measure:
    """One value per data set, its mean over seeds: the spread over data sets takes the place of that over seeds."""

    def measure(table: pd.DataFrame) -> Values:
        found = [measurement(table, dataset) for dataset in named(table)]
        return dict(enumerate(mean(values) for values in found if values))

    return measure


def average(measurement: Measurement) -> Measure:
    """The mean over the data sets in force of the means over seeds."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        found = [mean(values) for dataset in SMALL if (values := measurement(table, dataset))]
        return exact(sum(found) / len(found)) if found else NOTHING

    return measure


def ordering(metric: str) -> Measure:
    """The least step of visible, convex, PCNet-M, SaVos, supervised (the better), over the data sets in force.

    Steps are between means over seeds. Nothing where a data set lacks one of them.
    """

    def measure(table: pd.DataFrame) -> Values | Measured:
        steps = []
        for dataset in SMALL:
            if dataset not in named(table):
                continue
            chain = [score(table, dataset, name, metric, by="frame") for name in ("visible", *SELF_SUPERVISED, "savos")]
            chain.append(_best_supervised(table, dataset, metric))
            if not all(chain):
                return NOTHING
            means = [mean(values) for values in chain]
            steps += [after - before for before, after in pairwise(means)]
        return exact(min(steps)) if steps else NOTHING

    return measure


def distance(dataset: str, method: str, full: float, occluded: float) -> Measure:
    """The farther of a method's two IoUs from given ones."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        found = [score(table, dataset, method, metric, by="frame") for metric in (FULL, OCCLUDED)]
        if not all(found):
            return NOTHING
        return exact(max(abs(mean(values) - target) for values, target in zip(found, (full, occluded), strict=True)))

    return measure


# ---------------------------------------------------------------- the data


def fact(dataset: str, name: str) -> Measure:
    """A measured property of the test videos."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        found = score(table, dataset, "data", name)
        return exact(found[0]) if found else NOTHING

    return measure


def greatest_fact(name: str) -> Measure:
    """The greatest of a property over all data sets."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        found = [value for dataset in named(table) for value in score(table, dataset, "data", name).values()]
        return exact(max(found)) if found else NOTHING

    return measure


# ---------------------------------------------------------------- the two priors


def hidden(method: str, other: str, metric: str, domain: str = "test") -> Measurement:
    """Difference of two methods in `recall_revealed`, `recall_never_revealed` or `false_positive`."""
    return lead(method, (other,), metric, domain=domain)


def revealed_rather(table: pd.DataFrame, dataset: str) -> Values:
    """The gain of SaVos over the per-frame network on pixels that other frames reveal, minus that on the others."""
    gains = (hidden("savos", "per_frame", f"recall_{name}")(table, dataset) for name in ("revealed", "never_revealed"))
    return minus(*gains)


def falls_less(table: pd.DataFrame, dataset: str) -> Values:
    """What SaVos loses on new types in recall of never revealed pixels, minus what it loses of the revealed ones."""
    losses = (
        minus(score(table, dataset, "savos", metric), score(table, dataset, "savos", metric, "unseen"))
        for metric in ("recall_never_revealed", "recall_revealed")
    )
    return minus(*losses)


def subset_lead(subset: str) -> Measurement:
    """SaVos minus the better of convex hull and PCNet-M in IoU-occluded on one of the hard subsets."""
    return lead("savos", SELF_SUPERVISED, OCCLUDED, by="frame", subset=subset)


def subsets_lead(table: pd.DataFrame, dataset: str) -> Values:
    """The least of `subset_lead` over the subsets that occur."""
    return least([subset_lead(subset)(table, dataset) for subset in SUBSETS])


# ---------------------------------------------------------------- adaptation to a new distribution


def steps(table: pd.DataFrame, dataset: str, method: str = "savos") -> list[int]:
    """Numbers of adaptation steps after which `method` was measured."""
    if "adapted" not in table:
        return []
    rows = table[(table["dataset"] == dataset) & (table["method"] == method) & (table["adapted"] != "")]
    return sorted({int(number) for number in rows["adapted"]})


def adapted(table: pd.DataFrame, dataset: str, method: str, metric: str, number: int | None = None) -> Values:
    """Score on the new distribution after so many steps of adaptation (0 is none; by default as many as there are)."""
    found = steps(table, dataset, method)
    number = found[-1] if number is None and found else number
    if number is None:
        return NOTHING
    keys = {"adapted": str(number)} if number else {}
    return score(table, dataset, method, metric, "unseen", by="frame", **keys)


def gain(method: str, metric: str, number: int | None = None) -> Measurement:
    """What adaptation brings a method on the new distribution."""

    def measurement(table: pd.DataFrame, dataset: str) -> Values:
        ends = (adapted(table, dataset, method, metric, k) for k in (number, 0))
        return minus(*ends)

    return measurement


def adapted_lead(metric: str, number: int | None = None) -> Measurement:
    """Adapted SaVos minus adapted PCNet-M."""

    def measurement(table: pd.DataFrame, dataset: str) -> Values:
        both = (adapted(table, dataset, method, metric, number) for method in ("savos", "completion"))
        return minus(*both)

    return measurement


def transfer_lead(metric: str) -> Measurement:
    """Adapted SaVos minus the best of convex hull and PCNet-M, the latter with and without adaptation."""

    def measurement(table: pd.DataFrame, dataset: str) -> Values:
        rivals = [adapted(table, dataset, method, metric, 0) for method in SELF_SUPERVISED]
        rivals.append(adapted(table, dataset, "completion", metric))
        return minus(adapted(table, dataset, "savos", metric), best(*rivals))

    return measurement
