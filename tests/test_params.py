"""Parameters: a key that is wrong stops the stage with one message naming key, file and remedy."""

import copy
import json
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from reprise import params
from reprise.data import registry
from reprise.errors import UserError
from reprise.fairness.params import Params, load
from reprise.params import ParamsError, Recipe, Section, load_block, load_common, validate

ROOT = Path(__file__).parents[1]
SHIPPED = [ROOT / "params.yaml", *sorted((ROOT / "params").glob("*.yaml"))]
RECIPE = {"epochs": 2, "batch_size": 8, "lr": 0.1, "weight_decay": 0, "schedule": "constant", "stratified": False}
DELETE = object()


def dump(content, file):
    """JSON is YAML, and faster to write and read."""
    file.write_text(json.dumps(content).replace("Infinity", ".inf").replace("NaN", ".nan"))


@pytest.fixture
def edited(tmp_path):
    """A function that writes the shipped file with one key changed, added or deleted, and returns its path."""
    content = params.read(SHIPPED[0])

    def edit(*path, value):
        changed = copy.deepcopy(content)
        node = changed
        for key in path[:-1]:
            node = node[key]
        if value is DELETE:
            del node[path[-1]]
        else:
            node[path[-1]] = value
        file = tmp_path / "params.yaml"
        dump(changed, file)
        return str(file)

    return edit


def message(file):
    with pytest.raises(ParamsError) as caught:
        load(file)
    assert isinstance(caught.value, UserError)  # shown without a traceback
    assert all(line.startswith(file) for line in str(caught.value).splitlines())
    return str(caught.value)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_files_validate(file):
    common, block = load_common(file), load(str(file))
    assert block.datasets
    content = params.read(file)
    for name in common.datasets:
        options = content["data"][name]
        assert load_block("data", name, model=registry.options_model(name), file=file).model_dump() == options


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_files_describe_every_data_set(file):
    blocks = params.read(file)["data"]
    assert sorted(blocks) == sorted(registry.DATASETS)
    for name, options in blocks.items():
        validate(options, model=registry.options_model(name), where=f"data.{name}", file=file)


@pytest.mark.parametrize(
    ("path", "key", "near"),
    [
        (("fairness",), "sedes", "seeds"),
        (("fairness", "tasks", "faces", "train"), "epohcs", "epochs"),
        (("fairness", "tasks", "faces"), "protectd", "protected"),
        (("fairness", "merge"), "epsilon", "epsilons"),
        (("fairness", "probe", "sgd"), "batchsize", "batch_size"),
    ],
)
def test_unknown_key(edited, path, key, near):
    file = edited(*path, key, value=1)
    assert message(file) == f"{file}: {'.'.join((*path, key))} is not a parameter; did you mean {near}?"


def test_unknown_key_far_from_all_others_lists_them(edited):
    text = message(edited("fairness", "merge", "xyzzy", value=1))
    assert "fairness.merge.xyzzy is not a parameter; known: b_points, b_range, epsilons, near_parity" in text


@pytest.mark.parametrize(
    "path",
    [("fairness", "bootstrap"), ("fairness", "tasks", "faces", "train", "lr"), ("fairness", "methods", "ddp_abs")],
)
def test_missing_key(edited, path):
    file = edited(*path, value=DELETE)
    assert message(file) == f"{file}: {'.'.join(path)} is missing"


def test_missing_block_names_the_nearest(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("comon: {seed: 0, fetched: [], generated: [faces]}\n")
    with pytest.raises(ParamsError, match=r"params\.yaml: common is missing; did you mean comon\?"):
        load_common(file)
    with pytest.raises(ParamsError, match=r"data is missing"):
        load_block("data", "faces", model=Recipe, file=file)


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        (("fairness", "bootstrap"), 9, "greater than or equal to 10"),
        (("fairness", "tasks", "faces", "train", "epochs"), 0, "greater than 0"),
        (("fairness", "tasks", "faces", "train", "lr"), 1.5, "less than or equal to 1"),
        (("fairness", "methods", "group_weight"), -0.1, "greater than or equal to 0"),
        (("fairness", "strengths", 2), -1, "greater than or equal to 0"),
        (("fairness", "seeds"), [], "at least 1 item"),
    ],
)
def test_out_of_range(edited, path, value, part):
    text = message(edited(*path, value=value))
    assert f"{'.'.join(map(str, path))} = {value!r}: " in text
    assert part in text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("fairness", "bootstrap"), "1000"),
        (("fairness", "bootstrap"), 1000.0),
        (("fairness", "bootstrap"), True),
        (("fairness", "seeds"), 3),
        (("fairness", "tasks", "faces", "train", "lr"), "1e-3"),
        (("fairness", "tasks", "faces", "train", "stratified"), "yes"),
        (("fairness", "tasks", "faces"), ["mouth"]),
    ],
)
def test_wrong_kind_is_not_coerced(edited, path, value):
    text = message(edited(*path, value=value))
    assert f"{'.'.join(path)} = {value!r}: input should be a valid " in text


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("path", [("strengths", 1), ("merge", "b_range"), ("probe", "c")])
def test_numbers_are_finite(edited, path, value):
    assert "fairness." + ".".join(map(str, path)) in message(edited("fairness", *path, value=value))


def test_wrong_choice_names_the_nearest(edited):
    text = message(edited("fairness", "tasks", "faces", "backbone", value="resnet-50"))
    assert "fairness.tasks.faces.backbone = 'resnet-50': " in text
    assert text.endswith("did you mean resnet50?")
    text = message(edited("fairness", "methods", "two_headed", 1, value="mse_sigmoids"))
    assert text.endswith("did you mean mse_sigmoid?")


def test_every_error_is_listed(edited):
    file = edited("fairness", "bootstrap", value=0)
    content = params.read(file)
    content["fairness"]["probe"]["max_itr"] = content["fairness"]["probe"].pop("max_iter")
    dump(content, Path(file))
    found = {line.removeprefix(f"{file}: ").split(" ")[0] for line in message(file).splitlines()}
    assert found == {"fairness.bootstrap", "fairness.probe.max_iter", "fairness.probe.max_itr"}


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        (("datasets",), ["faces", "mnist"], "datasets names ['mnist'], but tasks describes only"),
        (("strengths",), [1, 3], "strengths must hold 0"),
        (("seeds",), [0, 1, 0], "seeds repeats a value"),
        (("tasks", "faces", "compare"), ["nose"], "compare names ['nose'], which are not among targets"),
        (("tasks", "faces", "protected"), "mouth", "protected mouth cannot be a target"),
        (("tasks", "faces", "pretrain"), None, "init: factors needs a pretrain recipe"),
        (("datasets",), ["faces", "adult"], "fairness needs the data set adult, which neither common.fetched ["),
    ],
)
def test_keys_that_contradict_each_other(edited, path, value, part):
    assert part in message(edited("fairness", *path, value=value))


def test_the_two_lists_of_data_sets(edited):
    assert load_common(edited("common", "generated", value=[])).datasets == load_common(SHIPPED[0]).fetched
    assert load_common(edited("common", "fetched", value=[])).datasets == load_common(SHIPPED[0]).generated
    file = edited("common", value={"seed": 0, "fetched": [], "generated": []})
    with pytest.raises(ParamsError, match=r"yaml: common: fetched and generated are both empty: name a data set"):
        load_common(file)
    file = edited("common", value={"seed": 0, "fetched": ["adult", "faces"], "generated": ["faces"]})
    with pytest.raises(ParamsError, match=r"common: fetched \['adult', 'faces'\] and generated \['faces'\] name a"):
        load_common(file)


def test_a_data_set_that_common_lacks(edited):
    file = edited("common", value={"seed": 0, "fetched": ["loanapp"], "generated": ["letters"]})
    assert message(file) == (
        f"{file}: fairness needs the data set faces, which neither common.fetched ['loanapp'] nor common.generated "
        "['letters'] names: name it in generated if that is its kind in sources.yaml, else in fetched"
    )


@pytest.mark.parametrize(
    "path",
    [("strengths",), ("seeds",), ("tasks", "faces", "targets"), ("methods", "two_headed"), ("ablations", "twin")],
)
def test_a_repeated_value_would_train_a_network_twice(edited, path):
    values = params.read(SHIPPED[0])["fairness"]
    for key in path:
        values = values[key]
    text = message(edited("fairness", *path, value=[*values, values[0]]))
    assert f"{path[-1]} repeats a value" in text


def test_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ParamsError, match=r"params\.yaml is missing: run from the repository's root"):
        params.read(tmp_path / "params.yaml")
    file = tmp_path / "params.yaml"
    file.write_text("common: [1, 2\nfairness: {}\n")
    with pytest.raises(ParamsError, match=r"not valid YAML.*line 2"):
        params.read(file)
    file.write_text("common: {seed: 0}\ncommon: {seed: 1}\n")
    with pytest.raises(ParamsError, match=r'not valid YAML.*"common"'):
        params.read(file)
    file.write_bytes(b"common: caf\xe9\n")
    with pytest.raises(ParamsError, match=r"not valid YAML: unacceptable character"):
        params.read(file)
    file.write_text("- 1\n")
    with pytest.raises(ParamsError, match="must hold a mapping"):
        params.read(file)


def test_reading_again(tmp_path):
    """Parsed once, but what one reader changes is not seen by the next, and a changed file is."""
    file = tmp_path / "params.yaml"
    file.write_text("common: {fetched: [faces]}\n")
    params.read(file)["common"]["fetched"].append("other")
    assert params.read(file) == params.read(str(file)) == {"common": {"fetched": ["faces"]}}
    file.write_text("common: {fetched: [adult]}\n")
    assert params.read(file) == {"common": {"fetched": ["adult"]}}


def test_a_file_is_parsed_once(tmp_path, monkeypatch):
    parsed = []

    class Counting(params.YAML):
        def load(self, stream):
            parsed.append(stream)
            return super().load(stream)

    monkeypatch.setattr(params, "YAML", Counting)
    file = tmp_path / "params.yaml"
    file.write_text(f"folder: {tmp_path}\n")  # unlike any other file's text
    for _ in range(3):
        assert params.read(file) == {"folder": str(tmp_path)}
    assert len(parsed) == 1


def test_sections_are_frozen_and_have_no_defaults():
    recipe = Recipe(**RECIPE)
    with pytest.raises(ValueError, match="frozen"):
        recipe.epochs = 3

    def models(model):
        yield model
        for field in model.model_fields.values():
            for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    yield from models(part)

    for model in models(Params):
        assert issubclass(model, Section)
        assert all(field.is_required() for field in model.model_fields.values()), model


def test_names_inside_lists_and_dictionaries():
    class Item(Section):
        weight: float

    class Outer(Section):
        items: list[Item]
        named: dict[str, Item]

    with pytest.raises(ParamsError, match=r"p: x\.items\.0\.wieght is not a parameter; did you mean weight\?"):
        validate({"items": [{"weight": 1.0, "wieght": 2.0}], "named": {}}, model=Outer, where="x", file="p")
    with pytest.raises(ParamsError, match=r"p: x\.named\.k\.wieght is not a parameter; did you mean weight\?"):
        validate({"items": [], "named": {"k": {"weight": 1.0, "wieght": 2.0}}}, model=Outer, where="x", file="p")


@pytest.mark.parametrize(
    ("arguments", "got"), [([], "none"), (["letters"], "letters"), (["digits", "pacs"], "digits pacs")]
)
def test_the_argument_of_a_stage(monkeypatch, arguments, got):
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    with pytest.raises(ParamsError, match=f"^expected one data set of digits, pacs; got {got}$"):
        params.dataset_argument({"digits": 1, "pacs": 2})
    monkeypatch.setattr(sys, "argv", ["train.py", "pacs"])
    assert params.dataset_argument({"digits": 1, "pacs": 2}) == "pacs"
