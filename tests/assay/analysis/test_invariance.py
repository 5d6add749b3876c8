"""Analysis 11 and 12: who is a candidate for which held-out domain, which draw is chosen, and against which ERM."""

import numpy as np
import pandas as pd
import pytest

from assay.analysis.frames import SETTINGS, value, values
from assay.tables import planted_cue_rows, sweep_table
from reprise import results
from reprise.assay.analysis.invariance import candidates, invariance, planted_cue
from reprise.assay.analysis.settings import Settings

POOL = ("a", "b", "c", "d")


def network(method, draw, out, val, errors, *, seed=0, split="test"):
    """Rows of a network trained on the pool without `out`: validation error, and `errors` by domain."""
    train = "+".join(name for name in POOL if name not in out)
    base = {
        "dataset": "digits", "train_domain": train, "model": "cnn", "method": method, "seed": seed, "metric": "error",
        "arm": "invariance", "draw": str(draw), "run": f"{method}{draw}{train}{seed}", "n": 9,
    }  # fmt: skip
    # Validation is measured per training domain; the pooled error is their mean.
    halves = [{**base, "shift": "id", "split": "val", "test_domain": t, "value": val} for t in train.split("+")]
    halves[0]["value"], halves[1]["value"] = val - 0.01, val + 0.01
    shifted = {**base, "shift": "ood", "split": split}
    return halves + [{**shifted, "test_domain": test, "value": value} for test, value in errors.items()]


ROWS = pd.DataFrame(
    [
        *network("erm", 0, "d", 0.10, {"d": 0.50}),
        *network("irm", 0, "d", 0.20, {"d": 0.40}),
        *network("irm", 1, "d", 0.15, {"d": 0.60}),
        *network("irm", 10, "d", 0.15, {"d": 0.45}),
        # Without a second domain: the mean over a, b, c is 0.3 for draw 1, more for the others.
        *(row for v in "abc" for row in network("irm", 0, ("d", v), 0.2, {"d": 0.9, v: 0.5})),
        *(row for v in "abc" for row in network("irm", 10, ("d", v), 0.2, {"d": 0.9, v: 0.6})),
        *network("irm", 1, ("d", "a"), 0.2, {"d": 0.9, "a": 0.1}),
        *network("irm", 1, ("d", "b"), 0.2, {"d": 0.9, "b": 0.2}),
        *network("irm", 1, ("d", "c"), 0.2, {"d": 0.9, "c": 0.6}),
    ]
)


def test_candidates_lack_exactly_the_held_out_domain():
    found = candidates(ROWS)
    assert set(found["held_out"]) == {"d"}
    assert set(found["train_domain"]) == {"a+b+c"}
    irm = found[found["method"] == "irm"].set_index("draw")
    assert irm["test_error"].to_dict() == {0: 0.40, 1: 0.60, 10: 0.45}
    assert irm["val_error"].to_dict() == pytest.approx({0: 0.20, 1: 0.15, 10: 0.15})
    assert irm["lodo_error"].to_dict() == pytest.approx({0: 0.5, 1: 0.3, 10: 0.6})
    assert found.loc[found["method"] == "erm", "lodo_error"].isna().all()


def test_validation_images_of_a_left_out_domain_come_first():
    more = pd.DataFrame(network("irm", 1, ("d", "c"), 0.2, {"c": 0.0}, split="val"))
    irm = candidates(pd.concat([ROWS, more])).query("method == 'irm'").set_index("draw")
    assert irm.loc[1, "lodo_error"] == pytest.approx(0.1)


def test_each_rule_chooses_its_draw():
    rows = invariance(ROWS, SETTINGS)
    where = {"method": "irm", "test_domain": "d"}
    assert value(rows, "ood_accuracy", selection="oracle", **where) == pytest.approx(0.60)
    assert value(rows, "ood_accuracy", selection="training_domain", **where) == pytest.approx(0.40)  # draw 1 before 10
    assert value(rows, "ood_accuracy", selection="leave_one_domain_out", **where) == pytest.approx(0.40)
    assert value(rows, "minus_erm", selection="oracle", **where) == pytest.approx(0.10)
    assert value(rows, "minus_erm", selection="training_domain", **where) == pytest.approx(-0.10)
    assert not values(rows, "minus_erm", selection="leave_one_domain_out")  # of ERM it is not known
    assert not values(rows, "minus_erm", method="erm")
    assert {row["train_domain"] for row in rows} == {"a+b+c", ""}


def test_seeds_choose_for_themselves_and_are_averaged():
    other = ROWS.assign(seed=1, value=np.where(ROWS["shift"] == "ood", ROWS["value"] / 2, ROWS["value"]))
    rows = invariance(pd.concat([ROWS, other]), SETTINGS)
    where = {"method": "irm", "selection": "oracle", "test_domain": "d"}
    assert value(rows, "ood_accuracy", **where) == pytest.approx((0.60 + 0.80) / 2)
    assert value(rows, "minus_erm", **where) == pytest.approx((0.10 + 0.05) / 2)


def test_averages_are_over_held_out_domains():
    table = results.expand(sweep_table(arms=("invariance",)))
    rows = invariance(table, SETTINGS)
    for method in ("erm", "coral"):
        where = {"method": method, "selection": "training_domain"}
        each = values(rows, "ood_accuracy", average="", **where)
        assert len(each) == 6
        for dataset in ("digits", "all"):
            where |= {"dataset": dataset, "average": "pairs"}
            assert value(rows, "ood_accuracy", **where) == pytest.approx(np.mean(each))
            low, high = (value(rows, f"ood_accuracy_ci_{end}", **where) for end in ("low", "high"))
            assert min(each) <= low < np.mean(each) < high <= max(each)
    results.table(rows)


def test_the_oracle_is_never_worse():
    rows = invariance(results.expand(sweep_table(arms=("invariance",), seed=2)), SETTINGS)
    for selection in ("training_domain", "leave_one_domain_out"):
        best = values(rows, "ood_accuracy", selection="oracle", average="")
        assert (np.array(best) >= values(rows, "ood_accuracy", selection=selection, average="")).all()


def test_order_of_the_rows_changes_nothing():
    table = results.expand(sweep_table(arms=("invariance",)))
    shuffled = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        results.table(invariance(shuffled, SETTINGS)), results.table(invariance(table, SETTINGS))
    )


def test_a_run_without_the_arm_has_no_rows():
    table = results.expand(sweep_table(arms=("sweep",)))
    assert invariance(table, Settings(classes={})) == []
    assert planted_cue(table) == []


def test_planted_cue_is_an_accuracy_per_seed():
    rows = planted_cue(results.expand(results.table(planted_cue_rows({"erm": 0.1, "irm": 0.6}, seeds=(0, 5)))))
    assert {(row["method"], row["seed"]) for row in rows} == {("erm", 0), ("erm", 5), ("irm", 0), ("irm", 5)}
    assert {(row["train_domain"], row["test_domain"]) for row in rows} == {("e10+e20", "")}
    assert {row["metric"] for row in rows} == {"reversed_accuracy", "id_accuracy"}
    assert len(rows) == 2 * 4
    for method, level in (("erm", 0.1), ("irm", 0.6)):
        assert values(rows, "reversed_accuracy", method=method) == pytest.approx([level] * 2, abs=0.016)
        assert values(rows, "id_accuracy", method=method) == pytest.approx([0.8] * 2)


def test_planted_cue_averages_over_the_training_environments():
    """Each has an accuracy of its own on validation; other arms and metrics are none of it."""
    base = {"dataset": "colored", "train_domain": "e10+e20", "model": "mlp", "method": "irm", "seed": 4, "n": 9}
    base |= {"arm": "planted_cue", "metric": "error", "split": "val", "shift": "id"}
    table = pd.DataFrame(
        [
            {**base, "test_domain": "e10", "value": 0.1},
            {**base, "test_domain": "e20", "value": 0.3},
            {**base, "test_domain": "e90", "value": 0.4, "shift": "ood", "split": "test"},
            {**base, "test_domain": "e90", "value": 0.9, "metric": "nll", "shift": "ood", "split": "test"},
            {**base, "test_domain": "e90", "value": 0.9, "arm": "sweep", "shift": "ood", "split": "test"},
        ]
    )
    found = {row["metric"]: (row["value"], row["seed"]) for row in planted_cue(table)}
    assert found == {"reversed_accuracy": (0.6, 4), "id_accuracy": (pytest.approx(0.8), 4)}
