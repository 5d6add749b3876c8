"""The plan of the assay: which networks are trained, each once, under an id that is its configuration."""

import csv
import dataclasses
import hashlib
import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from reprise import results
from reprise.assay import plan
from reprise.assay.architectures import TIMM
from reprise.assay.params import Params, load
from reprise.assay.plan import Run

ROOT = Path(__file__).parents[2]
SCALES = [ROOT / "params.yaml", *sorted((ROOT / "params").glob("*.yaml"))]
LAPTOP = load(str(SCALES[0]))
RUN = Run(
    "digits", "sweep", "pen", "assay.cnn", "full", "full", "standard", "erm", 0.001, "100 steps", 64, None, 0, 0
)  # fmt: skip

# The domains of Sec. 2 of the specification: 36 training sets in ten tasks.
CARS = ["aclass", "escape", "hilux", "i3", "lexus", "tesla", "tiguan", "tucson", "x5", "zoe"]
DOMAINBED = {
    "domain_net": ["clipart", "infograph", "painting", "quickdraw", "real", "sketch"],
    "office_home": ["Art", "Clipart", "Product", "Real_World"],
    "pacs": ["art_painting", "cartoon", "photo", "sketch"],
    "sviro": CARS,
    "terra_incognita": ["location_38", "location_43", "location_46", "location_100"],
    "vlcs": ["Caltech101", "LabelMe", "SUN09", "VOC2007"],
}
WILDS = ("camelyon17", "fmow", "iwildcam", "rxrx1")


def changed(**changes):
    """The laptop's block with some of its keys replaced; `sweep`, `strategies` and `invariance` key by key."""
    content = LAPTOP.model_dump()
    for key, value in changes.items():
        content[key] = content[key] | value if isinstance(value, dict) else value
    return Params.model_validate(content)


def paper_by_hand():
    """The grid of Sec. 3: 9 models x 3 regimes x 2 rates x 2 lengths x 2 strategies x 4 augmenters."""
    tasks = {name: {"train": domains, "test": domains} for name, domains in DOMAINBED.items()}
    tasks |= {name: {"train": ["train"], "test": ["train", "ood"]} for name in WILDS}
    rest = {"crop": 224, "architectures": None, "pool": [], "held_out": [], "planted_cue": None}
    grid = {
        "regimes": ["full", "fewshot_100", "fewshot_10"],
        "finetune": ["full", "head"],
        "augment": ["identity", "random_color", "random_augment", "augmix"],
        "lengths": ["10 epochs", "100 epochs"],
        "lr": {"full": [5e-4, 5e-5], "head": [5e-4, 5e-5]},
    }
    block = changed(
        datasets=list(tasks),
        architectures=[f"assay.timm/{name}" for name in TIMM],
        sweep=grid,
        strategies={"architectures": [f"assay.timm/{TIMM[0]}"]},
        invariance={"architectures": [f"assay.timm/{TIMM[0]}"]},
        tasks={name: task | rest for name, task in tasks.items()},
    )
    return block, {name: plan.runs(block, name) for name in block.datasets}


def arms(block, dataset):
    return Counter(run.arm for run in plan.runs(block, dataset))


# ---------------------------------------------------------------- counts


def test_counts_at_laptop_scale():
    """4 models (2 on colored) x 6 domains x 2 regimes x 2 strategies x 2 augmenters; 12 methods x 2 draws x 4 pools.

    One model in 6 domains for LP-FT; 7 methods x 2 seeds for the planted cue.
    """
    assert arms(LAPTOP, "digits") == {"sweep": 192, "strategies": 6, "invariance": 96}
    assert arms(LAPTOP, "colored") == {"sweep": 16, "strategies": 1, "planted_cue": 14}


@cache
def shipped(file):
    """A file that ships, and its plan by data set: computed once, for the paper's has 31,104 runs."""
    block = load(str(file))
    return block, {name: plan.runs(block, name) for name in block.datasets}


def shipped_paper():
    return shipped(ROOT / "params/paper.yaml")


@pytest.mark.parametrize("written", [paper_by_hand, shipped_paper])
def test_counts_at_paper_scale(written):
    """The published counts: 36 training domains in ten tasks, 172 pairs, 31,104 fine-tuned networks."""
    block, planned = written()
    assert sorted(block.datasets) == sorted([*DOMAINBED, *WILDS])
    sweep = [run for found in planned.values() for run in found if run.arm == "sweep"]
    assert len(sweep) == 31_104 == 36 * 9 * 3 * 2 * 2 * 2 * 4
    assert len({(run.dataset, run.sources) for run in sweep}) == 36
    assert len({run.id for run in sweep}) == pytest.approx(31_104, abs=3)  # 8 digits are for one task, not for all
    tasks = [block.tasks[name] for name in block.datasets]
    assert sum(len(set(task.test) - {train}) for task in tasks for train in task.train) == 172


def test_a_seed_is_a_whole_replicate():
    once, twice = (plan.runs(changed(seeds=seeds), "digits") for seeds in ([0], [0, 5]))
    assert len(twice) == 2 * len(once)
    assert Counter(run.seed for run in twice) == {0: len(once), 5: len(once)}


def test_every_cell_of_the_sweep_once():
    block = changed(sweep={"lr": {"full": [1e-3, 1e-4], "head": [5e-3]}, "lengths": ["1 epochs", "2 epochs"]})
    sweep = [run for run in plan.runs(block, "colored") if run.arm == "sweep"]
    assert len(sweep) == 2 * 2 * 2 * 2 * (2 + 1)
    assert {run.lr for run in sweep if run.finetune == "head"} == {5e-3}
    assert {(run.sources, run.method, run.draw, run.batch_size, run.crop) for run in sweep} == {
        ("e10", "erm", 0, 64, None)
    }


# ---------------------------------------------------------------- ids


@pytest.mark.parametrize("file", SCALES, ids=lambda file: file.stem)
def test_ids_are_unique(file):
    for name, found in shipped(file)[1].items():
        assert len({run.id for run in found}) == len(found)
        assert len(set(found)) == len(found)
        assert {run.dataset for run in found} == {name}


@pytest.mark.parametrize("dataset", ["digits", "colored"])
def test_the_plan_is_the_same_each_time(dataset):
    again = load(str(SCALES[0]))
    assert plan.runs(LAPTOP, dataset) == plan.runs(LAPTOP, dataset) == plan.runs(again, dataset)


def test_id_by_hand():
    fields = {
        "arm": "sweep",
        "augment": "standard",
        "batch_size": 64,
        "crop": None,
        "dataset": "digits",
        "draw": 0,
        "finetune": "full",
        "length": "100 steps",
        "lr": 0.001,
        "method": "erm",
        "model": "assay.cnn",
        "regime": "full",
        "seed": 0,
        "sources": "pen",
    }
    assert RUN.id == hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:8]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Run)])
def test_id_changes_with_every_field(name):
    value = getattr(RUN, name)
    other = 224 if value is None else value + 1 if isinstance(value, int | float) else f"{value}2"
    assert dataclasses.replace(RUN, **{name: other}).id != RUN.id


def test_one_more_value_leaves_the_other_ids_alone():
    before = {run.id for run in plan.runs(LAPTOP, "digits")}
    after = {run.id for run in plan.runs(changed(sweep={"augment": ["standard", "rand", "augmix"]}), "digits")}
    assert before < after
    assert len(after) == len(before) + 96


def test_two_runs_of_one_configuration_are_refused():
    with pytest.raises(ValueError, match="the plan of digits holds two runs of one id"):
        plan.runs(changed(sweep={"lr": {"full": [0.001, 0.001], "head": [0.005]}}), "digits")


def test_a_run_survives_the_way_through_a_job():
    assert Run(**json.loads(json.dumps(RUN.as_job()))) == RUN


# ---------------------------------------------------------------- one run


@pytest.mark.parametrize(
    ("length", "rows", "expected"),
    [
        ("100 steps", 1078, 6),  # 17 batches per epoch
        ("100 steps", 100, 50),
        ("100 steps", 64, 100),
        ("100 steps", 65, 50),
        ("100 steps", 5, 100),
        ("100 steps", 10_000, 1),  # 157 batches: more than asked for, but no epoch is left out
        ("100 steps", 1_000_000, 1),
        ("10 epochs", 1078, 10),
        ("1 epochs", 1_000_000, 1),
    ],
)
def test_epochs(length, rows, expected):
    assert dataclasses.replace(RUN, length=length).epochs(rows) == expected


def test_setting():
    text = RUN.setting()
    assert text == f"arm=sweep;augment=standard;finetune=full;length=100steps;lr=0.001;regime=full;run={RUN.id}"
    assert "corruption=fog" in RUN.setting(corruption="fog", severity=3).split(";")
    assert "severity=3" in RUN.setting(corruption="fog", severity=3).split(";")
    invariance = dataclasses.replace(RUN, arm="invariance", draw=1)
    assert "draw=1" in invariance.setting().split(";")


def test_settings_tell_runs_apart():
    found = plan.runs(LAPTOP, "digits")
    assert len({run.setting() for run in found}) == len(found)


def test_names():
    assert (RUN.name, RUN.domains, RUN.start) == ("cnn", ["pen"], "assay.cnn.s0.safetensors")
    timm = dataclasses.replace(RUN, model="assay.timm/resnet50d.ra2_in1k", sources="pen+color", seed=3)
    assert (timm.name, timm.domains) == ("resnet50d.ra2_in1k", ["pen", "color"])
    assert timm.start == "assay.timm-resnet50d.ra2_in1k.s3.safetensors"
    assert timm.start == plan.start_of("assay.timm/resnet50d.ra2_in1k.s3")
    assert plan.name_of("circuits.nac") == "circuits.nac"  # another wing's network keeps its wing
    assert RUN.label == f"pen cnn erm full full standard {RUN.id}"


# ---------------------------------------------------------------- arms


def test_strategies_take_the_first_cell_of_the_grid():
    block = changed(strategies={"architectures": LAPTOP.architectures})
    found = [run for run in plan.runs(block, "digits") if run.arm == "strategies"]
    assert len({(run.sources, run.model) for run in found}) == len(found) == 24
    for run in found:
        assert (run.finetune, run.regime, run.augment, run.lr) == ("lp_ft", "full", "standard", 0.001)


@pytest.mark.parametrize("names", [["assay.cnn"], ["assay.vit", "assay.cnn"]])
def test_strategies_of_the_listed_architectures_alone(names):
    found = plan.runs(changed(strategies={"architectures": names}), "digits")
    pairs = [(run.sources, run.model) for run in found if run.arm == "strategies"]
    assert sorted(pairs) == sorted((domain, model) for domain in LAPTOP.tasks["digits"].train for model in names)
    others = [run for run in found if run.arm != "strategies"]
    assert others == [run for run in plan.runs(LAPTOP, "digits") if run.arm != "strategies"]
    assert {run.model for run in others if run.arm == "sweep"} == set(LAPTOP.architectures)


def test_no_strategies_without_their_parents():
    assert "strategies" not in arms(changed(strategies={"names": ["soups", "last_layer"]}), "digits")
    assert "strategies" not in arms(changed(sweep={"finetune": ["head"]}, strategies={"names": []}), "digits")
    for finetune in ("full", "head"):  # the parameters refuse what lacks its parents
        with pytest.raises(ValueError, match=r"in sweep\.finetune"):
            changed(sweep={"finetune": [finetune]})


def test_lp_ft_starts_from_a_head_of_its_own_domain():
    block = changed(
        seeds=[0, 1],
        sweep={"lr": {"full": [0.001], "head": [0.005, 0.01]}},
        strategies={"architectures": LAPTOP.architectures},
    )
    found = plan.runs(block, "digits")
    tuned = [run for run in found if run.arm == "strategies"]
    assert len(tuned) == 2 * 24
    for run in tuned:
        head = plan.probe_of(run, found)
        assert head.arm == "sweep"
        assert (head.finetune, head.augment, head.lr) == ("head", "standard", 0.005)  # the first of its kind
        for field in ("sources", "model", "regime", "seed"):
            assert getattr(head, field) == getattr(run, field)


def test_invariance_pools_lack_one_or_two_domains():
    found = [run for run in plan.runs(LAPTOP, "digits") if run.arm == "invariance"]
    assert Counter(run.sources for run in found) == {
        "color+outline+rotated": 24,  # pen held out
        "outline+rotated": 24,  # and one more, for leave-one-domain-out selection
        "color+rotated": 24,
        "color+outline": 24,
    }
    assert not any("pen" in run.domains for run in found)
    assert {run.model for run in found} == {"assay.cnn"}
    assert {(run.lr, run.batch_size, run.length, run.augment) for run in found} == {(0.002, 64, "60 steps", "standard")}
    assert Counter((run.method, run.draw) for run in found) == {
        (method, draw): 4 for method in LAPTOP.invariance.methods for draw in (0, 1)
    }


def test_every_domain_held_out():
    """Four pools of three, and each of the six pools of two once, though it serves two targets."""
    digits = LAPTOP.model_dump()["tasks"]["digits"] | {"held_out": ["pen", "color", "outline", "rotated"]}
    found = [run for run in plan.runs(changed(tasks={"digits": digits}), "digits") if run.arm == "invariance"]
    sizes = Counter(len(run.domains) for run in found)
    assert sizes == {3: 4 * 24, 2: 6 * 24}


def test_a_pool_of_three_leaves_out_one():
    digits = LAPTOP.model_dump()["tasks"]["digits"] | {"pool": ["pen", "color", "rotated"]}
    found = [run for run in plan.runs(changed(tasks={"digits": digits}), "digits") if run.arm == "invariance"]
    assert {run.sources for run in found} == {"color+rotated"}


def test_planted_cue():
    found = [run for run in plan.runs(LAPTOP, "colored") if run.arm == "planted_cue"]
    assert {(run.sources, run.model, run.length) for run in found} == {("font_e10+font_e20", "assay.mlp", "301 epochs")}
    assert all(run.epochs(10_000) == 301 for run in found)  # full batches: an epoch is a step
    methods = ("erm", "erm_grayscale", "group_dro", "coral", "sd", "irm", "vrex")
    assert Counter((run.method, run.seed) for run in found) == {(name, seed): 1 for name in methods for seed in (0, 1)}


def test_methods_of_the_planted_cue_have_seeds_of_their_own():
    colored = LAPTOP.model_dump()["tasks"]["colored"]
    cue = colored["planted_cue"] | {"methods": {"irm": [0, 1, 2], "fishr": [4]}}
    block = changed(tasks={"colored": colored | {"planted_cue": cue}})
    found = [run for run in plan.runs(block, "colored") if run.arm == "planted_cue"]
    assert [(run.method, run.seed) for run in found] == [("irm", 0), ("irm", 1), ("irm", 2), ("fishr", 4)]
    assert len([label for label in plan.groups(block, "colored") if label.startswith("planted_cue.")]) == 4


# ---------------------------------------------------------------- groups and files


@pytest.mark.parametrize("file", SCALES, ids=lambda file: file.stem)
def test_groups_part_the_runs(file):
    block, planned = shipped(file)
    for name, found in planned.items():
        groups = plan.groups(block, name)
        assert Counter(run for members in groups.values() for run in members) == Counter(found)
        assert not any("/" in label for label in groups)  # a file each
        for members in groups.values():
            assert len({(run.sources, run.model, run.seed) for run in members}) == 1


def test_groups_at_laptop_scale():
    digits, colored = (plan.groups(LAPTOP, name) for name in ("digits", "colored"))
    assert len(digits) == 6 * 4 + 4
    assert Counter(run.arm for run in digits["sweep.pen.cnn.s0"]) == {"sweep": 8, "strategies": 1}
    assert Counter(run.arm for run in digits["sweep.pen.vit.s0"]) == {"sweep": 8}  # no strategies for this one
    assert len(digits["invariance.color+rotated.cnn.s0"]) == 24
    assert len(colored) == 2 + 2
    for seed in (0, 1):
        assert len(colored[f"planted_cue.font_e10+font_e20.mlp.s{seed}"]) == 7


def fields_of(name, members):
    return dict(pair.split("=") for pair in plan.derived_setting(name, members).split(";"))


def test_settings_of_derived_networks():
    groups = plan.groups(LAPTOP, "digits")
    members = groups["sweep.pen.cnn.s0"]
    third, half, soup = (fields_of(name, members) for name in ("wise_ft-0.3", "wise_ft-0.5", "uniform_soup"))
    parent = {"arm": "strategies", "regime": "full", "augment": "standard", "lr": "0.001", "length": "100steps"}
    assert third == parent | {"finetune": "wise_ft", "alpha": "0.3", "run": third["run"]}
    assert soup == parent | {"finetune": "uniform_soup", "run": soup["run"]}
    found = {third["run"], half["run"], soup["run"], fields_of("uniform_soup", groups["sweep.font.cnn.s0"])["run"]}
    assert len(found) == 4
    assert not found & {run.id for run in members}
    assert all(len(run) == 8 and int(run, 16) >= 0 for run in found)


def test_derived_settings_are_columns_of_the_results():
    members = plan.groups(LAPTOP, "digits")["sweep.pen.cnn.s0"]
    assert plan.derived_setting("wise_ft-0.5", members) == results.setting(**fields_of("wise_ft-0.5", members))


def test_the_plan_as_a_table(tmp_path):
    found = plan.runs(LAPTOP, "colored")
    plan.write(found, tmp_path / "plan.csv")
    plan.write(found, tmp_path / "again.csv")
    text = (tmp_path / "plan.csv").read_bytes()
    assert text == (tmp_path / "again.csv").read_bytes()
    assert b"\r" not in text
    with (tmp_path / "plan.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["run", *(field.name for field in dataclasses.fields(Run))]
    assert [row["run"] for row in rows] == [run.id for run in found]
    assert rows[0]["crop"] == ""
    for row, run in zip(rows, found, strict=True):
        expected = {key: "" if value is None else str(value) for key, value in dataclasses.asdict(run).items()}
        assert {key: value for key, value in row.items() if key != "run"} == expected


def test_a_task_may_sweep_fewer_architectures():
    """Its sweep and strategies use those alone; an architecture that is not pretrained is refused."""
    content = LAPTOP.model_dump()
    content["tasks"]["digits"]["architectures"] = ["assay.vit"]
    few = Params.model_validate(content)
    assert {run.model for run in plan.runs(few, "digits") if run.arm == "sweep"} == {"assay.vit"}
    assert arms(few, "digits") == {"sweep": 48, "invariance": 96}  # the strategies' only architecture is not swept
    content["tasks"]["digits"]["architectures"] = ["assay.mlp"]
    with pytest.raises(ValueError, match=r"tasks\.digits\.architectures names \['assay\.mlp'\], which are not pretr"):
        Params.model_validate(content)
