"""Figures and headline numbers at every shape of run: one seed or three, tables without pairs, few methods."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reprise import results
from reprise.fairness import figures, tidy
from reprise.fairness.headline import headline

RULE = ("accuracy", "ddp", "selection_rate", "selection_rate_0", "selection_rate_1", "accuracy_0", "accuracy_1")
BOUNDS = tuple(f"{name}_ci_{end}" for name in ("accuracy", "ddp", "abs_ddp") for end in ("low", "high"))
Row = dict[str, Any]


def rule(method: str, value: float, **variant: Any) -> Iterator[Row]:
    for metric in (*RULE, *BOUNDS):
        yield {"method": method, "metric": metric, "value": value, **variant}


def one(target: str, seed: int, *, full: bool, pairs: bool, strengths: tuple[int, ...]) -> Iterator[Row]:
    """Rows of one target and seed as `evaluate` writes them; `full`: the target every method is trained on."""
    random = np.random.default_rng(seed)
    arms = ["main"] + (["scratch", "fair"] if full and pairs else [])
    for arm in arms:
        for strength in strengths:
            method = "ddp_squared" if strength else "unconstrained"
            yield from rule(method, 0.8 - strength / 1000 + seed / 100, level=strength, arm=arm)
            yield {
                "method": method,
                "metric": "probe_accuracy",
                "value": 0.8 + strength / 1000,
                "level": strength,
                "arm": arm,
            }
            if pairs:
                for name in ("effect", "favours_0", "favours_1"):
                    yield {"method": method, "metric": f"pair_{name}", "value": 0.1, "level": strength, "arm": arm}
    for k, eps in enumerate(("0.0010", f"{0.1 + seed / 100:.4f}", "near")):
        yield from rule("merge", 0.7 + k / 100, level="mse_linear", eps=eps)
        yield from rule("oracle", 0.7 + k / 100, eps=eps)
    for step in ("00", "01"):
        yield from rule("lipton", 0.75, step=step)
    yield from rule("two_headed", 0.8, level="mse_linear")
    yield {"method": "two_headed", "metric": "group_head_accuracy", "value": 0.9, "level": "mse_linear"}
    for loss in ("mse_linear", "bce") if full else ("mse_linear",):
        for group in (0, 1):
            for left in ("-3.0", "0.0", "3.9"):
                yield {
                    "method": "two_headed",
                    "metric": "z2_count",
                    "value": 5,
                    "level": loss,
                    "group": group,
                    "bin": left,
                }
    yield {"method": "constant", "metric": "accuracy", "value": 0.5}
    yield {"method": "constant", "metric": "probe_accuracy", "value": 0.5, "level": "majority"}
    yield {"method": "anchor", "metric": "probe_accuracy", "value": 0.7, "level": "random"}
    yield {"method": "labels", "metric": "ddp", "value": 0.2}
    for strength in strengths[1:]:
        for metric in ("agreement", "agreement_raw", "agreement_shift", "agreement_matched", "kappa", "logit_r2", "b"):
            yield {"method": "approximation", "metric": metric, "value": 0.9, "level": strength}
        yield {"method": "approximation", "metric": "logit_r2_task_only", "value": 0.7, "level": strength}
        for method in ("recovered", "rethresholded", "refitted"):
            yield from rule(method, 0.8, level=strength)
    for method, level in (("flips.merge", "near"), ("flips.ddp_squared", strengths[-1]), ("flips.seed_noise", "0")):
        for direction in ("up", "down"):
            for true in (0, 1):
                for perceived in (0, 1):
                    where = {"direction": direction, "true": true, "perceived": perceived, "level": level}
                    yield {"method": method, "metric": "flips", "value": 3, **where}
    if full:
        yield from rule("ddp_abs", 0.6, level=strengths[-1])
        yield from rule("group", 0.9, level=0, arm="group")
        if seed == 0:
            yield {"method": "sgd_probe", "metric": "accuracy", "value": 0.75, "level": strengths[-1]}
            for i in range(6):
                where = {"level": strengths[-1], "i": i, "group": i % 2}
                for metric in ("fair_logit", "merge_logit", "shift_logit"):
                    yield {"method": "scatter", "metric": metric, "value": random.normal(), **where}


def frame(
    *,
    seeds: int = 1,
    pairs: bool = True,
    targets: tuple[str, ...] = ("t", "u"),
    strengths: tuple[int, ...] = (0, 10),
) -> pd.DataFrame:
    rows = []
    for seed in range(seeds):
        for number, target in enumerate(targets):
            for row in one(target, seed, full=number == 0, pairs=pairs, strengths=strengths):
                own = {key: row.pop(key) for key in ("method", "metric", "value")}
                variant = {"arm": "main", "target": target, **row}
                fixed = {"paper": "fairness", "dataset": "faces", "seed": seed, "split": "test", "n": 100}
                rows.append(fixed | own | {"setting": results.setting(**variant)})
    return results.expand(results.table(rows))


RUNS = {
    "three seeds": frame(seeds=3, strengths=(0, 1, 10)),
    "one seed": frame(),
    "table": frame(pairs=False, targets=("t",)),
    "many targets": frame(targets=("a", "b", "c", "d"), seeds=2),
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", figures.FIGURES)
def test_every_figure_is_drawn_or_has_no_data(run: str, name: str) -> None:
    make, draw = figures.FIGURES[name]
    data = make(RUNS[run])
    assert data.empty == (name == "pair_test" and run == "table")
    if len(data):
        figure = draw(data)
        figure.draw_without_rendering()
        assert any(ax.has_data() for ax in figure.axes)


def test_means_and_spread_over_seeds() -> None:
    data = tidy.fairness_vs_accuracy(RUNS["three seeds"])
    row = data[(data["target"] == "t") & (data["method"] == "unconstrained")].iloc[0]
    assert row["accuracy"] == pytest.approx(0.81)
    assert row["accuracy_sd"] == pytest.approx(0.01)
    assert row["seeds"] == 3


def test_merges_of_different_slack_are_averaged_by_rank() -> None:
    data = tidy.fairness_vs_accuracy(RUNS["three seeds"])
    merged = data[(data["target"] == "t") & (data["method"] == "merge")]
    assert merged["step"].tolist() == [1.0, 2.0]
    assert set(merged["seeds"]) == {3}


def test_near_parity_takes_the_strongest_setting_and_the_absolute_gap() -> None:
    table = RUNS["three seeds"].copy()
    table.loc[table["metric"] == "ddp", "value"] *= -1
    data = tidy.near_parity(table)
    row = data[(data["target"] == "t") & (data["method"] == "ddp_squared")].iloc[0]
    assert row["setting"] == "λ = 10"
    assert row["abs_ddp"] == pytest.approx(-row["ddp"])
    merges = data[(data["target"] == "t") & (data["method"] == "merge")]
    assert merges["accuracy"].tolist() == pytest.approx([0.72])


def test_targets_with_every_method_come_first_in_each_table() -> None:
    for make, _ in figures.FIGURES.values():
        assert tidy.tasks(make(RUNS["many targets"]))[0] == ("faces", "a")


def test_headline_is_small_and_leaves_out_what_was_not_measured() -> None:
    numbers = headline(RUNS["table"])
    assert 10 <= len(numbers["faces"]["t"]) <= 15
    assert "fair_pair_favours_1" not in numbers["faces"]["t"]
    assert numbers["faces"]["t"]["unconstrained_accuracy"] == pytest.approx(0.8)
    assert all(isinstance(value, float) for value in headline(RUNS["three seeds"])["faces"]["t"].values())
