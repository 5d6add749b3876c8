"""Backbones and heads: shapes, augmentation, saving and loading, and the fold that keeps the architecture."""

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from reprise.errors import UserError
from reprise.fairness.merge import fold, fold_multigroup, merged_score, merged_score_multigroup
from reprise.fairness.networks import (
    BACKBONES,
    Images,
    Network,
    apply,
    build,
    imagenet_weights,
    restore,
    smooth_gates,
    state,
)

SHAPES = {"convnet": (3, 32, 32), "mlp": (7,)}


def inputs(name, n=20, seed=0):
    rng = np.random.default_rng(seed)
    if name == "mlp":
        return rng.standard_normal((n, 7)).astype(np.float32)
    return rng.integers(0, 256, (n, *SHAPES[name]), dtype=np.uint8)


def network(name="convnet", heads=2, seed=0, shape=None):
    """With running statistics of its own, as after training."""
    torch.manual_seed(seed)
    made = build(name, shape or SHAPES[name], heads)
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return made.eval()


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_sizes_by_hand():
    conv = (3 * 8 + 8 * 16 + 16 * 32) * 9 + 2 * (8 + 16 + 32)  # no biases before batch normalisation
    assert count(network("convnet").backbone) == conv + 512 * 32 + 2 * 32
    assert count(network("mlp").backbone) == 7 * 64 + 64 + 64 * 32 + 32
    assert [layer.out_features for layer in network("mlp").backbone if isinstance(layer, nn.Linear)] == [64, 32]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_shapes(name, heads):
    made = network(name, heads)
    x = torch.from_numpy(inputs(name))
    assert made.features(x).shape == (20, 32)
    assert made(x).shape == (20, heads)
    assert (made.head.in_features, made.head.out_features) == (32, heads)
    torch.testing.assert_close(made(x), made.head(made.features(x)))
    assert (made.features(x) >= 0).all()  # phi comes out of a ReLU


def test_larger_images_are_averaged_down():
    x = torch.from_numpy(inputs("convnet"))
    large = x.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    small, wide = network(), network(shape=(3, 64, 64))
    for one, two in zip(wide.state_dict().values(), small.state_dict().values(), strict=True):
        one.copy_(two)
    torch.testing.assert_close(wide(large), small(x), rtol=1e-4, atol=1e-5)


def test_pixels_are_scaled_to_the_unit_interval():
    layer = Images().eval()
    x = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    assert layer(x).flatten().tolist() == pytest.approx([0.0, 0.2, 1.0])
    layer = Images((0.5, 0.4, 0.3), (0.1, 0.2, 0.5)).eval()
    assert layer(x).flatten().tolist() == pytest.approx([-5.0, -1.0, 1.4], abs=1e-6)
    torch.testing.assert_close(layer(x.float()), layer(x))


def test_flips_only_bytes_and_only_while_training():
    x = torch.arange(2 * 400 * 3, dtype=torch.int64).remainder(256).to(torch.uint8).view(400, 3, 1, 2)
    layer = Images()
    torch.manual_seed(0)
    flipped = ((layer.train()(x) - x / 255).abs() > 1e-3).flatten(1).all(dim=1)
    assert 0.4 < flipped.float().mean() < 0.6
    torch.manual_seed(0)
    seen = layer(x)
    torch.testing.assert_close(seen[flipped], x[flipped].flip(-1) / 255)
    torch.testing.assert_close(seen[~flipped], x[~flipped] / 255)
    torch.testing.assert_close(layer.eval()(x), x / 255)
    torch.testing.assert_close(layer.train()(x.float()), x / 255)


def test_crops_are_central_in_evaluation_and_random_in_training():
    x = torch.arange(36, dtype=torch.float32).view(1, 1, 6, 6)
    layer = Images(crop=4)
    assert (layer.eval()(x) * 255)[0, 0, 0].tolist() == pytest.approx([7, 8, 9, 10])
    torch.manual_seed(0)
    corners = {round((layer.train()(x) * 255)[0, 0, 0, 0].item()) for _ in range(200)}
    assert corners == {0, 1, 2, 6, 7, 8, 12, 13, 14}
    assert Images(crop=8).eval()(x).shape == (1, 1, 6, 6)


def test_equal_seeds_give_equal_networks():
    one, two, other = network(seed=1), network(seed=1), network(seed=2)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.head.weight, other.head.weight)


@pytest.mark.parametrize("name", SHAPES)
def test_restored_networks_are_the_saved_ones(name):
    made, x = network(name), inputs(name, 300)
    weights = state(made) | {"loss_curve": np.zeros(3, np.float32)}
    again = restore(weights, name, SHAPES[name])
    assert not again.training
    for one, two in zip(apply(made, x), apply(again, x), strict=True):
        np.testing.assert_array_equal(one, two)
    assert restore(state(network(name, 1)), name, SHAPES[name]).head.out_features == 1


@pytest.mark.parametrize("name", SHAPES)
def test_apply(name):
    made, x = network(name), inputs(name, 300)
    logits, features = apply(made.train(), x)  # in evaluation mode whatever it is given in
    assert (logits.shape, logits.dtype, features.shape, features.dtype) == ((300, 2), np.float64, (300, 32), np.float32)
    with torch.no_grad():
        expected = made.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(apply(made, x, batch=7)[0], logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("b", "c"), [(1.3, -0.4), (-2.0, 0.1), (0.0, 0.0)])
def test_a_merge_is_a_network_of_the_original_architecture(name, b, c):
    """Claim e: replace both heads by the folded one; logits equal z1 + b z2 + c, decisions are the same."""
    two, x = network(name), inputs(name, 500)
    (z1, z2), _ = apply(two, x)[0].T, None
    weight, bias = fold(two.head.weight.detach(), two.head.bias.detach(), b, c)
    one = network(name, heads=1, seed=5)
    one.backbone.load_state_dict(two.backbone.state_dict())
    with torch.no_grad():
        one.head.weight.copy_(torch.from_numpy(weight)[None])
        one.head.bias.fill_(bias)
    assert [p.shape for p in one.parameters()] == [p.shape for p in network(name, heads=1).parameters()]
    folded = apply(one, x)[0][:, 0]
    np.testing.assert_allclose(folded, z1 + b * z2 + c, rtol=0, atol=1e-5)
    score = merged_score(z1, z2, b, c)
    clear = np.abs(score) > 1e-5
    assert clear.mean() > 0.99
    np.testing.assert_array_equal((folded > 0)[clear], (score > 0)[clear])


def test_three_groups_fold_as_well():
    many, x = network(heads=4), inputs("convnet", 200)
    logits, features = apply(many, x)
    t = np.array([0.0, 0.8, -1.1])
    weight, bias = fold_multigroup(many.head.weight.detach(), many.head.bias.detach(), t, 0.25)
    assert weight.shape == (32,)
    expected = logits[:, 0] - logits[:, 1:] @ t + 0.25
    np.testing.assert_allclose(features.astype(float) @ weight + bias, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(merged_score_multigroup(logits[:, 0], logits[:, 1:], t, 0.25), expected, atol=1e-12)


def test_every_backbone_of_the_parameters_exists():
    from typing import get_args

    from reprise.fairness.params import Task

    assert set(BACKBONES) == set(get_args(Task.model_fields["backbone"].annotation))


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet50"])
def test_missing_extra_is_explained(name):
    for ask in (lambda: build(name, (3, 224, 224), 1), lambda: imagenet_weights(name)):
        with pytest.raises(UserError, match=rf"backbone {name} needs torchvision.*pip install -e '\.\[gpu\]'"):
            ask()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="needs the gpu extra")
@pytest.mark.parametrize(("name", "width"), [("mobilenet_v3_small", 1024), ("resnet50", 2048)])
def test_torchvision_backbones(name, width):
    made = build(name, (3, 256, 256), 2).eval()
    assert isinstance(made, Network)
    x = torch.randint(0, 256, (2, 3, 256, 256), dtype=torch.uint8)
    assert made.features(x).shape == (2, width)
    assert made(x).shape == (2, 2)


def test_smooth_gates_keep_the_values_and_have_a_second_derivative():
    block = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Hardsigmoid()))
    x = torch.linspace(-5, 5, 20).reshape(5, 4).requires_grad_()
    before = block(x)
    smooth_gates(block)
    torch.testing.assert_close(block(x), before)
    (slope,) = torch.autograd.grad(block(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert block[0].weight.grad.abs().sum() > 0
