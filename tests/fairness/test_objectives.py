"""Every objective against its formula on a handful of rows, and what its gradient does."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from reprise.fairness import objectives
from reprise.fairness.objectives import (
    HEAD_LOSSES,
    PENALTIES,
    Adversarial,
    absolute_gap,
    cross_entropy,
    fair_mixup,
    regularised,
    soft_gap,
    squared_gap,
    two_headed,
    unbiased_squared_gap,
)

LOG3 = math.log(3.0)  # sigmoid(log 3) = 3/4, sigmoid(-log 3) = 1/4


class Fixed(nn.Module):
    """A network whose logits are given: one row per example, one column per head."""

    def __init__(self, *columns):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(columns, dtype=torch.float64).T)

    def forward(self, x):
        return self.logits[: len(x)]


def batch(y, a):
    return {
        "x": torch.zeros(len(y), 1),
        "y": torch.tensor(y, dtype=torch.uint8),
        "a": torch.tensor(a, dtype=torch.uint8),
    }


# Four people: probabilities 3/4, 1/4 in group 1 and 3/4, 3/4 in group 0: gap 1/2 - 3/4 = -1/4.
FOUR = Fixed([LOG3, -LOG3, LOG3, LOG3])
PEOPLE = batch([1, 1, 0, 1], [1, 1, 0, 0])


def test_cross_entropy_by_hand():
    expected = -(math.log(0.75) + math.log(0.25) + math.log(0.25) + math.log(0.75)) / 4
    assert cross_entropy(FOUR, PEOPLE).item() == pytest.approx(expected)


def test_cross_entropy_reads_the_first_head_only():
    assert cross_entropy(Fixed([LOG3] * 4, [9.0] * 4), PEOPLE).item() == cross_entropy(Fixed([LOG3] * 4), PEOPLE).item()


def test_gaps_by_hand():
    z, a = FOUR.logits[:, 0], PEOPLE["a"]
    assert soft_gap(z, a).item() == pytest.approx(-0.25)
    assert soft_gap(z, 1 - a).item() == pytest.approx(0.25)
    assert squared_gap(z, a).item() == pytest.approx(1 / 16)
    assert absolute_gap(z, a).item() == pytest.approx(1 / 4)
    # Sample variances: 1/8 among 3/4 and 1/4, 0 among 3/4 twice; 1/16 - (1/8)/2 - 0 = 0.
    assert unbiased_squared_gap(z, a).item() == pytest.approx(0.0, abs=1e-12)


def test_gaps_of_unequal_groups():
    z = torch.tensor([LOG3, LOG3, -LOG3, 0.0, 0.0], dtype=torch.float64)
    a = torch.tensor([1, 1, 1, 0, 0])
    assert soft_gap(z, a).item() == pytest.approx(7 / 12 - 1 / 2)
    # Var1 = (2 (1/6)^2 + (1/3)^2) / 2 = 1/12: 1/144 - 1/36
    assert unbiased_squared_gap(z, a).item() == pytest.approx(1 / 144 - 1 / 36)


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
@pytest.mark.parametrize("group", [0, 1])
def test_batch_without_a_group_is_not_penalised(penalty, group):
    z = torch.tensor([2.0, -1.0, 0.5], requires_grad=True)
    value = penalty(z, torch.full((3,), group))
    value.backward()
    assert value.item() == 0.0
    assert z.grad.tolist() == [0.0, 0.0, 0.0]


def test_variance_needs_two_of_each_group():
    z = torch.tensor([2.0, -1.0, 0.5], requires_grad=True)
    value = unbiased_squared_gap(z, torch.tensor([1, 0, 0]))
    value.backward()
    assert (value.item(), z.grad.tolist()) == (0.0, [0.0, 0.0, 0.0])


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_gradients_of_the_penalties(penalty):
    z = torch.tensor([0.3, -0.7, 1.1, 0.2, -0.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: penalty(v, torch.tensor([1, 0, 1, 0, 0])), z)


@pytest.mark.parametrize("penalty", [squared_gap, absolute_gap])
def test_penalty_pushes_the_groups_together(penalty):
    z = torch.tensor([1.0, 1.0, -1.0, -1.0], requires_grad=True)
    penalty(z, torch.tensor([1, 1, 0, 0])).backward()
    assert (z.grad[:2] > 0).all()  # descent lowers group 1
    assert (z.grad[2:] < 0).all()  # and raises group 0


def test_unbiased_penalty_is_unbiased():
    """Over minibatches with 5 and 9 people of the groups: the squared gap is too large by Var1/n1 + Var0/n0."""
    rng = np.random.default_rng(0)
    one, zero = rng.normal(0.4, 1.5, 4000), rng.normal(-0.2, 1.0, 4000)
    p1, p0 = (1 / (1 + np.exp(-z)) for z in (one, zero))
    truth = (p1.mean() - p0.mean()) ** 2
    a = torch.tensor([1] * 5 + [0] * 9)
    biased, unbiased = [], []
    for _ in range(6000):
        z = torch.from_numpy(np.concatenate([rng.choice(one, 5), rng.choice(zero, 9)]))
        biased.append(squared_gap(z, a).item())
        unbiased.append(unbiased_squared_gap(z, a).item())
    excess = p1.var() / 5 + p0.var() / 9
    error = [3 * np.std(values) / np.sqrt(len(values)) for values in (biased, unbiased)]
    assert np.mean(unbiased) == pytest.approx(truth, abs=error[1])
    assert np.mean(biased) == pytest.approx(truth + excess, abs=error[0])
    assert excess > 5 * error[0]  # so the two can be told apart


@pytest.mark.parametrize(("method", "penalty"), [("ddp_squared", 1 / 16), ("ddp_abs", 1 / 4), ("ddp_unbiased", 0.0)])
def test_regularised_is_the_sum(method, penalty):
    task = cross_entropy(FOUR, PEOPLE).item()
    assert regularised(method, 8.0)(FOUR, PEOPLE).item() == pytest.approx(task + 8 * penalty)
    assert regularised(method, 0.0)(FOUR, PEOPLE).item() == task


def test_unknown_methods_are_errors():
    with pytest.raises(KeyError):
        regularised("ddp", 1.0)
    with pytest.raises(KeyError):
        two_headed("hinge", 0.5)


# ---------------------------------------------------------------- two heads

TWO = Fixed([LOG3, -LOG3, LOG3, LOG3], [1.5, 0.5, 0.0, -0.5])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mse_linear", (0.25 + 0.25 + 0.0 + 0.25) / 4),
        ("mse_sigmoid", sum((1 / (1 + math.exp(-z)) - a) ** 2 for z, a in ((1.5, 1), (0.5, 1), (0, 0), (-0.5, 0))) / 4),
        ("bce", sum(math.log(1 + math.exp(z)) for z in (-1.5, -0.5, 0.0, -0.5)) / 4),
    ],
)
def test_head_losses_by_hand(loss, expected):
    task = cross_entropy(TWO, PEOPLE).item()
    assert two_headed(loss, 1.0)(TWO, PEOPLE).item() == pytest.approx(expected)
    assert two_headed(loss, 0.0)(TWO, PEOPLE).item() == pytest.approx(task)
    assert two_headed(loss, 0.25)(TWO, PEOPLE).item() == pytest.approx(0.75 * task + 0.25 * expected)


@pytest.mark.parametrize("loss", HEAD_LOSSES)
def test_each_head_gets_its_own_gradient(loss):
    for weight, still in ((0.0, 1), (1.0, 0)):
        network = Fixed([LOG3, -LOG3, LOG3, LOG3], [1.5, 0.5, 0.0, -0.5])
        two_headed(loss, weight)(network, PEOPLE).backward()
        assert (network.logits.grad[:, still] == 0).all()
        assert (network.logits.grad[:, 1 - still] != 0).any()


def test_squared_loss_is_least_at_the_probability_of_the_group():
    """Of two people who look the same one is in group 1: the best z2 is 1/2, and the log loss asks for its logit, 0."""
    a = torch.tensor([1, 0, 1, 1])
    grid = torch.linspace(-2, 2, 401, dtype=torch.float64)
    best = {
        name: grid[torch.stack([loss(z.expand(4), a) for z in grid]).argmin()] for name, loss in HEAD_LOSSES.items()
    }
    assert best["mse_linear"].item() == pytest.approx(0.75)
    assert best["mse_sigmoid"].item() == pytest.approx(LOG3, abs=0.01)
    assert best["bce"].item() == pytest.approx(LOG3, abs=0.01)


# ---------------------------------------------------------------- the adversary


class Linear(nn.Module):
    """phi = W x, logit = h phi."""

    def __init__(self, weight, head):
        super().__init__()
        self.body = nn.Linear(len(weight[0]), len(weight), bias=False)
        self.head = nn.Linear(len(weight), 1, bias=False)
        with torch.no_grad():
            self.body.weight.copy_(torch.tensor(weight))
            self.head.weight.copy_(torch.tensor([head]))

    def features(self, x):
        return self.body(x.float())

    def forward(self, x):
        return self.head(self.features(x))


def adversarial_gradients(strength):
    torch.manual_seed(0)
    network, objective = Linear([[1.0, 0.0], [0.5, 1.0]], [0.0, 0.0]), Adversarial(2, strength)
    data = {"x": torch.randn(40, 2), "y": torch.ones(40), "a": (torch.arange(40) % 2).to(torch.uint8)}
    loss = objective(network, data)
    loss.backward()
    return loss.item(), network.body.weight.grad.clone(), objective.adversary[0].weight.grad.clone()


def test_gradient_is_reversed_for_the_network_and_not_for_the_adversary():
    (loss, _, own), (same, body, same_own), (_, twice, _) = (adversarial_gradients(s) for s in (0.0, 1.0, 2.0))
    assert loss == same  # the strength changes gradients, not the value
    torch.testing.assert_close(own, same_own)  # the adversary learns as fast, whatever the strength
    torch.testing.assert_close(twice, 2 * body)
    # The plain gradient of the adversary's loss with respect to the body, with the opposite sign.
    torch.manual_seed(0)
    network, objective = Linear([[1.0, 0.0], [0.5, 1.0]], [0.0, 0.0]), Adversarial(2, 1.0)
    x, a = torch.randn(40, 2), (torch.arange(40) % 2).float()
    guess = objective.adversary(network.features(x))[:, 0]
    nn.functional.binary_cross_entropy_with_logits(guess, a).backward()
    torch.testing.assert_close(body, -network.body.weight.grad)


def test_adversary_is_part_of_the_objective():
    assert sum(p.numel() for p in Adversarial(7, 1.0).parameters()) == 7 * 32 + 32 + 32 + 1


def test_training_against_the_adversary_hides_the_group():
    """phi = (task, group): with the adversary the weight of the group's input shrinks against the task's."""
    torch.manual_seed(1)
    y, a = torch.arange(400) % 2, (torch.arange(400) // 2) % 2
    x = torch.stack([2.0 * y - 1, 2.0 * a - 1], dim=1) + 0.3 * torch.randn(400, 2)
    ratio = {}
    for strength in (0.0, 1.0):
        torch.manual_seed(2)
        network, objective = Linear([[1.0, 1.0]], [1.0]), Adversarial(1, strength)
        optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], 0.01)
        for _ in range(200):
            optimizer.zero_grad()
            objective(network, {"x": x, "y": y, "a": a}).backward()
            optimizer.step()
        weight = network.body.weight.detach()[0]
        ratio[strength] = (weight[1] / weight[0]).abs().item()
    assert ratio[1.0] < 0.5 * ratio[0.0]


# ---------------------------------------------------------------- fair mixup


class Scores(nn.Module):
    """A linear model w x."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))

    def forward(self, x):
        return (x.double() @ self.w)[:, None]


@given(st.integers(0, 1000), st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=25)
def test_fair_mixup_is_the_slope_along_the_path(seed, t):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(7, 3)), rng.normal(size=3)
    people = {
        "x": torch.from_numpy(x),
        "y": torch.tensor([0, 1, 0, 1, 1, 0, 1]),
        "a": torch.tensor([0, 0, 0, 1, 1, 1, 1]),
    }
    network = Scores(w)
    network.train()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objectives.torch, "rand", lambda *_, **__: torch.tensor(t, dtype=torch.float64))
        value = fair_mixup(2.0)(network, people).item() - cross_entropy(network, people).item()
    x = x.astype(np.float32).astype(float)

    def rate(at):
        mixed = at * x[:3] + (1 - at) * x[3:6]  # three pairs: the smaller group limits them
        return (1 / (1 + np.exp(-mixed @ w))).mean()

    slope = (rate(t + 1e-5) - rate(t - 1e-5)) / 2e-5
    assert value == pytest.approx(2.0 * abs(slope), rel=1e-3, abs=1e-5)
    assert network.training


def test_fair_mixup_trains():
    network = Scores([1.0, -1.0])
    people = {"x": torch.randn(8, 2), "y": torch.arange(8) % 2, "a": torch.arange(8) // 4}
    fair_mixup(1.0)(network, people).backward()
    plain = Scores([1.0, -1.0])
    cross_entropy(plain, people).backward()
    assert (network.w.grad - plain.w.grad).abs().max() > 1e-3


@pytest.mark.parametrize("a", [[0, 0, 0, 0], [1, 0, 0, 0]])
def test_fair_mixup_needs_two_of_each_group(a):
    network, people = (
        Scores([1.0, -1.0]),
        {"x": torch.randn(4, 2), "y": torch.tensor([0, 1, 0, 1]), "a": torch.tensor(a)},
    )
    assert fair_mixup(5.0)(network, people).item() == cross_entropy(network, people).item()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_every_objective_can_be_validated(mode):
    """The plateau schedule (the paper's own) evaluates the objective without gradients, in evaluation mode."""
    torch.manual_seed(0)
    network = Linear([[1.0, 0.0], [0.5, 1.0]], [0.3, -0.2]).eval()
    found = {"adversarial": Adversarial(2, 1.0), "fair_mixup": fair_mixup(1.0), "plain": cross_entropy}
    found |= {name: regularised(name, 3.0) for name in PENALTIES}
    with mode():
        people = {"x": torch.randn(8, 2), "y": torch.arange(8) % 2, "a": torch.arange(8) // 4}
        for name, objective in found.items():
            assert math.isfinite(objective(network, people).item()), name
            assert not network.training, name


def test_names_match_the_parameters():
    from typing import get_args

    from reprise.fairness.params import HeadLoss, Methods

    assert set(HEAD_LOSSES) == set(get_args(HeadLoss))
    assert set(PENALTIES) - {"ddp_squared"} <= set(Methods.model_fields)
