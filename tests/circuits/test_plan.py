"""The plan: every method and seed once, and what sets methods apart."""

import json
import subprocess
import sys
from typing import get_args

from circuits import tiny
from reprise.circuits.params import Method, Params
from reprise.circuits.plan import VARIANTS, Run, family, prior, runs, settings


def test_every_method_of_the_parameters_is_a_variant():
    assert set(get_args(Method)) == set(VARIANTS)


def test_labels_are_file_names():
    assert Run("nac_small_world", 12).label == "nac_small_world.s12"


def test_methods_times_seeds_in_the_order_of_the_parameters():
    content = tiny.params().model_dump()
    content["tasks"]["points"]["runs"] = {"perceiver": [3], "nac": [1, 0], "nac_ring": []}
    block = Params.model_validate(content)
    assert [run.label for run in runs(block, "points")] == ["perceiver.s3", "nac.s1", "nac.s0"]
    assert Run("perceiver", 3) not in runs(block, "listops")


def test_families():
    assert {family(name) for name in VARIANTS if name.startswith("nac")} == {"nac"}
    assert [family(name) for name in ("plain_sparse", "conditional", "perceiver", "interpreter")] == [
        "nac", "nac", "perceiver", "interpreter",
    ]  # fmt: skip


def test_priors():
    """The parameters name one for the methods that do not."""
    named = {name: prior(name, "erdos_renyi") for name in VARIANTS}
    assert named["nac"] == named["nac_nested"] == named["plain_sparse"] == "erdos_renyi"
    assert named["nac_ring"] == "ring_of_cliques" and named["nac_small_world"] == "watts_strogatz"
    without = {name for name, kind in named.items() if kind is None}
    assert without == {"nac_no_prior", "nac_complete", "perceiver", "interpreter", "conditional"}
    assert not any(VARIANTS[name].regularised for name in without)  # towards what


def test_the_ablation_changes_one_part_at_a_time():
    two = {(variant.modulated, variant.sparse): name for name, variant in reversed(VARIANTS.items())}
    assert two == {
        (True, True): "nac", (True, False): "nac_complete", (False, True): "plain_sparse", (False, False): "perceiver",
    }  # fmt: skip


def test_settings_are_a_job_s():
    """They are JSON, and no job changes with the runs or the evaluation of others."""
    block = tiny.params()
    found = settings(block, "points")
    assert json.loads(json.dumps(found)) == found
    assert found["task"]["tokens"] == {"points": {"width": 6, "bands": 1}} and "runs" not in found["task"]
    assert not {"pruning", "latency", "evaluation", "tasks"} & found.keys()


def test_planning_needs_no_torch():
    code = "import sys, reprise.circuits.plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
