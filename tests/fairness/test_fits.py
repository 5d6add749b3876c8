"""What is chosen on validation keeps its promises there, and depends on nothing but scores, labels and groups."""

import inspect
import json

import numpy as np
import pytest

from reprise.fairness import fits
from reprise.fairness.evaluate import _randomised
from reprise.fairness.merge import demographic_parity_gap, gap, merged_score
from reprise.fairness.params import Merge
from reprise.fairness.thresholds import apply_group_thresholds

SETTINGS = Merge(epsilons=4, near_parity=0.01, b_points=41, b_range=4.0)
HEADS = ["mse_linear", "bce"]


def validation(n=1000, seed=0, pull=0.8):
    """Scores as networks give them: group 1 is behind, the fair network leans towards it by `pull` times the group."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 2, n).astype(np.uint8)
    evidence = 0.4 * (1 - 2.0 * a) + rng.normal(size=n)
    y = (evidence + 0.35 * rng.normal(size=n) > 0).astype(np.uint8)
    z1 = 2 * (evidence + 0.3 * rng.normal(size=n))
    z2 = a + 0.25 * rng.normal(size=n)
    fair = z1 + pull * (z2 - 0.5) + 0.1 * rng.normal(size=n)
    return {
        "y": y,
        "a": a,
        "unconstrained.0/logits": (z1 + 0.2 * rng.normal(size=n))[:, None],
        "ddp_squared.10/logits": fair[:, None],
        "two_headed.mse_linear/logits": np.column_stack([z1, z2]),
        "two_headed.bce/logits": np.column_stack([z1, 6 * z2 - 3]),
    }


def fit(val, **changes):
    return fits.fit(val, **{"heads": HEADS, "settings": SETTINGS, "randomised": False, **changes})


VAL = validation()
FOUND = fit(VAL)
Y, A = VAL["y"], VAL["a"]
Z1, Z2 = VAL["two_headed.mse_linear/logits"].T


def test_slack_runs_from_a_thousandth_to_the_unconstrained_gap_and_ends_with_near_parity():
    base = abs(demographic_parity_gap(VAL["unconstrained.0/logits"][:, 0] > 0, A))
    step = (base - 0.001) / 4
    assert FOUND["epsilons"] == pytest.approx([0.001, 0.001 + step, 0.001 + 2 * step, 0.001 + 3 * step, 0.01])


@pytest.mark.parametrize("loss", HEADS)
def test_merges_keep_their_slack_exactly(loss):
    z1, z2 = VAL[f"two_headed.{loss}/logits"].T
    found = FOUND[f"merge.{loss}"]
    for k, epsilon in enumerate(FOUND["epsilons"]):
        decision = merged_score(z1, z2, found["b"][k], found["c"][k]) > 0
        assert abs(demographic_parity_gap(decision, A)) <= epsilon
        assert demographic_parity_gap(decision, A) == found["gap"][k]
        assert (decision == Y).mean() == found["accuracy"][k]
        assert found["accuracy"][k] > max(Y.mean(), 1 - Y.mean()) + 0.1


def test_more_slack_is_never_less_accurate():
    accuracy = FOUND["merge.mse_linear"]["accuracy"][:-1]
    assert (np.diff(accuracy) >= 0).all()
    assert (np.diff(FOUND["frontier"]["accuracy"]) > 0).all()
    assert (np.diff(np.abs(FOUND["frontier"]["gap"])) > 0).all()


@pytest.mark.parametrize(("name", "group"), [("oracle", A), ("perceived", (Z2 > 0.5).astype(int))])
def test_thresholds_keep_their_slack_exactly(name, group):
    for k, epsilon in enumerate(FOUND["epsilons"]):
        decision = apply_group_thresholds(Z1, group, [FOUND[name]["t0"][k], FOUND[name]["t1"][k]])
        assert abs(demographic_parity_gap(decision, A)) <= epsilon


def test_group_is_read_off_a_log_loss_head_at_logit_zero():
    """A head trained on logits says group 1 above 0 (probability 1/2), not above 0.5."""
    val = {**VAL, "two_headed.bce/logits": np.column_stack([Z1, 0.2 * (2.0 * A - 1)])}  # perfect, but cautious
    found = fit(val, heads=["bce"])
    oracle, perceived = ([found[name][t] for t in ("t0", "t1")] for name in ("oracle", "perceived"))
    np.testing.assert_allclose(oracle, perceived)


def test_plug_in_and_equal_opportunity_are_feasible():
    plug = FOUND["plug_in"]
    decision = merged_score(1 / (1 + np.exp(-Z1)) - 0.5, np.clip(Z2, 0, 1), plug["b"][0], plug["c"][0]) > 0
    assert abs(demographic_parity_gap(decision, A)) <= 0.01
    equal = FOUND["equal_opportunity"]
    decision = merged_score(Z1, Z2, equal["b"][0], equal["c"][0]) > 0
    assert abs(gap(decision, Y, A, "equal_opportunity")) <= 0.01


def test_lipton_narrows_the_gap_step_by_step():
    base = VAL["unconstrained.0/logits"][:, 0]
    gaps = [demographic_parity_gap(apply_group_thresholds(base, A, t), A) for t in FOUND["lipton"]["t"]]
    assert FOUND["lipton"]["t"][0] == [0.0, 0.0]
    assert gaps[0] < -0.2
    assert (np.diff(gaps) > 0).all()
    assert abs(gaps[-1]) < 0.01


def test_agreement_finds_what_the_fair_network_does():
    agree = FOUND["agree.10"]
    decision = VAL["ddp_squared.10/logits"][:, 0] > 0
    merged = merged_score(Z1, Z2, agree["b"], agree["c"]) > 0
    shifted = Z1 + agree["shift_c"] > 0
    assert (merged == decision).mean() > 0.97
    assert (merged == decision).mean() >= (shifted == decision).mean() >= ((Z1 > 0) == decision).mean()
    assert agree["b"] == pytest.approx(0.8, abs=0.3)


def test_matched_merge_never_sees_the_fair_network_but_for_its_gap():
    val = dict(VAL)
    rng = np.random.default_rng(1)
    shuffled = np.empty(len(Y))
    for group in (0, 1):  # other people, the same selection rates
        members = np.flatnonzero(group == A)
        shuffled[members] = rng.permutation(VAL["ddp_squared.10/logits"][members, 0])
    val["ddp_squared.10/logits"] = shuffled[:, None]
    assert fit(val)["agree.10"]["matched"] == FOUND["agree.10"]["matched"]
    own = abs(demographic_parity_gap(VAL["ddp_squared.10/logits"][:, 0] > 0, A))
    assert abs(FOUND["agree.10"]["matched"]["gap"][0]) <= own


def test_recovery_takes_the_group_back_out():
    recover = FOUND["recover.10"]
    assert recover["merge"]["b"][0] < 0  # against the weight that made the network fair
    assert recover["shift"]["b"] == [0.0]
    assert recover["merge"]["accuracy"][0] >= recover["shift"]["accuracy"][0]


def test_one_entry_per_fair_network():
    val = {**VAL, "ddp_squared.0.5/logits": VAL["ddp_squared.10/logits"], "ddp_abs.1/logits": np.zeros((len(Y), 1))}
    found = fit(val, heads=HEADS[:1])
    assert {name for name in found if name.startswith(("agree", "recover"))} == {
        "agree.0.5",
        "agree.10",
        "recover.0.5",
        "recover.10",
    }
    assert "merge.bce" not in found


def test_order_of_the_rows_changes_nothing():
    order = np.random.default_rng(0).permutation(len(Y))
    again = fit({name: array[order] for name, array in VAL.items()}, randomised=True)
    expected = fit(VAL, randomised=True)

    def compare(one, two, where):
        if isinstance(one, dict):
            assert one.keys() == two.keys()
            for key in one:
                compare(one[key], two[key], f"{where}.{key}")
        elif isinstance(one, list) and one and isinstance(one[0], str):
            assert one == two, where
        else:
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12, err_msg=where)

    compare(again, expected, "fit")


def test_a_fit_is_plain_numbers():
    found = fit(VAL, randomised=True)
    assert json.loads(json.dumps(found)) == found


def test_a_fit_can_be_handed_validation_only():
    """What keeps test labels out is the signature: one set of predictions, and settings that hold no data."""
    assert list(inspect.signature(fits.fit).parameters) == ["val", "heads", "settings", "randomised"]


@pytest.mark.parametrize("seed", range(3))
def test_randomised_rule_is_fairlearns(seed):
    """Score by score the probability of a positive decision equals that of fairlearn's own ThresholdOptimizer."""
    from fairlearn.postprocessing import ThresholdOptimizer
    from sklearn.base import BaseEstimator

    class Scores(BaseEstimator):
        def fit(self, x, y):
            return self

        def predict(self, x):
            return x[:, 0]

        def __sklearn_is_fitted__(self):
            return True

    rng = np.random.default_rng(seed)
    val = validation(400, seed)
    y, a, score = val["y"], val["a"], val["unconstrained.0/logits"]
    if seed == 2:
        score = np.round(score)  # many ties
    theirs = ThresholdOptimizer(
        estimator=Scores(), constraints="demographic_parity", prefit=True, predict_method="predict", grid_size=1000
    ).fit(score, y, sensitive_features=a)
    ours = fits._threshold_optimizer(score[:, 0], y, a)
    new, groups = rng.normal(0, 2, (500, 1)), rng.integers(0, 2, 500)
    if seed == 2:
        new = np.round(new)
    expected = theirs._pmf_predict(new, sensitive_features=groups)[:, 1]
    probability = _randomised(new[:, 0], groups, ours)
    np.testing.assert_allclose(probability, expected, atol=1e-12)
    if seed == 0:
        assert ((probability > 0.001) & (probability < 0.999)).any()  # it does randomise
    rates = [_randomised(score[:, 0], a, ours)[a == group].mean() for group in (0, 1)]
    assert rates[0] == pytest.approx(rates[1], abs=2e-3)


def test_unconstrained_network_without_a_gap():
    """Slack values stay increasing and distinct when there is (almost) nothing to repair."""
    val = {**VAL, "unconstrained.0/logits": np.full((len(Y), 1), -1.0)}
    epsilons = fit(val)["epsilons"]
    assert (np.diff(epsilons[:-1]) > 0).all()
