"""Training of every method: repeatable, towards the prior, with fewer processors in some steps."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from circuits import tiny
from reprise import jobs, training
from reprise.circuits import priors
from reprise.circuits import train as module
from reprise.circuits.models import Inputs, without_decay
from reprise.circuits.networks import NAC
from reprise.circuits.parts import ReadIn
from reprise.circuits.plan import VARIANTS
from reprise.circuits.train import Augment, Objective, links, start, train
from reprise.data.arrays import open_prepared


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return {name: tiny.prepare(root, name) for name in tiny.TOKENS}


@pytest.fixture(autouse=True)
def on_the_processor(monkeypatch):
    monkeypatch.setattr(jobs, "_workdir", None)
    monkeypatch.setenv("REPRISE_ACCELERATOR", "cpu")
    for name in ("REPRISE_PRECISION", "REPRISE_WORKERS", "REPRISE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def trained(folder, method="nac", seed=0, common_seed=3, **changes):
    settings = tiny.settings(folder.name)
    settings = {name: block | changes.get(name, {}) for name, block in settings.items()}
    return train(method, seed, str(folder), settings=json.loads(json.dumps(settings)), common_seed=common_seed)


def model_of(folder, method="nac", seed=0):
    return start(method, Inputs.of(open_prepared(folder)), tiny.settings(folder.name), seed=seed)


def batch(folder, n=8):
    data = open_prepared(folder)
    found = {"x": torch.from_numpy(np.array(data.arrays["x"][:n]))}
    return found | {"y": torch.from_numpy(data.arrays["labels"][:n, 0].astype(np.int64))}


def equal(one, other):
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


# ---------------------------------------------------------------- whole trainings


@pytest.mark.parametrize("method", tiny.METHODS)
def test_every_method_trains_and_repeats(folders, method):
    folder = folders["nlvr_mini" if method == "conditional" else "points"]
    one = trained(folder, method)
    assert all(np.isfinite(value).all() for value in one.values())
    assert equal(one, trained(folder, method))
    if method in ("nac", "conditional"):
        assert not equal(one, trained(folder, method, common_seed=4))
        assert not equal(one, trained(folder, method, seed=1))
    sparse = VARIANTS[method].sparse and method != "conditional"
    assert ("links_start" in one) == sparse


@pytest.mark.parametrize("dataset", ["handwriting", "listops", "nlvr_mini"])
def test_training_learns(folders, dataset):
    """What the tiny inputs plainly tell."""
    data = open_prepared(folders[dataset])
    inputs, settings = Inputs.of(data), tiny.settings(dataset)
    state = trained(folders[dataset], "perceiver", task={"epochs": 40})
    model = module.classifier_of("perceiver", inputs, settings)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    rows = data.rows("iid/test")
    x = torch.from_numpy(np.array(data.arrays["x"][rows]))
    text = torch.from_numpy(np.array(data.arrays["text"][rows])) if "text" in data.arrays else None
    with torch.no_grad():
        right = model.eval()(x, text).argmax(1).numpy() == data.arrays["labels"][rows, 0]
    assert right.mean() >= 0.8


def test_seeds_start_alike_whatever_the_method(folders):
    """So that methods are compared from the same weights, where they have them."""
    one, other = (model_of(folders["points"], method, seed=5)[0] for method in ("nac", "nac_no_prior"))
    for (name, weight), value in zip(one.named_parameters(), other.parameters(), strict=True):
        fitted = name.endswith(("signature", "log_bandwidth"))
        assert torch.equal(weight, value) != fitted


def test_signatures_are_fitted_to_the_prior_of_the_method(folders):
    for method, kind in (("nac", "scale_free"), ("nac_ring", "ring_of_cliques")):
        model, wanted = model_of(folders["points"], method)
        graphs = tiny.BLOCK["prior"]["graphs"][kind]
        assert torch.equal(wanted, priors.target(kind, 8, **graphs))
        random, none = model_of(folders["points"], "nac_no_prior")
        assert none is None
        before, after = (priors.mismatch(links(one)[0], wanted) for one in (random, model))
        assert after < before / 2
    model, wanted = model_of(folders["nlvr_mini"], "conditional")
    assert wanted is None and model.body.sizes.bandwidth == tiny.BLOCK["conditional"]["bandwidth"]


# ---------------------------------------------------------------- the loss


def objective(nested=None, wanted=None, weight=0.5, **changes):
    return Objective(nested, wanted, weight=weight, label_smoothing=changes.pop("label_smoothing", 0.0), **changes)


def test_the_loss_by_hand(folders):
    model, wanted = model_of(folders["points"])
    model.eval()  # links are not drawn
    data = batch(folders["points"])
    logits = model(data["x"])
    plain = functional.cross_entropy(logits, data["y"], label_smoothing=0.1)
    assert objective(label_smoothing=0.1)(model, data) == plain
    graph = torch.stack([priors.regulariser(layer, wanted) for layer in links(model)]).mean()
    found = objective(wanted=wanted, label_smoothing=0.1)(model, data)
    torch.testing.assert_close(found, plain + 0.5 * graph)
    found.backward()
    assert model.body.processors.signature.grad.abs().sum() > 0


def test_links_are_matched_with_the_prior_every_tenth_step(folders, monkeypatch):
    model, wanted = model_of(folders["points"])
    calls = []
    monkeypatch.setattr(priors, "matched", lambda one, other: calls.append(loss.steps) or torch.arange(8))
    loss = objective(wanted=wanted)
    for _ in range(12):
        loss(model, batch(folders["points"]))
    assert calls == [0, 0, 10, 10]  # for each of two layers


def test_what_was_matched_and_counted_survives_a_checkpoint(folders):
    model, wanted = model_of(folders["points"])
    one = objective(wanted=wanted)
    for _ in range(3):
        one(model, batch(folders["points"]))
    other = objective(wanted=wanted)
    other.load_state_dict(one.state_dict())
    assert other.steps == 3 and all(torch.equal(a, b) for a, b in zip(one.orders, other.orders, strict=True))
    assert len(one.orders) == 2


def test_nested_steps_have_fewer_processors(folders, monkeypatch):
    """The best connected ones, and every tensor is smaller: nothing is masked."""
    model, _ = model_of(folders["points"])
    seen, forward = [], ReadIn.forward

    def spy(self, tokens, plan, padding=None):
        states = forward(self, tokens, plan, padding)
        seen.append((plan.state.shape[0], plan.state, states.shape[1]))
        return states

    monkeypatch.setattr(ReadIn, "forward", spy)
    loss = objective({"probability": 0.6, "smallest": 0.25})
    data = batch(folders["points"], 2)
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(200):
            loss(model, data)
        degrees = model.body.degrees(model.body.circuit())
        states = model.body.circuit().processors.state
    counts = [count for count, _, _ in seen]
    assert all(count == out for count, _, out in seen)
    assert set(counts) == set(range(2, 9))  # of 8, a quarter at least
    assert sum(count == 8 for count in counts) / 200 == pytest.approx(0.4 + 0.6 / 12, abs=0.09)
    order = degrees.argsort(descending=True, stable=True)
    for count, state, _ in seen[:20]:
        assert torch.equal(state, states[order[:count].sort().values])


def test_dropped_processors_have_no_gradient(folders):
    model, _ = model_of(folders["points"])
    loss = objective({"probability": 1.0, "smallest": 1e-6})
    torch.manual_seed(1)
    loss(model, batch(folders["points"])).backward()
    unmoved = (model.body.processors.code.grad == 0).all(1)
    assert 0 < unmoved.sum() < 8


def test_other_methods_are_not_nested(folders, monkeypatch):
    found = []
    monkeypatch.setattr(training, "fit", lambda model, loss, *_, **__: found.append(loss))
    for method in ("nac", "nac_nested", "nac_prefit", "perceiver"):
        trained(folders["points"], method)
    assert [loss.nested is not None for loss in found] == [False, True, False, False]
    assert [loss.wanted is not None for loss in found] == [True, True, False, False]
    assert all(loss.augment is not None for loss in found)


def test_point_clouds_are_stretched_moved_and_jittered():
    torch.manual_seed(0)
    points = torch.randn(200, 30, 3)
    change = Augment((0.85, 1.15), 0.2, 0.0, 0.0)(points)
    axes = (change[:, 1:] - change[:, :1]) / (points[:, 1:] - points[:, :1])
    scale, shift = axes.median(1).values, (change - points * axes.median(1).values[:, None])[:, 0]
    assert 0.85 <= scale.min() < 0.87 and 1.13 < scale.max() <= 1.15
    assert -0.2 <= shift.min() < -0.19 and 0.19 < shift.max() <= 0.2001
    assert scale.std(1).mean() > 0.05  # each axis by itself
    jitter = Augment((1.0, 1.0), 0.0, 0.01, 0.02)(points) - points
    assert jitter.abs().max() <= 0.0201 and jitter.std() == pytest.approx(0.0096, abs=5e-4)


# ---------------------------------------------------------------- the optimiser


def test_weights_decay_but_for_those_that_are_spared(folders, monkeypatch):
    """Without gradients AdamW leaves nothing else to happen."""
    settings = tiny.settings("points")
    model, _ = model_of(folders["points"])
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    monkeypatch.setattr(module, "start", lambda *_, **__: (model, None))
    monkeypatch.setattr(Objective, "forward", lambda self, model, batch: 0 * model(batch["x"]).sum())
    train("nac_no_prior", 0, str(folders["points"]), settings=settings, common_seed=0)
    shrunk = {name: (weight.norm() < 0.99999 * before[name].norm()).item() for name, weight in model.named_parameters()}
    same = {name: torch.equal(weight, before[name]) for name, weight in model.named_parameters()}
    for name, weight in model.named_parameters():
        if without_decay(name, weight):
            assert same[name], name
        else:
            assert shrunk[name], name


def test_the_recipe_is_that_of_the_parameters(folders, monkeypatch):
    given = []
    monkeypatch.setattr(training, "fit", lambda *arguments, **rest: given.append((arguments[3], rest)))
    trained(folders["points"], "nac", optimiser={"weight_decay": 0.3, "clip_norm": 2.0, "warmup": 0.25})
    ((recipe, rest),) = given
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.weight_decay) == (2, 8, 0.01, 0.3)
    assert recipe.schedule == "one_cycle" and rest["clip_norm"] == 2.0 and rest["warmup"] == 0.25
    assert rest["undecayed"] is without_decay


def test_networks_of_the_plan_are_circuits_but_for_the_interpreter(folders):
    assert [isinstance(model_of(folders["points"], m)[0].body, NAC) for m in ("perceiver", "interpreter")] == [
        True, False,
    ]  # fmt: skip
