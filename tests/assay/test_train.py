"""Fine-tuning: what moves and what stays, which rows are seen, where runs start; then pretraining."""

import numpy as np
import pytest
import torch
from torch import nn

from assay import tiny
from assay.tiny import run
from reprise import architectures, jobs
from reprise.assay import invariance, pretrain, train
from reprise.assay.architectures import as_input, logits_of, state
from reprise.assay.augment import hflip, random_resized_crop
from reprise.assay.plan import probe_of
from reprise.assay.planted import METHODS, reduced
from reprise.assay.tasks import Task
from reprise.errors import UserError
from reprise.params import Recipe
from reprise.seeding import derive
from reprise.training import BatchRows, fit

SEED = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.prepare(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("starts")
    return {
        "cnn": tiny.pretrained(folder),
        "resnet": tiny.pretrained(folder, "assay.resnet"),
        "crop": tiny.pretrained(tmp_path_factory.mktemp("crop"), shape=(3, 12, 12)),
    }


@pytest.fixture(autouse=True)
def on_the_processor(monkeypatch):
    monkeypatch.setattr(jobs, "_workdir", None)
    monkeypatch.setenv("REPRISE_ACCELERATOR", "cpu")
    for name in ("REPRISE_PRECISION", "REPRISE_WORKERS", "REPRISE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def trained(data, starts):
    def one(this, start="cnn", **extra):
        return train.train(this.as_job(), str(data), starts[start], seed=SEED, **extra)

    return one


class Fit:
    """Stands in for `fit` and keeps what it was given, without training."""

    def __init__(self, monkeypatch):
        self.calls = []
        monkeypatch.setattr(train, "fit", self)

    def __call__(self, model, objective, arrays, recipe, **rest):
        start = {name: value.clone() for name, value in model.state_dict().items()}
        self.calls.append({"start": start, "objective": objective, "recipe": recipe, **arrays, **rest})

    def __getattr__(self, name):
        return self.calls[-1][name]


@pytest.fixture
def fitted(monkeypatch):
    return Fit(monkeypatch)


@pytest.fixture
def networks(monkeypatch):
    """The networks that `train` makes, to look at after the training."""
    made, fresh = [], train.fresh

    def watched(*given):
        made.append(fresh(*given))
        return made[-1]

    monkeypatch.setattr(train, "fresh", watched)
    return made


def equal(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


# ---------------------------------------------------------------- what moves


@pytest.mark.parametrize("augment", ["identity", "standard"])
def test_head_only_leaves_the_body_as_it_was(trained, networks, data, starts, augment):
    """Batch statistics included: the body is in evaluation mode."""
    found = trained(run(model="assay.resnet", finetune="head", augment=augment), "resnet")
    assert set(found) == {"head.weight", "head.bias"}
    (network,) = networks
    after = state(network)
    before = tiny.body(starts["resnet"])
    assert any("running_mean" in name for name in before)
    assert all(np.array_equal(after[name], value) for name, value in before.items())
    head = train.fresh(run(model="assay.resnet"), Task(data), starts["resnet"], SEED).head
    assert not np.array_equal(found["head.weight"], head.weight.detach().numpy())


def test_all_weights_move_in_full_fine_tuning(trained, starts):
    found = trained(run(model="assay.resnet"), "resnet")
    before = tiny.body(starts["resnet"])
    assert {name for name in found if not name.startswith("head.")} == set(before)
    assert not any(np.array_equal(found[name], value) for name, value in before.items())
    assert found["head.weight"].shape == (3, 64)


def test_cached_features_give_the_head_of_the_frozen_network(trained, data, starts):
    """Without augmentation the body is applied once; the head is what passing every batch through it would give."""
    this = run(finetune="head", lr=0.005, length="4 epochs")
    part = Task(data).train("a", "full")
    network = train.fresh(this, Task(data), starts["cnn"], SEED)
    recipe = Recipe(epochs=4, batch_size=8, lr=0.005, weight_decay=0.0, schedule="constant", stratified=False)
    seed = derive(SEED, "assay", "fit", this.id)
    fit(train.Frozen(network), train.Augmented(None, this), {"x": part.x, "y": part.y}, recipe, seed=seed)
    found = trained(this)
    for name, value in state(network.head).items():
        np.testing.assert_allclose(found[f"head.{name}"], value, rtol=1e-4, atol=1e-6)


def test_a_pattern_is_learned(trained, data, starts):
    this = run(length="30 epochs")
    network = train.fresh(this, Task(data), starts["cnn"], SEED)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in trained(this).items()})
    for domain in tiny.DOMAINS:
        part = Task(data).split(domain, "test")
        assert (logits_of(network, part.x).argmax(1) == part.y).mean() >= 0.75


# ---------------------------------------------------------------- where runs start


def test_runs_of_one_seed_and_architecture_share_body_and_head(trained, fitted, starts):
    members = [
        run(),
        run(sources="b"),
        run(augment="rand"),
        run(regime="fewshot_2"),
        run(lr=0.1, length="5 epochs", draw=1),
        run(arm="invariance", sources="a+b", method="coral"),
        run(finetune="head", augment="standard"),
    ]
    for member in members:
        trained(member)
    heads = [{name[-11:]: v for name, v in call["start"].items() if "head." in name} for call in fitted.calls]
    assert all(torch.equal(head["head.weight"], heads[0]["head.weight"]) for head in heads)
    for call in fitted.calls:
        for name, value in tiny.body(starts["cnn"]).items():
            given = call["start"].get(name, call["start"].get(f"network.{name}"))
            np.testing.assert_array_equal(given, value)
    trained(run(seed=1))
    assert not torch.equal(fitted.start["head.weight"], heads[0]["head.weight"])


def test_the_pretrained_head_is_not_used(trained, fitted, starts):
    trained(run())
    assert fitted.start["head.weight"].shape == (3, 64)  # that of the start file has five classes


def test_a_start_for_images_of_another_size_is_named(trained):
    with pytest.raises(UserError, match=r"assay\.cnn was pretrained on images of another size .*16, 16"):
        trained(run(), "crop")


def test_lp_ft_starts_from_the_stored_head(trained, fitted, starts, tmp_path):
    head = {"head.weight": np.full((3, 64), 0.25, np.float32), "head.bias": np.arange(3, dtype=np.float32)}
    np.savez(tmp_path / "head.npz", **head)
    trained(run(arm="strategies", finetune="lp_ft"), probed=str(tmp_path / "head.npz"))
    expected = tiny.body(starts["cnn"]) | head
    assert equal({name: value.numpy() for name, value in fitted.start.items()}, expected)


def test_lp_ft_ends_in_a_whole_network(trained, tmp_path, starts):
    probe, tuned = run(finetune="head"), run(arm="strategies", finetune="lp_ft")
    assert probe_of(tuned, [run(), run(sources="b", finetune="head"), probe]) == probe
    np.savez(tmp_path / "head.npz", **trained(probe))
    found = trained(tuned, probed=str(tmp_path / "head.npz"))
    assert set(found) == {*tiny.body(starts["cnn"]), "head.weight", "head.bias"}


@pytest.mark.parametrize(
    "this",
    [run(augment="rand"), run(finetune="head", augment="standard"), run(finetune="head")],
    ids=["full", "head", "head, cached"],
)
def test_a_job_repeats_bit_for_bit(trained, this):
    one = trained(this)
    torch.rand(5)
    assert equal(one, trained(this))


def test_another_id_is_another_training(trained):
    """A draw is part of the id alone here; it still changes the order of the batches."""
    assert not equal(trained(run()), trained(run(draw=1)))


# ---------------------------------------------------------------- which rows


@pytest.mark.parametrize("finetune", ["full", "head"])
def test_few_shot_takes_the_first_rows_of_each_class(trained, fitted, data, finetune):
    trained(run(sources="b", regime="fewshot_2", finetune=finetune, augment="standard"))
    task = Task(data)
    start, stop = task.data.card["splits"]["b/train"]
    rows = []
    for label in range(3):
        rows += [row for row in range(start, stop) if task.labels[row] == label][:2]
    np.testing.assert_array_equal(fitted.y, task.labels[sorted(rows)])
    np.testing.assert_array_equal(fitted.x, np.asarray(task.data.arrays["x"])[sorted(rows)])


def test_length_in_steps_or_epochs(trained, fitted):
    for length, regime, expected in (
        ("6 steps", "full", 2),  # three batches an epoch
        ("7 steps", "full", 2),
        ("6 steps", "fewshot_2", 6),  # one
        ("1 steps", "full", 1),
        ("5 epochs", "full", 5),
    ):
        trained(run(length=length, regime=regime))
        assert fitted.recipe.epochs == expected
    assert (fitted.recipe.batch_size, fitted.recipe.lr, fitted.recipe.weight_decay) == (8, 0.01, 0.0)
    assert (fitted.recipe.schedule, fitted.recipe.stratified) == ("constant", False)


# ---------------------------------------------------------------- crops


class Seen(nn.Module):
    """Keeps the images it is given."""

    def forward(self, x):
        self.x = x
        return x.mean((1, 2, 3))[:, None].expand(-1, 3)


def test_crops_and_flips_come_before_the_augmentation(data):
    part = Task(data).train("a", "full")
    batch = {"x": torch.from_numpy(np.array(part.x)), "y": torch.from_numpy(part.y)}
    seen = Seen()
    torch.manual_seed(0)
    train.Augmented(None, run(crop=12, augment="grayscale"))(seen, batch)
    torch.manual_seed(0)
    expected = hflip(random_resized_crop(as_input(batch["x"]), 12))
    assert seen.x.shape == (24, 3, 12, 12)
    assert not torch.equal(seen.x, expected)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    torch.testing.assert_close(seen.x[:, :1], (expected * weights).sum(1, keepdim=True), atol=1e-3, rtol=0)
    train.Augmented(None, run())(seen, batch)
    torch.testing.assert_close(seen.x, batch["x"] / 255)


@pytest.mark.parametrize("finetune", ["full", "head"])
def test_training_on_crops(trained, networks, finetune):
    this = run(crop=12, finetune=finetune)
    one = trained(this, "crop")
    assert equal(one, trained(this, "crop"))
    assert networks[0].body[-2].in_features == 32 * 3 * 3
    assert not equal(one, trained(run(crop=12, finetune=finetune, draw=1), "crop"))


# ---------------------------------------------------------------- several environments


POOLED = run(arm="invariance", sources="a+c", batch_size=12)


def test_pooled_domains_are_environments(trained, fitted, data):
    trained(POOLED)
    np.testing.assert_array_equal(fitted.env, np.repeat([0, 1], 24))
    np.testing.assert_array_equal(fitted.groups, fitted.env)
    task = Task(data)
    np.testing.assert_array_equal(fitted.x[24:], task.train("c", "full").x)
    np.testing.assert_array_equal(fitted.y, np.concatenate([task.train(name, "full").y for name in "ac"]))
    assert fitted.recipe.stratified


def test_draws(trained, fitted):
    """Of the common seed."""
    factors = invariance.learning_rates(3, SEED)
    assert factors != invariance.learning_rates(3, 0)
    for method in ("erm", "irm"):
        drawn = invariance.draws(method, 3, SEED)
        for number in range(3):
            trained(run(arm="invariance", sources="a+c", method=method, draw=number, length="4 epochs"))
            assert fitted.recipe.lr == pytest.approx(0.01 * factors[number])
            inner = fitted.objective.inner
            assert type(inner) is invariance.METHODS[method].build
            assert (inner.environments, inner.steps) == (2, 4 * 6)
            if method == "irm":
                assert inner.penalty == drawn[number]["penalty"]
    assert factors[0] == 1.0
    assert len(set(factors)) == 3


@pytest.mark.parametrize(("batch_size", "updates"), [(12, 4), (16, 3), (47, 1), (46, 2), (48, 1)])
def test_methods_know_the_number_of_their_updates(trained, fitted, batch_size, updates):
    """Of 48 rows; a batch never holds a single one."""
    trained(run(arm="invariance", sources="a+c", method="irm", batch_size=batch_size, length="4 epochs"))
    assert fitted.objective.inner.steps == 4 * updates == 4 * len(BatchRows(48, batch_size, 0))


@pytest.mark.parametrize("method", invariance.METHODS)
def test_every_method_trains(trained, method):
    found = trained(run(arm="invariance", sources="a+c", method=method, batch_size=24, length="3 epochs"))
    assert all(np.isfinite(value).all() for value in found.values())
    assert not np.array_equal(found["head.bias"], np.zeros(3))


def test_draws_of_one_method_end_differently(trained):
    members = [run(arm="invariance", sources="a+c", method="coral", draw=number) for number in (0, 1)]
    assert not equal(*(trained(member) for member in members))


def test_adam_restarts_where_the_schedule_switches():
    network = tiny.network()
    inner = invariance.objective("eqrm", network, environments=2, steps=4, anneal=0.5, rate=0.25, quantile=0.75)
    objective = train.Augmented(inner, POOLED)
    batch = {"x": torch.rand(8, 3, 16, 16), "y": torch.arange(8) % 3, "env": torch.arange(8) % 2}
    restarts = []
    for _ in range(4):
        objective(network, batch)
        restarts.append(objective.restart)
    assert restarts == [None, None, 0.25, None]
    assert train.Augmented(None, run()).restart is None


# ---------------------------------------------------------------- the planted cue


@pytest.fixture(scope="module")
def cued(tmp_path_factory):
    return tiny.prepare(tmp_path_factory.mktemp("data") / "cued", classes=2, name="cued")


def planted_run(method, **changes):
    fixed = {"arm": "planted_cue", "sources": "a+b", "model": "assay.mlp", "finetune": "scratch", "batch_size": 10**6}
    return run(dataset="cued", method=method, length="3 epochs", **(fixed | changes))


def planted(folder, method, **changes):
    return train.train(planted_run(method, **changes).as_job(), str(folder), "", seed=SEED, l2=0.001)


def test_planted_cue_by_full_batches_from_scratch(cued, fitted):
    for method in ("erm", "irm", "erm_grayscale"):
        planted(cued, method)
    task = Task(cued)
    colour, irm, gray = fitted.calls
    pooled = np.concatenate([task.train(name, "full").x for name in "ab"])
    np.testing.assert_array_equal(colour["x"], reduced(pooled, False))
    np.testing.assert_array_equal(gray["x"], reduced(pooled, True))
    assert (colour["recipe"].batch_size, colour["recipe"].epochs, colour["recipe"].stratified) == (48, 3, False)
    assert colour["recipe"].weight_decay == 0.002  # Adam adds decay * w to the gradient of l2 * |w|^2, which is 2 l2 w
    assert (irm["objective"].inner.penalty, irm["objective"].inner.steps) == (1e4, 3)
    assert all(torch.equal(value, irm["start"][name]) for name, value in colour["start"].items())
    assert colour["seed"] == irm["seed"]
    planted(cued, "erm", seed=1)
    assert not torch.equal(fitted.start["head.weight"], colour["start"]["head.weight"])
    assert fitted.seed != colour["seed"]


@pytest.mark.parametrize("method", METHODS)
def test_planted_cue_trains_every_method(cued, method):
    found = planted(cued, method)
    assert found["head.weight"].shape == (2, 64)
    assert all(np.isfinite(value).all() for value in found.values())


def test_planted_cue_repeats(cued):
    assert equal(planted(cued, "irm"), planted(cued, "irm"))


# ---------------------------------------------------------------- pretraining

RECIPE = {"epochs": 2, "batch_size": 8, "lr": 0.01, "weight_decay": 0.0, "schedule": "constant", "stratified": False}


def test_pretraining_and_its_error(data):
    found = pretrain.start("assay.cnn", str(data), draw=0, seed=SEED, recipe=RECIPE)
    error = found.pop("upstream_error")
    network = architectures.build("assay.cnn", (3, 16, 16), 3)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in found.items()})
    test = Task(data).split("a", "test")  # the first domain of the card
    assert error == np.mean(logits_of(network, test.x).argmax(1) != test.y)
    again = pretrain.start("assay.cnn", str(data), draw=0, seed=SEED, recipe=RECIPE)
    again.pop("upstream_error")
    assert equal(found, again)
    other = pretrain.start("assay.cnn", str(data), draw=1, seed=SEED, recipe=RECIPE)
    assert not np.array_equal(found["head.weight"], other["head.weight"])


class Released(nn.Module):
    """A whole network as timm has it: normalised images to logits; `seen` lists what it was given."""

    def __init__(self, classes):
        super().__init__()
        torch.manual_seed(8)
        self.num_classes, self.seen = classes, []
        self.head = nn.Linear(3, classes)

    def forward(self, x):
        assert not torch.is_grad_enabled()
        self.seen.append(x)
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize(("classes", "judged"), [(3, True), (1000, False)])
def test_ready_made_weights_are_judged_where_their_head_fits(data, monkeypatch, classes, judged):
    """By the whole network as it was released; kept is the one with a new head, which has learned nothing."""
    network, whole, asked = tiny.network(classes=classes), Released(classes), []
    network.sd.mul_(0.5)
    monkeypatch.setattr(pretrain, "pretrained", lambda name: asked.append(name) or (network, whole))
    found = pretrain.start("assay.timm/some.net", str(data), draw=0, seed=SEED, recipe=None)
    assert asked == ["some.net"]
    assert ("upstream_error" in found) == judged
    error = found.pop("upstream_error", None)
    assert equal(found, state(network))
    if judged:
        test = Task(data).split("a", "test")
        x = (torch.from_numpy(np.array(test.x)) / 255 - network.mean) / network.sd
        torch.testing.assert_close(torch.cat(whole.seen), x)
        with torch.no_grad():
            assert error == np.mean(whole.head(x.mean((2, 3))).argmax(1).numpy() != test.y)
    else:
        assert not whole.seen


@pytest.mark.parametrize(("side", "first"), [(256, 16), (224, 0), (225, 0), (64, 0)])
def test_released_networks_see_the_middle_224_pixels(side, first):
    """Five images in batches of two; a smaller image is seen whole."""
    whole, network = Released(7), tiny.network()
    x = np.random.default_rng(0).integers(0, 256, (5, 3, side, side), dtype=np.uint8)
    x.flags.writeable = False  # as maps are
    found = pretrain._classes(whole, network, x, batch=2)
    assert [len(part) for part in whole.seen] == [2, 2, 1]
    last = first + min(side, 224)
    middle = torch.from_numpy(x[:, :, first:last, first:last].copy()) / 255
    torch.testing.assert_close(torch.cat(whole.seen), 2 * middle - 1)
    np.testing.assert_array_equal(found, whole.head((2 * middle - 1).mean((2, 3))).argmax(1).numpy())
