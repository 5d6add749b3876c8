"""The invariance methods: what all share, their registry and what they must do to a planted cue."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from assay.toys import Net, batch_of, gradients, made, net
from reprise.assay.invariance import METHODS, draws, learning_rates

# ---------------------------------------------------------------- every objective


@pytest.mark.parametrize("name", METHODS)
def test_training_lowers_the_risk(name):
    batch, model = batch_of(), net()
    batch["y"] = (batch["x"][:, 0, 0, 0] * 3).long()
    loss = made(name, model, steps=60)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    before = F.cross_entropy(model(batch["x"]), batch["y"]).item()
    for _ in range(5):  # before a schedule raises a penalty beyond the risk
        optimizer.zero_grad()
        loss(model, batch).backward()
        optimizer.step()
    assert F.cross_entropy(model(batch["x"]), batch["y"]).item() < before


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("env", [[0, 0, 2, 2, 2, 0], [1] * 6, [0, 2, 2, 2, 2, 2]], ids=["absent", "single", "one row"])
def test_odd_batches_have_finite_gradients(name, env):
    """A batch may lack an environment, hold only one, or a single row of it."""
    batch = {**batch_of(6), "env": torch.tensor(env)}
    model = net()
    loss = made(name, model, steps=2, **{key: 0.0 for key in METHODS[name].defaults if "anneal" in key})
    for _ in range(2):
        value = loss(model, batch)
        assert torch.isfinite(value)
        assert all(torch.isfinite(gradient).all() for gradient in gradients(value, model))
    assert all(torch.isfinite(buffer).all() for buffer in loss.buffers())


@pytest.mark.parametrize("name", METHODS)
def test_bytes_and_floats_are_one(name):
    floats = batch_of()
    stored = (floats["x"] * 255).round().to(torch.uint8)
    values = []
    for x in (stored, stored.float() / 255):
        model = net()
        torch.manual_seed(3)
        values.append(made(name, model)(model, {**floats, "x": x}).item())
    assert values[0] == pytest.approx(values[1], rel=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_evaluation_is_the_pooled_risk_and_changes_nothing(name):
    batch, model = batch_of(), net()
    loss = made(name, model).eval()
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    with torch.no_grad():
        value = loss(model, {key: batch[key] for key in ("x", "y")})
    assert value.item() == pytest.approx(F.cross_entropy(model(batch["x"]), batch["y"]).item())
    assert all(torch.equal(before[key], value) for key, value in loss.state_dict().items())


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("irm", "ib_irm", "mixup", "causirl")])
def test_the_order_of_the_rows_does_not_matter(name):
    """Random methods and the halves of IRM aside."""
    batch, model = batch_of(), net()
    order = torch.randperm(24)
    shuffled = {key: value[order] for key, value in batch.items()}
    hyperparameters = {key: 0.0 for key in METHODS[name].defaults if "anneal" in key}
    one, two = (made(name, model, **hyperparameters)(model, each) for each in (batch, shuffled))
    assert one.item() == pytest.approx(two.item(), rel=1e-4)
    for a, b in zip(gradients(one, model), gradients(two, model), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("irm", {"penalty": 0.0, "anneal": 0.0}),
        ("vrex", {"penalty": 0.0, "anneal": 0.0}),
        ("coral", {"gamma": 0.0}),
        ("sd", {"strength": 0.0}),
        ("fishr", {"penalty": 0.0}),
        ("eqrm", {}),  # burning in
        ("andmask", {"tau": 0.0}),
        ("ib_irm", {"penalty": 0.0, "anneal": 0.0, "bottleneck": 0.0}),
        ("causirl", {"gamma": 0.0}),
        ("group_dro", {"eta": 0.0}),
    ],
)
def test_without_its_penalty_each_method_is_erm(name, without):
    """With equal environments the mean of their risks is the pooled one."""
    batch, model = batch_of(), net()
    erm, same = made("erm", model)(model, batch), made(name, model, **without)(model, batch)
    assert same.item() == pytest.approx(erm.item(), rel=1e-5)
    for a, b in zip(gradients(erm, model), gradients(same, model), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------- schedules and state


@pytest.mark.parametrize("name", ["irm", "vrex", "fishr", "eqrm"])
def test_the_optimiser_is_reset_at_the_switch_alone(name):
    batch, model = batch_of(), net()
    loss = made(name, model, steps=20, anneal=0.25)
    resets = []
    for _ in range(20):
        loss(model, batch)
        resets.append(loss.reset_optimizer)
    assert np.flatnonzero(resets).tolist() == [5]


def test_two_switches_reset_twice():
    batch, model = batch_of(), net()
    loss = made("ib_irm", model, steps=10, anneal=0.2, bottleneck_anneal=0.5)
    resets = []
    for _ in range(10):
        loss(model, batch)
        resets.append(loss.reset_optimizer)
    assert np.flatnonzero(resets).tolist() == [2, 5]


@pytest.mark.parametrize("anneal", [0.0, 1.0])
def test_a_schedule_without_a_switch_resets_nothing(anneal):
    batch, model = batch_of(), net()
    loss = made("irm", model, steps=4, anneal=anneal)
    for _ in range(4):
        loss(model, batch)
        assert not loss.reset_optimizer


@pytest.mark.parametrize(("name", "before"), [("irm", 1.0), ("vrex", 1.0), ("fishr", 0.0)])
def test_the_weight_of_the_penalty_before_and_after(name, before):
    """The loss is linear in the weight: L = R + w P, so (L_after - R) / (L_before - R) is the ratio of the weights."""
    batch, model = batch_of(), net()
    risk = made("erm", model)(model, batch).item()
    loss = made(name, model, steps=2, penalty=8.0, anneal=0.5, **({"ema": 0.0} if name == "fishr" else {}))
    first, second = (loss(model, batch).item() - risk for _ in range(2))
    assert second != pytest.approx(0.0, abs=1e-6)
    assert first == pytest.approx(second * before / 8, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", ["irm", "vrex"])
def test_rescaling_divides_the_loss_after_the_switch(name):
    batch, model = batch_of(), net()
    plain, scaled = (made(name, model, steps=2, penalty=8.0, anneal=0.5, rescale=flag) for flag in (False, True))
    for factor in (1.0, 8.0):
        assert plain(model, batch).item() == pytest.approx(factor * scaled(model, batch).item())


@pytest.mark.parametrize("name", METHODS)
def test_state_survives_a_checkpoint(name):
    model = net()
    whole, first = made(name, model, steps=6), made(name, model, steps=6)
    values = []
    for loss in (whole, first):
        torch.manual_seed(0)
        values.append([loss(model, batch_of(seed=k)).item() for k in range(3)])
    assert values[0] == values[1]
    resumed = made(name, model, steps=6)
    resumed.load_state_dict(first.state_dict())
    for loss in (whole, resumed):
        torch.manual_seed(1)
        values.append([loss(model, batch_of(seed=k)).item() for k in range(3, 6)])
    assert values[2] == values[3]


# ---------------------------------------------------------------- the registry


@pytest.mark.parametrize("name", METHODS)
def test_draws_start_with_the_default_and_only_grow(name):
    few, many = draws(name, 3, seed=0), draws(name, 6, seed=0)
    assert few[0] == METHODS[name].defaults
    assert many[:3] == few
    assert all(set(each) == set(few[0]) for each in many)
    if few[0]:
        assert draws(name, 2, seed=1)[1] != few[1] != many[3]
    for each in many:
        made(name, net(), **each)


def test_draws_cover_the_ranges_of_domainbed():
    found = {
        name: np.array([list(draw.values()) for draw in draws(name, 300, seed=0)]) for name in METHODS if name != "erm"
    }
    low, high = found["irm"].min(axis=0), found["irm"].max(axis=0)
    assert 0.1 <= low[0] < 0.3 and 3e4 < high[0] <= 1e5
    assert 1 / 5000 <= low[1] < 1e-3 and high[1] == 1.0
    assert np.median(found["irm"][:, 0]) == pytest.approx(100, rel=1.0)  # uniform in the exponent
    assert (found["andmask"] >= 0.5).all() and (found["andmask"] <= 1.0).all()
    assert (found["sd"] >= 1e-5).all() and (found["sd"] <= 0.1).all()
    assert found["fishr"][:, 2].min() >= 0.9 and found["fishr"][:, 2].max() <= 0.99
    assert found["eqrm"][1:, 2].min() >= 0.002 and found["eqrm"][1:, 2].max() <= 0.2


def test_learning_rates_are_shared_and_start_at_one():
    rates = learning_rates(200, seed=0)
    assert rates[0] == 1.0
    assert learning_rates(5, seed=0) == rates[:5]
    assert 10**-1.5 <= min(rates) < 0.05 and 2.5 < max(rates) <= 10**0.5


def test_unknown_names_are_errors():
    with pytest.raises(KeyError):
        made("dann", net())
    with pytest.raises(TypeError, match="lambda_"):
        made("irm", net(), lambda_=1.0)


# ---------------------------------------------------------------- the planted cue


def cue(shares, n=400):
    """Exact tables: a shape that tells y in 3 of 4 cases, a colour that does so except in a share of the images."""
    rows = []
    for env, share in enumerate(shares):
        for y in (0, 1):
            for shape_wrong, p in ((0, 0.75), (1, 0.25)):
                for colour_wrong, q in ((0, 1 - share), (1, share)):
                    rows += [(y ^ shape_wrong, y ^ colour_wrong, y, env)] * round(n * p * q)
    shape, colour, y, env = torch.tensor(rows).T
    x = torch.stack([shape, colour], dim=1).float() * 2 - 1
    return {"x": x[:, :, None, None], "y": y, "env": env}


@pytest.mark.parametrize(
    ("name", "hyperparameters", "follows_shape"),
    [
        ("erm", {}, False),
        ("group_dro", {}, False),
        ("coral", {}, False),
        ("irm", {"penalty": 1e4, "anneal": 0.3, "halves": False}, True),
        ("vrex", {"penalty": 1e4, "anneal": 0.3}, True),
    ],
)
def test_only_invariance_ignores_a_cue_that_turns(name, hyperparameters, follows_shape):
    """Colour is right in 90 and 80 % of the training images, in 10 % of the test images; shape always in 75 %."""
    train, test = cue((0.1, 0.2)), cue((0.9,))
    torch.manual_seed(0)
    model = Net(width=8, classes=2, pixels=2)
    loss = made(name, model, environments=2, steps=300, **hyperparameters)
    optimizer = torch.optim.Adam(model.parameters(), 0.02, weight_decay=2e-3)
    for _ in range(300):
        optimizer.zero_grad()
        value = loss(model, train)
        if loss.reset_optimizer:
            optimizer.state.clear()
        value.backward()
        optimizer.step()
    accuracy = (model(test["x"]).argmax(dim=1) == test["y"]).float().mean().item()
    assert accuracy == pytest.approx(0.75 if follows_shape else 0.10, abs=0.01)
