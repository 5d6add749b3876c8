"""Predictions: what is stored of each kind of network, and that it is what the network says."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from circuits import tiny
from reprise.circuits import predict as module
from reprise.circuits.circuit import Modules
from reprise.circuits.compiled import ORDERS, Compiled, kept
from reprise.circuits.models import Conditional, Inputs
from reprise.circuits.predict import predict
from reprise.circuits.train import links, links_of, start
from reprise.data.arrays import open_prepared

PRUNING = tiny.BLOCK["pruning"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return {name: open_prepared(tiny.prepare(root, name)) for name in tiny.TOKENS}


@pytest.fixture
def predicted(sets, tmp_path, monkeypatch):
    """The network of a method with its weights stored, and what `predict` says of it."""
    monkeypatch.setenv("REPRISE_ACCELERATOR", "cpu")

    def one(method, dataset, seed=0, cut=0.01):
        data = sets[dataset]
        folder = tmp_path / dataset
        if not folder.exists():
            tiny.prepare(tmp_path, dataset)
        settings = json.loads(json.dumps(tiny.settings(dataset)))
        model, _ = start(method, Inputs.of(data), settings, seed=1)
        state = {name: value.contiguous().numpy() for name, value in model.state_dict().items()}
        if links_of(model):
            state["links_start"] = np.full((2, 8, 8), 0.5, np.float32)
        save_file(state, tmp_path / "weights")
        found = predict(
            method, seed, str(tmp_path / "weights"), str(folder), settings=settings, pruning=PRUNING, cut=cut,
            common_seed=0,
        )  # fmt: skip
        return model.eval(), data, found

    return one


def inputs(data, split="iid/test"):
    rows = data.rows(split)
    return (torch.from_numpy(np.array(data.arrays[name][rows])) for name in ("x", "text") if name in data.arrays)


ORDERED = {f"pruned/{order}/{share}" for order in ("degree", "reversed") for share in ("1", "0.5", "0.25")}
RANDOM = {f"pruned/random{k}/{share}" for k in range(2) for share in ("1", "0.5", "0.25")}
GRAPH = {"links", "links_start"}
DOMAINS = {"n_params", "macs", "iid/logits", "shifted/logits"}


@pytest.mark.parametrize(
    ("method", "dataset", "names"),
    [
        ("nac", "handwriting", DOMAINS | GRAPH | {"target", "cut/logits"} | ORDERED | RANDOM),
        ("nac_no_prior", "handwriting", DOMAINS | GRAPH | {"cut/logits"} | ORDERED | RANDOM),
        ("plain_sparse", "handwriting", DOMAINS | GRAPH | {"target", "cut/logits"}),
        ("nac_complete", "handwriting", DOMAINS),
        ("perceiver", "handwriting", DOMAINS | RANDOM),
        ("interpreter", "handwriting", DOMAINS),
        ("nac", "characters", DOMAINS | GRAPH | {"target", "features"}),
        ("interpreter", "characters", DOMAINS | {"features"}),
        ("nac", "points", {"n_params", "macs", "iid/logits", "target"} | GRAPH),
        ("perceiver", "nlvr_mini", {"n_params", "macs", "iid/logits"}),
        (
            "conditional",
            "nlvr_mini",
            {
                "n_params",
                "macs",
                "iid/logits",
                "circuits",
                "circuits_start",
                "swapped/from",
                "swapped/logits",
                "mixed/logits",
            },
        ),
    ],
)
def test_what_is_stored(predicted, method, dataset, names):
    model, _, found = predicted(method, dataset)
    assert set(found) == names
    assert found["n_params"] == sum(weight.numel() for weight in model.parameters())
    for name, values in found.items():
        assert np.isfinite(values).all(), name
        if name.endswith("logits") or name.startswith("pruned"):
            assert values.dtype == np.float32 and values.shape == (tiny.TEST, tiny.CLASSES), name


def test_logits_and_features_are_the_network_s(predicted, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 4)  # the last batch is short
    model, data, found = predicted("nac", "characters")
    for split, name, call in (
        ("iid/test", "iid/logits", model), ("shifted/test", "shifted/logits", model),
        ("greek/few", "features", model.features),
    ):  # fmt: skip
        with torch.no_grad():
            np.testing.assert_allclose(found[name], call(*inputs(data, split)).numpy(), atol=1e-5)


def test_pruned_logits_are_those_of_the_compiled_circuit(predicted):
    model, data, found = predicted("nac", "handwriting")
    circuit = model.body.circuit()
    (x,) = inputs(data)
    for name in ("degree", "reversed"):
        order = ORDERS[name](model.body, circuit, 0)
        for share in (1.0, 0.5, 0.25):
            static = Compiled(model.body, circuit, kept(order, share))
            expected = static(*model.read(x)).numpy()
            np.testing.assert_allclose(found[f"pruned/{name}/{share:g}"], expected, atol=1e-4)
    assert not np.allclose(found["pruned/random0/0.25"], found["pruned/random1/0.25"])
    assert not np.allclose(found["pruned/degree/0.5"], found["pruned/reversed/0.5"])


def test_cut_logits_are_without_improbable_links(predicted):
    model, data, found = predicted("nac", "handwriting", cut=0.3)
    assert (links(model) < 0.3).any()
    (x,) = inputs(data)
    expected = Compiled(model.body, model.body.circuit(), cut=0.3)(*model.read(x)).numpy()
    np.testing.assert_allclose(found["cut/logits"], expected, atol=1e-5)
    assert not np.allclose(found["cut/logits"], found["iid/logits"])


def test_links_before_and_after_and_their_target(predicted):
    model, _, found = predicted("nac_planted", "points")
    np.testing.assert_allclose(found["links"], links(model).numpy())
    assert (found["links_start"] == 0.5).all()
    assert found["target"].shape == (8, 8) and set(np.unique(found["target"])) == set(np.float32([0.05, 0.9, 1.0]))


def test_circuits_of_texts(predicted, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 4)
    model, data, found = predicted("conditional", "nlvr_mini")
    assert isinstance(model, Conditional)
    x, text = inputs(data)
    with torch.no_grad():
        own = model.processors(text)
        expected = model.body.links(model.body.circuit(own)).mean(0).numpy()
    assert found["circuits"].dtype == np.float16
    np.testing.assert_allclose(found["circuits"], expected, atol=1e-3)
    assert found["circuits_start"].shape == found["circuits"].shape
    assert not np.allclose(found["circuits_start"], found["circuits"], atol=1e-3)
    exchange = found["swapped/from"]
    assert sorted(exchange) == list(range(tiny.TEST)) and (exchange != np.arange(tiny.TEST)).any()
    with torch.no_grad():
        other = model.processors(text[exchange])
        np.testing.assert_allclose(found["swapped/logits"], model(x, text[exchange]).numpy(), atol=1e-5)
        mixed = model.through(x, Modules(own.signature, other.code, other.state)).numpy()
    np.testing.assert_allclose(found["mixed/logits"], mixed, atol=1e-5)
    elsewhere = (text != text[exchange]).any(1).numpy()
    assert elsewhere.any() and not elsewhere.all()
    same = {
        name: np.isclose(found[name], found["iid/logits"], atol=1e-5).all(1)
        for name in ("swapped/logits", "mixed/logits")
    }
    for name in same:
        assert same[name][~elsewhere].all() and not same[name][elsewhere].any(), name


def test_predictions_repeat_and_seeds_differ(predicted):
    one, other, third = (predicted("nac", "handwriting", seed)[2] for seed in (0, 0, 1))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert not np.array_equal(one["pruned/random0/0.5"], third["pruned/random0/0.5"])
    assert np.array_equal(one["pruned/degree/0.5"], third["pruned/degree/0.5"])
