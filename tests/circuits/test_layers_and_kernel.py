"""Modulated layers by hand, and links: what their samples, temperatures and cuts promise."""

import math

import pytest
import torch
from torch.nn import functional

from reference.circuits_reference import mod_fc
from reprise.circuits.kernel import CUT, Kernel, distances, sampled
from reprise.circuits.layers import ModFC, ModFFN, modulations


def codes(n=5, width=6, seed=0):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- layers


@pytest.mark.parametrize("code", [None, 6])
def test_modulated_layers_are_those_of_the_book(code):
    torch.manual_seed(0)
    layer, x = ModFC(4, 3, code, strength=0.7), torch.randn(2, 5, 4)
    torch.testing.assert_close(layer(x, layer.modulation(codes())), mod_fc(layer, x, codes()))


def test_a_strength_of_zero_is_a_plain_layer():
    torch.manual_seed(0)
    layer, x = ModFC(4, 3, 6, strength=0.0), torch.randn(2, 5, 4)
    torch.testing.assert_close(layer(x, layer.modulation(codes())), functional.linear(x, layer.weight, layer.bias))


def test_codes_of_single_samples():
    torch.manual_seed(0)
    layer, x = ModFC(4, 3, 6), torch.randn(2, 5, 4)
    each = torch.stack([codes(seed=1), codes(seed=2)])
    found = layer(x, layer.modulation(each))
    for k in range(2):
        torch.testing.assert_close(found[k], layer(x[k : k + 1], layer.modulation(each[k]))[0])


def test_modulations_together_are_those_of_each_layer():
    """Of other widths, under codes of their own, with and without codes."""
    torch.manual_seed(0)
    first, second = codes(), torch.stack([codes(seed=1), codes(seed=2)])
    layers = [ModFC(width, 3, 6, strength=width / 4) for width in (4, 5, 4, 4)]
    pairs = [*zip(layers, (first, first, first, second), strict=True), (ModFC(4, 3, None), first)]
    found = modulations(pairs)
    for layer, code in pairs[:-1]:
        alone = 1 + layer.strength * functional.layer_norm(layer.code(code), layer.weight.shape[1:])
        torch.testing.assert_close(found[layer], alone)
    assert found[pairs[-1][0]] is None


def test_feed_forward_by_hand():
    torch.manual_seed(0)
    layer, x = ModFFN(4, 1.5, None, layer_scale=0.1), torch.randn(2, 5, 4)
    y = functional.layer_norm(x, (4,))
    value, gate = functional.linear(y, layer.up.weight).chunk(2, -1)
    expected = x + 0.1 * functional.linear(value * functional.gelu(gate), layer.down.weight)
    assert layer.up.weight.shape == (12, 4)
    torch.testing.assert_close(layer(x, layer.plan(modulations(layer.pairs(codes())))), expected)


def test_dropped_paths_are_whole_samples_and_the_mean_stays():
    torch.manual_seed(0)
    layer, x = ModFFN(4, 2, None, drop_path=0.25), torch.randn(1, 5, 4).expand(4000, -1, -1)
    plan = layer.plan(modulations(layer.pairs(codes())))
    more = layer(x, plan) - x
    whole = layer.eval()(x[:1], plan) - x[:1]
    dropped = (more == 0).all((1, 2))
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(more[~dropped], (whole / 0.75).expand_as(more[~dropped]))


# ---------------------------------------------------------------- links


def test_distances_by_hand():
    signatures = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    torch.testing.assert_close(distances(signatures, signatures)[0], torch.tensor([0.0, 1.0, 2.0]))


def test_probabilities_by_hand():
    kernel = Kernel(0.5)
    found = kernel.log_probability(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    torch.testing.assert_close(found[0, 1:].exp(), torch.tensor([math.exp(-2), math.exp(-4)]))
    assert found[0, 0].exp().item() == pytest.approx(1.0, abs=2e-4)  # itself


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("p", [0.05, 0.2, 0.5, 0.9])
def test_samples_are_links_as_often_as_they_are_probable(p, temperature):
    """A5 of the specification."""
    torch.manual_seed(0)
    drawn = sampled(torch.full((20_000,), math.log(p)), temperature).exp()
    assert (drawn > 0.5).float().mean().item() == pytest.approx(p, abs=0.02)


def test_low_temperatures_stay_finite():
    logs = torch.tensor([-14.0, -1.0, -1e-4]).repeat(10_000).requires_grad_()
    found = sampled(logs, 0.01)
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(logs.grad).all()


def test_training_draws_for_every_sample_and_evaluation_does_not():
    kernel, signatures = Kernel(), torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    logs = kernel.log_probability(signatures, signatures)
    assert torch.equal(kernel.eval().links(logs, 3), logs[None])
    drawn = kernel.train().links(logs, 3)
    assert drawn.shape == (3, 6, 6)
    assert not torch.equal(drawn[0], drawn[1])


def test_other_ways_to_evaluate():
    signatures = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    hard = Kernel(evaluation="threshold").eval()
    logs = hard.log_probability(signatures, signatures)
    assert torch.equal(hard.links(logs, 3)[0] == 0, logs.exp() > 0.5)
    assert (hard.links(logs, 3)[0][logs.exp() <= 0.5] == CUT).all()
    assert Kernel(evaluation="sample").eval().links(logs, 3).shape == (3, 6, 6)


def test_truncation_cuts_links_and_a_prior_can_bring_them_back():
    torch.manual_seed(0)
    signatures = torch.randn(6, 4, requires_grad=True)
    whole, cut = Kernel(), Kernel(truncation=0.9)
    logs = cut.log_probability(signatures, signatures)
    far = distances(signatures, signatures) > 0.9
    assert far.any() and (logs[far] == CUT).all() and (logs[~far] > -14).all()
    probability, weights = cut.probability(signatures, signatures), torch.rand(6, 6)
    assert (probability[far] == 0).all()
    torch.testing.assert_close(probability[~far], logs[~far].exp(), atol=2e-4, rtol=0)
    (gradient,) = torch.autograd.grad((probability * weights).sum(), signatures)
    (expected,) = torch.autograd.grad((whole.probability(signatures, signatures) * weights).sum(), signatures)
    torch.testing.assert_close(gradient, expected)
    assert (cut.train().links(logs.detach(), 50)[:, far] == CUT).all()


def test_a_row_without_links_has_finite_gradients():
    """A6 of the specification: an output that hears nobody."""
    logs = torch.full((1, 2, 4), -14.0)
    logs[0, 0, 0] = -1e-4
    logs.requires_grad_()
    q, k, v = (torch.randn(1, 1, n, 3, requires_grad=True) for n in (2, 4, 4))
    for links, inputs in ((logs, (q, k, v, logs)), (torch.full((1, 2, 4), CUT), (q, k, v))):
        found = functional.scaled_dot_product_attention(q, k, v, attn_mask=Kernel().train().links(links, 1)[:, None])
        assert torch.isfinite(found).all()
        for gradient in torch.autograd.grad(found.sum(), inputs):
            assert torch.isfinite(gradient).all()
