"""What the amodal claims measure, against rows written by hand."""

import pytest

from amodal.tables import DATASETS, iou, replaced, row, rows, table
from reprise import results
from reprise.amodal import measures, stories
from reprise.amodal.measures import FULL, OCCLUDED, rows_of, score
from reprise.claims import Measured

EMPTY = results.expand(results.table([]))
LITE = "fishbowl_lite"


def of(method, *values, dataset="chewgum", metric=OCCLUDED, **place):
    """One value per seed, in the mean over object-frames."""
    return [
        row(dataset, method, metric, value, seed=seed, by="frame", **place) for seed, value in enumerate(values)
    ]  # fmt: skip


def shares(method, revealed, never, false=0.1, **place):
    names = ("recall_revealed", "recall_never_revealed", "false_positive")
    return [row(LITE, method, name, x, **place) for name, x in zip(names, (revealed, never, false), strict=True)]


# ---------------------------------------------------------------- rows and scores


def test_rows_of_takes_exactly_the_setting_that_is_asked_for():
    found = table(
        of("savos", 0.5),
        [
            row("chewgum", "savos", OCCLUDED, 0.4, by="image"),
            row("chewgum", "savos", OCCLUDED, 0.3, by="frame", subset="fast"),
            row("chewgum", "savos", OCCLUDED, 0.2, by="frame", domain="unseen"),
            row("chewgum", "savos", OCCLUDED, 0.1, by="frame", domain="unseen", adapted=50),
            row("chewgum", "savos", OCCLUDED, 0.05, rate=0.0),
            row("chewgum", "savos", FULL, 0.9, by="frame"),
            row("chewgum", "per_frame", OCCLUDED, 0.8, by="frame"),
            row(LITE, "savos", OCCLUDED, 0.7, by="frame"),
        ],
    )

    def values(*place, **keys):
        return list(rows_of(found, "chewgum", "savos", OCCLUDED, *place, **keys)["value"])

    assert values(by="frame") == [0.5]
    assert values(by="image") == [0.4]
    assert values(by="frame", subset="fast") == [0.3]
    assert values("unseen", by="frame") == [0.2]
    assert values("unseen", by="frame", adapted="50") == [0.1]
    assert values(rate="0") == [0.05]
    assert values() == values(by="video") == values(by="frame", subset="box_grows") == values(never_a_key="x") == []
    assert rows_of(EMPTY, "chewgum", "savos", OCCLUDED, by="frame").empty


def test_score_has_a_value_per_seed():
    found = table(of("savos", 0.5, 0.6), of("per_frame", 0.4))
    assert score(found, "chewgum", "savos", OCCLUDED, by="frame") == {0: 0.5, 1: 0.6}
    assert score(found, "chewgum", "per_frame", OCCLUDED, by="frame") == {0: 0.4}
    assert score(found, "chewgum", "convex", OCCLUDED, by="frame") == {}


def test_a_method_without_training_stands_beside_every_seed_of_its_data_set():
    found = table(of("savos", 0.5, 0.6, 0.7), of("convex", 0.3), of("savos", 0.1, 0.1, 0.1, 0.1, dataset=LITE))
    assert score(found, "chewgum", "convex", OCCLUDED, by="frame") == {0: 0.3, 1: 0.3, 2: 0.3}
    # What was trained stands for its own seeds alone.
    alone = table(of("savos", 0.5, 0.6), of("supervised", 0.7))
    assert score(alone, "chewgum", "supervised", OCCLUDED, by="frame") == {0: 0.7}


def test_arithmetic_of_values():
    a, b = {0: 0.5, 1: 0.7, 2: 0.1}, {1: 0.4, 2: 0.3, 3: 0.9}
    assert measures.minus(a, b) == {1: pytest.approx(0.3), 2: pytest.approx(-0.2)}
    assert measures.best(a, b) == {1: 0.7, 2: 0.3}
    assert measures.best(a, {}) == measures.minus({}, b) == measures.combine(max) == {}
    assert measures.least([a, {}, b]) == {1: 0.4, 2: 0.1}  # what was not measured takes no part
    assert measures.least([{}, {}]) == measures.least([]) == {}
    assert measures.mean(a) == pytest.approx(1.3 / 3)


# ---------------------------------------------------------------- differences on one data set


def test_lead_is_over_the_best_of_the_others():
    found = table(of("savos", 0.5, 0.6), of("convex", 0.3), of("completion", 0.2, 0.55))
    lead = measures.ahead("savos", ("convex", "completion"))
    assert lead(found, "chewgum") == {0: pytest.approx(0.2), 1: pytest.approx(0.05)}
    assert lead(found, LITE) == {}
    assert measures.ahead("savos", ("convex", "per_frame"))(found, "chewgum") == {}  # it was not beaten, but not run
    assert measures.ahead("savos", ("convex",), FULL)(found, "chewgum") == {}


def test_the_papers_average_is_by_image():
    levels = {"savos": (0.9, 0.6), "convex": (0.7, 0.55), "completion": (0.88, 0.5)}
    found = [one for method, both in levels.items() for one in iou("chewgum", method, *both)]
    higher = replaced(found, row("chewgum", "savos", FULL, 0.999, by="image"))  # 0.9 in the other averages

    def lead(rows, *metrics):
        return measures.ahead_by_image("chewgum", *metrics)(table(rows))

    assert lead(found, FULL) == {0: pytest.approx(0.02)}
    assert lead(found, OCCLUDED) == lead(higher, FULL, OCCLUDED) == {0: pytest.approx(0.05)}
    assert lead(found, FULL, OCCLUDED) == {0: pytest.approx(0.02)}  # the lesser
    assert lead(higher, FULL) == {0: pytest.approx(0.12)}
    assert measures.ahead_by_image("kins_car", FULL, OCCLUDED)(table(found)) == {}


def test_the_upper_bound_is_the_better_of_two():
    lead = measures.best_supervised_lead(OCCLUDED)
    both = [*of("supervised", 0.7), *of("supervised_image", 0.8), *of("savos", 0.5, 0.9)]
    assert lead(table(both), "chewgum") == {0: pytest.approx(0.3)}  # of the seed that all three have
    assert lead(table(of("supervised", 0.7), of("savos", 0.5)), "chewgum") == {0: pytest.approx(0.2)}  # the only one
    assert lead(table(of("savos", 0.5)), "chewgum") == {}


def test_level():
    assert measures.level("chewgum", "savos", OCCLUDED)(table(of("savos", 0.5, 0.6))) == {0: 0.5, 1: 0.6}


# ---------------------------------------------------------------- over data sets

OVER = [
    *of("savos", 0.5, 0.6, dataset="chewgum"),
    *of("per_frame", 0.4, 0.3, dataset="chewgum"),
    *of("savos", 0.8, 0.7, dataset="chewgum_radial"),
    *of("per_frame", 0.6, 0.6, dataset="chewgum_radial"),
    *of("savos", 0.9, 0.9, dataset="movi"),
    *of("per_frame", 0.9, dataset="movi"),
]
AHEAD = measures.ahead("savos", ("per_frame",))


def test_worst_is_per_seed_over_the_data_sets_in_force():
    """Of those with bounds: another one does not count, one not in force is not missed."""
    assert measures.worst(AHEAD)(table(OVER)) == {0: pytest.approx(0.1), 1: pytest.approx(0.1)}
    radial = measures.worst(AHEAD, ("chewgum_radial", LITE))(table(OVER))
    assert radial == {0: pytest.approx(0.2), 1: pytest.approx(0.1)}
    assert measures.worst(AHEAD)(EMPTY) == {}


def test_worst_of_all_is_over_seeds_as_well():
    found = measures.worst_of_all(AHEAD, ("chewgum",))(table(replaced(OVER, *of("per_frame", 0.45))))
    assert found == Measured(*[pytest.approx(0.05)] * 3)
    assert measures.worst_of_all(AHEAD)(EMPTY) == {}


def test_across_has_a_value_per_data_set():
    assert measures.across(AHEAD)(table(OVER)) == {0: pytest.approx(0.2), 1: pytest.approx(0.15), 2: 0.0}
    assert measures.across(AHEAD)(EMPTY) == {}


def test_average_is_over_the_data_sets_with_bounds():
    assert measures.average(AHEAD)(table(OVER)) == Measured(*[pytest.approx(0.175)] * 3)
    assert measures.average(AHEAD)(EMPTY) == {}


CHAIN = {"visible": 0.1, "convex": 0.3, "completion": 0.4, "savos": 0.6, "supervised": 0.5, "supervised_image": 0.8}


def chain(dataset="chewgum", **others):
    return [one for name, x in (CHAIN | others).items() for one in of(name, x, dataset=dataset)]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({}, 0.1),  # from the convex hull to PCNet-M
        ({"visible": 0.35}, -0.05),
        ({"savos": 0.35}, -0.05),
        ({"supervised_image": 0.62}, 0.02),
        ({"supervised": 0.9, "supervised_image": 0.1}, 0.1),  # the better of the two stands at the end
        ({"per_frame": 0.95}, 0.1),  # is not part of the chain
    ],
)
def test_ordering(others, expected):
    assert measures.ordering(OCCLUDED)(table(chain(**others))).value == pytest.approx(expected)
    with_another = table(chain(), chain("chewgum_radial", **others))
    assert measures.ordering(OCCLUDED)(with_another).value == pytest.approx(expected)


def test_ordering_is_of_means_over_seeds_and_needs_the_whole_chain():
    swapped = [*chain(), row("chewgum", "savos", OCCLUDED, 0.3, seed=1, by="frame")]  # below PCNet-M: 0.45 on average
    assert measures.ordering(OCCLUDED)(table(swapped)).value == pytest.approx(0.05)
    for name in ("visible", "convex", "completion", "savos"):
        assert measures.ordering(OCCLUDED)(table([one for one in chain() if one["method"] != name])) == {}
    unbounded = [one for one in chain() if not one["method"].startswith("supervised")]
    assert measures.ordering(OCCLUDED)(table(unbounded)) == {}
    assert measures.ordering(OCCLUDED)(table(chain(), of("savos", 0.5, dataset=LITE))) == {}
    assert measures.ordering(OCCLUDED)(EMPTY) == {}


def test_distance_is_the_farther_of_two():
    found = table(of("convex", 0.70, metric=FULL), of("convex", 0.41))
    assert measures.distance("chewgum", "convex", 0.714, 0.374)(found).value == pytest.approx(0.036)
    assert measures.distance("chewgum", "convex", 0.80, 0.41)(found).value == pytest.approx(0.1)
    assert measures.distance("chewgum", "convex", 0.8, 0.4)(table(of("convex", 0.41))) == {}


def test_facts():
    found = table(
        [
            row("chewgum", "data", "occlusion_rate", 0.46),
            row(LITE, "data", "occlusion_rate", 0.32),
            row(LITE, "data", "occlusion_rate", 0.9, domain="unseen"),
        ]
    )
    assert measures.fact("chewgum", "occlusion_rate")(found) == Measured(0.46, 0.46, 0.46)
    assert measures.fact("chewgum_radial", "occlusion_rate")(found) == {}
    assert measures.greatest_fact("occlusion_rate")(found).value == 0.46
    assert measures.greatest_fact("never_revealed")(found) == {}


# ---------------------------------------------------------------- the two priors, hard subsets


def test_hidden_differences():
    found = table(
        shares("savos", 0.8, 0.6, 0.05),
        shares("per_frame", 0.5, 0.5, 0.2),
        shares("savos", 0.7, 0.3, domain="unseen"),
        shares("per_frame", 0.4, 0.4, domain="unseen"),
        shares("savos", 0.1, 0.9, domain="unseen", adapted=50),
    )
    assert measures.hidden("savos", "per_frame", "recall_revealed")(found, LITE) == {0: pytest.approx(0.3)}
    assert measures.hidden("savos", "per_frame", "false_positive")(found, LITE) == {0: pytest.approx(-0.15)}
    new = measures.hidden("savos", "per_frame", "recall_never_revealed", "unseen")(found, LITE)
    assert new == {0: pytest.approx(-0.1)}
    assert measures.revealed_rather(found, LITE) == {0: pytest.approx(0.2)}  # gains 0.3 of the one, 0.1 of the other
    assert measures.falls_less(found, LITE) == {0: pytest.approx(0.2)}  # losses 0.3 of the other, 0.1 of the one
    assert measures.falls_less(table(shares("savos", 0.8, 0.6)), LITE) == {}


def test_subsets():
    def subset(name, savos, convex, completion):
        values = {"savos": savos, "convex": convex, "completion": completion}
        return [one for method, x in values.items() for one in of(method, x, dataset=LITE, subset=name)]

    found = table(subset("fast", 0.5, 0.3, 0.4), subset("box_grows", 0.5, 0.45, 0.1), chain(LITE, savos=0.0))
    assert measures.subset_lead("fast")(found, LITE) == {0: pytest.approx(0.1)}
    assert measures.subset_lead("shape_changes")(found, LITE) == {}
    assert measures.subsets_lead(found, LITE) == {0: pytest.approx(0.05)}
    assert measures.subsets_lead(EMPTY, LITE) == {}


# ---------------------------------------------------------------- adaptation

ADAPTED = [
    *of("savos", 0.40, 0.44, dataset=LITE, domain="unseen"),
    *of("savos", 0.50, 0.52, dataset=LITE, domain="unseen", adapted=50),
    *of("savos", 0.47, 0.55, dataset=LITE, domain="unseen", adapted=200),
    *of("completion", 0.35, 0.36, dataset=LITE, domain="unseen"),
    *of("completion", 0.30, 0.30, dataset=LITE, domain="unseen", adapted=200),
    *of("convex", 0.38, dataset=LITE, domain="unseen"),
    *of("savos", 0.9, 0.9, dataset=LITE),
]


def test_steps_of_adaptation():
    assert measures.steps(table(ADAPTED), LITE) == [50, 200]
    assert measures.steps(table(ADAPTED), LITE, "completion") == [200]
    assert measures.steps(table(ADAPTED), LITE, "convex") == measures.steps(table(ADAPTED), "chewgum") == []
    assert measures.steps(table(of("savos", 0.5)), "chewgum") == []


def test_adapted_is_measured_on_the_new_distribution():
    found = table(ADAPTED)
    assert measures.adapted(found, LITE, "savos", OCCLUDED, 0) == {0: 0.40, 1: 0.44}
    assert measures.adapted(found, LITE, "savos", OCCLUDED, 50) == {0: 0.50, 1: 0.52}
    assert measures.adapted(found, LITE, "savos", OCCLUDED) == {0: 0.47, 1: 0.55}  # after the most steps
    assert measures.adapted(found, LITE, "savos", OCCLUDED, 100) == {}
    assert measures.adapted(found, LITE, "convex", OCCLUDED) == {}  # which never adapts


def test_gains_and_leads_of_adaptation():
    found = table(ADAPTED)
    assert measures.gain("savos", OCCLUDED)(found, LITE) == {0: pytest.approx(0.07), 1: pytest.approx(0.11)}
    assert measures.gain("savos", OCCLUDED, 50)(found, LITE) == {0: pytest.approx(0.10), 1: pytest.approx(0.08)}
    assert measures.gain("completion", OCCLUDED, 50)(found, LITE) == {}
    assert measures.adapted_lead(OCCLUDED, 200)(found, LITE) == {0: pytest.approx(0.17), 1: pytest.approx(0.25)}
    # The best rival: the convex hull, then PCNet-M as it was, which adaptation made worse.
    assert measures.transfer_lead(OCCLUDED)(found, LITE) == {0: pytest.approx(0.09), 1: pytest.approx(0.17)}
    better = table(replaced(ADAPTED, *of("completion", 0.5, 0.1, dataset=LITE, domain="unseen")))
    assert measures.transfer_lead(OCCLUDED)(better, LITE)[0] == pytest.approx(-0.03)
    best = table(replaced(ADAPTED, *of("completion", 0.6, 0.1, dataset=LITE, domain="unseen", adapted=200)))
    assert measures.transfer_lead(OCCLUDED)(best, LITE)[0] == pytest.approx(-0.13)
    assert measures.gain("savos", OCCLUDED)(table(of("savos", 0.5)), LITE) == {}


# ---------------------------------------------------------------- stories


def test_baselines_story():
    found = table(
        *(iou("chewgum", "savos", 0.8, 0.6, seed=seed) for seed in (0, 1)),
        iou("chewgum", "convex", 0.7, 0.4),
        of("completion", 0.5),  # without IoU-full it is left out
    )
    assert stories.baselines_story(found) == (
        "IoU-full/occluded, mean over seeds. chewgum: convex hull 0.700/0.400, SaVos 0.800/0.600 (bootstrap over "
        "videos of SaVos' IoU-occluded: 0.578 to 0.618)."
    )


def test_stories_of_one_data_set_leave_the_others_out():
    found = table(rows())
    assert all(name in stories.baselines_story(found) for name in DATASETS)
    told = stories.about(stories.baselines_story, "chewgum_radial")(found)
    assert "chewgum_radial: " in told and "chewgum: " not in told and LITE not in told


def test_temporal_story():
    found = table(of("savos", 0.6, 0.7, dataset=LITE), shares("savos", 0.8, 0.6), shares("savos", 0.5, 0.2,
                  domain="unseen"))  # fmt: skip
    assert stories.temporal_story(found) == (
        "IoU-occluded, then recall of hidden pixels. fishbowl_lite: SaVos 0.650, SaVos 0.800 if revealed, 0.600 if "
        "never, false positives 0.100, SaVos on new types 0.500 if revealed, 0.200 if never, false positives 0.100."
    )


def test_ablation_story():
    found = table(of("savos", 0.6, 0.9), of("no_consistency", 0.55), of("savos", 0.6, dataset=LITE))
    assert stories.ablation_story(found) == "IoU-occluded minus that of SaVos. no consistency: chewgum -0.050."


def test_adaptation_story():
    full = [one | {"metric": FULL, "value": one["value"] + 0.3} for one in ADAPTED]
    assert stories.adaptation_story(table(ADAPTED, full)) == (
        "IoU-full/occluded on new types. SaVos: 0.720/0.420 after 0, 0.810/0.510 after 50, 0.810/0.510 after 200 "
        "steps; PCNet-M: 0.655/0.355 after 0, 0.600/0.300 after 200 steps; convex hull: 0.680/0.380 after 0 steps."
    )


def test_subsets_and_data_stories():
    found = table(rows())
    assert stories.subsets_story(found).endswith("fast +0.098 (n = 100).")
    assert stories.data_story(found).startswith("chewgum: occlusion rate 0.462, never revealed 0.645, tracks 80; ")


@pytest.mark.parametrize(
    "story",
    [stories.baselines_story, stories.temporal_story, stories.ablation_story, stories.adaptation_story,
     stories.subsets_story, stories.data_story],
)  # fmt: skip
def test_stories_of_nothing_say_so(story):
    assert story(EMPTY) == story(table([row("radar", "none", "n_params", 1)])) == "Nothing was measured about it."
    assert "nan" not in story(table(rows()))
