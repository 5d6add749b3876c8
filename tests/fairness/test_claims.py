"""The ledger's entries: stable ids, the bounds of the specification, and verdicts on a table of known numbers."""

import numpy as np
import pytest

from reprise import results
from reprise.claims import INCONCLUSIVE, NOT_MEASURED, NOT_REPRODUCED, REPRODUCED, decide
from reprise.fairness.claims import CLAIMS
from reprise.results import setting

BY_ID = {claim.id.removeprefix("fairness."): claim for claim in CLAIMS}

# Specification, section 5.2 and the gating checks of 5.3: id -> (low, high, rule).
BOUNDS = {
    "setup-accuracy": (0.78, 0.84, "every seed"),
    "setup-gap": (0.25, 0.36, "every seed"),
    "setup-group-head": (0.88, None, "every seed"),
    "setup-ceiling": (0.90, 0.95, "every seed"),
    "awareness": (0.8, None, "every seed"),
    "awareness-all": (0.5, None, "mean"),
    "awareness-rise": (0.02, None, "every seed"),
    "awareness-over-unconstrained": (1e-9, None, "every seed"),
    "fold": (None, 1e-5, "every seed"),
    "fold-decisions": (1.0, None, "every seed"),
    "approximation": (0.92, None, "every seed"),
    "approximation-strong": (0.89, None, "every seed"),
    "approximation-needs-group-head": (0.04, None, "every seed"),
    "approximation-ceiling": (-0.02, None, "every seed"),
    "approximation-logits": (0.88, None, "every seed"),
    "approximation-sign": (1e-9, None, "every seed"),
    "approximation-grows": (1e-9, None, "mean"),
    "recovery": (-0.025, None, "every seed"),
    "recovery-strong": (-0.04, None, "every seed"),
    "recovery-needs-group-head": (0.01, None, "every seed"),
    "recovery-gap": (0.6, None, "every seed"),
    "merge-parity": (None, 0.05, "every seed"),
    "merge-parity-tolerance": (None, 0.062, "every seed"),
    "merge-validation": (None, 0.01, "every seed"),
    "merge-accuracy": (0.01, None, "every seed"),
    "merge-oracle": (-0.02, None, "every seed"),
    "merge-frontier": (None, 0.0, "every seed"),
    "flips-merge": (0.95, None, "every seed"),
    "flips-fair": (0.90, None, "every seed"),
    "flips-noise": (0.25, 0.75, "every seed"),
    "degeneracy-rates": (0.05, 0.95, "every seed"),
    "degeneracy-accuracy": (0.03, None, "every seed"),
    "pair-test": (0.10, None, "every seed"),
    "pair-test-reverse": (None, 0.02, "every seed"),
    "pair-test-ratio": (10.0, None, "every seed"),
    "pair-test-unconstrained": (None, 0.07, "every seed"),
    "pair-test-scratch": (0.08, None, "every seed"),
    "adult-approximation": (0.96, None, "every seed"),
    "adult-approximation-needs-group-head": (0.02, None, "every seed"),
    "adult-recovery": (-0.01, None, "every seed"),
    "adult-recovery-gap": (0.8, None, "every seed"),
    "adult-merge-accuracy": (0.82, None, "every seed"),
    "adult-merge-parity": (None, 0.03, "every seed"),
}


def test_ids_are_stable():
    """Dashboards and pull requests know claims by their id: one may be added here, none renamed or dropped."""
    assert set(BOUNDS) | {"awareness-beyond-forgetting", "awareness-from-scratch"} <= set(BY_ID)
    assert len(BY_ID) == len(CLAIMS)


@pytest.mark.parametrize(("name", "expected"), BOUNDS.items(), ids=BOUNDS)
def test_bounds_are_those_of_the_specification(name, expected):
    claim = BY_ID[name]
    assert (claim.low, claim.high, claim.rule) == (
        expected[0],
        pytest.approx(expected[1], abs=1e-9) if expected[1] is not None else None,
        expected[2],
    )


def test_headlines_cover_the_claims_of_the_paper():
    headlines = {name for name, claim in BY_ID.items() if claim.headline}
    assert {"awareness", "approximation", "recovery", "merge-parity", "merge-accuracy", "fold"} <= headlines


def test_only_known_numbers_are_quoted():
    """No table of the paper is known to us: a quoted value names the released notebook as its source."""
    for claim in CLAIMS:
        if claim.paper_value:
            assert "notebook" in claim.paper_value or claim.paper_value == "exact identity", claim.id


def test_no_claim_is_worded_as_law():
    forbidden = ("illegal", "unlawful", "compliant", "discriminat", "80%", "80 %")
    for claim in CLAIMS:
        words = f"{claim.statement} {claim.measured}".lower()
        assert not any(word in words for word in forbidden), claim.id


# ---------------------------------------------------------------- verdicts on known numbers


class World:
    """Rows of three seeds; a value is a number for all of them or one for each."""

    def __init__(self):
        self.rows = {}

    def put(self, method, metric, value, arm="main", dataset="faces", target="mouth", **variant):
        for seed, one in enumerate(np.broadcast_to(value, 3)):
            text = setting(target=target, arm=arm, **variant)
            row = {"paper": "fairness", "dataset": dataset, "method": method, "setting": text, "seed": seed}
            row |= {"split": "test", "metric": metric, "value": float(one), "n": 3000}
            self.rows[method, metric, text, dataset, seed] = row
        return self

    def verdict(self, name):
        return decide(BY_ID[name], results.expand(results.table(self.rows.values())))


def probes(**values):
    world = World()
    for level, value in zip(("0", "1", "3", "10", "30", "100"), values["main"], strict=True):
        world.put("unconstrained" if level == "0" else "ddp_squared", "probe_accuracy", value, level=level)
    return world


CALIBRATED = [0.886, 0.863, 0.865, 0.887, 0.907, 0.918]  # section 5.1


def test_awareness_of_the_calibration():
    world = probes(main=CALIBRATED)
    assert world.verdict("awareness")["value"] == pytest.approx(1.0)
    assert world.verdict("awareness")["verdict"] == REPRODUCED
    # Ranks 3 1 2 4 5 6 against 1..6: squared differences 4 + 1 + 1, rho = 1 - 6 * 6 / 210.
    assert world.verdict("awareness-all")["value"] == pytest.approx(1 - 36 / 210)
    assert world.verdict("awareness-rise")["value"] == pytest.approx(0.053)
    assert world.verdict("awareness-over-unconstrained")["value"] == pytest.approx(0.032)


def test_awareness_that_falls_is_not_reproduced():
    world = probes(main=CALIBRATED[::-1])
    for name in ("awareness", "awareness-all", "awareness-rise", "awareness-over-unconstrained"):
        assert world.verdict(name)["verdict"] == NOT_REPRODUCED


def test_awareness_of_two_seeds_out_of_three_is_inconclusive():
    world = probes(main=CALIBRATED)
    world.put("ddp_squared", "probe_accuracy", [0.918, 0.918, 0.80], level="100")
    assert world.verdict("awareness")["verdict"] == INCONCLUSIVE
    assert world.verdict("awareness-rise")["worst"] == pytest.approx(0.80 - 0.865)


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_awareness_without_any_change_is_no_evidence():
    assert probes(main=[0.8] * 6).verdict("awareness")["verdict"] in (NOT_REPRODUCED, INCONCLUSIVE)


def test_forgetting_control():
    world = probes(main=CALIBRATED)
    for level, value in (("0", 0.80), ("100", 0.92)):
        world.put("unconstrained" if level == "0" else "ddp_squared", "probe_accuracy", value, "fair", level=level)
    entry = world.verdict("awareness-beyond-forgetting")
    assert entry["value"] == pytest.approx(0.032 - 0.12)
    assert entry["verdict"] == NOT_REPRODUCED
    claim = BY_ID["awareness-beyond-forgetting"]
    story = claim.explanation(results.expand(results.table(world.rows.values())))
    assert "0.886 to 0.918" in story
    assert "0.800 to 0.920" in story


def test_approximation_takes_the_worse_strength():
    world = World()
    for level, agreement, shift in (
        ("3", [0.95, 0.94, 0.96], 0.88),
        ("10", [0.93, 0.95, 0.91], 0.85),
        ("30", 0.92, 0.84),
    ):
        world.put("approximation", "agreement", agreement, level=level)
        world.put("approximation", "agreement_shift", shift, level=level)
    entry = world.verdict("approximation")
    assert entry["value"] == pytest.approx((0.93 + 0.94 + 0.91) / 3)
    assert (entry["worst"], entry["verdict"]) == (0.91, INCONCLUSIVE)
    assert world.verdict("approximation-strong")["verdict"] == REPRODUCED
    assert world.verdict("approximation-needs-group-head")["worst"] == pytest.approx(0.91 - 0.85)
    assert world.verdict("approximation-ceiling")["verdict"] == NOT_MEASURED  # no twin was trained


def test_grows_needs_the_interval_to_clear_the_bound():
    world = World().put("approximation", "b", 1.0, level="3").put("approximation", "b", [1.3, 1.4, 1.35], level="10")
    assert world.verdict("approximation-grows")["verdict"] == REPRODUCED
    world.put("approximation", "b", [0.9, 1.8, 1.0], level="10")
    entry = world.verdict("approximation-grows")
    assert entry["value"] > 0.2
    assert entry["ci_low"] < 0
    assert entry["verdict"] == INCONCLUSIVE


def test_recovery():
    world = World().put("unconstrained", "accuracy", 0.815, level="0").put("unconstrained", "ddp", -0.30, level="0")
    for level, accuracy, threshold, gap in (
        ("3", 0.809, 0.792, -0.28),
        ("10", 0.803, 0.775, -0.27),
        ("30", 0.796, 0.762, -0.17),
    ):
        world.put("recovered", "accuracy", accuracy, level=level).put(
            "rethresholded", "accuracy", threshold, level=level
        )
        world.put("recovered", "ddp", gap, level=level)
    assert world.verdict("recovery")["value"] == pytest.approx(-0.012)
    assert world.verdict("recovery-strong")["value"] == pytest.approx(-0.019)
    assert world.verdict("recovery-needs-group-head")["value"] == pytest.approx(0.017)
    entry = world.verdict("recovery-gap")
    assert entry["value"] == pytest.approx(0.17 / 0.30)
    assert entry["verdict"] == NOT_REPRODUCED


def test_merge_near_parity():
    world = World().put("merge", "ddp", [0.017, -0.049, 0.051], level="mse_linear", eps="near")
    world.put("merge", "ddp", 0.9, level="bce", eps="near").put("merge", "ddp", 0.9, level="mse_linear", eps="0.1000")
    entry = world.verdict("merge-parity")
    assert entry["value"] == pytest.approx((0.017 + 0.049 + 0.051) / 3)  # sizes: over-correction does not cancel
    assert (entry["worst"], entry["verdict"]) == (0.051, INCONCLUSIVE)
    assert world.verdict("merge-parity-tolerance")["verdict"] == REPRODUCED


def test_flips_take_the_less_pure_direction():
    world = World()
    for direction, purity, noise in (("up", 0.97, 0.55), ("down", 0.89, 0.30)):
        variant = {"level": "10", "direction": direction}
        world.put("flips.ddp_squared", "purity_perceived", purity, **variant)
        world.put("flips.seed_noise", "purity_perceived", noise, level="0", direction=direction)
    assert world.verdict("flips-fair")["value"] == pytest.approx(0.89)
    assert world.verdict("flips-fair")["verdict"] == NOT_REPRODUCED
    assert world.verdict("flips-noise")["value"] == pytest.approx(0.30)
    assert world.verdict("flips-noise")["verdict"] == REPRODUCED
    assert world.verdict("flips-merge")["verdict"] == NOT_MEASURED


def test_pair_test():
    world = (
        World()
        .put("ddp_squared", "pair_favours_1", 0.17, level="10")
        .put("ddp_squared", "pair_favours_0", 0.002, level="10")
    )
    world.put("unconstrained", "pair_favours_1", [0.02, 0.03, 0.08], level="0")
    world.put("unconstrained", "pair_favours_0", 0.04, level="0")
    world.put("ddp_squared", "pair_favours_1", 0.01, "scratch", level="10")
    assert world.verdict("pair-test")["verdict"] == REPRODUCED
    assert world.verdict("pair-test-reverse")["verdict"] == REPRODUCED
    assert world.verdict("pair-test-ratio")["value"] == pytest.approx(85)
    assert world.verdict("pair-test-unconstrained")["verdict"] == INCONCLUSIVE
    assert world.verdict("pair-test-scratch")["verdict"] == NOT_REPRODUCED
    world.put("ddp_squared", "pair_favours_0", 0.0, level="10")
    assert np.isfinite(world.verdict("pair-test-ratio")["value"])


def test_degeneracy_looks_at_every_rule():
    world = World().put("constant", "accuracy", 0.52)
    for method, accuracy, rate in (("unconstrained", 0.81, 0.5), ("ddp_abs", 0.54, 0.97), ("oracle", 0.76, 0.1)):
        variant = {"eps": "near"} if method == "oracle" else {"level": "1"}
        world.put(method, "accuracy", accuracy, **variant).put(method, "selection_rate", rate, **variant)
    assert world.verdict("degeneracy-accuracy")["value"] == pytest.approx(0.02)
    assert world.verdict("degeneracy-accuracy")["verdict"] == NOT_REPRODUCED
    assert world.verdict("degeneracy-rates")["value"] == pytest.approx(0.97)
    story = BY_ID["degeneracy-accuracy"].explanation(results.expand(results.table(world.rows.values())))
    assert "ddp_abs 1: 0.540" in story


def test_other_targets_data_sets_and_arms_do_not_count():
    world = World()
    for place in ({"target": "glasses"}, {"dataset": "loanapp"}, {"arm": "twin"}):
        world.put("unconstrained", "accuracy", 0.80, level="0", **place)
    assert world.verdict("setup-accuracy")["verdict"] == NOT_MEASURED
    world.put("unconstrained", "accuracy", 0.80, level="0")
    assert world.verdict("setup-accuracy")["verdict"] == REPRODUCED


def test_seeds_that_lack_a_part_do_not_count():
    world = probes(main=CALIBRATED)
    dropped = setting(target="mouth", arm="main", level="3")
    world.rows = {key: row for key, row in world.rows.items() if (row["seed"], row["setting"]) != (1, dropped)}
    assert world.verdict("awareness")["seeds"] == 2
    assert world.verdict("awareness-over-unconstrained")["seeds"] == 3


def test_adult():
    world = World()
    place = {"dataset": "adult", "target": "income"}
    world.put("approximation", "agreement", 0.977, level="10", **place)
    world.put("approximation", "agreement_shift", 0.947, level="10", **place)
    world.put("recovered", "accuracy", 0.849, level="10", **place).put("recovered", "ddp", 0.188, level="10", **place)
    world.put("unconstrained", "accuracy", 0.849, level="0", **place).put(
        "unconstrained", "ddp", 0.183, level="0", **place
    )
    world.put("merge", "accuracy", 0.834, level="mse_linear", eps="near", **place)
    world.put("merge", "ddp", 0.016, level="mse_linear", eps="near", **place)
    for name in BOUNDS:
        if name.startswith("adult"):
            assert world.verdict(name)["verdict"] == REPRODUCED, name
