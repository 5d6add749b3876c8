"""Classifiers of every kind of input."""

import numpy as np
import pytest
import torch

from circuits import tiny
from reprise.circuits.interpreter import Interpreter
from reprise.circuits.models import Conditional, Inputs, Joint, classifier_of, restored, sizes_of, without_decay
from reprise.data.arrays import open_prepared


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return {name: open_prepared(tiny.prepare(root, name)) for name in tiny.TOKENS}


def built(method, data, seed=0):
    torch.manual_seed(seed)
    return classifier_of(method, Inputs.of(data), tiny.settings(data.name)).eval()


def batch(data, n=5):
    x = torch.from_numpy(np.array(data.arrays["x"][:n]))
    return x, torch.from_numpy(np.array(data.arrays["text"][:n])) if "text" in data.arrays else None


def test_inputs_of_data_sets(sets):
    assert Inputs.of(sets["listops"]) == Inputs((7,), 3, 6, None)
    assert Inputs.of(sets["nlvr_mini"]) == Inputs((3, 8, 8), 3, 256, (3, 5))
    assert Inputs.of(sets["characters"]).classes == 3  # the new ones are not among them


@pytest.mark.parametrize("dataset", tiny.TOKENS)
def test_every_method_answers_every_kind_of_input(sets, dataset):
    data = sets[dataset]
    x, text = batch(data)
    for method in tiny.params().tasks[dataset].runs:
        model = built(method, data)
        with torch.no_grad():
            logits, features = model(x, text), model.features(x, text)
        assert logits.shape == (5, 3) and len(features) == 5 and features.ndim == 2
        torch.testing.assert_close(model.body.head(features), logits)
        with torch.no_grad():  # a sample's answer is its own
            torch.testing.assert_close(model(x[1:2], None if text is None else text[1:2]), logits[1:2])


def test_kinds_of_networks(sets):
    assert isinstance(built("interpreter", sets["points"]).body, Interpreter)
    assert isinstance(built("nac", sets["nlvr_mini"]), Joint)
    assert isinstance(built("conditional", sets["nlvr_mini"]), Conditional)
    for method, modulated, sparse, u in (
        ("nac", True, True, 8), ("nac_complete", True, False, 8), ("plain_sparse", False, True, 8),
        ("nac_wide_nested", True, True, 12),
    ):  # fmt: skip
        sizes = sizes_of(method, tiny.settings("points"))
        assert (sizes.modulated, sizes.sparse, sizes.processors) == (modulated, sparse, u)
    assert sizes_of("perceiver", tiny.settings("points")).feed_forward == 2.0


def test_padding_is_not_read(sets):
    """More of it changes nothing for a circuit."""
    model = built("nac", sets["listops"])
    x = torch.tensor([[1, 2, 3, 0, 0, 0, 0]], dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(model(x), model(x[:, :3]))
        assert not torch.allclose(model(x), model(torch.tensor([[1, 2, 4, 0, 0, 0, 0]])))


def test_both_parts_are_read_side_by_side(sets):
    model, (x, text) = built("perceiver", sets["nlvr_mini"]), batch(sets["nlvr_mini"])
    assert isinstance(model, Joint)
    tokens, padding = model.read(x, text)
    assert tokens.shape == (5, 4 + 3, 8)
    assert padding is not None and not padding[:, :4].any() and torch.equal(padding[:, 4:], text == 0)
    moved = model.origin[1] - model.origin[0]
    with torch.no_grad():
        image, words = model.project[0](model.tokenizer(x / 127.5 - 1)), model.project[1](model.words(text.long()))
        torch.testing.assert_close(tokens[:, :4], image + model.origin[0])
        torch.testing.assert_close(tokens[:, 4:] - moved, words + model.origin[0])
    with pytest.raises(ValueError, match="reads a text"):
        model(x)


def test_a_text_makes_the_circuit_and_is_not_read(sets):
    model, (x, text) = built("conditional", sets["nlvr_mini"]), batch(sets["nlvr_mini"])
    assert isinstance(model, Conditional)
    with torch.no_grad():
        processors = model.processors(text)
        torch.testing.assert_close(model.through(x, processors), model(x, text))
        other = model.processors(text.flip(0))
        assert processors.signature.shape == (5, 8, 4) and processors.code.shape == (5, 8, 6)
        torch.testing.assert_close(other.signature, processors.signature.flip(0))
        assert not torch.allclose(model.through(x, other), model(x, text))
    with pytest.raises(ValueError, match="for a text only"):
        model(x)


def test_what_does_not_decay(sets):
    model = built("conditional", sets["nlvr_mini"])
    exempt = {name for name, weight in model.named_parameters() if without_decay(name, weight)}
    decaying = {name: weight for name, weight in model.named_parameters() if name not in exempt}
    assert all(weight.ndim >= 2 for weight in decaying.values())
    assert {"generator.base.signature", "body.outputs.signature", "words.places"} <= exempt
    assert {"body.layers.0.attention.kernel.log_bandwidth", "body.head.bias", "body.read_in.key.strength"} <= exempt
    assert {"generator.base.code", "body.head.weight", "body.layers.1.attention.query.code.weight"} <= decaying.keys()


def test_pixels_are_spread_around_zero(sets):
    model = built("nac", sets["handwriting"])
    x = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    tokens, padding = model.read(x)
    assert padding is None
    torch.testing.assert_close(tokens[:, :, :4], torch.tensor([-1.0, 1.0])[:, None, None].expand(2, 16, 4))


def test_restored_networks_answer_the_same(sets):
    data = sets["handwriting"]
    model = built("nac", data)
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    again = restored("nac", Inputs.of(data), tiny.settings("handwriting"), state)
    x, _ = batch(data)
    with torch.no_grad():
        assert torch.equal(again(x), model(x)) and not again.training
