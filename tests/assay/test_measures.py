"""What the claims measure, against rows of analyses written by hand."""

import numpy as np
import pandas as pd
import pytest

from assay.ledger import averaged, counted, loadings, moved, photographs, planted, row
from reprise import results
from reprise.assay import measures, stories
from reprise.assay.measures import TRANSFERRED, average, rows_of
from reprise.claims import Measured


def table(*groups):
    return results.expand(results.table([one for group in groups for one in group]))


EMPTY = results.expand(results.table([]))
RHO = averaged("predictors", "spearman", 0.4, 0.3, 0.6, predictor="id_error")


# ---------------------------------------------------------------- rows and averages


def test_rows_of_takes_the_rows_that_are_so():
    found = table(
        RHO, averaged("predictors", "spearman", 0.1, predictor="id_ece"), averaged("transfer", "spearman", 0.2)
    )
    assert list(rows_of(found, "predictors", "spearman", predictor="id_ece")["value"]) == [0.1]
    assert list(rows_of(found, "transfer", "spearman")["value"]) == [0.2]
    assert rows_of(found, "predictors", "spearman", predictor="none").empty
    assert rows_of(found, "predictors", "spearman", never_a_key="x").empty
    assert rows_of(EMPTY, "predictors", "spearman").empty


def test_average_with_its_interval():
    others = [
        averaged("predictors", "spearman", 0.9, over="tasks", dataset="all", predictor="id_error"),
        averaged("predictors", "spearman", 0.8, dataset="colored", predictor="id_error"),
        averaged("predictors", "spearman", 0.7, over="pairs_median", predictor="id_error"),
        [row("predictors", "spearman", 0.6, train="pen", test="font", predictor="id_error")],
    ]
    found = table(RHO, *others)
    assert average(found, "predictors", "spearman", predictor="id_error") == Measured(0.4, 0.3, 0.6)
    assert average(found, "predictors", "spearman", over="tasks", dataset="all").value == 0.9
    assert average(found, "predictors", "gain", predictor="id_error") is None
    assert average(EMPTY, "predictors", "spearman") is None
    no_interval = table([row("predictors", "spearman", 0.5, average="pairs", predictor="id_error")])
    assert average(no_interval, "predictors", "spearman") == Measured(0.5, 0.5, 0.5)


def test_mean_of_turns_errors_into_accuracies():
    measure = measures.mean_of("interventions", "difference", sign=-1.0, of="ood_error")
    assert measure(table(averaged("interventions", "difference", -0.04, -0.05, -0.01, of="ood_error"))) == Measured(
        0.04, 0.01, 0.05
    )
    assert measure(EMPTY) == {}


def test_extreme():
    values = {"x": (0.1, 0.0, 0.2), "y": (0.3, 0.1, 0.4), "z": (-0.2, -0.3, 0.0)}
    found = table(*(averaged("predictors", "gain", *ends, predictor=name) for name, ends in values.items()))

    def of(choose, *names):
        return measures.extreme(choose, names, "predictors", "gain", "predictor")(found)

    assert of(max, "x", "y", "z") == Measured(*values["y"])
    assert of(min, "x", "y", "z") == Measured(*values["z"])
    assert of(max, "x", "absent") == Measured(*values["x"])
    assert of(max, "absent") == {}


def test_apart():
    measure = measures.apart(("selection", "regret", {"rule": "random"}), ("selection", "regret", {"rule": "id_val"}))
    both = [averaged("selection", "regret", value, rule=name) for name, value in (("random", 0.5), ("id_val", 0.2))]
    assert measure(table(*both)) == Measured(*[pytest.approx(0.3)] * 3)
    assert measure(table(both[0])) == measure(table(both[1])) == {}


def test_scope_is_all_tasks_as_soon_as_a_natural_data_set_is_there():
    digits, tasks = {"over": "pairs", "dataset": "digits"}, {"over": "tasks", "dataset": "all"}
    toys = table(RHO, moved(RHO), [row("radar", "accuracy", 0.5, dataset="colored", model="cnn")])
    mixed = table(RHO, [photographs()])
    assert measures.scope(EMPTY, True) == measures.scope(toys, True) == digits
    assert measures.scope(mixed, True) == tasks
    assert measures.scope(mixed, False) == digits


def test_every_kind_of_average_follows_the_scope():
    """Digits by default; everywhere, the row of all tasks."""
    on_digits = RHO + averaged("predictors", "spearman", 0.1, predictor="id_ece")
    everywhere = [one | {"value": one["value"] + 0.2 * (one["setting"].count("id_error"))} for one in moved(on_digits)]
    found = table(on_digits, everywhere, [photographs()])
    keys = [("predictors", "spearman", {"predictor": name}) for name in ("id_error", "id_ece")]
    for wide, value, apart in ((False, 0.4, 0.3), (True, 0.6, 0.5)):
        rho = measures.mean_of("predictors", "spearman", everywhere=wide, predictor="id_error")(found)
        assert rho.value == pytest.approx(value)
        names = ("id_error", "id_ece")
        most = measures.extreme(max, names, "predictors", "spearman", "predictor", everywhere=wide)(found)
        assert most == rho
        assert measures.apart(*keys, everywhere=wide)(found).value == pytest.approx(apart)


# ---------------------------------------------------------------- transfer and shapes


def transfers(**values):
    return table(*(averaged("transfer", "spearman", value, of=name) for name, value in values.items()))


def test_transfer_lead():
    found = transfers(adversarial_error_large=0.5, error=0.35, nll=0.01, demographic_disparity=0.0, ece=-0.28)
    assert measures.transfer_lead("adversarial_error_large", 1.0)(found).value == pytest.approx(0.15)
    assert measures.transfer_lead("ece", -1.0)(found).value == pytest.approx(0.28)
    assert measures.transfer_lead("error", 1.0)(found).value == pytest.approx(-0.15)
    assert measures.transfer_lead("nll", -1.0)(found).value == pytest.approx(-0.29)
    assert measures.transfer_lead("ece", -1.0)(transfers(ece=0.1)) == {}  # nothing to compare it with
    assert measures.transfer_lead("ece", -1.0)(transfers(error=0.1, nll=0.2)) == {}
    assert set(TRANSFERRED) == {"adversarial_error_large", "error", "nll", "demographic_disparity", "ece"}


INSIDE = [row("shapes", "shape", 0, train="pen", test="font", within="model:cnn")]


def test_count_of_a_shape():
    found = table(counted(line=7, none=0, decreasing=1), counted("all", line=8), INSIDE)
    assert measures.count("line")(found).value == 7
    assert measures.count("none")(found).value == 0
    assert measures.count("vertical")(found) == {}


def test_count_everywhere():
    rows = [*counted(line=7), *counted("all", line=8), *counted("pacs", line=1), *INSIDE]
    assert measures.count("line")(table(rows)).value == 7
    assert measures.count("line", everywhere=True)(table(rows)).value == 8
    toys = table(counted(line=7), counted("all", line=8), counted("colored", line=1), INSIDE)
    assert measures.count("line", everywhere=True)(toys).value == 7


def test_share_decreasing():
    counts = {"line": 7, "vertical": 5, "horizontal": 6, "none": 9, "decreasing": 3}
    found = table(counted(**counts), counted("all", **counts | {"decreasing": 13}), INSIDE)
    assert measures.share_decreasing(found) == Measured(0.1, 0.1, 0.1)
    natural = table(counted(**counts), counted("all", **counts | {"decreasing": 13}), INSIDE, [photographs()])
    assert measures.share_decreasing(natural).value == 13 / 40
    assert measures.share_decreasing(table(counted(**counts | {"decreasing": 0}), INSIDE)).value == 0.0
    for name in counts:  # a share needs all five
        four = {shape: n for shape, n in counts.items() if shape != name}
        assert measures.share_decreasing(table(counted(**four), INSIDE)) == {}
    assert measures.share_decreasing(table(counted(**dict.fromkeys(counts, 0)), INSIDE)) == {}
    assert measures.share_decreasing(EMPTY) == {}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"line": 7, "vertical": 5, "horizontal": 8, "none": 9, "decreasing": 1}, 4),
        ({"line": 0, "vertical": 0, "horizontal": 1, "none": 0, "decreasing": 29}, 1),  # decreasing is not one of them
        ({"line": 0, "vertical": 0, "horizontal": 0, "none": 0, "decreasing": 30}, 0),
    ],
)
def test_shapes_found(counts, expected):
    assert measures.shapes_found(table(counted(**counts), INSIDE)).value == expected
    assert measures.shapes_found(EMPTY) == {}


def test_over_pairs():
    """Neither averages nor parts of a pair's networks count, nor other data sets."""
    pairs = [("pen", "font", 0.3), ("pen", "color", -0.2), ("color", "pen", 0.9)]
    rows = [row("shapes", "logit_r2", value, train=a, test=b) for a, b, value in pairs]
    rows += [
        row("shapes", "logit_r2", 0.99, train="pen", test="font", within="model:cnn"),
        row("shapes", "logit_r2", -0.99, average="pairs"),
        row("shapes", "logit_r2", 0.95, dataset="colored", train="e10", test="e90"),
    ]
    assert measures.over_pairs("max", "shapes", "logit_r2")(table(rows)).value == 0.9
    assert measures.over_pairs("min", "shapes", "logit_r2")(table(rows)).value == -0.2
    assert measures.over_pairs("min", "shapes", "logit_r2")(EMPTY) == {}


# ---------------------------------------------------------------- factors, environments, the planted cue


def test_same_factor_goes_by_the_size_of_the_loading():
    found = table(loadings(id_error=[0.9, 0.1], id_ece=[-0.8, 0.7], ood_ece=[0.5, 0.6]))
    assert measures.same_factor("id_error", "id_ece")(found).value == 1.0
    assert measures.same_factor("id_ece", "ood_ece")(found).value == 0.0
    assert measures.same_factor("id_error", "never_measured")(found) == {}
    assert measures.same_factor("id_error", "id_ece")(EMPTY) == {}


def test_environments_agree_in_the_worst_network():
    rows = [row("checks", "environments_agree", value, train=name) for name, value in (("pen", 1.0), ("font", 0.98))]
    assert measures.environments_agree(table(rows)).value == 0.98
    assert measures.environments_agree(EMPTY) == {}


def test_colored_spearman():
    ends = {"": -0.8, "_ci_low": -0.9, "_ci_high": -0.6}
    rows = [row("checks", f"colored_spearman{end}", value, dataset="colored") for end, value in ends.items()]
    assert measures.colored_spearman(table(rows)) == Measured(-0.8, -0.9, -0.6)
    assert measures.colored_spearman(EMPTY) == {}


def test_planted_has_a_value_per_seed():
    found = table(planted("irm", 0.5, 0.6), planted("irm", 0.7, 0.7, metric="id_accuracy"), planted("erm", 0.1))
    assert measures.planted("reversed_accuracy", "irm")(found) == {0: 0.5, 1: 0.6}
    assert measures.planted("id_accuracy", "irm")(found) == {0: 0.7, 1: 0.7}
    assert measures.planted("reversed_accuracy", "vrex")(found) == {}
    assert measures.planted("reversed_accuracy", "irm")(EMPTY) == {}


def test_planted_learned_is_zero_where_nothing_was_learned():
    """Per seed; exactly .55 is learned, and an accuracy in training that was not measured is none."""
    reached = planted("irm", 0.5, 0.6, 0.4, 0.7)
    own = planted("irm", 0.549, 0.55, 0.9, metric="id_accuracy")
    other = planted("vrex", 0.9, 0.1, 0.1, 0.9, metric="id_accuracy")
    assert measures.planted_learned("irm")(table(reached, own, other)) == {0: 0.0, 1: 0.6, 2: 0.4, 3: 0.0}
    assert measures.planted_learned("irm")(table(own)) == measures.planted_learned("irm")(EMPTY) == {}


def test_planted_apart_takes_the_farthest_method_of_each_seed():
    measure = measures.planted_apart(("coral", "sd"), "erm")
    found = table(planted("erm", 0.10, 0.12), planted("coral", 0.11, 0.02), planted("sd", 0.07, 0.13, 0.9))
    assert measure(found) == {0: pytest.approx(0.03), 1: pytest.approx(0.10)}
    assert measure(table(planted("coral", 0.1))) == {}
    assert measure(table(planted("erm", 0.1))) == {}


# ---------------------------------------------------------------- invariance and natural data sets


HELD_OUT = ("pen", "font", "color")


def held_out(selection="training_domain", **values):
    """Per method, one value for each of the first held-out domains."""
    return [
        row("invariance", "minus_erm", value, method=name, test=domain, selection=selection)
        for name, found in values.items()
        for domain, value in zip(HELD_OUT, found, strict=False)
    ]


def methods(**values):
    """Their averages by training-domain validation, and greater ones that are none of these."""
    groups = [
        averaged("invariance", "minus_erm", value, method=name, selection="training_domain")
        for name, value in values.items()
    ]
    oracle = averaged("invariance", "minus_erm", 0.5, method="irm", selection="oracle")
    return table(*groups, oracle, held_out(irm=[0.6]))


def test_best_minus_erm_has_a_value_per_held_out_domain_of_the_best_method():
    """By training-domain validation; the best has the greatest mean, neither maximum nor median."""
    decoys = [
        *held_out("oracle", irm=[0.5, 0.5, 0.5]),
        *averaged("invariance", "minus_erm", 0.9, method="sd", selection="training_domain"),
        row("invariance", "ood_accuracy", 0.9, method="sd", test="pen", selection="training_domain"),
    ]
    rows = held_out(irm=[0.9, -0.5, -0.5], coral=[0.3, -0.1, -0.02], sd=[0.01, 0.01, 0.01], vrex=[-0.2, 0.1, 0.1])
    best = measures.best_minus_erm(table(rows, decoys))
    assert sorted(best.values()) == [-0.1, -0.02, 0.3]
    # ERM itself is no method: all may lie below zero. A single domain gives a single value.
    below = measures.best_minus_erm(table(held_out(irm=[-0.03, -0.01], sd=[-0.04, 0.01])))
    assert sorted(below.values()) == [-0.04, 0.01]
    assert measures.best_minus_erm(table(held_out(irm=[-0.03]), decoys)) == {0: -0.03}
    assert measures.best_minus_erm(table(decoys)) == {}
    assert measures.best_minus_erm(EMPTY) == {}


def tasks(value, *datasets):
    rows = averaged("predictors", "minus_id_error", value, over="tasks", dataset="all", predictor="id_ece")
    others = [row("predictors", "minus_id_error", 0.0, dataset=name, average="pairs") for name in datasets]
    return table(rows, others)


def test_natural_needs_a_natural_data_set():
    measure = measures.natural("predictors", "minus_id_error", predictor="id_ece")
    assert measure(tasks(0.03, "digits", "colored")) == {}
    assert measure(tasks(0.03, "digits", "pacs")).value == 0.03
    assert measure(EMPTY) == {}
    turned = measures.natural("predictors", "minus_id_error", sign=-1.0, predictor="id_ece")(tasks(0.03, "pacs"))
    assert turned == Measured(-0.03, pytest.approx(-0.08), pytest.approx(0.02))


@pytest.mark.parametrize("best", measures.ID_METRICS)
def test_best_other_metric_is_the_best_of_id_metrics(best):
    """Of all tasks; error on corrupted and held-out images is no ID metric."""
    place = {"over": "tasks", "dataset": "all"}
    rows = [
        averaged("predictors", "minus_id_error", 0.3 if name == best else -0.1 * k, predictor=name, **place)
        for k, name in enumerate(measures.ID_METRICS)
    ]
    rows += [averaged("predictors", "minus_id_error", 0.9, predictor=n, **place) for n in ("heldout_error", "id_error")]
    rows += [averaged("predictors", "minus_id_error", 0.9, predictor=n) for n in measures.ID_METRICS]
    assert measures.best_other_metric(table(*rows)) == {}
    assert measures.best_other_metric(table(*rows, [photographs()])) == Measured(0.3, 0.25, pytest.approx(0.35))
    assert measures.best_other_metric(EMPTY) == {}


def gains(regime="all", of="ood_error", *, on_digits=0.07, **accuracy):
    """Rows of the paper's augmentations on photographs, and of the digits' own."""
    keys = {"factor": "augment", "regime": regime, "of": of}
    place = {"baseline": "identity", "over": "tasks", "dataset": "all"}
    rows = averaged("interventions", "difference", -on_digits, level="rand", baseline="standard", **keys)
    for level, value in accuracy.items():
        rows += averaged("interventions", "difference", -value, level=level, **place, **keys)
    return rows


@pytest.mark.parametrize("of", ["ood_error", "corrupted_error"])
@pytest.mark.parametrize("best", measures.AUGMENTATIONS)
def test_augmentation_is_the_mean_against_none_on_natural_images(best, of):
    other = "ood_error" if of == "corrupted_error" else "corrupted_error"
    values = {name: 0.5 if name == best else -0.1 for name in measures.AUGMENTATIONS}
    rows = [
        *gains(of=of, rand=0.9, **values),
        *gains(of=other, on_digits=0.5, augmix=0.8),
        *gains("full", of, augmix=0.7),
    ]
    assert measures.augmentation(of)(table(rows)).value == 0.07
    found = measures.augmentation(of)(table(rows, [photographs()]))
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.05, 0.15))
    # No gain is a measurement, too, and natural images without the paper's augmentations leave the digits.
    assert measures.augmentation(of)(table(gains(of=of, augmix=0.0), [photographs()])).value == 0.0
    assert measures.augmentation(of)(table(gains(of=of), [photographs()])).value == 0.07
    assert measures.augmentation(of)(EMPTY) == {}


def test_natural_augmentation_averages_the_ends_of_the_intervals():
    keys = {"factor": "augment", "baseline": "identity", "regime": "all", "of": "ood_error", "over": "tasks"}
    rows = [
        averaged("interventions", "difference", *ends, level=level, dataset="all", **keys)
        for level, ends in (("augmix", (-0.3, -0.5, 0.1)), ("random_color", (0.1, 0.0, 0.3)))
    ]
    found = measures.natural_augmentation(table(*rows, [photographs()]), "all")
    assert (found.value, found.low, found.high) == pytest.approx((0.1, -0.2, 0.25))  # of those that were run
    assert measures.natural_augmentation(table(*rows), "all") is None
    assert measures.natural_augmentation(table(*rows, [photographs()]), "full") is None


def test_augmentation_by_regime():
    few = gains("fewshot_10", augmix=0.08, random_color=0.02, random_augment=-0.01, rand=0.9)
    full = gains("full", augmix=0.01, random_augment=0.04, random_color=-0.02, on_digits=0.01)
    measured = measures.augmentation_by_regime(table(few, full, gains("all", augmix=0.7), [photographs()]))
    assert measured == Measured(*[pytest.approx(0.02)] * 3)
    assert measures.augmentation_by_regime(table(few, full)) == {}  # digits alone
    assert measures.augmentation_by_regime(table(few, [photographs()])) == {}
    assert measures.augmentation_by_regime(table(full, [photographs()])) == {}
    assert measures.augmentation_by_regime(EMPTY) == {}


@pytest.mark.parametrize(("n", "measured"), [(4, False), (8, False), (9, True)])
def test_upstream_needs_nine_architectures(n, measured):
    found = measures.natural_upstream(table([row("upstream", "spearman_best_tasks", 0.7, dataset="all", n=n)]))
    assert found == (Measured(0.7, 0.7, 0.7) if measured else {})
    assert measures.natural_upstream(EMPTY) == {}


# ---------------------------------------------------------------- stories


def test_augmentation_story():
    keys = {"factor": "augment", "level": "rand", "baseline": "standard"}
    groups = []
    for regime, gain, share, cost in (("all", -0.021, 0.7, 0.05), ("full", 0.004, 0.45, 0.03)):
        groups += [
            averaged("interventions", "difference", gain, of="ood_error", regime=regime, **keys),
            averaged("interventions", "share_negative", share, of="ood_error", regime=regime, **keys),
            averaged("interventions", "difference", cost, of="id_error", regime=regime, **keys),
        ]
    assert stories.augmentation_story(table(*groups)) == (
        "all: OOD accuracy +0.021, better in 70% of the matched comparisons, ID accuracy -0.050; "
        "full: OOD accuracy -0.004, better in 45% of the matched comparisons, ID accuracy -0.030."
    )


def test_invariance_story_names_every_method_from_the_best():
    assert stories.invariance_story(methods(irm=-0.03, coral=0.02, sd=-0.001)) == "coral +0.020, sd -0.001, irm -0.030."


def test_every_measure_is_finite_or_nothing_on_rows_without_intervals():
    """A run without a bootstrap."""
    bare = table([row("predictors", "spearman", 0.2, average="pairs", predictor="id_error")])
    found = measures.mean_of("predictors", "spearman", predictor="id_error")(bare)
    assert np.isfinite([found.value, found.low, found.high]).all()
    assert isinstance(bare, pd.DataFrame)
