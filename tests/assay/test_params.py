"""The `assay` block: the files that ship validate, and a wrong value stops with one line that says where and why."""

import copy
import json
from pathlib import Path
from typing import get_args

import pytest

from reprise import params as files
from reprise.assay.params import load
from reprise.errors import UserError
from reprise.params import ParamsError

ROOT = Path(__file__).parents[2]
SHIPPED = [ROOT / "params.yaml", *sorted((ROOT / "params").glob("*.yaml"))]
DELETE = object()


@pytest.fixture(scope="module")
def content():
    return files.read(SHIPPED[0])


@pytest.fixture
def edited(content, tmp_path):
    """A function that writes the laptop's file with one key of `assay` changed, added or deleted.

    `strategies`, where given, are the names of those beyond the paper.
    """

    def edit(*path, value, strategies=None):
        changed = copy.deepcopy(content)
        node = changed["assay"]
        if strategies is not None:
            node["strategies"]["names"] = strategies
        for key in path[:-1]:
            node = node[key]
        if value is DELETE:
            del node[path[-1]]
        else:
            node[path[-1]] = value
        file = tmp_path / "params.yaml"
        file.write_text(json.dumps(changed))
        return str(file)

    return edit


def message(file):
    with pytest.raises(ParamsError) as caught:
        load(file)
    assert isinstance(caught.value, UserError)  # shown without a traceback
    lines = str(caught.value).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{file}: ")
    return lines[0].removeprefix(f"{file}: ")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_files_validate(file):
    block = load(str(file))
    assert set(block.datasets) <= set(block.tasks)
    assert block.upstream.dataset in files.load_common(file).datasets
    for name in block.architectures:  # its weights come from timm or from a recipe of the pipeline
        assert name in block.upstream.recipes or name.startswith("assay.timm/")
    for name in block.datasets:
        task = block.tasks[name]
        assert set(task.train) <= set(task.test)  # or a network would not be judged in distribution


def test_an_unchanged_file_loads(edited):
    assert load(edited("seeds", value=[0])) == load(str(SHIPPED[0]))


@pytest.mark.parametrize(
    ("path", "near"),
    [
        (("sedes",), "seeds"),
        (("sweep", "regime"), "regimes"),
        (("sweep", "batchsize"), "batch_size"),
        (("strategies", "alpha"), "alphas"),
        (("invariance", "method"), "methods"),
        (("tasks", "digits", "heldout"), "held_out"),
        (("tasks", "colored", "planted_cue", "tests"), "test"),
        (("evaluation", "attacks", "small", "epsilon"), "eps"),
        (("analysis", "bootstraps"), "bootstrap"),
        (("upstream", "recipes", "assay.cnn", "epohcs"), "epochs"),
    ],
)
def test_unknown_key(edited, path, near):
    assert message(edited(*path, value=1)) == f"assay.{'.'.join(path)} is not a parameter; did you mean {near}?"


@pytest.mark.parametrize(
    "path",
    [
        ("analysis",),
        ("sweep", "lengths"),
        ("strategies", "architectures"),
        ("tasks", "digits", "pool"),
        ("evaluation", "max_images"),
    ],
)
def test_missing_key(edited, path):
    """Nothing has a default: all values stand in the file."""
    assert message(edited(*path, value=DELETE)) == f"assay.{'.'.join(path)} is missing"


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        (("sweep", "regimes"), ["full", "fewshot_0"], "assay.sweep.regimes.1 = 'fewshot_0': string should match"),
        (("sweep", "regimes"), ["fs-10"], "assay.sweep.regimes.0 = 'fs-10': string should match pattern"),
        (("sweep", "lengths"), ["100"], "assay.sweep.lengths.0 = '100': string should match pattern"),
        (("sweep", "lengths"), ["0 epochs"], "assay.sweep.lengths.0 = '0 epochs': string should match"),
        (("sweep", "finetune"), ["ful"], "assay.sweep.finetune.0 = 'ful': input should be 'full' or 'head'; did you"),
        (("sweep", "lr", "full"), [0.0], "assay.sweep.lr.full.0 = 0.0: input should be greater than 0"),
        (("sweep", "lr", "full"), [], "at least 1 item"),
        (("sweep", "batch_size"), 0, "assay.sweep.batch_size = 0: input should be greater than 0"),
        (("seeds",), [], "assay.seeds = []: list should have at least 1 item"),
        (("seeds",), [-1], "assay.seeds.0 = -1: input should be greater than or equal to 0"),
        (("datasets",), [], "assay.datasets = []: list should have at least 1 item"),
        (("strategies", "names"), ["swa"], "assay.strategies.names.0 = 'swa': input should be 'lp_ft', 'wise_ft'"),
        (("strategies", "architectures"), [], "assay.strategies.architectures = []: list should have at least 1 item"),
        (("strategies", "alphas"), 1, "assay.strategies.alphas = 1: input should be greater than or equal to 2"),
        (("invariance", "draws"), 0, "assay.invariance.draws = 0: input should be greater than 0"),
        (("invariance", "length"), "100 Steps", "assay.invariance.length = '100 Steps': string should match"),
        (("tasks", "digits", "crop"), 8, "assay.tasks.digits.crop = 8: input should be greater than or equal to 16"),
        (("evaluation", "severities"), [0], "assay.evaluation.severities.0 = 0: input should be greater than or"),
        (("evaluation", "severities"), [6], "assay.evaluation.severities.0 = 6: input should be less than or equal"),
        (("evaluation", "attacks", "small", "norm"), "l1", "norm = 'l1': input should be 'l2' or 'linf'"),
        (("evaluation", "attacks", "small", "eps"), -1.0, "eps = -1.0: input should be greater than 0"),
        (("evaluation", "bootstrap"), 9, "assay.evaluation.bootstrap = 9: input should be greater than or equal to 10"),
        (("analysis", "transform"), "log", "assay.analysis.transform = 'log': input should be 'logit', 'probit' or"),
        (("analysis", "rotation"), "varimx", "did you mean varimax?"),
        (("sweep", "augment"), ["augmx"], "assay.sweep.augment.0 = 'augmx': input should be 'identity', "),
        (("sweep", "augment"), ["standard", "augmx"], "assay.sweep.augment.1 = 'augmx'"),
        (("sweep", "augment"), ["augmx"], "did you mean augmix?"),
        (("invariance", "augment"), "standrad", "assay.invariance.augment = 'standrad': input should be "),
        (("invariance", "augment"), "standrad", "did you mean standard?"),
        (("invariance", "methods"), ["erm", "fisher"], "assay.invariance.methods.1 = 'fisher': input should be 'erm',"),
        (("invariance", "methods"), ["erm", "fisher"], "did you mean fishr?"),
        (("invariance", "methods"), ["erm", "erm_grayscale"], "assay.invariance.methods.1 = 'erm_grayscale'"),
        (("evaluation", "corruptions"), ["fogg"], "assay.evaluation.corruptions.0 = 'fogg': input should be "),
        (("evaluation", "corruptions"), ["gausian_blur"], "did you mean gaussian_blur?"),
        (("evaluation", "corruptions"), ["fog", "frost"], "assay.evaluation.corruptions.1 = 'frost'"),
    ],
)
def test_values_out_of_range(edited, path, value, part):
    assert part in message(edited(*path, value=value))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            ("strategies", "names"),
            ["wise_ft", "soups"],
            "assay.strategies: names: wise_ft interpolates towards lp_ft, so name lp_ft too",
        ),
        (
            ("tasks", "digits", "held_out"),
            ["rotated", "font"],
            "assay.tasks.digits: held_out names ['font'], which pool ['pen', 'color', 'outline', 'rotated'] does not",
        ),
        (
            ("tasks", "colored", "held_out"),
            ["e90"],
            "assay.tasks.colored: held_out names ['e90'], which pool [] does not",
        ),
        (
            ("tasks", "digits", "pool"),
            ["pen", "rotated"],
            "assay.tasks.digits: pool needs three domains or more, two to train on and one to hold out: "
            "['pen', 'rotated']",
        ),
        (
            ("tasks", "digits", "train"),
            ["pen", "font", "pen"],
            "assay.tasks.digits: train repeats a value: ['pen', 'font', 'pen']",
        ),
        (("seeds",), [1, 2, 1], "assay: seeds repeats a value: [1, 2, 1]"),
        (("architectures",), ["assay.cnn", "assay.cnn"], "assay: architectures repeats a value: "),
        (("datasets",), ["digits", "digits"], "assay: datasets repeats a value: ['digits', 'digits']"),
        (("sweep", "regimes"), ["full", "full"], "assay: sweep.regimes repeats a value: ['full', 'full']"),
        (("sweep", "lengths"), ["1 epochs", "1 epochs"], "assay: sweep.lengths repeats a value: "),
        (("evaluation", "severities"), [1, 1], "assay: evaluation.severities repeats a value: [1, 1]"),
        (
            ("invariance", "methods"),
            ["erm", "irm", "irm"],
            "assay: invariance.methods repeats a value: ['erm', 'irm', 'irm']",
        ),
        (
            ("invariance", "architectures"),
            ["assay.cnn", "assay.cnn"],
            "assay: invariance.architectures repeats a value: ['assay.cnn', 'assay.cnn']",
        ),
        (
            ("invariance", "methods"),
            ["irm", "vrex"],
            "assay: invariance.methods must hold erm, which the others are compared with",
        ),
        (
            ("invariance", "architectures"),
            ["assay.cnn", "assay.mlp"],
            "assay: invariance.architectures names ['assay.mlp'], which are not pretrained: not in architectures",
        ),
        (
            ("strategies", "architectures"),
            ["assay.mlp", "assay.cnn", "assay.lenet"],
            "assay: strategies.architectures names ['assay.lenet', 'assay.mlp'], which are not pretrained: "
            "not in architectures",
        ),
        (
            ("architectures",),
            ["assay.vit"],
            "assay: strategies.architectures names ['assay.cnn'], which are not pretrained: not in architectures",
        ),
        (
            ("strategies", "architectures"),
            ["assay.cnn", "assay.cnn"],
            "assay: strategies.architectures repeats a value: ['assay.cnn', 'assay.cnn']",
        ),
        (
            ("strategies", "names"),
            ["soups", "soups"],
            "assay: strategies.names repeats a value: ['soups', 'soups']",
        ),
        (
            ("evaluation", "attacks", "small", "steps"),
            2,
            "assay.evaluation.attacks.small: fgsm makes one step: set steps to 1 instead of 2, or take pgd",
        ),
        (("sweep", "lr"), {"full": [0.001]}, "assay.sweep: lr says nothing about ['head']"),
        (
            ("datasets",),
            ["digits", "letters", "imagenet"],
            "assay: datasets names ['letters', 'imagenet'], but tasks describes only ['camelyon17', 'colored', ",
        ),
    ],
)
def test_values_that_contradict_each_other(edited, path, value, expected):
    assert message(edited(*path, value=value)).startswith(expected)


@pytest.mark.parametrize(("name", "near"), [("erm_greyscale", "erm_grayscale"), ("virex", "vrex")])
def test_methods_of_the_planted_cue(edited, name, near):
    """Those of the invariance arm, and ERM on grey images."""
    path = ("tasks", "colored", "planted_cue", "methods")
    with pytest.raises(ParamsError, match=f"assay.tasks.colored.planted_cue.methods.*{name}.*did you mean {near}"):
        load(edited(*path, value={"erm": [0], name: [0]}))
    assert load(edited(*path, value={near: [0]})).tasks["colored"].planted_cue.methods == {near: [0]}


def test_every_name_of_the_lists_is_taken(edited):
    from reprise.assay import params

    for path, known in (
        (("sweep", "augment"), params.Augment),
        (("invariance", "methods"), params.Method),
        (("evaluation", "corruptions"), params.Corruption),
    ):
        names = list(get_args(known))
        block = load(edited(*path, value=names))
        assert getattr(getattr(block, path[0]), path[1]) == names
    assert load(edited("evaluation", "attacks", "large", "steps", value=1)).evaluation.attacks["large"].steps == 1


def test_one_strategy_needs_one_rate(edited):
    """A rate for a strategy that is not in use does no harm."""
    block = load(edited("sweep", "finetune", value=["head"], strategies=[]))
    assert block.sweep.lr.keys() == {"full", "head"}


@pytest.mark.parametrize("names", [["lp_ft"], ["lp_ft", "wise_ft"], ["soups"], ["last_layer"]])
def test_strategies_need_fully_fine_tuned_networks(edited, names):
    assert message(edited("sweep", "finetune", value=["head"], strategies=names)) == (
        "assay: strategies are made from fully fine-tuned networks: name full in sweep.finetune, or none"
    )


@pytest.mark.parametrize("names", [["lp_ft"], ["soups", "lp_ft", "wise_ft"]])
def test_lp_ft_needs_a_fitted_head(edited, names):
    assert message(edited("sweep", "finetune", value=["full"], strategies=names)) == (
        "assay: strategies.names: lp_ft starts from a fitted head, so name head in sweep.finetune"
    )


@pytest.mark.parametrize("names", [[], ["soups"], ["last_layer", "soups"]])
def test_other_strategies_need_no_head(edited, names):
    assert load(edited("sweep", "finetune", value=["full"], strategies=names)).strategies.names == names


def test_strategies_for_any_of_the_architectures(content, edited):
    every = content["assay"]["architectures"]
    assert len(every) > 1
    for names in (every, every[1:], every[:1]):
        assert load(edited("strategies", "architectures", value=names)).strategies.architectures == names


def test_data_sets_must_be_prepared(content, edited, tmp_path):
    expected = "assay needs the data set imagenet, which neither common.fetched ["
    assert message(edited("upstream", "dataset", value="imagenet")).startswith(expected)

    less = copy.deepcopy(content)
    less["common"]["fetched"].remove("colored")
    file = tmp_path / "less.yaml"
    file.write_text(json.dumps(less))
    assert message(str(file)).startswith("assay needs the data set colored, which neither common.fetched [")


def test_a_task_not_in_use_may_stand_in_the_file(content, edited):
    tasks = content["assay"]["tasks"]
    assert tasks.keys() > {"digits", "colored"}
    assert load(edited("tasks", value=tasks | {"sketches": tasks["digits"]})).datasets == ["digits", "colored"]
    alone = {name: tasks[name] for name in ("digits", "colored")}
    assert load(edited("tasks", value=alone)).tasks.keys() == alone.keys()


def test_missing_block(content, tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(json.dumps({"common": content["common"]}))
    assert message(str(file)).startswith("assay is missing")


def test_the_names_that_parameters_may_hold_are_those_of_the_registries() -> None:
    """Written out in params.py, so that a light stage need not import torch."""
    from reprise.assay import params
    from reprise.assay.augment import AUGMENTERS
    from reprise.assay.corruptions import TYPES
    from reprise.assay.invariance import METHODS

    assert set(get_args(params.Augment)) == set(AUGMENTERS)
    assert set(get_args(params.Method)) == set(METHODS)
    assert set(get_args(params.Corruption)) == set(TYPES)
