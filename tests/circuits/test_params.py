"""The `circuits` block: the files that ship validate, and a wrong value stops with one line that says where and why."""

import copy
import json
from pathlib import Path

import pytest

from circuits import tiny
from reprise.circuits.models import Inputs, classifier_of
from reprise.circuits.params import load
from reprise.circuits.plan import settings
from reprise.errors import UserError
from reprise.params import ParamsError

ROOT = Path(__file__).parents[2]
SHIPPED = [ROOT / "params.yaml", *sorted((ROOT / "params").glob("*.yaml"))]
DELETE = object()


@pytest.fixture
def edited(tmp_path):
    """A function that writes a file whose block has one key changed, added or deleted."""

    def edit(*path, value, common=tuple(tiny.TOKENS)):
        changed = {
            "common": {"seed": 0, "fetched": list(common), "generated": []},
            "circuits": copy.deepcopy(tiny.BLOCK),
        }
        node = changed["circuits"]
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


# What data sets give a network, whatever their size.
SHAPES = {
    "handwriting": (1, 8, 8), "characters": (1, 16, 16), "points": (128, 3), "listops": (24,), "source_bytes": (256,),
    "nlvr_mini": (3, 16, 16),
}  # fmt: skip


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_files_validate(file):
    """And every network of the small data sets can be built."""
    block = load(str(file))
    for dataset in set(block.datasets) & SHAPES.keys():
        text = (4, 19) if block.tasks[dataset].text else None
        for method in block.tasks[dataset].runs:
            classifier_of(method, Inputs(SHAPES[dataset], 10, 256, text), settings(block, dataset))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_perceivers_have_as_many_weights_as_circuits(file):
    """Within 4 % (Sec. 3, matching rule)."""
    block = load(str(file))
    given = Inputs((1, 8, 8), 10, 256, None)
    chosen = settings(block, block.datasets[0]) | {"task": {"tokens": {"patches": {"side": 2, "bands": 2}}}}
    one, other = (classifier_of(method, given, chosen) for method in ("nac", "perceiver"))
    weights = [sum(weight.numel() for weight in model.parameters()) for model in (one, other)]
    assert weights[1] == pytest.approx(weights[0], rel=0.04)


def test_an_unchanged_file_loads(edited):
    assert load(edited("few_shot", "way", value=2)) == tiny.params()


@pytest.mark.parametrize(
    ("path", "near"),
    [
        (("dataset",), "datasets"),
        (("network", "outptus"), "outputs"),
        (("interpreter", "function"), "functions"),
        (("prior", "step"), "steps"),
        (("prior", "graphs", "erdos_reny"), "erdos_renyi"),
        (("prior", "graphs", "ring_of_cliques", "cluster"), "clusters"),
        (("optimiser", "weightdecay"), "weight_decay"),
        (("tasks", "points", "batchsize"), "batch_size"),
        (("tasks", "points", "tokens", "symbol"), "symbols"),
        (("tasks", "points", "tokens", "points", "band"), "bands"),
        (("tasks", "nlvr_mini", "text", "widht"), "width"),
        (("latency", "token"), "tokens"),
    ],
)
def test_unknown_key(edited, path, near):
    assert message(edited(*path, value=1)) == f"circuits.{'.'.join(path)} is not a parameter; did you mean {near}?"


@pytest.mark.parametrize(
    "path", [("nested",), ("network", "layer_scale"), ("tasks", "points", "text"), ("evaluation", "cut")]
)
def test_missing_key(edited, path):
    """Nothing has a default: all values stand in the file."""
    assert message(edited(*path, value=DELETE)) == f"circuits.{'.'.join(path)} is missing"


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        (("datasets",), [], "circuits.datasets = []: list should have at least 1 item"),
        (("tasks", "points", "processors"), 0, "circuits.tasks.points.processors = 0: input should be greater than 0"),
        (("tasks", "points", "processors"), 32.0, ".points.processors = 32.0: input should be a valid integer"),
        (("network", "drop_path"), 1.0, "circuits.network.drop_path = 1.0: input should be less than 1"),
        (("prior", "kind"), "scalefree", "did you mean scale_free?"),
        (("optimiser", "warmup"), 0.0, "circuits.optimiser.warmup = 0.0: input should be greater than 0"),
        (("nested", "smallest"), 0.0, "circuits.nested.smallest = 0.0: input should be greater than 0"),
        (("tasks", "points", "runs", "nac_rings"), [0], "did you mean nac_ring?"),
        (("tasks", "points", "runs", "nac"), [-1], "runs.nac.0 = -1: input should be greater than or equal to 0"),
        (("tasks", "points", "batch_size"), 1, "batch_size = 1: input should be greater than or equal to 2"),
        (("latency", "tokens"), [4], "circuits.latency.tokens = [4]: list should have at least 2 items"),
        (("evaluation", "cut"), 0.0, "circuits.evaluation.cut = 0.0: input should be greater than 0"),
    ],
)
def test_values_out_of_range(edited, path, value, part):
    assert part in message(edited(*path, value=value))


AUGMENTATION = tiny.BLOCK["tasks"]["points"]["augmentation"]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("datasets",), ["characters", "cars"], ": datasets names ['cars'], but tasks describes only ['characters', "),
        (("datasets",), ["characters", "characters"], ": datasets repeats a value: ['characters', 'characters']"),
        (("datasets",), ["points"], ": few_shot.dataset = characters is none of datasets ['points']"),
        (
            ("tasks", "handwriting", "processors"),
            1,
            ": too few processors for 2 clusters of a graph prior: {'handwriting': 1}",
        ),
        (("interpreter", "heads"), 3, ".interpreter: width 8 is no multiple of heads 3"),
        (
            ("tasks", "points", "runs", "nac"),
            DELETE,
            ".tasks.points: runs must hold nac or conditional, which the others are",
        ),
        (("tasks", "points", "runs", "nac"), [1, 1], ".tasks.points: runs repeats a seed: {'nac': [1, 1]}"),
        (
            ("tasks", "points", "runs", "conditional"),
            [0],
            ".tasks.points: runs names conditional, whose circuit a text makes",
        ),
        (
            ("tasks", "nlvr_mini", "runs", "interpreter"),
            [0],
            ".tasks.nlvr_mini: runs names interpreter, which reads no",
        ),
        (("tasks", "listops", "augmentation"), AUGMENTATION, ".tasks.listops: augmentation is for points"),
        (("tasks", "points", "tokens"), {}, ".tasks.points.tokens: must name one tokenizer of patches, convnext, "),
        (
            ("tasks", "points", "tokens", "symbols"),
            {"width": 4},
            ".tasks.points.tokens: must name one tokenizer of patches, convnext, ",
        ),
        (
            ("tasks", "points", "tokens"),
            {"convnext": {"widths": [4], "depths": [1, 0], "places": 2}},
            ".tasks.points.tokens.convnext: 1 widths, but 2 depths",
        ),
        (("pruning", "fractions"), [0.5, 0.25], ".pruning: fractions must fall from 1, without repeats: [0.5, 0.25]"),
        (("pruning", "fractions"), [1.0, 0.2, 0.5], ".pruning: fractions must fall from 1, without repeats: [1.0, "),
        (("few_shot", "shots"), [5, 1], ".few_shot: shots must rise, without repeats: [5, 1]"),
    ],
)
def test_values_that_do_not_go_together(edited, path, value, expected):
    assert message(edited(*path, value=value)).startswith(f"circuits{expected}")


def test_a_data_set_that_is_not_prepared(edited):
    common = [name for name in tiny.TOKENS if name != "listops"]
    assert message(edited("few_shot", "way", value=2, common=common)).startswith(
        f"circuits needs the data set listops, which neither common.fetched {common} nor common.generated [] names"
    )
