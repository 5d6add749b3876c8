"""Measurements: rows as the analyses expect them, values equal to metrics computed by hand from the logits."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax, softmax

from assay import tiny
from assay.tiny import run
from reprise import results
from reprise.assay import estimators, metrics
from reprise.assay import evaluate as module
from reprise.assay.evaluate import CORRUPTED_METRICS, Labels, classes, evaluate
from reprise.assay.plan import derived_setting
from reprise.assay.tasks import Task

SEED, DRAWS = 3, 20
MEMBERS = [run(finetune=finetune, augment=augment) for augment in ("standard", "rand") for finetune in ("full", "head")]
LP_FT = run(arm="strategies", finetune="lp_ft", augment="standard")
DERIVED = ("wise_ft-0.5", "uniform_soup", "greedy_soup", "last_layer")
CLEAN = ("val/a", "test/a", "test/b", "test/c")
FURTHER = (
    "corrupted/contrast/1", "corrupted/contrast/5", "adversarial/small/a", "adversarial/small/b", "adversarial/large/a",
)  # fmt: skip
ATTACKED = 5
SIX = ("error", "nll", "confidence", "entropy", "ece", "demographic_disparity")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.prepare(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def labels(data):
    return Labels(data, SEED, None, ATTACKED)


def made_up(labels, names, seed, strength=2.0):
    """Logits that are right more often than not, as they are stored."""
    random, found = np.random.default_rng(seed), {}
    for name in names:
        y = labels(name, "a")
        found[name] = (random.normal(size=(len(y), 3)) + strength * np.eye(3)[y]).astype(np.float16)
    return found


def sweep_logits(labels):
    found = {member.id: made_up(labels, CLEAN + FURTHER, k) for k, member in enumerate(MEMBERS)}
    return found | {name: made_up(labels, CLEAN, 10 + k) for k, name in enumerate((LP_FT.id, *DERIVED))}


@pytest.fixture(scope="module")
def logits(labels):
    return sweep_logits(labels)


@pytest.fixture(scope="module")
def table(labels, logits):
    rows = evaluate([*MEMBERS, LP_FT], logits, labels, draws=DRAWS, seed=SEED)
    return results.expand(results.table(rows))


def picked(table, **wanted):
    """Rows with these values; "" for settings that the whole table lacks."""
    for name, value in wanted.items():
        table = table[table[name] == value] if name in table else table if value == "" else table[:0]
    return table


def value(table, **wanted):
    found = picked(table, **wanted)
    assert len(found) == 1, f"{len(found)} rows of {wanted}"
    return found["value"].iloc[0]


# ---------------------------------------------------------------- the labels


def test_labels_are_of_the_images_that_were_judged(data):
    task, labels = Task(data), Labels(data, SEED, 6, 4)
    sample = task.sample("b", "test", 6, SEED)
    np.testing.assert_array_equal(labels("test/b", "a"), sample.y)
    attacked = {domain: task.sample(domain, "test", 4, SEED).y for domain in tiny.DOMAINS}
    for domain, y in attacked.items():
        np.testing.assert_array_equal(labels(f"adversarial/small/{domain}", "a"), y)
    # Drawn for themselves, they are not the first of those that are judged.
    assert any((y != task.sample(domain, "test", 6, SEED).y[:4]).any() for domain, y in attacked.items())
    np.testing.assert_array_equal(labels("val/b", "a"), task.split("b", "val").y)
    np.testing.assert_array_equal(labels("corrupted/contrast/3", "a"), task.sample("a", "test", 6, SEED).y)


# ---------------------------------------------------------------- the rows


def test_columns(table):
    assert set(table["paper"]) == {"assay"}
    assert set(table["dataset"]) == {"tiny"}
    assert set(table["train_domain"]) == {"a"}
    assert set(table["model"]) == {"cnn"}
    assert set(table["method"]) == {"erm"}
    assert set(table["seed"]) == {0}
    assert set(table["shift"]) == {"id", "ood", "corrupted"}
    assert set(table["run"]) == {member.id for member in (*MEMBERS, LP_FT)} | {
        dict(part.split("=") for part in derived_setting(name, [*MEMBERS, LP_FT]).split(";"))["run"] for name in DERIVED
    }


def test_settings(table):
    for member in MEMBERS:
        (said,) = picked(table, run=member.id, metric="error", shift="id", split="val").to_dict("records")
        assert {name: said[name] for name in ("arm", "regime", "finetune", "augment", "lr", "length")} == {
            "arm": "sweep",
            "regime": "full",
            "finetune": member.finetune,
            "augment": member.augment,
            "lr": "0.01",
            "length": "2epochs",
        }
        assert (said["corruption"], said["severity"], said["alpha"]) == ("", "", "")
    wise = picked(table, finetune="wise_ft")
    assert set(wise["alpha"]) == {"0.5"}
    assert set(wise["arm"]) == {"strategies"}
    assert set(picked(table, arm="strategies")["finetune"]) == {
        "lp_ft",
        "wise_ft",
        "uniform_soup",
        "greedy_soup",
        "last_layer",
    }
    corrupted = picked(table, shift="corrupted")
    assert set(zip(corrupted["corruption"], corrupted["severity"], strict=True)) == {
        ("contrast", "1"),
        ("contrast", "5"),
    }
    assert set(picked(table, shift="ood")["corruption"]) == {""}


def test_places(table):
    """Shift, split and test domain of every set of one network of the sweep."""
    one = picked(table, run=MEMBERS[0].id)
    found = set(zip(one["metric"], one["shift"], one["split"], one["test_domain"], strict=True))
    expected = {(m, "id", "val", "a") for m in SIX} | {(m, "id", "test", "a") for m in SIX}
    expected |= {(m, "ood", "test", domain) for m in SIX for domain in "bc"}
    attacked = {(f"adversarial_error_{name}", "id", "test", "a") for name in ("small", "large")}
    attacked |= {("adversarial_error_small", "ood", "test", "b")}
    expected |= attacked
    expected |= {(f"{metric}_stderr", *place) for metric, *place in expected}
    expected |= {(m, "corrupted", "test", "a") for m in CORRUPTED_METRICS}  # without standard errors
    estimates = {f"estimate_{name}" for name in ("atc", "doc", "agreement", "unchanged")}
    expected |= {(m, "ood", "test", domain) for m in estimates for domain in "bc"}
    assert found - {("environments_agree", "id", "val", "a")} == expected


def test_strategies_have_metrics_alone(table):
    """No standard errors, no estimates, no attacks."""
    for name in ("lp_ft", "wise_ft", "greedy_soup"):
        assert set(picked(table, finetune=name)["metric"]) == set(SIX)


def test_counts(table):
    assert set(picked(table, metric="error")["n"]) == {8}
    assert set(picked(table, metric="adversarial_error_small")["n"]) == {ATTACKED}


# ---------------------------------------------------------------- the values


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("name", CLEAN)
def test_values_by_hand(table, labels, logits, member, name):
    z, y = logits[member.id][name].astype(float), labels(name, "a")
    split, domain = name.split("/")
    place = {"run": member.id, "split": split, "test_domain": domain, "shift": "id" if domain == "a" else "ood"}
    p, n = softmax(z, 1), len(y)
    error = np.mean(z.argmax(1) != y)
    assert value(table, metric="error", **place) == pytest.approx(error)
    assert value(table, metric="error_stderr", **place) == pytest.approx(np.sqrt(error * (1 - error) / n))
    assert value(table, metric="nll", **place) == pytest.approx(-log_softmax(z, 1)[np.arange(n), y].mean())
    assert value(table, metric="confidence", **place) == pytest.approx(p.max(1).mean())
    assert value(table, metric="entropy", **place) == pytest.approx(-(p * np.log(p)).sum(1).mean())
    assert value(table, metric="ece", **place) == pytest.approx(float(metrics.ece(z, y)))
    disparity = float(metrics.demographic_disparity(z, y))
    assert value(table, metric="demographic_disparity", **place) == pytest.approx(disparity)
    spread = metrics.measure(z, y, draws=DRAWS, seed=SEED)["nll"].stderr
    assert value(table, metric="nll_stderr", **place) == pytest.approx(float(spread))


def test_corrupted_and_attacked_values(data, table, labels, logits):
    for member in MEMBERS:
        sets, y = logits[member.id], labels("test/a", "a")
        for severity in ("1", "5"):
            z = sets[f"corrupted/contrast/{severity}"]
            place = {"run": member.id, "shift": "corrupted", "corruption": "contrast", "severity": severity}
            assert value(table, metric="error", **place) == np.mean(z.argmax(1) != y)
            assert value(table, metric="ece", **place) == pytest.approx(float(metrics.ece(z, y)))
        for attack, domain in (("small", "a"), ("small", "b"), ("large", "a")):
            attacked = Task(data).sample(domain, "test", ATTACKED, SEED)
            wrong = sets[f"adversarial/{attack}/{domain}"].argmax(1) != attacked.y
            place = {"run": member.id, "test_domain": domain, "metric": f"adversarial_error_{attack}"}
            assert value(table, **place) == pytest.approx(wrong.mean())


def test_values_of_strategies(table, labels, logits):
    for name in (LP_FT.id, *DERIVED):
        text = LP_FT.setting() if name == LP_FT.id else derived_setting(name, [*MEMBERS, LP_FT])
        wrong = logits[name]["test/b"].argmax(1) != labels("test/b", "a")
        place = {"setting": text, "test_domain": "b", "metric": "error"}
        assert value(table, **place) == pytest.approx(wrong.mean())


def test_estimates_of_ood_error(table, labels, logits):
    """All from ID validation, as if there were no ID test split; for the sweep's networks alone."""
    y_val = labels("val/a", "a")
    stacks = {name: np.stack([logits[member.id][name] for member in MEMBERS]) for name in CLEAN}
    accuracy = (stacks["val/a"].argmax(-1) == y_val).mean(1)
    assert (accuracy != (stacks["test/a"].argmax(-1) == labels("test/a", "a")).mean(1)).any()
    for domain in "bc":
        shifted = stacks[f"test/{domain}"]
        agreed = estimators.agreement_on_the_line(stacks["val/a"].argmax(-1), shifted.argmax(-1), accuracy)
        for k, member in enumerate(MEMBERS):
            place = {"run": member.id, "shift": "ood", "split": "test", "test_domain": domain}
            known = stacks["val/a"][k]
            assert value(table, metric="estimate_atc", **place) == float(estimators.atc(known, y_val, shifted[k]))
            expected = float(estimators.doc(known, y_val, shifted[k]))
            assert value(table, metric="estimate_doc", **place) == pytest.approx(expected)
            confidence = [softmax(z.astype(float), 1).max(1).mean() for z in (known, shifted[k])]
            by_hand = np.mean(known.argmax(1) != y_val) + confidence[0] - confidence[1]
            assert expected == pytest.approx(by_hand)
            assert value(table, metric="estimate_unchanged", **place) == pytest.approx(1 - accuracy[k])
            assert value(table, metric="estimate_agreement", **place) == pytest.approx(1 - agreed.aline_d[k])
    assert set(table.loc[table["metric"].str.startswith("estimate"), "arm"]) == {"sweep"}


def test_no_estimate_knows_the_id_test_split(table, labels, logits):
    """Other logits there change its own metrics alone."""
    other = {name: dict(sets) for name, sets in logits.items()}
    for k, member in enumerate(MEMBERS):
        other[member.id]["test/a"] = made_up(labels, ["test/a"], 50 + k)["test/a"]
    again = results.expand(results.table(evaluate([*MEMBERS, LP_FT], other, labels, draws=DRAWS, seed=SEED)))
    estimates = [one[one["metric"].str.startswith("estimate")].reset_index(drop=True) for one in (table, again)]
    pd.testing.assert_frame_equal(*estimates)
    own = [one[(one["test_domain"] == "a") & (one["metric"] == "nll")]["value"].tolist() for one in (table, again)]
    assert own[0] != own[1]


def test_environments_are_inferred_the_official_way_too(table, labels, logits):
    """For one network, on validation: the ascent takes seconds where there are many images."""
    (found,) = picked(table, metric="environments_agree").to_dict("records")
    z, y = logits[MEMBERS[0].id]["val/a"], labels("val/a", "a")
    ascent = metrics.infer_environments_by_ascent(z, y, seed=SEED)
    assert found["value"] == np.mean(metrics.infer_environments(z, y) == ascent)
    assert (found["run"], found["shift"], found["split"], found["test_domain"], found["n"]) == (
        MEMBERS[0].id,
        "id",
        "val",
        "a",
        8,
    )


def test_one_row_says_how_many_environments_agree(labels, logits, monkeypatch):
    """Of the first network that did not diverge; one row, however many networks and training domains a group has."""
    asked = []

    def ascent(z, y, *, seed):
        asked.append(seed)
        found = metrics.infer_environments(z, y)
        return found ^ (np.arange(len(y)) < 3)  # three of eight images elsewhere

    monkeypatch.setattr(module, "infer_environments_by_ascent", ascent)
    lost = sweep_logits(labels)
    lost[MEMBERS[0].id]["test/b"][0] = np.nan
    for given, expected in ((logits, MEMBERS[0]), (lost, MEMBERS[1])):
        rows = list(evaluate([*MEMBERS, LP_FT], given, labels, draws=0, seed=SEED))
        (found,) = [row for row in rows if row["metric"] == "environments_agree"]
        assert found["value"] == 5 / 8
        assert found["setting"] == expected.setting()
        assert (found["dataset"], found["train_domain"], found["method"]) == ("tiny", "a", "erm")
    assert asked == [SEED, SEED]


def test_top_k_where_there_are_classes_enough(tmp_path):
    data = tiny.prepare(tmp_path / "many", classes=4)
    labels = Labels(data, SEED, None, ATTACKED)
    random = np.random.default_rng(0)
    narrow = {MEMBERS[0].id: {name: random.normal(size=(8, 4)).astype(np.float16) for name in CLEAN}}
    rows = list(evaluate(MEMBERS[:1], narrow, labels, draws=0, seed=SEED))
    assert not any("top" in row["metric"] for row in rows)
    assert not any("stderr" in row["metric"] for row in rows)
    wide = {MEMBERS[0].id: {name: random.normal(size=(8, 6)).astype(np.float16) for name in CLEAN}}
    table = results.expand(results.table(evaluate(MEMBERS[:1], wide, labels, draws=0, seed=SEED)))
    y = labels("test/b", "a")
    top = np.argsort(-wide[MEMBERS[0].id]["test/b"], 1)[:, :5]
    assert value(table, metric="top5_accuracy", test_domain="b") == np.mean((top == y[:, None]).any(1))


def test_order_of_the_logits_has_no_effect(table, labels, logits):
    turned = {name: dict(reversed(sets.items())) for name, sets in reversed(logits.items())}
    rows = results.table(evaluate([*MEMBERS, LP_FT], turned, labels, draws=DRAWS, seed=SEED))
    one, other = (
        frame[frame["metric"] != "environments_agree"].reset_index(drop=True)
        for frame in (rows, table[list(results.COLUMNS)])
    )
    assert one[results.KEY].equals(other[results.KEY])
    np.testing.assert_allclose(one["value"], other["value"], rtol=1e-12)


# ---------------------------------------------------------------- networks that diverged


@pytest.mark.parametrize(("where", "what"), [("val/a", np.nan), ("test/b", np.inf)])
def test_a_network_that_diverged_has_one_row(labels, table, where, what):
    """Others are measured as before, the estimates of those that agree with it aside."""
    logits = sweep_logits(labels)
    logits[MEMBERS[1].id][where][0, 0] = what
    logits["greedy_soup"]["val/a"][:] = np.nan
    found = results.expand(results.table(evaluate([*MEMBERS, LP_FT], logits, labels, draws=DRAWS, seed=SEED)))
    lost = picked(found, metric="diverged")
    assert sorted(lost["finetune"]) == ["greedy_soup", "head"]
    assert set(lost["value"]) == {1.0}
    for wanted in ({"run": MEMBERS[1].id}, {"finetune": "greedy_soup"}):
        assert list(picked(found, **wanted)["metric"]) == ["diverged"]
    keep = ["run", "metric", "test_domain", "shift", "split", "corruption", "severity", "value"]
    kept, before = (
        frame.loc[~frame["metric"].isin(["diverged", "environments_agree", "estimate_agreement"]), keep]
        for frame in (found, table[(table["run"] != MEMBERS[1].id) & (table["finetune"] != "greedy_soup")])
    )
    # Means over other numbers of networks at a time may differ in their last digits, by the processor.
    pd.testing.assert_frame_equal(kept.reset_index(drop=True), before.reset_index(drop=True), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("left", [(), (LP_FT.id,)], ids=["none is left", "a strategy is left"])
def test_all_networks_of_the_sweep_diverged(labels, left):
    logits = sweep_logits(labels)
    for name in logits.keys() - set(left):
        logits[name]["val/a"][0] = np.nan
    rows = list(evaluate([*MEMBERS, LP_FT], logits, labels, draws=DRAWS, seed=SEED))
    assert sum(row["metric"] == "diverged" for row in rows) == len(logits) - len(left)
    assert not any(row["metric"].startswith("estimate") for row in rows)
    agreeing = [row["setting"] for row in rows if row["metric"] == "environments_agree"]
    assert agreeing == [LP_FT.setting() for _ in left]
    measured = {row["setting"] for row in rows if row["metric"] == "error"}
    assert measured == {LP_FT.setting() for _ in left}  # the others have the one row


# ---------------------------------------------------------------- the other arms


def test_pooled_domains_are_id_and_the_held_out_one_is_ood(data, labels):
    members = [run(arm="invariance", sources="a+b", method=m, draw=d) for m in ("erm", "irm") for d in (0, 1)]
    names = [f"{split}/{domain}" for split in ("val", "test") for domain in "abc"]
    logits = {member.id: made_up(labels, names, k) for k, member in enumerate(members)}
    table = results.expand(results.table(evaluate(members, logits, labels, draws=DRAWS, seed=SEED)))
    assert set(table["train_domain"]) == {"a+b"}
    places = set(zip(table["shift"], table["split"], table["test_domain"], strict=True))
    assert places == {("id", split, domain) for split in ("val", "test") for domain in "ab"} | {
        ("ood", split, "c") for split in ("val", "test")
    }
    assert set(zip(table["method"], table["draw"], strict=True)) == {(m, d) for m in ("erm", "irm") for d in "01"}
    assert set(table["metric"]) == set(SIX)
    wrong = logits[members[3].id]["val/c"].argmax(1) != Task(data).split("c", "val").y
    place = {"method": "irm", "draw": "1", "split": "val", "test_domain": "c", "metric": "error"}
    assert value(table, **place) == pytest.approx(wrong.mean())


def test_a_domain_whose_name_is_part_of_another_ones_is_ood(tmp_path):
    data = tiny.prepare(tmp_path / "tiny", domains=("pen", "pencil", "b"))
    member, logits = run(sources="pencil"), np.ones((8, 3), np.float16)
    sets = dict.fromkeys(("val/pencil", "test/pencil", "test/pen"), logits)
    rows = list(evaluate([member], {member.id: sets}, Labels(data, SEED, None, ATTACKED), draws=0, seed=SEED))
    places = {(row["test_domain"], row["shift"]) for row in rows}
    assert places == {("pencil", "id"), ("pen", "ood")}


def test_planted_cue(labels):
    members = [run(arm="planted_cue", sources="a+b", method=m, seed=s) for m in ("erm", "irm") for s in (0, 1)]
    rows = []
    for k, member in enumerate(members):
        logits = {member.id: made_up(labels, ("val/a", "val/b", "test/c"), k)}
        rows += evaluate([member], logits, labels, draws=DRAWS, seed=SEED)
    table = results.expand(results.table(rows))
    assert set(zip(table["shift"], table["split"], table["test_domain"], strict=True)) == {
        ("id", "val", "a"),
        ("id", "val", "b"),
        ("ood", "test", "c"),
    }
    assert set(zip(table["method"], table["seed"], strict=True)) == {(m, s) for m in ("erm", "irm") for s in (0, 1)}


def test_number_of_classes(labels):
    row = classes("tiny", labels)
    assert (row["metric"], row["value"], row["n"]) == ("classes", 3.0, 120)
    results.table([row])
