"""The plan: every method and seed once, and what goes on to another distribution."""

from pathlib import Path

import pytest

from reprise.amodal.params import Params, load
from reprise.amodal.plan import SUPERVISED, Run, adapted, adapting, runs

ROOT = Path(__file__).parents[2]
SCALES = [ROOT / "params.yaml", *sorted((ROOT / "params").glob("*.yaml"))]


def changed(runs, **adaptation):
    """The laptop's block with other runs on chewgum."""
    content = load(str(SCALES[0])).model_dump()
    content["tasks"]["chewgum"]["runs"] = runs
    content["adaptation"] |= adaptation
    return Params.model_validate(content)


def test_labels_are_file_names():
    assert Run("savos", 0).label == "savos.s0"
    assert Run("completion_clean", 12).label == "completion_clean.s12"
    assert Run("savos", 1, 200).label == "savos.s1.a200"


def test_methods_times_seeds_in_the_order_of_the_parameters():
    block = changed({"per_frame": [3], "savos": [1, 0], "completion": []}, methods=["savos"], steps=[0, 5])
    assert [run.label for run in runs(block, "chewgum")] == ["per_frame.s3", "savos.s1", "savos.s0"]
    assert adapting(block, "chewgum") == [Run("savos", 1), Run("savos", 0)]
    labels = [run.label for run in adapted(block, "chewgum")]
    assert labels == ["savos.s1.a5", "savos.s0.a5"]  # after no step it is the network itself


def test_data_sets_have_plans_of_their_own():
    block = changed({"savos": [7]})
    assert runs(block, "chewgum") == [Run("savos", 7)]
    assert Run("savos", 7) not in runs(block, "fishbowl_lite")


def test_nothing_is_adapted_where_no_method_is_named():
    block = changed({"savos": [0]}, methods=[])
    assert adapting(block, "chewgum") == adapted(block, "chewgum") == []


@pytest.mark.parametrize("file", SCALES, ids=lambda file: file.stem)
def test_shipped_plans(file):
    block = load(str(file))
    for name in block.tasks:
        labels = [run.label for run in [*runs(block, name), *adapted(block, name)]]
        assert len(labels) == len(set(labels))
        methods = {run.method for run in runs(block, name)}
        assert methods >= {"savos", "per_frame", "completion", *block.adaptation.methods}
        # KINS knows the full masks of some test frames alone, so nothing can be trained on them.
        assert bool(methods & set(SUPERVISED)) == (name != "kins_car")
        savos = {run.seed for run in runs(block, name) if run.method == "savos"}
        assert all(run.seed in savos for run in runs(block, name))  # or there is nothing to compare with
        assert {run.adapted for run in adapted(block, name)} == set(block.adaptation.steps) - {0}
