"""The penalties of the invariance methods against hand-computed values, autograd, naive versions and SciPy."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import gaussian_kde

from assay.toys import batch_of, net
from reference import invariance_reference as naive
from reprise.assay.invariance_objectives import to_float
from reprise.assay.invariance_penalties import (
    coral_distance,
    environments_of,
    head_gradient_variance,
    irm_penalty,
    risk_quantile,
    risks,
    scale_gradient,
    shuffled_position,
)

LOG3 = math.log(3.0)


# ---------------------------------------------------------------- environments


def test_bytes_become_floats_in_the_unit_interval():
    assert to_float(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx([0.0, 0.2, 1.0])
    floats = torch.tensor([0.5])
    assert to_float(floats) is floats


def test_the_environments_of_a_batch():
    envs = environments_of(torch.tensor([4, 0, 4, 4]))
    assert (envs.numbers.tolist(), envs.member.tolist(), envs.counts.tolist()) == ([0, 4], [1, 0, 1, 1], [1, 3])
    assert (envs.mean @ torch.tensor([1.0, 5.0, 2.0, 3.0])).tolist() == pytest.approx([5.0, 2.0])


def test_risks_are_means_over_environments():
    batch, model = batch_of(), net()
    logits = model(batch["x"])
    found = risks(logits, batch["y"], environments_of(batch["env"]))
    for number in range(3):
        rows = batch["env"] == number
        assert found[number].item() == pytest.approx(F.cross_entropy(logits[rows], batch["y"][rows]).item(), rel=1e-5)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_shuffled_positions_number_each_environment(env):
    position = shuffled_position(environments_of(torch.tensor(env)))
    for number in set(env):
        rows = torch.tensor(env) == number
        assert sorted(position[rows].tolist()) == list(range(env.count(number)))


# ---------------------------------------------------------------- penalties


def test_scale_gradient_by_hand_and_by_autograd():
    z = torch.tensor([[LOG3, 0.0]])  # p = (3/4, 1/4): 3/4 log 3 - z_y
    assert scale_gradient(z, torch.tensor([0])).item() == pytest.approx(-LOG3 / 4)
    assert scale_gradient(z, torch.tensor([1])).item() == pytest.approx(3 * LOG3 / 4)
    logits, y = torch.randn(7, 4), torch.randint(4, (7,))
    assert scale_gradient(logits, y).mean().item() == pytest.approx(naive.scale_slope(logits, y).item(), abs=1e-6)


@pytest.mark.parametrize("halves", [True, False])
def test_irm_penalty_and_its_gradient_need_no_second_backward(halves):
    batch = batch_of(25)
    z = torch.randn(25, 3, requires_grad=True)
    fast = irm_penalty(z, batch["y"], environments_of(batch["env"]), halves)
    slow = naive.irm(z, batch["y"], batch["env"], halves)
    assert fast.item() == pytest.approx(slow.item(), abs=1e-6)
    torch.testing.assert_close(*(torch.autograd.grad(value, z)[0] for value in (fast, slow)), rtol=1e-4, atol=1e-6)


def test_product_of_halves_is_unbiased():
    """Samples of 6 of a population whose slope is known: the square is too large by the variance of the mean."""
    torch.manual_seed(0)
    z, y = torch.randn(500, 2), torch.randint(2, (500,))
    slopes = scale_gradient(z, y)
    truth, excess = slopes.mean().square().item(), slopes.var().item() / 6
    one = environments_of(torch.zeros(6, dtype=torch.int64))
    rows = torch.randint(500, (4000, 6))
    product, square = ([irm_penalty(z[r], y[r], one, halves).item() for r in rows] for halves in (True, False))
    assert np.mean(product) == pytest.approx(truth, abs=4 * np.std(product) / 4000**0.5)
    assert np.mean(square) == pytest.approx(truth + excess, abs=4 * np.std(square) / 4000**0.5)
    assert excess > 10 * np.std(square) / 4000**0.5  # so the two can be told apart


def test_coral_distance_is_the_mean_over_pairs():
    batch = batch_of(25)
    features = torch.randn(25, 4, requires_grad=True)
    fast, slow = coral_distance(features, environments_of(batch["env"])), naive.coral(features, batch["env"])
    assert fast.item() == pytest.approx(slow.item(), rel=1e-5)
    torch.testing.assert_close(*(torch.autograd.grad(value, features)[0] for value in (fast, slow)))


def test_coral_distance_of_two_points_by_hand():
    features = torch.tensor([[0.0], [2.0], [1.0], [3.0]])  # means 1 and 2, both of variance 2
    assert coral_distance(features, environments_of(torch.tensor([0, 0, 1, 1]))).item() == pytest.approx(1.0)
    features = torch.tensor([[0.0], [2.0], [0.0], [4.0]])  # means 1 and 2, variances 2 and 8
    assert coral_distance(features, environments_of(torch.tensor([0, 0, 1, 1]))).item() == pytest.approx(1.0 + 36.0)


def test_gradient_variance_of_the_head_by_autograd():
    batch, model = batch_of(), net()
    features = model.features(batch["x"]).detach()
    fast = head_gradient_variance(model.head(features), features, batch["y"], environments_of(batch["env"]))
    slow = naive.head_gradient_variances(model.head, features, batch["y"], batch["env"])
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-6)


@given(st.lists(st.floats(0.1, 3.0), min_size=2, max_size=6, unique=True), st.floats(0.02, 0.98))
@settings(max_examples=40, deadline=None)
def test_quantile_solves_the_kernel_density(values, quantile):
    if np.ptp(values) < 0.05:
        return
    found = risk_quantile(torch.tensor(values, dtype=torch.float64), quantile).item()
    density = gaussian_kde(values, bw_method=1.06 * len(values) ** -0.2)
    root = brentq(lambda v: density.integrate_box_1d(-np.inf, v) - quantile, -50, 50)
    assert found == pytest.approx(root, abs=1e-5)


def test_quantile_has_the_gradient_of_the_implicit_function():
    values = torch.tensor([0.3, 0.9, 0.45, 1.6], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: risk_quantile(v, 0.8), values, eps=1e-3, atol=1e-4)
    (slope,) = torch.autograd.grad(risk_quantile(values, 0.8), values)
    assert slope.sum().item() == pytest.approx(1.0)  # shifting all risks shifts the quantile
    assert (slope @ values).item() == pytest.approx(risk_quantile(values, 0.8).item())  # and scaling scales it


def test_quantile_of_equal_risks_is_the_risk():
    values = torch.full((4,), 0.7, requires_grad=True)
    value = risk_quantile(values, 0.9)
    value.backward()
    assert value.item() == pytest.approx(0.7, abs=1e-4)
    assert torch.isfinite(values.grad).all()
    assert risk_quantile(torch.tensor([0.4]), 0.9).item() == pytest.approx(0.4)
