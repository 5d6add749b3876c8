"""Every measurement of a task, from the stored logits alone: metrics, label-free estimates, their standard errors.

A row's `shift` is id (the validation or test split of a source), ood (the test split of another domain) or corrupted;
rows of the sweep's networks carry standard errors. A network whose logits are not all finite has diverged: it has one
row, `diverged`, and no other.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from reprise.assay import estimators
from reprise.assay.metrics import METRICS, infer_environments, infer_environments_by_ascent, measure
from reprise.assay.plan import Run, derived_setting
from reprise.assay.tasks import Task
from reprise.results import setting

Row = dict[str, Any]
Logits = dict[str, dict[str, Float[np.ndarray, "n classes"]]]  # run id or strategy -> set -> logits
CORRUPTED_METRICS = ("error", "nll", "ece", "demographic_disparity")


class Labels:
    """The true classes of every set a network was judged on."""

    def __init__(self, folder: Path, seed: int, max_images: int | None, attacked: int) -> None:
        self.task, self.seed = Task(folder), seed
        self.max_images, self.attacked = max_images, attacked

    def __call__(self, name: str, source: str) -> np.ndarray:
        kind, *rest = name.split("/")
        if kind == "val":
            return self.task.split(rest[0], "val").y
        domain = {"test": rest[0], "corrupted": source, "adversarial": rest[-1]}[kind]
        n = self.attacked if kind == "adversarial" else self.max_images
        return self.task.sample(domain, "test", n, self.seed).y


def evaluate(members: list[Run], logits: Logits, labels: Labels, *, draws: int, seed: int) -> Iterator[Row]:
    """Rows of the runs of one prediction file, and of the networks derived from them.

    Args:
        members: runs judged together (`plan.groups`).
        draws, seed: of the bootstrap behind the standard errors of the sweep.
    """
    first = members[0]
    base = {"paper": "assay", "dataset": first.dataset, "train_domain": first.sources, "model": first.name}
    described = {run.id: (run.method, run.setting()) for run in members}
    described |= {name: ("erm", derived_setting(name, members)) for name in logits if name not in described}
    sound = {}
    for name, sets in logits.items():
        method, text = described[name]
        about = {**base, "method": method, "setting": text, "seed": first.seed}
        finite = all(np.isfinite(values).all() for values in sets.values())
        if not finite:
            yield {**about, "shift": "id", "split": "val", "metric": "diverged", "value": 1.0, "n": 1}
        else:
            sound[name] = about
    arms = {run.id: run.arm for run in members}
    for name in dict.fromkeys(key for sets in logits.values() for key in sets):
        having = [run for run in sound if name in logits[run]]
        for whole in (True, False):  # the sweep with standard errors, the others without
            runs = [run for run in having if (arms.get(run) == "sweep") == whole]
            if runs:
                stack = np.stack([logits[run][name] for run in runs])
                yield from _set_rows(name, stack, [sound[run] for run in runs], labels, draws if whole else 0, seed)
    if first.arm == "sweep" and sound:
        name, sets = next(iter((run, logits[run]) for run in sound))
        yield sound[name] | _agreement(f"val/{first.sources}", sets, labels, seed)
        sweep = [run.id for run in members if run.arm == "sweep" and run.id in sound]
        if sweep:
            yield from _estimates(first.sources, [sound[run] for run in sweep], [logits[run] for run in sweep], labels)


def _agreement(name: str, sets: Mapping[str, np.ndarray], labels: Labels, seed: int) -> Row:
    """Share of images that closed form and gradient ascent put into the same inferred environment (Sec. 4)."""
    domain = name.removeprefix("val/")
    y = labels(name, domain)
    same = infer_environments(sets[name], y) == infer_environments_by_ascent(sets[name], y, seed=seed)
    about = {"test_domain": domain, "shift": "id", "split": "val", "n": len(y)}
    return about | {"metric": "environments_agree", "value": float(same.mean())}


def _set_rows(
    name: str, stack: Float[np.ndarray, "runs n classes"], about: list[Row], labels: Labels, draws: int, seed: int
) -> Iterator[Row]:
    """The metrics of one set for all runs that have it."""
    source = about[0]["train_domain"]
    y = labels(name, source)
    kind, *rest = name.split("/")
    names, suffix, more = METRICS, "", {}
    domain = rest[0]
    if kind == "corrupted":
        names, domain, draws = CORRUPTED_METRICS, source, 0  # averaged over types and severities before it is read
        more = {"corruption": rest[0], "severity": rest[1]}
    elif kind == "adversarial":
        names, domain, suffix = ("error",), rest[1], f"_{rest[0]}"
    shift = "corrupted" if kind == "corrupted" else "id" if domain in source.split("+") else "ood"
    prefix = "adversarial_" if kind == "adversarial" else ""
    for metric, found in measure(stack, y, names=names, draws=draws, seed=seed).items():
        for k, row in enumerate(about):
            filled = {
                **row,
                "test_domain": domain,
                "shift": shift,
                "split": "val" if kind == "val" else "test",
                "setting": f"{row['setting']};{setting(**more)}" if more else row["setting"],
                "n": len(y),
            }
            yield filled | {"metric": f"{prefix}{metric}{suffix}", "value": float(found.value[k])}
            if draws and np.isfinite(found.stderr[k]):
                yield filled | {"metric": f"{prefix}{metric}{suffix}_stderr", "value": float(found.stderr[k])}


def _estimates(source: str, about: list[Row], logits: list[Mapping[str, np.ndarray]], labels: Labels) -> Iterator[Row]:
    """Estimates of the OOD error that need no OOD label (Sec. 8): ATC, DoC, agreement on the line, no change.

    All know the same of ID data: the logits and labels of the validation split.
    """
    val, test = f"val/{source}", f"test/{source}"
    known, y_val = np.stack([sets[val] for sets in logits]), labels(val, source)
    unchanged = estimators.unchanged(known, y_val)
    for name in logits[0]:
        if not name.startswith("test/") or name == test:
            continue
        shifted = np.stack([sets[name] for sets in logits])
        agreed = estimators.agreement_on_the_line(known.argmax(-1), shifted.argmax(-1), 1.0 - unchanged)
        found = {
            "estimate_atc": estimators.atc(known, y_val, shifted),
            "estimate_doc": estimators.doc(known, y_val, shifted),
            "estimate_agreement": 1.0 - agreed.aline_d,
            "estimate_unchanged": unchanged,
        }
        for metric, values in found.items():
            for row, value in zip(about, values, strict=True):
                if np.isfinite(value):
                    shared = {"test_domain": name.removeprefix("test/"), "shift": "ood", "split": "test"}
                    yield {**row, **shared, "metric": metric, "value": float(value), "n": shifted.shape[1]}


def classes(dataset: str, labels: Labels) -> Row:
    """The number of classes, which chance depends on, as a row of its own."""
    empty = dict.fromkeys(("train_domain", "test_domain", "shift", "model", "method", "setting", "split"), "")
    known = {"paper": "assay", "dataset": dataset, "seed": 0, "metric": "classes", "value": float(labels.task.classes)}
    return empty | known | {"n": len(labels.task.labels)}
