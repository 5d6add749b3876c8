"""One fit for everything: seeds, batches, schedules, clipping, early stopping, several devices, resuming."""

import csv
import shutil
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from reprise import jobs, training
from reprise.errors import UserError
from reprise.params import Recipe
from reprise.training import ArrayBatches, BatchRows, fit


def recipe(**changes):
    fixed = {"epochs": 3, "batch_size": 16, "lr": 0.01, "weight_decay": 0.0, "schedule": "constant"}
    return Recipe(**{**fixed, "stratified": False, **changes})


def rows(n=50, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, 3)).astype(np.float32)
    return {"x": x, "y": (x @ np.array([1.0, -2.0, 0.5], np.float32) + 0.3).astype(np.float32)}


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))


def squared(model, batch):
    return F.mse_loss(model(batch["x"])[:, 0], batch["y"])


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trained(seed, start=0, **changes):
    model = network(start)
    return fit(model, squared, rows(), recipe(**changes), seed=seed), weights(model)


@pytest.fixture(autouse=True)
def outside_jobs(monkeypatch):
    monkeypatch.setattr(jobs, "_workdir", None)
    for name in ("REPRISE_ACCELERATOR", "REPRISE_PRECISION", "REPRISE_WORKERS", "REPRISE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REPRISE_ACCELERATOR", "cpu")


# ---------------------------------------------------------------- batches


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 99), st.booleans())
@example(33, 16, 0, False)
@example(17, 16, 0, True)
@settings(deadline=None)
def test_each_epoch_is_a_partition_of_the_rows(n, size, seed, stratified):
    groups = np.random.default_rng(seed).integers(0, 3, n) if stratified else None
    sampler = BatchRows(n, size, seed, groups)
    for _ in range(2):
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert sorted(np.concatenate(batches).tolist()) == list(range(n))
        assert all(len(batch) == size for batch in batches[:-1])
        assert len(batches[-1]) <= size + 1
        if n > 1 and size > 1:
            assert len(batches[-1]) > 1  # batch normalisation needs two rows


@given(st.integers(20, 200), st.integers(4, 40), st.integers(0, 99), st.floats(0.05, 0.95))
@settings(deadline=None)
def test_stratified_batches_hold_the_groups_in_proportion(n, size, seed, share):
    groups = (np.random.default_rng(seed).random(n) < share).astype(int)
    for batch in BatchRows(n, size, seed, groups):
        assert abs(groups[batch].sum() - groups.mean() * len(batch)) <= 2


def test_batches_differ_by_epoch_and_seed_and_repeat_with_the_seed():
    first, again, other = BatchRows(40, 8, 1), BatchRows(40, 8, 1), BatchRows(40, 8, 2)
    epochs = [[batch.tolist() for batch in sampler] for sampler in (first, first, again, other)]
    assert epochs[0] == epochs[2]
    assert epochs[0] != epochs[1]
    assert epochs[0] != epochs[3]


def test_batches_are_gathered_from_a_memory_map(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12, dtype=np.uint8).reshape(6, 2))
    batches = ArrayBatches({"x": np.load(tmp_path / "x.npy", mmap_mode="r"), "y": np.arange(6)})
    batch = batches[np.array([1, 4])]
    assert (batch["x"].tolist(), batch["y"].tolist()) == ([[2, 3], [8, 9]], [1, 4])
    batch["x"] += 1  # a copy: the file is not touched
    assert np.load(tmp_path / "x.npy")[1].tolist() == [2, 3]
    with pytest.raises(ValueError, match=r"arrays differ in length: \{'x': 2, 'y': 3\}"):
        ArrayBatches({"x": np.zeros(2), "y": np.zeros(3)})


def test_full_batches_of_an_array_in_memory_are_no_copy(tmp_path):
    x, every = rows(10)["x"], np.arange(10)
    np.save(tmp_path / "x.npy", x)
    mapped, fixed = np.load(tmp_path / "x.npy", mmap_mode="r"), x.copy()
    fixed.flags.writeable = False
    batches = ArrayBatches({"x": x, "mapped": mapped, "fixed": fixed})
    whole, part = batches[every], batches[every[:9]]
    for name, array in (("x", x), ("mapped", mapped), ("fixed", fixed)):
        assert np.array_equal(whole[name], x)
        assert np.array_equal(part[name], x[:9])
        assert np.shares_memory(whole[name].numpy(), array) == (name == "x")  # a tensor must not write into the others
        assert not np.shares_memory(part[name].numpy(), array)


@pytest.mark.parametrize("batch_size", [50, 64, 16])
def test_what_is_not_copied_trains_as_a_copy_does(batch_size, tmp_path):
    given, kept = rows(), rows()
    for name, array in kept.items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in kept}
    found = []
    for train in (given, mapped, {name: _Rows(array) for name, array in kept.items()}):
        model = network()
        found.append((fit(model, squared, train, recipe(batch_size=batch_size), seed=3), weights(model)))
    for curve, trained_weights in found[:2]:
        assert curve == found[2][0]
        assert torch.equal(trained_weights, found[2][1])
    for name, array in kept.items():
        assert np.array_equal(given[name], array)


class _Rows:
    """A table that copies whatever it is asked for."""

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        return self.array[rows].copy()


@pytest.mark.parametrize("n", [17, 18, 32, 5])
def test_short_last_batches_reach_the_objective(n):
    seen = []

    def objective(model, batch):
        seen.append(len(batch["x"]))
        return squared(model, batch)

    fit(network(), objective, rows(n), recipe(epochs=1), seed=0)
    assert seen == {17: [17], 18: [16, 2], 32: [16, 16], 5: [5]}[n]


# ---------------------------------------------------------------- seeds


def test_equal_seeds_give_equal_networks_bit_for_bit():
    (curve, one), (again, two) = trained(3), trained(3)
    assert curve == again
    assert torch.equal(one, two)


def test_another_seed_gives_another_network():
    assert not torch.equal(trained(3)[1], trained(4)[1])


def test_a_63_bit_seed_is_taken():
    trained(2**63 - 1, epochs=1)


def test_what_ran_before_has_no_effect():
    one = trained(3)[1]
    torch.rand(7)
    np.random.rand(7)  # noqa: NPY002
    assert torch.equal(one, trained(3)[1])


# ---------------------------------------------------------------- the fit


def test_loss_falls_and_the_curve_holds_a_mean_per_epoch():
    model = network()
    curve = fit(model, squared, rows(), recipe(epochs=30), seed=0)
    assert len(curve) == 30
    assert curve[-1] < 0.5 * curve[0]
    assert not model.training
    assert {p.device.type for p in model.parameters()} == {"cpu"}


def test_first_value_of_the_curve_by_hand():
    model = nn.Linear(3, 1)
    with torch.no_grad():
        expected = F.mse_loss(model(torch.from_numpy(rows()["x"]))[:, 0], torch.from_numpy(rows()["y"])).item()
    (value,) = fit(model, squared, rows(), recipe(epochs=1, batch_size=50), seed=0)
    assert value == pytest.approx(expected, rel=1e-6)


def test_one_step_is_the_step_of_adam():
    model = nn.Linear(3, 1)
    before = weights(model)
    fit(model, squared, rows(), recipe(epochs=1, batch_size=50, lr=0.01), seed=0)
    # The first step of Adam has the length of the learning rate in every coordinate.
    torch.testing.assert_close((weights(model) - before).abs(), torch.full((4,), 0.01), rtol=1e-4, atol=0)


def test_weight_decay_shrinks_weights():
    sizes = [trained(0, epochs=60, weight_decay=decay)[1].norm().item() for decay in (0.0, 1.0)]
    assert sizes[1] < 0.7 * sizes[0]


def test_objective_that_is_a_module_is_trained_too():
    objective, model = Scaled(), network()
    before = weights(model)
    fit(model, objective, rows(), recipe(epochs=2), seed=0)
    assert objective.scale.item() != 1.0
    assert not torch.equal(before, weights(model))


def test_frozen_parameters_stay():
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    fit(model, squared, rows(), recipe(), seed=0)
    assert torch.equal(before, model[0].weight)


class LearningRates(nn.Module):
    """Records the learning rate of each step."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def watch(self, monkeypatch):
        configure = training._Fit.configure_optimizers

        def configured(module):
            made = configure(module)
            self.optimizer = made[0][0] if isinstance(made, tuple) else made
            return made

        monkeypatch.setattr(training._Fit, "configure_optimizers", configured)

    def forward(self, model, batch):
        if model.training:
            self.rates.append(self.optimizer.param_groups[0]["lr"])
        return squared(model, batch)


def test_one_cycle_rises_to_its_peak_and_ends_near_zero(monkeypatch):
    objective = LearningRates()
    objective.watch(monkeypatch)
    fit(network(), objective, rows(50), recipe(epochs=10, schedule="one_cycle"), seed=0)
    rates = np.array(objective.rates)
    assert len(rates) == 10 * 4  # 16 + 16 + 16 + 2
    assert rates.max() == pytest.approx(0.01, rel=0.01)
    assert np.argmax(rates) == pytest.approx(0.3 * len(rates), abs=1)
    assert rates[0] == pytest.approx(0.01 / 25)
    assert rates[-1] < 0.01 / 1000
    assert (np.diff(rates[: np.argmax(rates) + 1]) > 0).all()
    assert (np.diff(rates[np.argmax(rates) :]) < 0).all()


def test_a_rate_that_rises_for_exactly_one_step():
    curve = fit(network(), squared, rows(160), recipe(epochs=1, schedule="one_cycle"), seed=0, warmup=0.1)
    assert np.isfinite(curve).all()


@pytest.mark.parametrize("warmup", [0.1, 0.5])
def test_warmup_is_the_share_of_the_steps_that_rise(monkeypatch, warmup):
    objective = LearningRates()
    objective.watch(monkeypatch)
    fit(network(), objective, rows(50), recipe(epochs=10, schedule="one_cycle"), seed=0, warmup=warmup)
    rates = np.array(objective.rates)
    assert rates.max() == pytest.approx(0.01, rel=0.01)
    assert np.argmax(rates) == pytest.approx(warmup * 40 - 1, abs=1)
    assert rates[0] == pytest.approx(0.01 / 25)
    assert rates[-1] < 0.01 / 1000


@pytest.mark.parametrize(
    ("epochs", "counts"),
    [(10, [16, 16, 8]), (5, [8, 8, 4]), (1, [2, 2])],  # of four batches each: 40%, 40% and the rest
)
def test_step_schedule_halves_the_rate_twice(monkeypatch, epochs, counts):
    objective = LearningRates()
    objective.watch(monkeypatch)
    fit(network(), objective, rows(50), recipe(epochs=epochs, schedule="step"), seed=0)
    expected = [0.01 / 2**k for k, count in enumerate(counts) for _ in range(count)]
    assert objective.rates == pytest.approx(expected)


def test_constant_schedule(monkeypatch):
    objective = LearningRates()
    objective.watch(monkeypatch)
    fit(network(), objective, rows(), recipe(), seed=0)
    assert set(objective.rates) == {0.01}


def test_plateau_lowers_the_rate_when_validation_stands_still(monkeypatch):
    objective = LearningRates()
    objective.watch(monkeypatch)
    flat = {"x": np.zeros((4, 3), np.float32), "y": np.zeros(4, np.float32)}
    model = nn.Linear(3, 1, bias=False)  # predicts 0 for the validation rows, whatever it learns
    fit(model, objective, rows(16), recipe(epochs=18, schedule="plateau"), seed=0, validation=flat)
    assert objective.rates[0] == 0.01
    assert objective.rates[-1] == pytest.approx(0.001)
    assert objective.rates.count(0.01) == 17  # the first epoch sets the mark, fifteen are borne, then one step


@pytest.mark.parametrize("changes", [{"schedule": "plateau"}, {"patience": 2}])
def test_plateau_and_early_stopping_need_validation(changes):
    patience = changes.pop("patience", None)
    with pytest.raises(ValueError, match="need validation data"):
        fit(network(), squared, rows(), recipe(**changes), seed=0, patience=patience)


def test_early_stopping():
    held_out = {"x": np.zeros((4, 3), np.float32), "y": np.zeros(4, np.float32)}
    model = nn.Linear(3, 1, bias=False)
    curve = fit(model, squared, rows(), recipe(epochs=50), seed=0, validation=held_out, patience=3)
    assert len(curve) == 4  # the first epoch and three without a better one


def test_validation_changes_nothing_by_itself():
    found = []
    for validation in (None, rows(700, seed=1)):
        torch.manual_seed(0)
        model = nn.Linear(3, 1)
        found.append((fit(model, squared, rows(), recipe(), seed=3, validation=validation), weights(model).tolist()))
    assert found[0] == found[1]


def test_stratified_fit_sees_the_groups_in_proportion():
    a = np.repeat([0, 1], [40, 10]).astype(np.uint8)
    shares = []

    def objective(model, batch):
        shares.append(batch["a"].float().mean().item())
        return squared(model, batch)

    fit(network(), objective, {**rows(), "a": a}, recipe(batch_size=10, stratified=True), seed=0, groups=a)
    assert shares == pytest.approx([0.2] * 15, abs=1e-6)


# ---------------------------------------------------------------- clipped gradients


class Scaled(nn.Module):
    """The squared loss of the scaled prediction: an objective with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, model, batch):
        return F.mse_loss(self.scale * model(batch["x"])[:, 0], batch["y"])


def clipped(monkeypatch, clip_norm):
    """Norm of the gradient that each update was made of (all parameters, the objective's too), and where it led."""
    configure, norms, fused = training._Fit.configure_optimizers, [], []

    def configured(module):
        optimizer = configure(module)
        fused.append(optimizer.defaults["fused"])
        optimizer.register_step_post_hook(
            lambda *_: norms.append(torch.cat([p.grad.flatten() for p in module.parameters()]).norm().item())
        )
        return optimizer

    with monkeypatch.context() as patch:
        patch.setattr(training._Fit, "configure_optimizers", configured)
        model = network()
        curve = fit(model, Scaled(), rows(), recipe(), seed=0, clip_norm=clip_norm)
    return curve, weights(model), np.array(norms), fused[0]


def test_clip_norm_bounds_the_gradient(monkeypatch):
    _, free, norms, _ = clipped(monkeypatch, None)
    bound = float(np.median(norms))  # about half of the updates are to be shortened
    _, bounded, after, fused = clipped(monkeypatch, bound)
    assert len(norms) == len(after) == 12
    assert norms.max() > 1.1 * bound
    assert after.max() <= bound * (1 + 1e-4)
    assert (after < 0.99 * bound).any()  # shorter ones are left alone
    assert not torch.equal(free, bounded)
    assert fused


def test_a_bound_that_is_never_reached_changes_nothing(monkeypatch):
    free, bounded = clipped(monkeypatch, None), clipped(monkeypatch, 1e6)
    assert free[0] == bounded[0]
    assert torch.equal(free[1], bounded[1])


def test_clip_norm_in_mixed_precision(monkeypatch):
    """The default on a GPU; Lightning refuses to clip there for a fused optimiser."""
    monkeypatch.setenv("REPRISE_PRECISION", "bf16-mixed")
    curve, _, norms, fused = clipped(monkeypatch, None)
    assert fused
    _, _, after, fused = clipped(monkeypatch, 0.5)
    assert not fused
    assert norms.max() > 0.6
    assert after.max() <= 0.5 * (1 + 1e-4)
    monkeypatch.delenv("REPRISE_PRECISION")
    assert curve == pytest.approx(clipped(monkeypatch, None)[0], rel=0.02)


# ---------------------------------------------------------------- several devices


@given(st.integers(2, 60), st.integers(2, 5))
def test_devices_share_a_batch(n, devices):
    batch = np.random.default_rng(n).permutation(n)
    shares = [training._share(batch, device, devices) for device in range(devices)]
    sizes = {len(share) for share in shares}
    if n >= 2 * devices:
        assert sorted(np.concatenate(shares)) == list(range(n))
        assert max(sizes) - min(sizes) <= 1
    else:  # batch normalisation needs two rows, and a mean needs one
        assert sizes == {n}


class Counted(Scaled):
    """With a parameter, a buffer, and a restart of Adam."""

    def __init__(self):
        super().__init__()
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.restart = None

    def forward(self, model, batch):
        self.restart = 0.5 if int(self.step) == 5 else None
        self.step += 1
        return super().forward(model, batch)


def on_devices(monkeypatch, number, n, objective=None, **options):
    """One training without dropout, which each device draws for itself."""
    monkeypatch.setenv("REPRISE_DEVICES", str(number))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    settings = recipe(**options.pop("settings", {}))
    curve = fit(model, objective or squared, rows(n), settings, seed=3, **options)
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert not model.training
    return curve, weights(model)


@pytest.mark.parametrize(
    ("n", "options"),
    [
        (50, {"clip_norm": 0.5}),  # the last batch holds two rows, too few to share
        (51, {"settings": {"schedule": "one_cycle"}, "warmup": 0.1}),  # three, the same
        (55, {"settings": {"schedule": "step"}}),  # seven: shares of four and three
        (33, {}),  # batches of 16 and 17
        (40, {"settings": {"epochs": 8}, "validation": rows(600, seed=1), "patience": 2}),
    ],
)
def test_two_devices_train_as_one_does(monkeypatch, n, options):
    (curve, one), (again, two) = (on_devices(monkeypatch, number, n, **dict(options)) for number in (1, 2))
    assert again == pytest.approx(curve, abs=1e-6)
    torch.testing.assert_close(two, one, atol=1e-6, rtol=0)
    torch.manual_seed(0)
    start = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    assert not torch.allclose(weights(start), two, atol=1e-3)


def test_what_the_objective_learned_comes_back_from_the_devices(monkeypatch):
    one, two = Counted(), Counted()
    curve, expected = on_devices(monkeypatch, 1, 55, one)
    again, found = on_devices(monkeypatch, 2, 55, two)
    assert again == pytest.approx(curve, abs=1e-6)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert two.scale.item() == pytest.approx(one.scale.item(), abs=1e-6)
    assert two.scale.item() != 1.0
    assert int(two.step) == int(one.step) == 12


@pytest.mark.timeout(60)
def test_devices_do_not_wait_for_the_threads_of_their_parent(monkeypatch):
    """A forked process has none of them, and OpenMP would wait for ever."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.rand(1000, 1000).exp().sum()
        _, model = on_devices(monkeypatch, 2, 20_000, settings={"batch_size": 20_000, "epochs": 1})
    finally:
        torch.set_num_threads(before)
    assert model.isfinite().all()


@pytest.mark.parametrize("number", ["0", "-1", "two", "", "1.5"])
def test_a_number_of_devices(monkeypatch, number):
    monkeypatch.setenv("REPRISE_DEVICES", number)
    with pytest.raises(UserError, match=f"REPRISE_DEVICES={number} is not a number of devices, 1 or more"):
        trained(0)


# ---------------------------------------------------------------- an objective that lets Adam start anew


class Restarts(LearningRates):
    """The squared loss; Adam starts anew at the update of step `at`, at `rate` of the learning rate."""

    def __init__(self, at, rate):
        super().__init__()
        self.at, self.rate, self.restart, self.seen = at, rate, None, []
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, model, batch):
        self.seen.append(weights(model).clone())
        self.restart = self.rate if int(self.step) == self.at else None
        self.step += 1
        return squared(model, batch)

    def moves(self, model):
        """Length of every update in every coordinate."""
        return (torch.stack([*self.seen, weights(model)]).diff(dim=0)).abs()


def restarted(at, rate=0.5, epochs=8):
    torch.manual_seed(0)
    objective, model = Restarts(at, rate), nn.Linear(3, 1)
    fit(model, objective, rows(), recipe(epochs=epochs, batch_size=50), seed=0)
    return objective.moves(model)


def test_adam_forgets_its_moments_and_takes_the_new_rate():
    """The first update of Adam has the length of the learning rate in every coordinate: so has the one at a restart."""
    never, half = restarted(at=None), restarted(at=5)
    torch.testing.assert_close(half[:5], never[:5], rtol=0, atol=0)
    torch.testing.assert_close(half[5], torch.full((4,), 0.005), rtol=1e-3, atol=0)
    assert not torch.allclose(
        never[5], torch.full((4,), 0.01), rtol=1e-3
    )  # moments are felt where nothing is forgotten
    assert (half[6:] < 0.0075).all()  # the rate stays


def test_a_restart_may_keep_the_rate():
    torch.testing.assert_close(restarted(at=5, rate=1.0)[5], torch.full((4,), 0.01), rtol=1e-3, atol=0)


def test_a_restart_before_the_first_update_changes_the_rate_alone():
    torch.testing.assert_close(restarted(at=0)[0], torch.full((4,), 0.005), rtol=1e-3, atol=0)
    assert torch.equal(restarted(at=0, rate=1.0), restarted(at=None))


def test_the_rate_is_a_share_of_the_recipes(monkeypatch):
    """Not of the rate before: a second restart does not add up."""

    class Twice(Restarts):
        def forward(self, model, batch):
            self.rates.append(self.optimizer.param_groups[0]["lr"])
            loss = super().forward(model, batch)
            self.restart = 0.5 if int(self.step) in (2, 4) else None
            return loss

    objective = Twice(None, None)
    objective.watch(monkeypatch)
    fit(network(), objective, rows(), recipe(epochs=6, batch_size=50), seed=0)
    assert objective.rates == [0.01, 0.01, 0.005, 0.005, 0.005, 0.005]


# ---------------------------------------------------------------- resuming


class Interrupted(Exception):
    pass


class Until(nn.Module):
    """The squared loss, interrupted at a given call."""

    def __init__(self, stop):
        super().__init__()
        self.stop, self.calls = stop, 0

    def forward(self, model, batch):
        if self.calls == self.stop:
            raise Interrupted
        self.calls += 1
        return squared(model, batch)


@pytest.fixture
def in_a_job(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "_workdir", tmp_path / "job.work")
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", timedelta(microseconds=1))
    return tmp_path / "job.work"


def test_short_fits_leave_no_checkpoint(in_a_job, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", timedelta(minutes=5))
    trained(0)
    assert not list(in_a_job.rglob("*.ckpt"))


def test_being_in_a_job_changes_nothing(in_a_job):
    inside = trained(3)
    assert any(in_a_job.glob("last-*.ckpt"))
    jobs._workdir = None
    outside = trained(3)
    assert inside[0] == outside[0]
    assert torch.equal(inside[1], outside[1])


def test_two_fits_of_one_job_do_not_resume_each_other(in_a_job):
    trained(3)
    beside = trained(4)
    jobs._workdir = None
    alone = trained(4)
    assert beside[0] == alone[0]
    assert torch.equal(beside[1], alone[1])


@pytest.mark.parametrize("stop", [8, 10])
@pytest.mark.parametrize("schedule", ["one_cycle", "step", "constant"])
def test_an_interrupted_fit_ends_as_if_nothing_had_happened(in_a_job, stop, schedule):
    """Four batches an epoch, six epochs, dropout; interrupted at the start or in the middle of the third."""
    settings = recipe(epochs=6, schedule=schedule)
    with pytest.raises(Interrupted):
        fit(network(), Until(stop), rows(), settings, seed=3)
    assert any(in_a_job.glob("last-*.ckpt"))
    rest, model = Until(None), network(seed=99)  # what it starts from does not count any more
    curve = fit(model, rest, rows(), settings, seed=3)
    assert rest.calls == 16  # the last four epochs
    assert len(curve) == 6
    assert len(list(in_a_job.glob("*.ckpt"))) == 1
    jobs._workdir = None
    expected = network()
    assert curve == fit(expected, squared, rows(), settings, seed=3)
    assert torch.equal(weights(model), weights(expected))


def test_a_fit_may_be_interrupted_again_and_again(in_a_job):
    settings = recipe(epochs=4)
    for _ in range(3):
        with pytest.raises(Interrupted):
            fit(network(), Until(5), rows(), settings, seed=3)
    rest, model = Until(None), network()
    assert len(fit(model, rest, rows(), settings, seed=3)) == 4
    assert rest.calls == 4
    jobs._workdir = None
    expected = network()
    fit(expected, squared, rows(), settings, seed=3)
    assert torch.equal(weights(model), weights(expected))


def test_an_objective_with_parameters_is_taken_up_too(in_a_job):
    class Squared(Until):
        def __init__(self, stop):
            super().__init__(stop)
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, model, batch):
            return super().forward(model, batch) * self.scale**2

    settings, scales = recipe(epochs=4), []
    with pytest.raises(Interrupted):
        fit(network(), Squared(9), rows(), settings, seed=3)
    for inside in (True, False):
        jobs._workdir = in_a_job if inside else None
        objective = Squared(None)
        fit(network(), objective, rows(), settings, seed=3)
        scales.append(objective.scale.item())
    assert scales[0] == scales[1] != 1.0


@pytest.mark.parametrize("after", [1, 2])
def test_two_devices_go_on_where_either_number_stopped(in_a_job, monkeypatch, after):
    """The curve of the epochs before is kept, too."""
    settings = {"epochs": 6}
    with pytest.raises(Interrupted):
        on_devices(monkeypatch, 1, 55, Until(10), settings=settings)
    found = on_devices(monkeypatch, after, 55, settings=settings)
    jobs._workdir = None
    curve, expected = on_devices(monkeypatch, 1, 55, settings=settings)
    assert found[0] == pytest.approx(curve, abs=1e-6)
    torch.testing.assert_close(found[1], expected, atol=1e-6, rtol=0)


def logged(folder):
    file = folder / "metrics.csv"
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return [float(row["train_loss"]) for row in csv.DictReader(lines) if row.get("train_loss")]


@pytest.mark.parametrize(("pace", "epochs"), [(0.0, []), (0.51, [1, 3, 5]), (1.01, [0, 1, 2, 3, 4, 5])])
def test_the_loss_is_logged_at_most_once_a_second(in_a_job, monkeypatch, pace, epochs):
    """By a clock that moves on once an epoch."""
    passed = [0.0]
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: passed[0]))

    class Clock(nn.Module):
        calls = 0

        def forward(self, model, batch):
            passed[0] += pace if self.calls % 4 == 0 else 0.0
            self.calls += 1
            return squared(model, batch)

    curve = fit(network(), Clock(), rows(), recipe(epochs=6), seed=0)
    assert logged(in_a_job) == pytest.approx([curve[k] for k in epochs])


def test_a_restart_outlasts_an_interruption(in_a_job):
    """Four batches an epoch, a restart in the second one, interrupted in the fourth."""

    class Stopped(Restarts):
        stop = None

        def forward(self, model, batch):
            if len(self.seen) == self.stop:
                raise Interrupted
            return super().forward(model, batch)

    settings = recipe(epochs=6)
    first = Stopped(5, 0.25)
    first.stop = 14
    with pytest.raises(Interrupted):
        fit(network(), first, rows(), settings, seed=3)
    rest, model = Stopped(5, 0.25), network()
    fit(model, rest, rows(), settings, seed=3)
    assert (len(rest.seen), int(rest.step)) == (12, 24)
    jobs._workdir = None
    expected = network()
    fit(expected, Stopped(5, 0.25), rows(), settings, seed=3)
    assert torch.equal(weights(model), weights(expected))


def test_adamw_spares_the_weights_it_is_told_to():
    """Without a gradient a decayed weight shrinks by lr * decay a step, as no gradient of Adam's would have it."""

    class Still(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept, self.shrunk = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))

    def loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return sum((weight.sum() * 0 for weight in model.parameters()), start=batch["x"].sum() * 0)

    model = Still()
    rows = {"x": np.zeros((8, 1), np.float32)}
    steps = recipe(epochs=1, batch_size=4, lr=0.1, weight_decay=0.5)
    fit(model, loss, rows, steps, seed=0, undecayed=lambda name, weight: name.endswith("kept"))
    torch.testing.assert_close(model.kept.detach(), torch.ones(3))
    torch.testing.assert_close(model.shrunk.detach(), torch.full((3,), 0.95**2))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler, which is not here")
def test_compiled_training_gives_the_same_weights(monkeypatch):
    found = []
    for compiled in ("", "1"):
        monkeypatch.setenv("REPRISE_COMPILE", compiled)
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        rows = {"x": np.random.default_rng(0).standard_normal((32, 4), np.float32)}
        fit(model, lambda model, batch: model(batch["x"]).square().mean(), rows, recipe(epochs=2), seed=0)
        found.append(model(torch.ones(1, 4)).item())
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_what_lightning_imports_in_passing_stays_usable() -> None:
    """`reprise.training` spares Lightning's import of scipy.signal; whoever wants it gets the real one."""
    code = (
        "import sys, reprise.training; print('scipy.signal' in sys.modules); import scipy.signal as s; print(s.welch)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.startswith("False\n<function welch")
