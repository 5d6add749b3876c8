"""Tokenizers, and the entries of this wing in the assay."""

import math

import pytest
import torch

from reprise import architectures
from reprise.circuits.tokens import ConvNeXt, Patches, Points, Symbols, fourier


def test_fourier_by_hand():
    found = fourier(torch.tensor([[0.5, 0.0]]), 2)
    expected = [math.sin(math.pi / 2), math.sin(math.pi), math.cos(math.pi / 2), math.cos(math.pi), 0, 0, 1, 1]
    torch.testing.assert_close(found[0], torch.tensor(expected), atol=1e-6, rtol=0)


def test_patches_by_hand():
    image = torch.arange(2 * 4 * 6.0).view(1, 2, 4, 6)
    layer = Patches((2, 4, 6), 2)
    found = layer(image)
    assert found.shape == (1, 6, layer.width) and layer.width == 8 + 8
    torch.testing.assert_close(found[0, 1, :8], image[0, :, :2, 2:4].flatten())  # the second of the first row
    apart = torch.cdist(layer.places, layer.places) + 9 * torch.eye(6)
    assert apart.min() > 0.1  # every patch knows where it is
    with pytest.raises(ValueError, match="4x6 pixels do not divide into patches of 4x4"):
        Patches((2, 4, 6), 4)


def test_convnext_tokens():
    """64 tokens of 192 + 64 at Tiny-ImageNet's size (Sec. 2.5)."""
    layer = ConvNeXt((3, 64, 64))
    assert layer(torch.rand(2, 3, 64, 64)).shape == (2, 64, 256)
    assert layer.width == 256
    with pytest.raises(ValueError, match="do not divide by 8"):
        ConvNeXt((3, 60, 60))


def test_points_and_symbols():
    points = Points()
    assert points(torch.rand(2, 10, 3)).shape == (2, 10, 32)
    assert points.layers[0].in_features == 21
    symbols = Symbols(7, 12)
    found = symbols(torch.tensor([[1, 2, 0], [3, 3, 1]]))
    assert found.shape == (2, 3, 32)
    torch.testing.assert_close(found[0, 2], symbols.places[2])  # padding has but its place


@pytest.mark.parametrize("name", ["circuits.nac", "circuits.perceiver"])
def test_classifiers_for_the_assay(name):
    torch.manual_seed(0)
    network = architectures.build(name, (3, 16, 16), 10).eval()
    assert isinstance(network, architectures.Classifier)
    x = torch.rand(5, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(x), network.head(network.features(x)))
    assert [key for key in network.state_dict() if key.startswith("head.")] == ["head.weight", "head.bias"]


def test_the_twin_has_as_many_weights():
    nac, twin = (
        sum(p.numel() for p in architectures.build(f"circuits.{name}", (3, 16, 16), 10).parameters())
        for name in ("nac", "perceiver")
    )
    assert 80_000 < nac < 100_000 and abs(nac - twin) / twin < 0.02
