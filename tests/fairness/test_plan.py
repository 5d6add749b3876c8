"""The plan: which networks are trained, each once, under a name of its own."""

from collections import Counter
from pathlib import Path

import pytest

from reprise.fairness import plan
from reprise.fairness.params import load
from reprise.fairness.plan import Run

ROOT = Path(__file__).parents[2]
SCALES = [ROOT / "params.yaml", *sorted((ROOT / "params").glob("*.yaml"))]
LAPTOP = load(str(SCALES[0]))


def small(**changes):
    """Two seeds, two targets of which one is compared; strengths 0, 3, 10."""
    content = LAPTOP.model_dump()
    content |= {"seeds": [4, 7], "strengths": [0, 3, 10]}
    content["methods"] |= {
        "ddp_abs": [1],
        "ddp_unbiased": [],
        "massaging": [0.5, 1],
        "adversarial": [],
        "fair_mixup": [1],
    }
    content["ablations"] |= {"twin": [0, 10], "scratch": [10], "fair_target": [0]}
    content["probe"] |= {"sgd_strengths": [0, 10, 30], "sgd_seeds": [7]}
    for key, value in changes.items():
        content[key] = value
    return type(LAPTOP).model_validate(content)


def test_counts_by_hand():
    found = Counter((run.target, run.arm) for run in plan.runs(small(), "faces"))
    two_seeds = {
        ("mouth", "main"): 2 * (3 + 3 + 1 + 2 + 1)
        + 2,  # lambdas, heads, abs, massaging, mixup; two SGD probes of seed 7
        ("mouth", "twin"): 2 * 2,
        ("mouth", "scratch"): 2 * 1,
        ("mouth", "fair"): 2 * 1,
        ("mouth", "group"): 2 * 1,
        ("glasses", "main"): 2 * (3 + 1),  # not compared: the lambdas and the head that is merged
    }
    assert found == two_seeds


def test_only_compared_targets_get_every_method():
    for run in plan.runs(small(), "faces"):
        if run.target == "glasses":
            assert run.arm == "main"
            assert run.method in ("unconstrained", "ddp_squared", "two_headed")


@pytest.mark.parametrize("file", SCALES, ids=lambda file: file.stem)
def test_every_network_has_a_name_of_its_own(file):
    block = load(str(file))
    for dataset in block.datasets:
        found = plan.runs(block, dataset)
        assert len({run.label for run in found}) == len(found)
        assert all("/" not in run.label for run in found)
        assert {run.arm for run in found} <= set(plan.ARMS)
        assert {run.seed for run in found} == set(block.seeds)
        assert found == plan.runs(block, dataset)
        for target in block.tasks[dataset].targets:
            for seed in block.seeds:
                unconstrained = Run(dataset, target, "main", "unconstrained", "0", seed)
                assert found.count(unconstrained) == 1


@pytest.mark.parametrize("file", SCALES, ids=lambda file: file.stem)
def test_arms_gather_the_runs_that_share_their_data(file):
    block = load(str(file))
    for dataset in block.datasets:
        arms = plan.arms(block, dataset)
        assert sorted(run.label for members in arms.values() for run in members) == sorted(
            run.label for run in plan.runs(block, dataset)
        )
        for label, members in arms.items():
            assert {f"{run.target}.{run.arm}.s{run.seed}" for run in members} == {label}
            assert len({run.key for run in members}) == len(members)


def test_strength_zero_is_called_unconstrained():
    for run in plan.runs(small(), "faces"):
        if run.method in ("unconstrained", "ddp_squared"):
            assert (run.method == "unconstrained") == (run.strength == 0)
    fractions = small(strengths=[0.0, 0.5, 10.0])
    levels = [run.level for run in plan.runs(fractions, "faces") if run.method == "ddp_squared" and run.arm == "main"]
    assert set(levels) == {"0.5", "10"}


def test_probes_find_the_network_they_retrain():
    found = plan.runs(small(), "faces")
    labels = {run.label for run in found}
    probes = [run for run in found if run.method == "sgd_probe"]
    assert [(run.level, run.seed) for run in probes] == [("0", 7), ("10", 7)]  # 30 was not trained
    assert [run.probed for run in probes] == ["mouth.main.unconstrained.0.s7", "mouth.main.ddp_squared.10.s7"]
    assert all(run.probed in labels for run in probes)


def test_tables():
    """No pretrained backbone to start from, no fair control; fairlearn's reduction instead."""
    block = small(datasets=["loanapp"])
    found = plan.runs(block, "loanapp")
    assert {run.arm for run in found} == {"main", "twin", "group"}
    assert {run.level for run in found if run.method == "exponentiated_gradient"} == {"0.01"}
    assert not any(run.method == "sgd_probe" for run in found)
    assert not any(run.method == "exponentiated_gradient" for run in plan.runs(block, "faces"))


def test_a_run_survives_the_way_through_a_job():
    run = Run("faces", "mouth", "main", "ddp_squared", "0.5", 3)
    assert Run(**run.as_job()) == run
    assert run.label == "mouth.main.ddp_squared.0.5.s3"
    assert (run.key, run.strength) == ("ddp_squared.0.5", 0.5)


def test_pairs_lie_beside_the_test_split():
    """Pairs are test people: a stage that may not see the test split may not see them either."""
    assert plan.file_name("mouth.main.s0", "test") == "mouth.main.s0.npz"
    assert plan.file_name("mouth.main.s0", "pairs") == "mouth.main.s0.pairs.npz"
