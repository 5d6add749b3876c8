"""Training of every method: repeatable, blind to the hidden truth, and its adaptation step by step."""

import json
import shutil

import numpy as np
import pytest
import torch

from amodal import tiny
from reprise import jobs
from reprise.amodal import train as module
from reprise.amodal.completion import UNet
from reprise.amodal.plan import IMAGE, SUPERVISED
from reprise.amodal.train import adapt, state, train
from reprise.data.arrays import DataError
from reprise.errors import UserError
from reprise.training import ArrayBatches, BatchRows

METHODS = [
    "savos", "per_frame", "completion", "completion_clean", "supervised", "supervised_image", "no_consistency",
    "forward_only", "no_flow", "no_residual", "current_label", "occluder_input",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.prepare(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def scrambled(tmp_path_factory):
    return tiny.prepare(tmp_path_factory.mktemp("scrambled") / "tiny", scrambled=True)


@pytest.fixture(autouse=True)
def on_the_processor(monkeypatch):
    monkeypatch.setattr(jobs, "_workdir", None)
    monkeypatch.setenv("REPRISE_ACCELERATOR", "cpu")
    for name in ("REPRISE_PRECISION", "REPRISE_WORKERS", "REPRISE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def trained(folder, method="savos", seed=0, common_seed=3, **changes):
    settings = {name: block | changes.get(name, {}) for name, block in tiny.SETTINGS.items()}
    return train(method, seed, str(folder), steps=3, batch_size=3, settings=settings, common_seed=common_seed)


def start(folder, method="savos", **changes):
    """The weights before the first step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit", lambda *_, **__: None)
        return trained(folder, method, **changes)


def equal(one, other):
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


class Fit:
    """Stands in for `fit` and keeps what it was given, without training."""

    def __call__(self, model, objective, columns, recipe, **rest):
        self.model, self.objective, self.columns, self.recipe, self.rest = model, objective, columns, recipe, rest
        if isinstance(objective, module.Snapshots):
            objective.states = {steps: model.state_dict() for steps in objective.at}


@pytest.fixture
def fitted(monkeypatch):
    found = Fit()
    monkeypatch.setattr(module, "fit", found)
    return found


# ---------------------------------------------------------------- no leak, and repeatable


@pytest.mark.parametrize("method", METHODS)
def test_only_supervised_methods_depend_on_the_truth(data, scrambled, method):
    """Byte for byte: the truth of the second set is noise. Training again is the same training."""
    one = trained(data, method)
    assert all(np.isfinite(value).all() for value in one.values())
    assert equal(one, trained(scrambled, method)) == (method not in SUPERVISED)
    if method in SUPERVISED:
        assert equal(one, trained(data, method))
    assert not equal(one, start(data, method))


def test_without_the_truth_s_file_nothing_self_supervised_is_missing(data, fitted, tmp_path):
    folder = shutil.copytree(data, tmp_path / "tiny")
    (folder / "amodal.npy").unlink()
    card = json.loads((folder / "card.json").read_text())
    del card["arrays"]["amodal.npy"]
    (folder / "card.json").write_text(json.dumps(card))
    for method in METHODS:
        if method in SUPERVISED:
            trained(folder, method)
            with pytest.raises(KeyError, match="amodal"):
                fitted.columns["amodal"][np.arange(1)]
        else:
            trained(folder, method)
            assert "amodal" not in fitted.columns


def test_long_trainings_have_epochs_and_no_more_steps(data, fitted, monkeypatch):
    """At whose ends checkpoints are kept."""
    monkeypatch.setattr(module, "EPOCH", 2)
    for method in ("savos", "completion"):
        trained(data, method, completion={"steps": 3})
        batches = len(fitted.columns["object"]) / fitted.recipe.batch_size
        assert (fitted.recipe.epochs, batches) == (2, 2)  # three steps, rounded up
    assert module._epochs(300) == (150, 2)
    monkeypatch.setattr(module, "EPOCH", 2000)
    assert module._epochs(300) == (1, 300)
    assert module._epochs(22000) == (11, 2000)


def test_seeds(data):
    one = trained(data)
    torch.rand(5)
    assert equal(one, trained(data))
    assert not equal(one, trained(data, seed=1))
    assert not equal(one, trained(data, common_seed=4))


def test_methods_of_one_network_start_alike(data):
    """What is compared seed by seed differs in the method alone."""
    savos = start(data)
    for method in ("per_frame", "supervised", "no_consistency", "forward_only", "current_label"):
        assert equal(start(data, method), savos)
    assert equal(start(data, "completion"), start(data, "supervised_image"))
    assert not equal(start(data, seed=1), savos)


# ---------------------------------------------------------------- what is trained


def test_what_each_video_method_is(data, fitted):
    kinds = {}
    for method in METHODS:
        if method not in IMAGE:
            trained(data, method)
            predictor, weights = fitted.model, fitted.objective.weights
            network = predictor.network
            kinds[method] = (
                network.recurrent, predictor.bidirectional, weights.consistency > 0, network.residual,
                predictor.warped, predictor.occluder, weights.supervised, predictor.moving,
            )  # fmt: skip
    full = (True, True, True, True, True, False, False, True)
    assert kinds["savos"] == full
    changed = {name: [k for k in range(8) if kind[k] != full[k]] for name, kind in kinds.items()}
    assert changed == {
        "savos": [], "per_frame": [0, 1, 2], "no_consistency": [2], "forward_only": [1], "no_flow": [7],
        "no_residual": [3],
        "current_label": [4], "occluder_input": [5], "supervised": [2, 6],
    }  # fmt: skip


def test_batches_of_clips(data, fitted):
    trained(data, training={"clip_length": 4, "clip_norm": 2.5, "lr": 0.02})
    assert {name: len(column) for name, column in fitted.columns.items()}["frames"] == 3 * 3
    rows = np.arange(9)
    assert fitted.columns["frames"][rows].shape == (9, 4, 3, tiny.HEIGHT, tiny.WIDTH)
    assert set(fitted.columns["count"][rows].tolist()) == {3, 4}  # one track has three frames
    assert (fitted.recipe.epochs, fitted.recipe.batch_size, fitted.recipe.lr) == (1, 3, 0.02)
    assert fitted.rest["clip_norm"] == 2.5
    trained(data, training={"clip_length": 40})
    assert fitted.columns["owner"][rows].shape[1] == 6  # no longer than the longest track


def test_images_come_from_all_tracks_or_from_the_untouched_ones(data, fitted):
    def masks():
        found = fitted.columns["owner"], fitted.columns["object"]
        owner, number = (column[np.arange(len(column))] for column in found)
        return owner == number[:, None, None], owner

    trained(data, "completion", completion={"steps": 20})
    visible, owner = masks()
    assert set(fitted.columns["object"][np.arange(160)].tolist()) == {1, 2}
    trained(data, "completion_clean", completion={"steps": 20})
    visible, owner = masks()
    near = np.zeros_like(visible)
    near[:, 1:] |= visible[:, :-1]
    near[:, :-1] |= visible[:, 1:]
    near[:, :, 1:] |= visible[:, :, :-1]
    near[:, :, :-1] |= visible[:, :, 1:]
    assert not (near & ~visible & (owner != 0)).any()
    trained(data, "supervised_image")
    assert set(fitted.columns["object"][np.arange(24)].tolist()) == {1}  # tracks with occlusion
    assert "eraser_owner" not in fitted.columns


def test_a_set_without_untouched_masks_is_named(data, monkeypatch):
    monkeypatch.setattr(module, "untouched", lambda _, rows: np.zeros(len(rows), bool))
    with pytest.raises(UserError, match="tiny: every mask touches another one, completion_clean has nothing to learn"):
        trained(data, "completion_clean")


# ---------------------------------------------------------------- adaptation


def adapted(folder, weights, method="savos", split="unseen", at=(0, 2, 4), batch_size=3, **changes):
    settings = {name: block | changes.get(name, {}) for name, block in tiny.SETTINGS.items()}
    return adapt(
        method, 0, str(folder), str(weights), split=split, at=list(at), lr=0.01, batch_size=batch_size,
        settings=settings, common_seed=3,
    )  # fmt: skip


def at_step(found, steps):
    prefix = f"{steps}/"
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


@pytest.fixture(scope="module")
def stored(data, tmp_path_factory):
    """Files of weights, as jobs leave them; those of images have batch statistics."""
    folder, found = tmp_path_factory.mktemp("stored"), {}
    for method in ("savos", "completion"):
        found[method] = folder / f"{method}.npz"
        np.savez(found[method], **start(data, method))
    return found


@pytest.mark.parametrize("method", ["savos", "completion"])
def test_snapshots_are_the_weights_after_so_many_updates(data, stored, method, monkeypatch):
    """Against a loop over the same batches, with the same erasers."""
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.full(shape, 0.3))
    given = Fit()
    with monkeypatch.context() as patch:
        patch.setattr(module, "fit", given)
        adapted(data, stored[method], method, completion={"batch_size": 4})
    found = adapted(data, stored[method], method, completion={"batch_size": 4})
    assert equal(at_step(found, 0), jobs.load(stored[method]))
    batches, seed = ArrayBatches(given.columns), given.rest["seed"]
    model = given.model.train()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    network = model if isinstance(model, UNet) else model.network
    for step, rows in enumerate(BatchRows(len(batches), given.recipe.batch_size, seed)):
        if step in (2, 4):
            assert_close(at_step(found, step), state(network))
        optimizer.zero_grad()
        given.objective.inner(model, batches[rows]).backward()
        if clip_norm := given.rest.get("clip_norm"):
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
    assert step == 3
    assert_close(at_step(found, 4), state(network))
    assert given.recipe.schedule == "constant"


def assert_close(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-4, atol=1e-5)


def test_no_steps_leave_the_start(data, stored):
    assert equal(at_step(adapted(data, stored["savos"], at=[0]), 0), jobs.load(stored["savos"]))


def test_adaptation_repeats_and_reads_only_its_split_and_no_truth(data, scrambled, stored, monkeypatch):
    for method, path in stored.items():
        one = adapted(data, path, method)
        assert set(one) == {f"{steps}/{name}" for steps in (0, 2, 4) for name in jobs.load(path)}
        assert equal(one, adapted(scrambled, path, method))
        assert not equal(at_step(one, 4), at_step(one, 2))
        assert not equal(one, adapted(data, path, method, split="unseen_adapt"))
    given = Fit()
    monkeypatch.setattr(module, "fit", given)
    adapted(data, stored["savos"])
    column = given.columns["frames"]
    rows = column.tracks.data.card["splits"]["unseen"]
    assert column.tracks.table[:, 2].min() >= rows[0] and column.tracks.table[:, 2].max() < rows[1]


def test_adaptation_on_a_split_that_is_not_there(data, stored):
    with pytest.raises(DataError, match="no split 'elsewhere'"):
        adapted(data, stored["savos"], split="elsewhere")
