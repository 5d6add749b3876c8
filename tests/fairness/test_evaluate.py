"""Measurements on the test split: against fairlearn and scikit-learn, naive resampling, and cases worked by hand."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprise import results
from reprise.fairness import fits
from reprise.fairness.evaluate import Rows, _flips, _pair_test, _randomised, bootstrap, evaluate, judge, probe
from reprise.fairness.params import Merge

SETTINGS = Merge(epsilons=3, near_parity=0.01, b_points=21, b_range=4.0)


def people(n, seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 2, n).astype(np.uint8)
    y = (rng.random(n) < np.where(a == 1, 0.35, 0.6)).astype(np.uint8)
    decision = rng.random(n) < np.where(y == 1, 0.8, 0.2) - 0.1 * a
    return decision, y, a


# ---------------------------------------------------------------- a decision rule


def test_judge_by_hand():
    y, a = np.array([1, 1, 0, 0, 1, 0, 0, 0]), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    found = judge(np.array([1, 0, 1, 0, 1, 0, 0, 0]), y, a)
    assert found == pytest.approx(
        {
            "accuracy": 6 / 8,
            "balanced_accuracy": (2 / 3 + 4 / 5) / 2,
            "selection_rate": 3 / 8,
            "selection_rate_0": 2 / 4,
            "selection_rate_1": 1 / 4,
            "accuracy_0": 2 / 4,
            "accuracy_1": 1.0,
            "true_positive_rate_0": 1 / 2,
            "true_positive_rate_1": 1.0,
            "ddp": -1 / 4,
            "equal_opportunity": 1 / 2,
        }
    )


@given(st.integers(30, 300), st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_judge_agrees_with_fairlearn_and_scikit_learn(n, seed):
    from fairlearn.metrics import (
        MetricFrame,
        demographic_parity_difference,
        equal_opportunity_difference,
        selection_rate,
        true_positive_rate,
    )
    from sklearn.metrics import accuracy_score, balanced_accuracy_score

    decision, y, a = people(n, seed)
    y[:4], a[:4] = [0, 1, 0, 1], [0, 0, 1, 1]
    found = judge(decision, y, a)
    chosen = decision.astype(int)
    metrics = {"accuracy": accuracy_score, "selection_rate": selection_rate, "true_positive_rate": true_positive_rate}
    frame = MetricFrame(metrics=metrics, y_true=y, y_pred=chosen, sensitive_features=a)
    for name in metrics:
        for group in (0, 1):
            assert found[f"{name}_{group}"] == pytest.approx(frame.by_group.loc[group, name], abs=1e-12)
    assert found["accuracy"] == pytest.approx(accuracy_score(y, chosen), abs=1e-12)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, chosen), abs=1e-12)
    theirs = demographic_parity_difference(y, chosen, sensitive_features=a)
    assert abs(found["ddp"]) == pytest.approx(theirs, abs=1e-12)
    theirs = equal_opportunity_difference(y, chosen, sensitive_features=a)
    assert abs(found["equal_opportunity"]) == pytest.approx(theirs, abs=1e-12)


def test_randomised_rule_is_judged_by_its_expectation():
    _, y, a = people(400, 0)
    probability = np.random.default_rng(1).random(400)
    found = judge(probability, y, a)
    draws = [judge(np.random.default_rng(k).random(400) < probability, y, a) for k in range(300)]
    for name in found:
        values = [draw[name] for draw in draws]
        assert found[name] == pytest.approx(np.mean(values), abs=4 * np.std(values) / np.sqrt(300))


def naive_bootstrap(decision, y, a, n, seed):
    """Draw rows again within each group, and judge."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(a == group) for group in (0, 1)]
    found = []
    for _ in range(n):
        rows = np.concatenate([rng.choice(rows, len(rows)) for rows in members])
        measured = judge(decision[rows], y[rows], a[rows])
        found.append((measured["accuracy"], measured["ddp"], abs(measured["ddp"])))
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    names = ("accuracy", "ddp", "abs_ddp")
    return {
        f"{k}_ci_{end}": v for end, values in (("low", low), ("high", high)) for k, v in zip(names, values, strict=True)
    }


def test_bootstrap_is_the_resampling_of_rows():
    decision, y, a = people(300, 3)
    ours, naive = bootstrap(decision, y, a, 20_000, 0), naive_bootstrap(decision, y, a, 4000, 1)
    assert ours.keys() == naive.keys()
    for name in ours:
        assert ours[name] == pytest.approx(naive[name], abs=0.006), name  # the intervals are 0.1 and 0.2 wide
    assert ours["accuracy_ci_high"] - ours["accuracy_ci_low"] > 0.07


def test_bootstrap_covers_the_estimate_and_narrows_with_n():
    width = {}
    for n in (200, 3200):
        decision, y, a = people(n, 4)
        measured, found = judge(decision, y, a), bootstrap(decision, y, a, 2000, 0)
        for name, value in (
            ("accuracy", measured["accuracy"]),
            ("ddp", measured["ddp"]),
            ("abs_ddp", abs(measured["ddp"])),
        ):
            assert found[f"{name}_ci_low"] < value < found[f"{name}_ci_high"]
        width[n] = found["ddp_ci_high"] - found["ddp_ci_low"]
    assert width[200] / width[3200] == pytest.approx(4, rel=0.2)
    # Sec. 5.2: the standard error of the gap is sqrt(sum r (1 - r) / n_a).
    se = np.sqrt(sum(d.mean() * (1 - d.mean()) / len(d) for d in (decision[a == 0], decision[a == 1])))
    assert width[3200] == pytest.approx(2 * 1.96 * se, rel=0.06)


def test_bootstrap_of_certain_and_of_random_rules():
    _, y, a = people(100, 0)
    found = bootstrap(np.ones(100), y, a, 200, 0)
    assert (found["ddp_ci_low"], found["ddp_ci_high"]) == (0.0, 0.0)
    assert bootstrap(y == 1, y, a, 200, 0)["accuracy_ci_low"] == 1.0
    third = bootstrap(np.full(100, 1 / 3), y, a, 500, 0)  # weights that do not sum to 1 exactly
    assert third["ddp_ci_low"] < 0 < third["ddp_ci_high"]
    assert found == bootstrap(np.ones(100), y, a, 200, 0)
    assert bootstrap(y == 1, y, a, 200, 0) != bootstrap(y == 1, y, a, 200, 1)


# ---------------------------------------------------------------- the probe


def features(n, seed, strength):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 2, n)
    phi = rng.normal(size=(n, 5)) * [1, 100, 0.01, 1, 0] + [0, 7, 0, 0, 3]  # scales differ; the last unit is dead
    phi[:, 2] += 0.01 * strength * (2 * a - 1)
    return {"x/features": phi.astype(np.float32), "a": a}


def test_probe_finds_a_separable_group_whatever_its_scale():
    accuracy, auc = probe(features(500, 0, 8), features(500, 1, 8), "x", c=1.0, max_iter=300)
    assert (accuracy, auc) == (1.0, pytest.approx(1.0))


def test_probe_finds_nothing_where_there_is_nothing():
    accuracy, auc = probe(features(500, 0, 0), features(2000, 1, 0), "x", c=1.0, max_iter=300)
    assert accuracy == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2000))
    assert auc == pytest.approx(0.5, abs=0.05)


def test_probe_reaches_the_best_there_is():
    """Two normal distributions 2 apart: accuracy Phi(1) = 0.841, AUC Phi(sqrt 2) = 0.921."""
    accuracy, auc = probe(features(4000, 0, 1), features(8000, 1, 1), "x", c=1.0, max_iter=300)
    assert accuracy == pytest.approx(0.8413, abs=0.015)
    assert auc == pytest.approx(0.9214, abs=0.012)


# ---------------------------------------------------------------- who is moved


def rows():
    return Rows(dataset="d", model="m", target="t", arm="main", seed=0)


def values(found, **wanted):
    """(method, metric, settings) -> value."""
    table = results.expand(results.table(found.rows))
    for name, value in wanted.items():
        table = table[table[name] == value]
    return table


EIGHT = {
    # z1, z2 of eight people; group 1 is disadvantaged; the merge is z1 + 2 z2 - 1
    "two_headed.mse_linear/logits": np.array(
        [[0.5, 0.0], [1.5, 0.0], [0.4, 0.1], [-2.0, 0.0], [-0.5, 1.0], [-0.5, 0.9], [0.5, 1.0], [-3.0, 1.0]]
    ),
    "unconstrained.0/logits": np.array([1.0, 1, 1, -1, -1, -1, 1, -1])[:, None],
    "ddp_squared.10/logits": np.array([1.0, 1, -1, 1, 1, -1, 1, -1])[:, None],
    "a": np.array([0, 0, 0, 0, 1, 0, 1, 1], np.uint8),
    "y": np.array([1, 1, 0, 0, 1, 1, 1, 0], np.uint8),
}
CHOSEN = {"epsilons": [0.1, 0.01], "merge.mse_linear": {"b": [0.0, 2.0], "c": [0.0, -1.0]}}


def eight(twin=None):
    found = rows()
    _flips(found, EIGHT, CHOSEN, ["mse_linear"], twin or {}, 1)
    return found


def test_flips_of_the_merge_by_hand():
    # s = z1 + 2 z2 - 1: -0.5, 0.5, -0.4, -3, 0.5, 0.3, 1.5, -2. Head 1 selects 0, 1, 2 and 6; the merge 1, 4, 5 and 6.
    table = values(eight(), method="flips.merge_vs_head", metric="flips")
    moved = {tuple(row[k] for k in ("direction", "true", "perceived")): row["value"] for _, row in table.iterrows()}
    assert moved == {
        ("up", "0", "0"): 0,
        ("up", "0", "1"): 1,  # person 5: of group 0, but taken for group 1
        ("up", "1", "0"): 0,
        ("up", "1", "1"): 1,  # person 4
        ("down", "0", "0"): 2,  # people 0 and 2
        ("down", "0", "1"): 0,
        ("down", "1", "0"): 0,
        ("down", "1", "1"): 0,
    }


def test_purity_by_hand():
    found = eight()
    purity = {
        (row["metric"], row["direction"]): (row["value"], row["n"])
        for _, row in values(found, method="flips.merge_vs_head").iterrows()
        if row["metric"].startswith("purity")
    }
    assert purity == {
        ("purity_perceived", "up"): (1.0, 2),
        ("purity_true", "up"): (0.5, 2),
        ("purity_perceived", "down"): (1.0, 2),
        ("purity_true", "down"): (1.0, 2),
    }
    # The fair network moves 3 and 4 up (perceived 0 and 1) and 2 down (perceived 0).
    fair = values(found, method="flips.ddp_squared", metric="purity_perceived", level="10").set_index("direction")[
        "value"
    ]
    assert fair.to_dict() == {"up": 0.5, "down": 1.0}


def test_band_by_hand():
    # With z2 = 0 the score is z1 - 1, with z2 = 1 it is z1 + 1: the sign differs for -1 < z1 <= 1.
    band = values(eight(), method="merge", metric="band").set_index("group")["value"]
    assert band.to_dict() == {"0": 3, "1": 2}  # people 0, 2, 5; 4 and 6


def test_seed_noise_compares_with_the_twin():
    twin = {"unconstrained.0/logits": -EIGHT["unconstrained.0/logits"]}
    table = values(eight(twin), method="flips.seed_noise", metric="flips")
    assert table["value"].sum() == 8
    assert values(eight(), method="flips.seed_noise").empty


def test_no_purity_without_flips():
    same = dict(EIGHT, **{"ddp_squared.10/logits": EIGHT["unconstrained.0/logits"]})
    found = rows()
    _flips(found, same, CHOSEN, ["mse_linear"], {}, 1)
    table = values(found, method="flips.ddp_squared")
    assert set(table["metric"]) == {"flips"}
    assert (table["value"] == 0).all()


# ---------------------------------------------------------------- the pair test


def test_pair_test_by_hand():
    # Four people, drawn as group 0 and as group 1, one after the other.
    logits = np.array([-1.0, 1.0, 0.5, -0.5, 2.0, 3.0, 0.0, 0.5])
    found = rows()
    _pair_test(found, {"ddp_squared.10/logits": logits[:, None], "y": None, "a": None}, None, ["mse_linear"])
    table = values(found, method="ddp_squared", level="10").set_index("metric")
    # Effects 2, -1, 1, 0.5; positive only as group 1: the first and the last (0 is not); only as 0: the second.
    assert table["value"].to_dict() == {"pair_effect": 0.625, "pair_favours_1": 0.5, "pair_favours_0": 0.25}
    assert (table["n"] == 4).all()


def test_pair_test_of_a_merge():
    pairs = {"two_headed.mse_linear/logits": np.array([[0.1, 0.0], [0.1, 1.0], [-0.2, 0.0], [-0.2, 1.0]])}
    found = rows()
    _pair_test(found, pairs, CHOSEN, ["mse_linear"])
    head = values(found, method="two_headed").set_index("metric")["value"]
    assert head.to_dict() == {"pair_effect": 0.0, "pair_favours_1": 0.0, "pair_favours_0": 0.0}
    merge = values(found, method="merge").set_index("metric")["value"]
    assert merge.to_dict() == {"pair_effect": pytest.approx(2.0), "pair_favours_1": 1.0, "pair_favours_0": 0.0}


# ---------------------------------------------------------------- everything together


def predictions(n, seed, gap=1.0):
    """A network's outputs on one split: evidence and group are linear in the features, as the paper has it."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 2, n).astype(np.uint8)
    evidence = 0.4 * gap * (1 - 2.0 * a) + rng.normal(size=n)
    y = (evidence + 0.35 * rng.normal(size=n) > 0).astype(np.uint8)
    z1 = 2 * (evidence + 0.3 * rng.normal(size=n))
    z2 = a + 0.2 * rng.normal(size=n)
    phi = np.column_stack([z1, z2, rng.normal(size=n)]).astype(np.float32)
    z1, z2 = phi[:, :2].astype(np.float64).T
    found = {"y": y, "a": a}
    for key, logits in {
        "unconstrained.0": z1[:, None],
        "ddp_squared.10": (z1 + 0.8 * z2 - 0.4)[:, None],
        "two_headed.mse_linear": np.column_stack([z1, z2]),
    }.items():
        found |= {f"{key}/logits": logits, f"{key}/features": phi}
    found["two_headed.mse_linear/weight"] = np.array([[1.0, 0, 0], [0, 1, 0]], np.float32)
    found["two_headed.mse_linear/bias"] = np.zeros(2, np.float32)
    return found


def measured(folder, test=None, val=None, **changes):
    parts = {"train": predictions(600, 0), "val": val or predictions(600, 1), "test": test or predictions(600, 2)}
    parts["pairs"] = predictions(600, 3)
    parts["twin"] = predictions(600, 4) | {k: v for k, v in parts["test"].items() if k in ("y", "a")}
    for name, content in parts.items():
        np.savez(folder / f"{name}.npz", **content)
    seen = {name: array for name, array in parts["val"].items() if not name.endswith("/features")}
    chosen = fits.fit(seen, heads=["mse_linear"], settings=SETTINGS, randomised=True)
    arguments = {"dataset": "d", "model": "m", "target": "t", "arm": "main", "seed": 0, "heads": ["mse_linear"]}
    arguments |= {"probe_c": 1.0, "probe_iterations": 300, "n_bootstrap": 50, "scatter": "10"}
    files = {name: str(folder / f"{name}.npz") for name in ("train", "test", "pairs")}
    return evaluate(files, chosen, twin=str(folder / "twin.npz"), **arguments | changes)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return results.expand(results.table(measured(tmp_path_factory.mktemp("predictions"))))


def one(table, method, metric, **variant):
    part = table[(table["method"] == method) & (table["metric"] == metric)]
    for name, value in variant.items():
        part = part[part[name] == value]
    (value,) = part["value"]
    return value


def test_rows_fit_the_table(table):
    assert set(table["paper"]) == {"fairness"}
    assert set(table["split"]) == {"test"}
    assert (table["n"] > 0).all()
    assert np.isfinite(table["value"]).all()


def test_every_rule_is_judged_and_bounded(table):
    rules = {"unconstrained", "ddp_squared", "two_headed", "merge", "oracle", "perceived", "plug_in", "lipton"}
    rules |= {"merge_equal_opportunity", "recovered", "rethresholded", "refitted", "threshold_optimizer"}
    accuracy = table[table["metric"] == "accuracy"]
    assert rules <= set(accuracy["method"])
    for name in ("accuracy", "ddp"):
        low, high, value = (
            table[table["metric"] == metric].set_index(["method", "setting"])["value"]
            for metric in (f"{name}_ci_low", f"{name}_ci_high", name)
        )
        assert (low <= value[low.index] + 0.02).all()
        assert (high >= value[high.index] - 0.02).all()


def test_findings_of_a_world_made_for_them(table):
    """The fair network is affine in the two heads: approximation, recovery and fold must come out perfect."""
    assert one(table, "approximation", "logit_r2", level="10") == pytest.approx(1.0, abs=1e-6)
    assert one(table, "approximation", "logit_r2_task_only", level="10") < 0.999
    assert one(table, "approximation", "agreement", level="10") >= 0.99
    assert one(table, "approximation", "kappa", level="10") >= 0.98
    assert one(table, "approximation", "b", level="10") == pytest.approx(0.8, abs=0.25)
    assert one(table, "approximation", "agreement_shift", level="10") < 0.97
    assert one(table, "fold", "max_logit_difference") < 1e-5
    assert one(table, "fold", "equal_decisions") == 1.0
    base = one(table, "unconstrained", "accuracy", level="0")
    assert one(table, "recovered", "accuracy", level="10") == pytest.approx(base, abs=0.02)
    assert one(table, "merge", "validation_gap") <= 0.01
    assert abs(one(table, "merge", "ddp", eps="near", level="mse_linear")) < 0.13
    assert one(table, "unconstrained", "ddp", level="0") < -0.2
    assert one(table, "two_headed", "group_head_accuracy", level="mse_linear") > 0.98
    assert one(table, "unconstrained", "probe_accuracy", level="0") > 0.97
    assert one(table, "two_headed", "share_undecided", level="mse_linear") < 0.15


def test_constant_and_label_anchors(table):
    test = predictions(600, 2)
    y, a = test["y"], test["a"]
    majority = predictions(600, 0)["y"].mean() > 0.5
    assert one(table, "constant", "accuracy") == np.mean(y == majority)
    assert one(table, "constant", "probe_accuracy", level="majority") == max(a.mean(), 1 - a.mean())
    assert one(table, "labels", "ddp") == pytest.approx(y[a == 1].mean() - y[a == 0].mean())


def test_histogram_of_the_group_head_counts_everybody(table):
    counts = table[table["metric"] == "z2_count"]
    assert counts["value"].sum() == 600
    assert counts["bin"].nunique() == 70
    heaviest = counts.sort_values("value").groupby("group").tail(5)
    for group, bins in heaviest.groupby("group")["bin"]:
        assert bins.astype(float).mean() == pytest.approx(float(group) - 0.05, abs=0.2)


def test_scatter_keeps_points_of_one_strength(table):
    points = table[table["method"] == "scatter"].pivot(index="i", columns="metric", values="value")
    assert len(points) == 600
    assert np.corrcoef(points["fair_logit"], points["merge_logit"])[0, 1] > 0.999
    assert np.corrcoef(points["fair_logit"], points["shift_logit"])[0, 1] < 0.9999


def test_scrambled_test_labels_change_no_decision(tmp_path, table):
    """Accuracy falls to chance; selection rates, agreement and flips, which need no label, stay what they were."""
    test = predictions(600, 2)
    test["y"] = np.random.default_rng(0).permutation(test["y"])
    other = results.expand(results.table(measured(tmp_path, test=test)))
    labelfree = ["selection_rate_0", "selection_rate_1", "ddp", "agreement", "b", "flips", "band", "probe_accuracy"]
    for metric in labelfree:
        left, right = (t[(t["metric"] == metric) & (t["method"] != "labels")] for t in (table, other))
        assert left["value"].tolist() == right["value"].tolist(), metric
        assert len(left)
    assert one(other, "merge", "accuracy", eps="near", level="mse_linear") == pytest.approx(0.5, abs=0.1)


def test_equal_inputs_give_equal_rows(tmp_path, table):
    again = results.expand(results.table(measured(tmp_path)))
    assert again.equals(table)


@pytest.mark.parametrize("gap", [0.0, 0.02])
def test_a_target_without_a_gap_can_be_evaluated(tmp_path, gap):
    """Then all slack values are small and close together; their rows must still be told apart."""
    val = predictions(600, 1, gap=gap)
    val["unconstrained.0/logits"] = np.full((600, 1), -1.0)
    found = results.table(measured(tmp_path, val=val, test=predictions(600, 2, gap=gap)))
    merges = results.expand(found)
    merges = merges[(merges["method"] == "merge") & (merges["metric"] == "accuracy")]
    assert len(merges) == SETTINGS.epsilons + 1


@pytest.mark.parametrize("epsilons", [21, 201])
def test_many_slack_values_within_a_small_gap(epsilons):
    many = SETTINGS.model_copy(update={"epsilons": epsilons, "b_points": 3})
    val = predictions(200, 1, gap=0.0)
    val = {name: array for name, array in val.items() if not name.endswith("/features")}
    val["unconstrained.0/logits"] = np.full((200, 1), -1.0)
    chosen = fits.fit(val, heads=["mse_linear"], settings=many, randomised=False)
    texts = {f"{epsilon:.6f}" for epsilon in chosen["epsilons"][:-1]}
    assert len(texts) == epsilons


def test_other_arms_need_no_fits(tmp_path):
    measured(tmp_path)
    files = {name: str(tmp_path / f"{name}.npz") for name in ("train", "test")}
    fixed = {"dataset": "d", "model": "m", "target": "t", "seed": 0, "heads": ["mse_linear"], "probe_c": 1.0}
    found = evaluate(files, None, arm="scratch", probe_iterations=300, n_bootstrap=20, twin=None, scatter=None, **fixed)
    table = results.expand(results.table(found))
    assert set(table["arm"]) == {"scratch"}
    assert not set(table["method"]) & {"merge", "approximation", "recovered", "fold"}


def test_deciding_takes_no_labels():
    """Fits come in as numbers; the functions that decide on test take scores, never y."""
    from reprise.fairness import merge, thresholds

    for function in (merge.merged_score, merge.fold, thresholds.apply_group_thresholds):
        assert "y" not in inspect.signature(function).parameters


def test_randomised_rule_by_hand():
    """Group 0: positive with 0.3 above 1 and with 0.7 below it, never at it; group 1: above -inf, everybody."""
    infinite = {"p": [1.0, 0.0], "operator": [">", ">"], "threshold": [-np.inf, 0.0]}
    rules = {"0": {"p": [0.3, 0.7], "operator": [">", "<"], "threshold": [1.0, 1.0]}, "1": infinite}
    found = _randomised(np.array([2.0, 1.0, 0.0, -9.0]), np.array([0, 0, 0, 1]), rules)
    assert found.tolist() == [0.3, 0.0, 0.7, 1.0]
