"""What was measured about claims of the circuits that do not hold, or why nothing was: one line each for the ledger."""

from collections.abc import Callable, Sequence

import pandas as pd

from reprise.circuits.figures_labels import LABELS, PRIORS
from reprise.circuits.measures import (
    HANDWRITING,
    LITTLE,
    NLVR,
    Values,
    few_shot_lead,
    loss,
    mean,
    minus,
    options,
    score,
    shifted,
    shifts,
    speed_at_little_loss,
    speed_up,
    timing,
    widths,
)
from reprise.claims import interval

NOTHING = "Nothing was measured about it."
UNTIMED = "Nothing was timed: data/results/circuits/latency has no such rows; the stage circuits-latency writes them."
MODELS = ("nac", "conditional", "perceiver", "interpreter")
CORNERS = ("perceiver", "plain_sparse", "nac_complete", "nac")
FEW = ("nac", "nac_nested", "perceiver", "interpreter")
REMOVED = (
    ("nac", "degree"), ("nac", "random"), ("nac", "reversed"), ("nac_nested", "degree"), ("nac_no_prior", "degree"),
    ("perceiver", "random"),
)  # fmt: skip
ORDERS = {"degree": "best connected", "random": "random", "reversed": "least connected"}
Story = Callable[[pd.DataFrame], str]


def about(story: Story, *datasets: str) -> Story:
    """The story of these data sets alone."""
    return lambda table: story(table[table["dataset"].isin(datasets)])


def fetched(story: Story, *datasets: str) -> Story:
    """The story of real data, or that this run has none."""

    def told(table: pd.DataFrame) -> str:
        if table["dataset"].isin(datasets).any():
            return about(story, *datasets)(table)
        return f"Nothing was measured about it: {' and '.join(datasets)} must be fetched and put among the data sets."

    return told


# ---------------------------------------------------------------- accuracy


def accuracy_story(table: pd.DataFrame) -> str:
    """Accuracy of every kind of network on each data set, beside chance."""
    return _by_dataset(table, MODELS)


def corners_story(table: pd.DataFrame) -> str:
    """Accuracy of plain or modulated layers on a complete or sparse graph."""
    return _by_dataset(table, CORNERS)


def _by_dataset(table: pd.DataFrame, methods: Sequence[str]) -> str:
    parts = []
    for dataset in sorted(set(table["dataset"])):
        found = [f"{LABELS[m]} {_spread(values)}" for m in methods if (values := score(table, dataset, m))]
        if found:
            found += [
                f"chance {_number(chance)}" for chance in [score(table, dataset, "data", "chance", None)] if chance
            ]
            parts.append(f"{dataset}: {', '.join(found)}")
    return _sentence("Accuracy ± deviation over seeds. ", parts)


def shift_story(table: pd.DataFrame) -> str:
    """Accuracy in distribution and under each shift; then, seed by seed, what NAC has over Perceiver IO in both."""
    parts = []
    for dataset in sorted(set(table["dataset"])):
        for method in ("nac", "perceiver"):
            domains = {domain: score(table, dataset, method, domain=domain) for domain in shifts(table, dataset)}
            found = [f"{domain} {_number(values)}" for domain, values in domains.items() if values]
            if found:
                parts.append(
                    f"{dataset}, {LABELS[method]}: iid {_number(score(table, dataset, method))}, {', '.join(found)}"
                )
        over = [minus(score(table, dataset, "nac"), score(table, dataset, "perceiver")),
                minus(shifted(table, dataset, "nac"), shifted(table, dataset, "perceiver"))]  # fmt: skip
        pairs = [f"{over[0][seed]:+.3f}/{over[1][seed]:+.3f}" for seed in over[1] if seed in over[0]]
        if pairs:
            parts.append(f"{dataset}, NAC minus Perceiver IO iid/shifted by seed: {', '.join(pairs)}")
    return _sentence("", parts)


def few_story(table: pd.DataFrame) -> str:
    """Accuracy of every number of examples, and the paired difference of NAC and Perceiver IO with its interval."""
    parts = []
    for dataset in sorted(set(table["dataset"])):
        rows = table[(table["dataset"] == dataset) & (table["metric"] == "few_shot_accuracy")]
        for shots in options(rows, "shots"):
            means = rows[rows["shots"] == shots].groupby("method")["value"].mean()
            found = ", ".join(f"{LABELS[m]} {means[m]:.3f}" for m in FEW if m in means.index)
            parts.append(f"{dataset}, {shots} of a class: {found}{_paired(rows[rows['shots'] == shots], dataset)}")
    return _sentence("Mean over seeds and episodes. ", parts)


def _paired(rows: pd.DataFrame, dataset: str) -> str:
    values = few_shot_lead(dataset)(rows)
    return f" (NAC minus Perceiver IO {mean(values):+.3f}{_interval(values)})" if values else ""


def _interval(values: Values) -> str:
    low, high = interval(list(values.values()))
    return f" [{low:+.3f}, {high:+.3f}]" if low != high else ""


# ---------------------------------------------------------------- fewer modules, time


def pruning_story(table: pd.DataFrame) -> str:
    """What each share of processors kept costs, by method and order."""
    parts = []
    for method, order in REMOVED:
        found = [f"{lost} at {kept}" for kept in _shares(table) if (lost := _lost(table, method, kept, order))]
        if found:
            parts.append(f"{LABELS[method]}, {ORDERS[order]} kept: {', '.join(found)}")
    return _sentence("Accuracy lost on handwriting by share of processors kept. ", parts)


def cut_story(table: pd.DataFrame) -> str:
    """Accuracy without unlikely links."""
    parts = []
    for cut in options(table, "cut"):
        found = {m: minus(score(table, HANDWRITING, m), score(table, HANDWRITING, m, cut=cut)) for m in LABELS}
        parts += [f"{LABELS[m]} {mean(values):+.4f} below {cut}" for m, values in found.items() if values]
    return _sentence("Accuracy lost on handwriting with the links that are less likely. ", parts)


def _shares(table: pd.DataFrame) -> list[str]:
    return [kept for kept in reversed(options(table, "kept")) if kept != "1"]


def _lost(table: pd.DataFrame, method: str, kept: str, order: str) -> str:
    values = loss(table, method, kept, order)
    return f"{mean(values):+.3f}" if values else ""


def speed_story(table: pd.DataFrame) -> str:
    """Measured speed-up of each share kept, what it costs, and the most that little accuracy buys."""
    parts = []
    for processors in widths(table):
        for how in options(table, "how"):
            speeds = {kept: speed_up(table, kept, how, processors) for kept in _shares(table)}
            found = [f"{speed:.2f} at {kept}" for kept, speed in speeds.items() if speed is not None]
            if found:
                parts.append(f"speed-up of {processors} processors, {how}: {', '.join(found)}")
    if not parts:
        return UNTIMED
    for method in ("nac_wide", "nac_wide_nested"):
        found = [f"{lost} at {kept}" for kept in _shares(table) if (lost := _lost(table, method, kept, "degree"))]
        bought = speed_at_little_loss(method)(table)
        if found and bought:
            parts.append(
                f"accuracy lost by {LABELS[method]}: {', '.join(found)}; speed-up at a loss of at most {LITTLE:g}: "
                f"{', '.join(f'{bought[seed]:.2f}' for seed in sorted(bought))} by seed"
            )
    for metric, words in (("read_in_share", "read-in"), ("fixed_share", "tokens and read-out")):
        share = timing(table, "nac_wide", metric)
        parts += [] if share is None else [f"share of {words} in the time of all: {share:.3f}"]
    return _sentence("", parts)


def scaling_story(table: pd.DataFrame) -> str:
    """Fitted exponents of time and of operations, and what routing takes."""
    parts = []
    for over in options(table, "over", metric="exponent"):
        for method in MODELS:
            found = [timing(table, method, name, over=over) for name in ("exponent", "macs_exponent")]
            words = [f"{x:.2f} ({of})" for x, of in zip(found, ("time", "operations"), strict=True) if x is not None]
            parts += [f"{LABELS[method]} over {over} {', '.join(words)}"] if words else []
    shares = {method: timing(table, method, "routing_share") for method in ("interpreter", "nac")}
    parts += [
        f"{LABELS[m]} spends {share:.3f} of a forward on routing" for m, share in shares.items() if share is not None
    ]
    return _sentence("Slopes on log scales: ", parts) if parts else UNTIMED


# ---------------------------------------------------------------- graphs, circuits of texts


def priors_story(table: pd.DataFrame) -> str:
    """Accuracy in and out of distribution by prior. No ranking: seeds lie as far apart."""
    parts = []
    for method, name in PRIORS.items():
        values, out = score(table, HANDWRITING, method), shifted(table, HANDWRITING, method)
        if values:
            parts.append(f"{name} {_spread(values)}{f', shifted {_spread(out)}' if out else ''}")
    return _sentence("Accuracy on handwriting ± deviation over seeds. ", parts)


def graph_story(table: pd.DataFrame) -> str:
    """How far each circuit's links are from their prior, after fitting them to it and after training."""
    parts = []
    for method, name in PRIORS.items():
        found = [score(table, HANDWRITING, method, f"prior_error{when}", None) for when in ("_start", "")]
        if all(found):
            start, after = map(mean, found)
            parts.append(f"{name} {start:.5f}, {after:.5f}{_correlated(table, method)}")
    return _sentence("Mean squared error of the links, fitted and after training. ", parts)


def _correlated(table: pd.DataFrame, method: str) -> str:
    values = score(table, HANDWRITING, method, "prior_correlation", None)
    return f" (correlation {mean(values):.3f})" if values else ""


def circuits_story(table: pd.DataFrame) -> str:
    """Accuracy by type of question, likeness of circuits, and answers through circuits of other questions."""
    parts = []
    for method in MODELS:
        values = score(table, NLVR, method)
        kinds = {kind: score(table, NLVR, method, kind=kind) for kind in options(table, "kind", dataset=NLVR)}
        if values:
            found = ", ".join(f"{kind} {_number(one)}" for kind, one in kinds.items() if one)
            parts.append(f"{LABELS[method]} {_spread(values)}{f' ({found})' if found else ''}")
    for metric, words in (
        ("similarity_within", "similarity of circuits within a type"),
        ("similarity_between", "between types"),
        ("similarity_p", "p of their difference"),
        ("similarity_gap_start", "their difference before training"),
        ("retrieval", "nearest circuit of the same type"),
        ("retrieval_start", "before training"),
        ("retrieval_chance", "by chance"),
        ("swapped_follows", "answers of the transplanted circuit's question where the two differ"),
        ("mixed_accuracy", "accuracy with another question's codes"),
    ):
        values = score(table, NLVR, "conditional", metric, None)
        parts += [f"{words} {_number(values)}"] if values else []
    return _sentence("Accuracy ± deviation over seeds. ", parts)


def _spread(values: Values) -> str:
    if len(values) < 2:
        return _number(values)
    return f"{mean(values):.3f} ± {pd.Series(values).std():.3f}"


def _number(values: Values) -> str:
    return f"{mean(values):.3f}"


def _sentence(start: str, parts: Sequence[str]) -> str:
    return f"{start}{'; '.join(parts)}." if parts else NOTHING
