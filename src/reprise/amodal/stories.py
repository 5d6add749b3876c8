"""What was measured about claims of the amodal wing that do not hold: one line each for the ledger."""

from collections.abc import Sequence

import pandas as pd

from reprise.amodal.measures import (
    FULL,
    OCCLUDED,
    SUBSETS,
    adapted,
    ahead,
    mean,
    named,
    score,
    steps,
    subset_lead,
)
from reprise.claims import Story, Values

NAMES = {
    "visible": "visible",
    "convex": "convex hull",
    "completion": "PCNet-M",
    "completion_clean": "PCNet-M (unoccluded only)",
    "per_frame": "per frame",
    "savos": "SaVos",
    "supervised": "supervised",
    "supervised_image": "supervised U-Net",
    "no_consistency": "no consistency",
    "forward_only": "forward only",
    "no_flow": "no optical flow",
    "no_residual": "no residual motion",
    "current_label": "current-frame label",
    "occluder_input": "occluder as input",
}
BASELINES = ("visible", "convex", "completion", "completion_clean", "savos", "supervised", "supervised_image")
TEMPORAL = ("per_frame", "no_consistency", "forward_only", "savos")
ABLATIONS = ("no_consistency", "forward_only", "no_flow", "no_residual", "current_label", "occluder_input")
ADAPTED = ("savos", "completion")


def about(story: Story, *datasets: str) -> Story:
    """The story of these data sets alone."""
    return lambda table: story(table[table["dataset"].isin(datasets)])


def baselines_story(table: pd.DataFrame) -> str:
    """IoU-full and IoU-occluded of the methods on each data set, and how well that of SaVos is known."""
    parts = []
    for dataset in named(table):
        both = {NAMES[method]: _both(table, dataset, method) for method in BASELINES}
        for threshold in sorted({str(text) for text in table.get("threshold", [])} - {""}):
            both[f"SaVos at {threshold}"] = _both(table, dataset, "savos", threshold=threshold)
        found = [f"{name} {text}" for name, text in both.items() if text]
        if found:
            parts.append(f"{dataset}: {', '.join(found)}{_interval(table, dataset)}")
    return _sentence("IoU-full/occluded, mean over seeds. ", parts)


def _both(table: pd.DataFrame, dataset: str, method: str, **keys: str) -> str:
    found = [score(table, dataset, method, metric, by="frame", **keys) for metric in (FULL, OCCLUDED)]
    return "/".join(f"{mean(values):.3f}" for values in found) if all(found) else ""


def _interval(table: pd.DataFrame, dataset: str) -> str:
    ends = [score(table, dataset, "savos", f"{OCCLUDED}_{end}", by="video") for end in ("low", "high")]
    if not all(ends):
        return ""
    low, high = (mean(values) for values in ends)
    return f" (bootstrap over videos of SaVos' IoU-occluded: {low:.3f} to {high:.3f})"


def temporal_story(table: pd.DataFrame) -> str:
    """What each part of looking through time is worth, and on which hidden pixels."""
    parts = []
    for dataset in named(table):
        found = [f"{NAMES[m]} {mean(v):.3f}" for m in TEMPORAL if (v := _occluded(table, dataset, m))]
        for domain in ("test", "unseen"):
            for method in ("per_frame", "savos"):
                found += _recalls(table, dataset, method, domain)
        if found:
            parts.append(f"{dataset}: {', '.join(found)}")
    return _sentence("IoU-occluded, then recall of hidden pixels. ", parts)


def _occluded(table: pd.DataFrame, dataset: str, method: str) -> Values:
    return score(table, dataset, method, OCCLUDED, by="frame")


def _recalls(table: pd.DataFrame, dataset: str, method: str, domain: str) -> list[str]:
    metrics = ("recall_revealed", "recall_never_revealed", "false_positive")
    found = [score(table, dataset, method, metric, domain) for metric in metrics]
    if not all(found):
        return []
    revealed, never, false = (mean(values) for values in found)
    new = " on new types" if domain == "unseen" else ""
    return [f"{NAMES[method]}{new} {revealed:.3f} if revealed, {never:.3f} if never, false positives {false:.3f}"]


def ablation_story(table: pd.DataFrame) -> str:
    """How far each variant lies from SaVos on every data set."""
    parts = []
    for method in ABLATIONS:
        found = _listed(table, {name: ahead(method, ("savos",))(table, name) for name in named(table)})
        if found:
            parts.append(f"{NAMES[method]}: {found}")
    return _sentence("IoU-occluded minus that of SaVos. ", parts)


def _listed(table: pd.DataFrame, differences: dict[str, Values]) -> str:
    return ", ".join(f"{name} {mean(values):+.3f}" for name, values in differences.items() if values)


def adaptation_story(table: pd.DataFrame) -> str:
    """IoU-full and IoU-occluded on the new distribution, step by step, and of the convex hull."""
    parts = []
    for dataset in named(table):
        for method in (*ADAPTED, "convex"):
            found = [
                f"{_pair(ends)} after {number}"
                for number in (0, *steps(table, dataset, method))
                if all(ends := [adapted(table, dataset, method, metric, number) for metric in (FULL, OCCLUDED)])
            ]
            if found:
                parts.append(f"{NAMES[method]}: {', '.join(found)} steps")
    return _sentence("IoU-full/occluded on new types. ", parts)


def _pair(values: Sequence[Values]) -> str:
    return "/".join(f"{mean(one):.3f}" for one in values)


def subsets_story(table: pd.DataFrame) -> str:
    """The lead of SaVos on each hard subset, and how many object-frames that is."""
    parts = []
    for subset in SUBSETS:
        values = subset_lead(subset)(table, "fishbowl_lite")
        if values:
            rows = table[(table["subset"] == subset) & (table["dataset"] == "fishbowl_lite")]
            parts.append(f"{subset.replace('_', ' ')} {mean(values):+.3f} (n = {rows['n'].max():.0f})")
    return _sentence("Lead in IoU-occluded over the better of convex hull and PCNet-M on fishbowl_lite: ", parts)


def data_story(table: pd.DataFrame) -> str:
    """How much is occluded, and how much of that is never revealed."""
    facts = {"occlusion_rate": "occlusion rate", "never_revealed": "never revealed", "tracks": "tracks"}
    parts = []
    for dataset in named(table):
        found = {words: score(table, dataset, "data", metric) for metric, words in facts.items()}
        if any(found.values()):
            known = (f"{words} {mean(values):.4g}" for words, values in found.items() if values)
            parts.append(f"{dataset}: {', '.join(known)}")
    return _sentence("", parts)


def _sentence(start: str, parts: Sequence[str]) -> str:
    return f"{start}{'; '.join(parts)}." if parts else "Nothing was measured about it."
