"""The few numbers a pull request is read by: one block per data set, means over seeds, fractions in [0, 1].

Ablations and other priors are not among them: they have one seed each, and stand in the figures' data.

`<method>_iid` and `_ood` are accuracies (the latter the mean over shifted test sets); `_lost_at_half` and
`_lost_at_quarter` what is lost when so many processors are kept, the best connected ones (any of Perceiver IO's, which
have no connectivity); `_few_shot_<k>` accuracies with k examples of each class; `_prior_error` the mean square of
the links' differences from their prior. The last block holds exponents of counted operations over sizes. Times are not
there: they are never the same twice. What the run does not hold is left out.
"""

from collections.abc import Iterator

import pandas as pd

from reprise.circuits import tidy

METHODS = ("nac", "nac_nested", "perceiver", "interpreter", "conditional")
SHOTS = (1, 5, 20)
KEPT = {0.5: "half", 0.25: "quarter"}
Numbers = Iterator[tuple[str, float]]
OPERATIONS = "operations"
TEXT = ("similarity_gap", "similarity_p", "retrieval", "swapped_accuracy", "swapped_follows", "swapped_stays",
        "mixed_accuracy")  # fmt: skip


def headline(results: pd.DataFrame) -> dict[str, dict[str, float]]:
    """`{data set: {name: value}}` from the expanded results, accuracies and latencies together."""
    results = results[results["method"].isin([*METHODS, ""])]
    levels = tidy.methods(results)
    found = {name: dict(_levels(levels[levels["dataset"] == name])) for name in tidy.datasets(levels)}
    for table, numbers in (
        (tidy.pruning(results), _pruning),
        (tidy.low_shot(results), _few_shot),
        (tidy.conditional(results), _text),
        (tidy.graph_errors(results), _graphs),
    ):
        for name in tidy.datasets(table):
            found[name] |= dict(numbers(table[table["dataset"] == name]))
    operations = dict(_operations(tidy.scaling(results)))
    return found | ({OPERATIONS: operations} if operations else {})


def _levels(table: pd.DataFrame) -> Numbers:
    for name in ("iid", "ood"):
        yield from _named(table.dropna(subset=name), f"{{method}}_{name}", name)


def _pruning(table: pd.DataFrame) -> Numbers:
    for kept, word in KEPT.items():
        part = table[table["kept"] == kept]
        own = part["order"] == part["method"].map({"perceiver": "random"}).fillna("degree")
        yield from _named(part[own], f"{{method}}_lost_at_{word}", "loss")
        control = (part["method"] == "nac") & (part["order"] == "reversed")
        yield from _named(part[control], f"{{method}}_{{order}}_lost_at_{word}", "loss")


def _few_shot(table: pd.DataFrame) -> Numbers:
    yield from _named(table[table["shots"].isin(SHOTS)], "{method}_few_shot_{shots}", "accuracy")


def _text(table: pd.DataFrame) -> Numbers:
    yield from _named(table[(table["method"] == "conditional") & table["score"].isin(TEXT)], "{score}", "value")


def _graphs(table: pd.DataFrame) -> Numbers:
    yield from _named(table.dropna(subset="prior_error"), "{method}_prior_error", "prior_error")


def _operations(table: pd.DataFrame) -> Numbers:
    slopes = table.drop_duplicates(["over", "method"]).dropna(subset="macs_exponent")
    yield from _named(slopes, "{method}_{over}", "macs_exponent")


def _named(table: pd.DataFrame, name: str, column: str) -> Numbers:
    """The values of a column, named by a format string over the others."""
    for record in table.to_dict("records"):
        yield name.format_map(record), float(record[column])
