"""What the claims about circuits measure: numbers of the results tables, one per seed, as fractions (0.03 is three
points).

Accuracies, graphs and circuits are from results.parquet, one value per trained network; times from the latency table,
measured once, on networks that need no training. A comparison takes the seeds that all its methods have, on the same
test samples.
"""

from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from reprise import results
from reprise.claims import Measured

Values = dict[int, float]
PerSeed = Callable[[pd.DataFrame], Values]
Measure = Callable[[pd.DataFrame], Values | Measured]
NOTHING: Values = {}

IID = "iid"
HANDWRITING, CHARACTERS, LISTOPS, BYTES, POINTS, NLVR = (
    "handwriting", "characters", "listops", "source_bytes", "points", "nlvr_mini",
)  # fmt: skip
MODALITIES = (LISTOPS, BYTES, POINTS)
PRIORS = ("nac", "nac_planted", "nac_ring", "nac_random")  # those whose scores the authors' README gives
LITTLE = 0.03  # of accuracy: the loss at which speed-ups are compared


def rows_of(
    table: pd.DataFrame, dataset: str, method: str, metric: str, domain: str | None = None, **keys: str
) -> pd.DataFrame:
    """Rows of one method and metric whose setting is exactly `keys`; without a domain, of any."""
    domains = {} if domain is None else {"test_domain": domain}
    return results.where(
        table, setting=results.setting(**keys), dataset=dataset, method=method, metric=metric, **domains
    )


def score(
    table: pd.DataFrame, dataset: str, method: str, metric: str = "accuracy", domain: str | None = IID, **keys: str
) -> Values:
    """seed -> value."""
    found = rows_of(table, dataset, method, metric, domain, **keys)
    return dict(zip(found["seed"].astype(int), found["value"].astype(float), strict=True))


def combine(function: Callable[..., float], *values: Values) -> Values:
    """`function` of several measurements, for each seed that has them all."""
    seeds = set.intersection(*(set(one) for one in values)) if values else set()
    return {seed: function(*(one[seed] for one in values)) for seed in sorted(seeds)}


def minus(first: Values, second: Values) -> Values:
    return combine(lambda a, b: a - b, first, second)


def middle(values: Iterable[Values]) -> Values:
    """The mean per seed of those that were measured at all."""
    return combine(lambda *items: sum(items) / len(items), *(one for one in values if one))


def mean(values: Values) -> float:
    return sum(values.values()) / len(values)


def exact(value: float) -> Measured:
    return Measured(value, value, value)


def options(table: pd.DataFrame, key: str, **columns: str) -> list[str]:
    """Values that a key of the setting takes in the rows with these columns, in the order of the numbers they are."""
    if key not in table:
        return []
    found = table[table[key] != ""]
    for name, value in columns.items():
        found = found[found[name] == value]
    return sorted(set(map(str, found[key])), key=lambda text: (float(text) if _number(text) else 0.0, text))


def _number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def level(dataset: str, method: str, metric: str = "accuracy") -> PerSeed:
    return lambda table: score(table, dataset, method, metric, IID if metric == "accuracy" else None)


def ahead(dataset: str, method: str, other: str, metric: str = "accuracy") -> PerSeed:
    """By how much one method has more of something than another, by default of accuracy in distribution."""
    return lambda table: minus(level(dataset, method, metric)(table), level(dataset, other, metric)(table))


def apart(dataset: str, method: str, first: str, second: str) -> PerSeed:
    """Difference of two metrics of one method."""
    return lambda table: minus(level(dataset, method, first)(table), level(dataset, method, second)(table))


def worst(measures: Sequence[PerSeed]) -> PerSeed:
    """The measure with the least mean over seeds; nothing where one has no values."""

    def measure(table: pd.DataFrame) -> Values:
        found = [one(table) for one in measures]
        return min(found, key=mean) if all(found) else NOTHING

    return measure


def times_chance(dataset: str, method: str = "nac") -> PerSeed:
    """Accuracy over that of guessing."""

    def measure(table: pd.DataFrame) -> Values:
        chance = score(table, dataset, "data", "chance", None)
        return {seed: value / chance[0] for seed, value in score(table, dataset, method).items()} if chance else NOTHING

    return measure


# ---------------------------------------------------------------- shift


def shifts(table: pd.DataFrame, dataset: str) -> list[str]:
    """Test distributions of a data set that training does not see."""
    rows = table[(table["dataset"] == dataset) & (table["metric"] == "accuracy") & (table["shift"] != "")]
    return sorted(set(map(str, rows["test_domain"])))


def shifted(table: pd.DataFrame, dataset: str, method: str) -> Values:
    """Mean accuracy over the shifted distributions; nothing where one of them is missing."""
    found = [score(table, dataset, method, domain=domain) for domain in shifts(table, dataset)]
    return middle(found) if all(found) else NOTHING


def shifted_lead(*datasets: str, method: str = "nac", other: str = "perceiver") -> PerSeed:
    """Difference in accuracy under shift, mean over the data sets that have any; by default over all."""

    def measure(table: pd.DataFrame) -> Values:
        names = datasets or sorted(set(table["dataset"]))
        return middle(minus(shifted(table, name, method), shifted(table, name, other)) for name in names)

    return measure


def falls_less(table: pd.DataFrame) -> Values:
    """How much less NAC loses under shift than Perceiver IO, mean over the data sets."""

    def fall(dataset: str, method: str) -> Values:
        return minus(score(table, dataset, method), shifted(table, dataset, method))

    return middle(minus(fall(name, "perceiver"), fall(name, "nac")) for name in sorted(set(table["dataset"])))


def priors_spread(under_shift: bool) -> PerSeed:
    """Greatest minus least accuracy of the four priors on handwriting, per seed; nothing where one is missing."""

    def measure(table: pd.DataFrame) -> Values:
        accuracy = shifted if under_shift else score
        found = [accuracy(table, HANDWRITING, method) for method in PRIORS]
        return combine(lambda *items: max(items) - min(items), *found)

    return measure


# ---------------------------------------------------------------- few examples


def few_shot_lead(dataset: str, method: str = "nac", other: str = "perceiver") -> PerSeed:
    """Mean paired difference over numbers of examples and episodes, which both methods share, per seed."""

    def measure(table: pd.DataFrame) -> Values:
        rows = table[(table["dataset"] == dataset) & (table["metric"] == "few_shot_accuracy")]
        sides = [rows[rows["method"] == name].set_index(["seed", "setting"])["value"] for name in (method, other)]
        means = (sides[0] - sides[1]).dropna().groupby(level="seed").mean()
        return dict(zip(map(int, means.index), map(float, means), strict=True))

    return measure


# ---------------------------------------------------------------- fewer modules


def pruned(table: pd.DataFrame, method: str, kept: str, order: str) -> Values:
    """Accuracy on handwriting with a share of the processors; `random` is the mean over its draws."""
    orders = [order]
    if order == "random":
        orders = [name for name in options(table, "order") if name.startswith("random")]
    return middle(score(table, HANDWRITING, method, kept=kept, order=name) for name in orders)


def loss(table: pd.DataFrame, method: str, kept: str, order: str = "degree") -> Values:
    """Accuracy on handwriting that goes with the processors."""
    return minus(score(table, HANDWRITING, method), pruned(table, method, kept, order))


def loses(method: str, kept: str) -> PerSeed:
    return lambda table: loss(table, method, kept)


def order_matters(kept: str, other: str) -> PerSeed:
    """Accuracy of NAC with its best connected processors minus that with those another order keeps."""
    return lambda table: minus(pruned(table, "nac", kept, "degree"), pruned(table, "nac", kept, other))


def loses_less(kept: str, other: str, order: str) -> PerSeed:
    """Loss of another method minus that of NAC, which keeps its best connected processors."""
    return lambda table: minus(loss(table, other, kept, order), loss(table, "nac", kept))


def cut_costs(table: pd.DataFrame) -> Values:
    """Accuracy of NAC on handwriting that goes with its unlikely links."""
    cuts = options(table, "cut")
    return minus(score(table, HANDWRITING, "nac"), score(table, HANDWRITING, "nac", cut=cuts[0])) if cuts else NOTHING


# ---------------------------------------------------------------- time


def timing(table: pd.DataFrame, method: str, metric: str, **keys: str) -> float | None:
    """A time, or what follows from times, that is of no data set."""
    found = list(rows_of(table, "", method, metric, **keys)["value"])
    return float(found[0]) if found else None


def widths(table: pd.DataFrame) -> list[str]:
    """Numbers of processors of the networks whose speed without some of them was measured."""
    return options(table, "processors", metric="speed_up")


def speed_up(table: pd.DataFrame, kept: str, how: str = "compiled", processors: str = "64") -> float | None:
    """How many times faster than with all processors, the rest equal."""
    return timing(table, "nac_wide", "speed_up", processors=processors, kept=kept, how=how)


def unfitted(method: str) -> Measure:
    """The greatest error of all seeds' links against the prior before training: fitting them needs no data."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        errors = level(HANDWRITING, method, "prior_error_start")(table)
        return exact(max(errors.values())) if errors else NOTHING

    return measure


def faster(kept: str) -> Measure:
    """Speed-up of a compiled circuit of 64 processors."""
    return lambda table: NOTHING if (found := speed_up(table, kept)) is None else exact(found)


def masked_speed_up(table: pd.DataFrame) -> Values | Measured:
    """The greatest speed-up if modules are masked, not dropped."""
    shares = options(table, "kept", metric="speed_up")
    found = [value for kept in shares if (value := speed_up(table, kept, "masked")) is not None]
    return exact(max(found)) if found else NOTHING


def speed_at_little_loss(method: str, fewest: int = 1) -> PerSeed:
    """Per network, the greatest speed-up among the shares kept that cost it at most `LITTLE` accuracy.

    Processors go by degree. Nothing where no network with at least `fewest` processors was timed.
    """

    def measure(table: pd.DataFrame) -> Values:
        wide = [number for number in widths(table) if int(number) >= fewest]
        best: Values = {}
        for kept in options(table, "kept", metric="speed_up") if wide else ():
            speed = speed_up(table, kept, processors=wide[-1])
            for seed, lost in loss(table, method, kept).items():
                at_this_cost = speed if speed is not None and lost <= LITTLE else 1.0
                best[seed] = max(best.get(seed, 1.0), at_this_cost)
        return best

    return measure


def timed(method: str, metric: str, **keys: str) -> Measure:
    """A time, or what follows from times."""
    return lambda table: NOTHING if (found := timing(table, method, metric, **keys)) is None else exact(found)


def timed_apart(first: str, second: str, metric: str, **keys: str) -> Measure:
    """Difference of two methods in one."""

    def measure(table: pd.DataFrame) -> Values | Measured:
        a, b = (timing(table, method, metric, **keys) for method in (first, second))
        return NOTHING if a is None or b is None else exact(a - b)

    return measure
