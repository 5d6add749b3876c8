"""What the claims about circuits measure, against rows written by hand."""

import pytest

from circuits.tables import DATASETS, latency_rows, replaced, row, rows, table, timed
from reprise import results
from reprise.circuits import measures, stories
from reprise.circuits.measures import rows_of, score
from reprise.claims import Measured

EMPTY = results.expand(results.table([]))
STORIES = (
    stories.accuracy_story, stories.corners_story, stories.shift_story, stories.few_story, stories.pruning_story,
    stories.cut_story, stories.speed_story, stories.scaling_story, stories.priors_story, stories.graph_story,
    stories.circuits_story,
)  # fmt: skip


def of(method, *values, dataset="handwriting", metric="accuracy", **place):
    """One value per seed."""
    return [row(dataset, method, metric, value, seed=seed, **place) for seed, value in enumerate(values)]


def near(*values):
    """Seeds from 0 on."""
    return {seed: pytest.approx(value) for seed, value in enumerate(values)}


# ---------------------------------------------------------------- rows and scores


def test_rows_of_takes_exactly_the_setting_that_is_asked_for():
    found = table(
        of("nac", 0.9),
        of("nac", 0.8, kept=0.5, order="degree"),
        of("nac", 0.7, kept=0.5, order="random0"),
        of("nac", 0.6, cut=0.01),
        of("nac", 0.5, domain="noisy"),
        of("nac", 0.4, dataset="points"),
        of("perceiver", 0.3),
        of("nac", 0.2, metric="chance"),
    )

    def values(domain=None, **keys):
        return sorted(rows_of(found, "handwriting", "nac", "accuracy", domain, **keys)["value"])

    assert values("iid") == [0.9]
    assert values() == [0.5, 0.9]
    assert values("noisy") == [0.5]
    assert values(kept="0.5", order="degree") == [0.8]
    assert values(cut="0.01") == [0.6]
    assert values(kept="0.5") == values(kept="0.25", order="degree") == values("iid", never_a_key="x") == []
    assert rows_of(EMPTY, "handwriting", "nac", "accuracy").empty


def test_score_is_of_the_training_distribution_unless_said():
    found = table(of("nac", 0.9, 0.8), of("nac", 0.5, 0.4, domain="noisy"))
    assert score(found, "handwriting", "nac") == {0: 0.9, 1: 0.8}
    assert score(found, "handwriting", "nac", domain="noisy") == {0: 0.5, 1: 0.4}
    assert score(found, "points", "nac") == {}


def test_arithmetic_of_values():
    a, b = {0: 0.5, 1: 0.7, 2: 0.1}, {1: 0.4, 2: 0.3, 3: 0.9}
    assert measures.minus(a, b) == {1: pytest.approx(0.3), 2: pytest.approx(-0.2)}
    assert measures.middle([a, {}, b]) == {1: pytest.approx(0.55), 2: pytest.approx(0.2)}  # not measured: no part
    assert measures.middle([{}]) == measures.middle([]) == measures.minus({}, b) == {}
    assert measures.mean(a) == pytest.approx(1.3 / 3)


def test_options_are_in_the_order_of_numbers():
    found = table(
        *(of("nac", 0.5, kept=kept, order="degree") for kept in (1.0, 0.0625, 0.5)),
        of("nac", 0.5, kind="more"),
        of("nac", 0.5, metric="macs", kept=0.25),
    )
    assert measures.options(found, "kept", metric="accuracy") == ["0.0625", "0.5", "1"]
    assert measures.options(found, "kept") == ["0.0625", "0.25", "0.5", "1"]
    assert measures.options(found, "kind") == ["more"]
    assert measures.options(found, "how") == measures.options(EMPTY, "kept") == []


def test_differences_take_the_seeds_that_both_have():
    found = table(of("nac", 0.9, 0.8, 0.7), of("perceiver", 0.6, 0.9), of("nac", 0.1, metric="similarity_gap"))
    assert measures.level("handwriting", "nac")(found) == {0: 0.9, 1: 0.8, 2: 0.7}
    assert measures.level("handwriting", "nac", "similarity_gap")(found) == {0: 0.1}
    assert measures.ahead("handwriting", "nac", "perceiver")(found) == near(0.3, -0.1)
    assert measures.apart("handwriting", "nac", "accuracy", "similarity_gap")(found) == near(0.8)
    assert measures.ahead("points", "nac", "perceiver")(found) == {}


def test_worst_is_one_measure_and_needs_them_all():
    found = table(
        of("nac", 0.9, 0.1), of("nac", 0.6, 0.6, dataset="points"), of("perceiver", 0.5, 0.5),
        of("perceiver", 0.5, 0.5, dataset="points"),
    )  # fmt: skip

    def worst(*datasets):
        return measures.worst([measures.ahead(name, "nac", "perceiver") for name in datasets])(found)

    assert worst("handwriting", "points") == near(0.4, -0.4)  # 0 on average: the seeds are not picked
    assert worst("points") == near(0.1, 0.1)
    assert worst("points", "listops") == {}


def test_times_chance():
    found = table(of("nac", 0.5, 0.25), of("data", 0.1, metric="chance"), of("nac", 0.5, dataset="points"))
    assert measures.times_chance("handwriting")(found) == near(5, 2.5)
    assert measures.times_chance("points")(found) == {}


# ---------------------------------------------------------------- shift, few examples


def falling(method, iid, *shifted, dataset="handwriting"):
    domains = zip(("noisy", "rotated"), shifted, strict=False)
    return [
        *of(method, iid, dataset=dataset),
        *(one for d, x in domains for one in of(method, x, dataset=dataset, domain=d)),
    ]


def test_shift_is_the_mean_over_domains_then_over_data_sets():
    found = table(
        falling("nac", 0.9, 0.8, 0.4),
        falling("perceiver", 0.8, 0.6, 0.5),
        falling("nac", 0.7, 0.5, dataset="characters"),
        falling("perceiver", 0.7, 0.6, dataset="characters"),
        of("nac", 0.99, dataset="listops"),  # which knows no shift
        of("perceiver", 0.01, dataset="listops"),
    )
    assert measures.shifts(found, "handwriting") == ["noisy", "rotated"]
    assert measures.shifts(found, "listops") == []
    assert measures.shifted(found, "handwriting", "nac") == near(0.6)
    assert measures.shifted_lead("handwriting")(found) == near(0.05)
    assert measures.shifted_lead()(found) == near((0.05 - 0.1) / 2)
    # Falls: 0.3 and 0.25, 0.2 and 0.1.
    assert measures.falls_less(found) == near((-0.05 - 0.1) / 2)


def test_a_missing_shift_is_no_mean_of_the_others():
    found = table(falling("nac", 0.9, 0.8, 0.4), falling("perceiver", 0.8, 0.9))
    assert measures.shifted(found, "handwriting", "perceiver") == {}
    assert measures.shifted_lead("handwriting")(found) == measures.falls_less(found) == {}


def test_spread_of_priors_is_seed_by_seed():
    levels = {"nac": (0.9, 0.8), "nac_planted": (0.8, 0.9), "nac_ring": (0.85, 0.85), "nac_random": (0.82, 0.82)}
    found = [one for method, values in levels.items() for one in of(method, *values)]
    assert measures.priors_spread(False)(table(found)) == near(0.1, 0.1)
    assert measures.priors_spread(True)(table(found)) == {}
    shifted = [one | {"test_domain": "noisy", "shift": "noisy", "value": one["value"] / 2} for one in found]
    assert measures.priors_spread(True)(table(found, shifted)) == near(0.05, 0.05)
    assert measures.priors_spread(False)(table(found[2:])) == {}  # the four, or nothing


def test_few_examples_are_paired_by_episode():
    def episode(method, value, shots, number, **place):
        return of(method, *value, dataset="characters", metric="few_shot_accuracy", domain="greek", shots=shots,
                  episode=number, **place)  # fmt: skip

    found = table(
        episode("nac", (0.6, 0.5), 1, 0), episode("perceiver", (0.5, 0.5), 1, 0),
        episode("nac", (0.9, 0.8), 5, 0), episode("perceiver", (0.6, 0.7), 5, 0),
        episode("nac", (0.1, 0.1), 5, 1),
        episode("perceiver", (0.1, 0.1), 1, 1),
    )  # fmt: skip
    assert measures.few_shot_lead("characters")(found) == near(0.2, 0.05)
    assert measures.few_shot_lead("cub")(found) == measures.few_shot_lead("characters")(EMPTY) == {}


# ---------------------------------------------------------------- fewer modules, time

PRUNED = [
    *of("nac", 0.9, 0.8),
    *of("nac", 0.88, 0.78, kept=0.5, order="degree"),
    *of("nac", 0.7, 0.6, kept=0.5, order="random0"),
    *of("nac", 0.8, 0.6, kept=0.5, order="random1"),
    *of("nac", 0.5, 0.5, kept=0.5, order="reversed"),
    *of("nac", 0.85, 0.75, cut=0.01),
    *of("perceiver", 0.9, 0.9),
    *of("perceiver", 0.6, 0.6, kept=0.5, order="random0"),
]


def test_pruned_and_what_it_costs():
    found = table(PRUNED)
    assert measures.pruned(found, "nac", "0.5", "random") == near(0.75, 0.6)
    assert measures.loss(found, "nac", "0.5") == near(0.02, 0.02)
    assert measures.loss(found, "nac", "0.5", "random") == near(0.15, 0.2)
    assert measures.loss(found, "nac", "0.25") == {}
    assert measures.loses("nac", "0.5")(found) == near(0.02, 0.02)
    assert measures.order_matters("0.5", "random")(found) == near(0.13, 0.18)
    assert measures.order_matters("0.5", "reversed")(found) == near(0.38, 0.28)
    assert measures.loses_less("0.5", "perceiver", "random")(found) == near(0.28, 0.28)
    assert measures.cut_costs(found) == near(0.05, 0.05)
    assert measures.cut_costs(EMPTY) == measures.pruned(EMPTY, "nac", "0.5", "random") == {}


def speeds(processors, **at):
    shares = {"half": 0.5, "quarter": 0.25, "whole": 1.0}
    return [
        timed("nac_wide", "speed_up", value, processors=processors, kept=shares[name], how="compiled")
        for name, value in at.items()
    ]


WIDE = [
    *of("nac_wide", 0.9, 0.9, 0.9),
    *of("nac_wide", 0.9, 0.88, 0.8, kept=0.5, order="degree"),
    *of("nac_wide", 0.88, 0.8, 0.5, kept=0.25, order="degree"),
]


def test_speed_at_little_loss_is_of_each_network():
    found = table(WIDE, speeds(64, whole=1.0, half=2.0, quarter=4.0))
    assert measures.speed_at_little_loss("nac_wide")(found) == {0: 4.0, 1: 2.0, 2: 1.0}
    assert measures.speed_at_little_loss("nac_wide", 65)(found) == {}
    assert measures.speed_at_little_loss("nac_wide_nested")(found) == {}
    assert measures.speed_at_little_loss("nac_wide")(table(WIDE)) == {}  # nothing was timed
    slower = table(WIDE, speeds(64, whole=1.0, half=0.8, quarter=0.9))
    assert measures.speed_at_little_loss("nac_wide")(slower) == {0: 1.0, 1: 1.0, 2: 1.0}  # all of it is always there


def test_times():
    found = table(
        speeds(64, half=2.0),
        [
            timed("nac_wide", "speed_up", 1.1, processors=64, kept=0.5, how="masked"),
            timed("nac_wide", "speed_up", 0.9, processors=64, kept=0.25, how="masked"),
            timed("nac", "exponent", 0.2, over="tokens"),
            timed("interpreter", "exponent", 1.5, over="tokens"),
            timed("nac", "routing_share", 0.0),
            timed("nac", "latency_ms", 3.0, dataset="points", at="default"),
        ],
    )
    assert measures.faster("0.5")(found) == Measured(2.0, 2.0, 2.0)
    assert measures.faster("0.25")(found) == measures.faster("0.5")(EMPTY) == {}
    assert measures.masked_speed_up(found) == Measured(1.1, 1.1, 1.1)
    assert measures.masked_speed_up(table(speeds(64, half=2.0))) == measures.masked_speed_up(EMPTY) == {}
    assert measures.timed("nac", "routing_share")(found) == Measured(0.0, 0.0, 0.0)  # zero is a measurement
    assert measures.timed("nac", "latency_ms")(found) == {}
    lead = measures.timed_apart("interpreter", "nac", "exponent", over="tokens")
    assert isinstance(lead(found), Measured) and lead(found).value == pytest.approx(1.3)
    assert measures.timed_apart("interpreter", "nac", "routing_share")(found) == {}


# ---------------------------------------------------------------- stories


def test_accuracy_stories():
    found = table(of("nac", 0.9, 0.8), of("perceiver", 0.7), of("data", 0.1, metric="chance"), of("plain_sparse", 0.6))
    assert stories.accuracy_story(found) == (
        "Accuracy ± deviation over seeds. handwriting: NAC 0.850 ± 0.071, Perceiver IO 0.700, chance 0.100."
    )
    assert "FC + sparse graph 0.600" in stories.corners_story(found)


def test_shift_story_goes_seed_by_seed():
    found = table(falling("nac", 0.9, 0.8, 0.4), falling("perceiver", 0.8, 0.6, 0.5))
    assert stories.shift_story(found) == (
        "handwriting, NAC: iid 0.900, noisy 0.800, rotated 0.400; handwriting, Perceiver IO: iid 0.800, noisy 0.600, "
        "rotated 0.500; handwriting, NAC minus Perceiver IO iid/shifted by seed: +0.100/+0.050."
    )


def test_few_story_has_the_interval_over_seeds():
    found = table(
        [
            row("characters", method, "few_shot_accuracy", value + 0.1 * seed * (method == "nac"), seed=seed, shots=5,
                episode=0)
            for method, value in (("nac", 0.6), ("perceiver", 0.5))
            for seed in (0, 1)
        ]
    )  # fmt: skip
    assert stories.few_story(found) == (
        "Mean over seeds and episodes. characters, 5 of a class: NAC 0.650, Perceiver IO 0.500 (NAC minus Perceiver IO "
        "+0.150 [-0.485, +0.785])."
    )


def test_pruning_and_speed_stories():
    assert stories.pruning_story(table(PRUNED)) == (
        "Accuracy lost on handwriting by share of processors kept. NAC, best connected kept: +0.020 at 0.5; NAC, "
        "random kept: +0.175 at 0.5; NAC, least connected kept: +0.350 at 0.5; Perceiver IO, random kept: "
        "+0.300 at 0.5."
    )
    assert stories.cut_story(table(PRUNED)).endswith("NAC +0.0500 below 0.01.")
    told = stories.speed_story(table(WIDE, speeds(64, whole=1.0, half=2.0, quarter=4.0)))
    assert "speed-up of 64 processors, compiled: 2.00 at 0.5, 4.00 at 0.25" in told
    assert told.endswith("speed-up at a loss of at most 0.03: 4.00, 2.00, 1.00 by seed.")


def test_stories_of_one_data_set_leave_the_others_out():
    found = table(rows())
    assert all(f"{name}: " in stories.accuracy_story(found) for name in DATASETS)
    told = stories.about(stories.accuracy_story, "points")(found)
    assert "points: " in told and "listops" not in told


def test_stories_of_data_that_must_be_fetched():
    story = stories.fetched(stories.accuracy_story, "cub")
    assert story(table(rows())).startswith("Nothing was measured about it: cub must be fetched")
    assert story(table(rows(), of("nac", 0.5, dataset="cub"))).endswith("cub: NAC 0.500.")


def test_stories_follow_the_measurements():
    """Each changes with the rows it is about: none is a sentence that stands by itself."""
    base = [*rows(), *latency_rows()]
    halved = [one | {"value": one["value"] / 2} for one in base]
    before, after = table(base), table(halved)
    for story in STORIES:
        told = story(before)
        assert told != story(after), story.__name__
        assert "nan" not in told


@pytest.mark.parametrize("story", STORIES)
def test_stories_of_nothing_say_so(story):
    unrelated = table([row("radar", "none", "n_params", 1)])
    assert story(EMPTY) == story(unrelated)
    assert story(EMPTY).startswith("Nothing was ") and story(EMPTY).endswith(".")


def test_replaced_rows_measure_the_same():
    found = rows(("points",))
    other = row("points", "nac", "accuracy", 0.1)
    assert len(replaced(found, other)) == len(found)
    assert score(table(replaced(found, other)), "points", "nac")[0] == 0.1
