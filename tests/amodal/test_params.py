"""The `amodal` block: the files that ship validate, and a wrong value stops with one line that says where and why."""

import copy
import json
from pathlib import Path

import pytest

from reprise import params as files
from reprise.amodal.completion import UNet
from reprise.amodal.params import load
from reprise.amodal.predictor import predictor_of
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
    """A function that writes the laptop's file with one key of `amodal` changed, added or deleted."""

    def edit(*path, value):
        changed = copy.deepcopy(content)
        node = changed["amodal"]
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
    """And their networks can be built."""
    block = load(str(file))
    settings = block.model_dump(include={"network", "training", "completion"})
    for method in ("savos", "occluder_input"):
        predictor_of(method, settings)
    UNet(block.completion.widths)


def test_an_unchanged_file_loads(content, edited):
    seeds = content["amodal"]["tasks"]["chewgum"]["runs"]["savos"]
    assert load(edited("tasks", "chewgum", "runs", "savos", value=seeds)) == load(str(SHIPPED[0]))


@pytest.mark.parametrize(
    ("path", "near"),
    [
        (("dataset",), "datasets"),
        (("network", "encoders"), "encoder"),
        (("training", "clip_len"), "clip_length"),
        (("training", "consistancy"), "consistency"),
        (("completion", "width"), "widths"),
        (("adaptation", "step"), "steps"),
        (("tasks", "chewgum", "batchsize"), "batch_size"),
        (("evaluation", "treshold"), "threshold"),
    ],
)
def test_unknown_key(edited, path, near):
    assert message(edited(*path, value=1)) == f"amodal.{'.'.join(path)} is not a parameter; did you mean {near}?"


@pytest.mark.parametrize("path", [("adaptation",), ("network", "hidden"), ("training", "eps"), ("completion", "shift")])
def test_missing_key(edited, path):
    """Nothing has a default: all values stand in the file."""
    assert message(edited(*path, value=DELETE)) == f"amodal.{'.'.join(path)} is missing"


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        (("datasets",), [], "amodal.datasets = []: list should have at least 1 item"),
        (("tasks", "chewgum", "runs", "per_frane"), [0], "did you mean per_frame?"),
        (
            ("tasks", "movi", "runs", "savos"),
            [-1],
            "amodal.tasks.movi.runs.savos.0 = -1: input should be greater than or equal to 0",
        ),
        (("network", "crop"), [32], "amodal.network.crop = [32]: list should have at least 2 items"),
        (("network", "encoder"), [16, 0], "amodal.network.encoder.1 = 0: input should be greater than 0"),
        (("network", "enlarge"), 0.9, "amodal.network.enlarge = 0.9: input should be greater than or equal to 1"),
        (("training", "clip_length"), 2, "amodal.training.clip_length = 2: input should be greater than or equal to 3"),
        (("training", "eps"), 0.0, "amodal.training.eps = 0.0: input should be greater than 0"),
        (("training", "schedule"), "one_cycel", "did you mean one_cycle?"),
        (("training", "clip_norm"), 0.0, "amodal.training.clip_norm = 0.0: input should be greater than 0"),
        (("completion", "in_front"), 1.5, "amodal.completion.in_front = 1.5: input should be less than or equal to 1"),
        (("completion", "widths"), [16, 32], "amodal.completion.widths = [16, 32]: list should have at least 3 items"),
        (("adaptation", "methods"), ["supervised"], "amodal.adaptation.methods.0 = 'supervised': input should be"),
        (("adaptation", "mode"), "inductiv", "did you mean inductive?"),
        (("adaptation", "steps"), [], "amodal.adaptation.steps = []: list should have at least 1 item"),
        (("tasks", "chewgum", "steps"), 0, "amodal.tasks.chewgum.steps = 0: input should be greater than 0"),
        (("evaluation", "occlusion"), [0.1, 1.7], "amodal.evaluation.occlusion.1 = 1.7: input should be less than"),
        (("evaluation", "bootstrap"), 9, "amodal.evaluation.bootstrap = 9: input should be greater than or equal"),
    ],
)
def test_values_out_of_range(edited, path, value, part):
    assert part in message(edited(*path, value=value))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            ("datasets",),
            ["chewgum", "ytvos"],
            "amodal: datasets names ['ytvos'], but tasks describes only ['chewgum', ",
        ),
        (
            ("tasks", "chewgum", "runs", "savos"),
            DELETE,
            "amodal.tasks.chewgum: runs must hold savos, which the others are compared with",
        ),
        (
            ("tasks", "davis", "runs", "savos"),
            [1, 1],
            "amodal.tasks.davis: runs repeats a seed: {'savos': [1, 1]}",
        ),
        (
            ("evaluation", "occlusion"),
            [0.7, 0.1],
            "amodal: evaluation.occlusion = [0.7, 0.1] is empty: the lower bound comes first",
        ),
        (("adaptation", "steps"), [50, 0], "amodal: adaptation.steps must rise, without repeats: [50, 0]"),
        (("adaptation", "steps"), [0, 50, 50], "amodal: adaptation.steps must rise, without repeats: [0, 50, 50]"),
        (("datasets",), ["chewgum", "chewgum"], "amodal: datasets repeats a value: ['chewgum', 'chewgum']"),
    ],
)
def test_values_that_contradict_each_other(edited, path, value, expected):
    assert message(edited(*path, value=value)).startswith(expected)


def test_gradients_may_go_unclipped(edited):
    assert load(edited("training", "clip_norm", value=None)).training.clip_norm is None


def test_data_sets_must_be_prepared(content, tmp_path):
    less = copy.deepcopy(content)
    less["common"]["generated"].remove("chewgum")
    file = tmp_path / "params.yaml"
    file.write_text(json.dumps(less))
    assert message(str(file)).startswith("amodal needs the data set chewgum, which neither common.fetched [")
