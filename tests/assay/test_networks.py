"""The assay's networks: sizes of the specification, independent forms of their layers, promises all of them keep."""

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from reprise import architectures as registry
from reprise.assay import architectures
from reprise.assay.architectures import (
    ARCHITECTURES,
    TIMM,
    Attention,
    Block,
    Network,
    TokenMixing,
    as_input,
    features_of,
    logits_of,
    state,
)
from reprise.errors import UserError

SMALL = ("cnn", "resnet", "vit", "mixer")
OWN = (*SMALL, "mlp")


@pytest.fixture(autouse=True)
def cpu(monkeypatch):
    """The same arithmetic on both sides of every comparison, also on a machine with a GPU."""
    monkeypatch.setenv("REPRISE_ACCELERATOR", "cpu")


def made(name, side=16, classes=26, seed=0):
    """A network with random weights and, where there are any, random batch statistics, in evaluation mode."""
    torch.manual_seed(seed)
    network = registry.build(f"assay.{name}", (3, side, side), classes).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network


def images(n=5, side=16, seed=1):
    return torch.rand((n, 3, side, side), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("name", "size"), [("cnn", 49_000), ("resnet", 79_000), ("vit", 61_000), ("mixer", 36_000)])
def test_sizes_of_the_specification(name, size):
    assert sum(weight.numel() for weight in made(name).parameters()) == pytest.approx(size, rel=0.03)


@pytest.mark.parametrize("side", [16, 32])
@pytest.mark.parametrize("name", OWN)
def test_logits_are_the_head_of_the_features(name, side):
    network, x = made(name, side, classes=10), images(side=side)
    features = network.features(x)
    assert features.shape == (5, network.head.in_features)
    assert network(x).shape == (5, 10)
    torch.testing.assert_close(network(x), features @ network.head.weight.T + network.head.bias)


@pytest.mark.parametrize("name", OWN)
def test_memory_layout_of_the_images_does_not_matter(name):
    network, x = made(name), images()
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last)), network(x))
    view = images(n=10)[::2]  # rows that are not contiguous
    torch.testing.assert_close(network(view), network(view.clone()))


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_channels_last_weights_give_the_same_logits(name):
    network, x = made(name), images()
    assert network.layout is torch.channels_last
    expected = network(x)
    network.body.to(memory_format=torch.contiguous_format)
    network.layout = torch.contiguous_format
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OWN)
def test_an_image_is_judged_alone(name):
    """No network looks across the batch in evaluation mode."""
    network, x = made(name), images()
    torch.testing.assert_close(network(x)[3:4], network(x[3:4]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OWN)
def test_evaluation_is_deterministic_and_changes_nothing(name):
    network = made(name).train()
    before = {key: value.copy() for key, value in state(network).items()}
    x = (images(n=7).numpy() * 255).astype(np.uint8)
    first = logits_of(network, x, batch=3)
    assert (first.shape, first.dtype) == ((7, 26), np.float32)
    np.testing.assert_array_equal(logits_of(network, x, batch=3), first)
    np.testing.assert_allclose(logits_of(network, x, batch=256), first, rtol=1e-4, atol=1e-5)
    assert not network.training
    for key, value in state(network).items():
        np.testing.assert_array_equal(value, before[key])


def test_seeds_decide_the_weights():
    same, again, other = made("vit"), made("vit"), made("vit", seed=1)
    x = images()
    assert torch.equal(same(x), again(x))
    assert not torch.allclose(same(x), other(x))


def test_bytes_and_floats_are_the_same_images():
    bytes_ = torch.arange(256, dtype=torch.uint8).repeat(6).view(2, 3, 16, 16)
    floats = bytes_.double().div(255).float()
    torch.testing.assert_close(as_input(bytes_), floats, rtol=0, atol=1e-7)
    assert as_input(bytes_).dtype == torch.float32
    assert as_input(floats) is floats
    network = made("mixer")
    np.testing.assert_allclose(logits_of(network, bytes_), logits_of(network, floats), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(logits_of(network, bytes_.numpy()), logits_of(network, bytes_))


def test_read_only_maps_are_read_without_a_warning(tmp_path):
    np.save(tmp_path / "x.npy", (images().numpy() * 255).astype(np.uint8))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    network = made("cnn")
    torch.testing.assert_close(features_of(network, x), network.features(as_input(torch.from_numpy(np.array(x)))))


def test_images_are_normalised_to_plus_minus_one():
    x = images()
    cnn, mlp = made("cnn"), made("mlp")
    torch.testing.assert_close(cnn.features(x), cnn.body(2 * x - 1))
    torch.testing.assert_close(mlp.features(x), mlp.body(x))  # the planted cue's network takes pixels as they are


def test_normalisation_is_no_weight():
    """Loading another network's weights must not replace the mean and sd that belong to the architecture."""
    assert not {"mean", "sd"} & state(made("cnn")).keys()


def test_weights_as_arrays_restore_the_network():
    network, other = made("resnet"), made("resnet", seed=1)
    other.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state(network).items()})
    assert torch.equal(network(images()), other(images()))


# ---------------------------------------------------------------- layers


def test_attention_is_torchs():
    torch.manual_seed(0)
    layer, x = Attention(48, 4), torch.randn(3, 16, 48)
    parts = [part.view(3, 16, 4, 12).transpose(1, 2) for part in layer.qkv(x).chunk(3, dim=-1)]
    mixed = nn.functional.scaled_dot_product_attention(*parts)
    torch.testing.assert_close(layer(x), layer.out(mixed.transpose(1, 2).reshape(3, 16, 48)))

    whole = nn.MultiheadAttention(48, 4, batch_first=True)
    with torch.no_grad():
        whole.in_proj_weight.copy_(layer.qkv.weight)
        whole.in_proj_bias.copy_(layer.qkv.bias)
        whole.out_proj.load_state_dict(layer.out.state_dict())
    torch.testing.assert_close(layer(x), whole(x, x, x, need_weights=False)[0])


def test_token_mixing_treats_every_channel_alike():
    torch.manual_seed(0)
    layer, x = TokenMixing(16, 32), torch.randn(2, 16, 5)
    each = [layer.layers(x[:, :, channel]) for channel in range(5)]
    torch.testing.assert_close(layer(x), torch.stack(each, dim=-1))


def test_tokens_are_patches_of_four_by_four():
    """Against `unfold`, and a network of another size against its own definition."""
    network, x = made("vit", side=32), images(side=32)
    tokens = network.body
    patches = nn.functional.unfold(2 * x - 1, kernel_size=4, stride=4).transpose(1, 2)  # (n, 64, 48)
    expected = tokens.layers(tokens.embed(patches) + tokens.positions).mean(1)
    assert tokens.positions.shape == (64, 48)
    torch.testing.assert_close(network.features(x), expected)


def test_tokens_know_their_place():
    network, x = made("vit"), images()
    moved = torch.roll(x, shifts=4, dims=-1)  # the same patches elsewhere
    assert not torch.allclose(network.features(moved), network.features(x), atol=1e-4)
    with torch.no_grad():
        network.body.positions.zero_()
    torch.testing.assert_close(network.features(moved), network.features(x), rtol=1e-4, atol=1e-5)


def test_residual_block_of_zeros_passes_its_input_on():
    block, x = Block(4, 4, 1).eval(), torch.rand(2, 4, 8, 8)
    nn.init.zeros_(block.second.weight)
    torch.testing.assert_close(block(x), x)
    assert Block(4, 8, 2)(x).shape == (2, 8, 4, 4)


# ---------------------------------------------------------------- timm


def test_names():
    assert set(ARCHITECTURES) == {*OWN, *(f"timm/{name}" for name in TIMM)}
    assert len(ARCHITECTURES) == len(OWN) + 9
    assert len(set(TIMM)) == 9
    families = ("resnet50d", "densenet", "efficientnetv2", "gmlp", "mixer", "resmlp", "vit", "deit", "swin")
    assert all(sum(family in name.split(".")[0] for name in TIMM) >= 1 for family in families)


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_timm_is_absent():
    with pytest.raises(UserError, match=r"assay\.timm/resnet50d\.ra2_in1k needs timm and torchvision"):
        registry.build("assay.timm/resnet50d.ra2_in1k", (3, 224, 224), 7)


@pytest.fixture
def timm(monkeypatch):
    """A stand-in for timm: every body averages the pixels, whatever its name; `asked` lists what it was asked for."""
    asked = []

    class Body(nn.Module):
        num_features = 3
        pretrained_cfg = {"mean": (0.2, 0.4, 0.6), "std": (0.1, 0.2, 0.5)}  # noqa: RUF012

        def __init__(self, classes):
            super().__init__()
            self.num_classes = classes
            self.conv = nn.Conv2d(3, 3, 1)
            self.classifier = nn.Linear(3, classes) if classes else nn.Identity()

        def get_classifier(self):
            raise AssertionError("DeiT has two")

        def forward(self, x):
            return self.classifier(self.conv(x).mean((2, 3)))

    def create_model(name, *, pretrained, num_classes=1000, global_pool="default"):
        asked.append((name, pretrained, num_classes, global_pool))
        return Body(num_classes)

    fake = SimpleNamespace(__version__="1", list_models=lambda pretrained: list(TIMM), create_model=create_model)
    fake.asked = asked
    monkeypatch.setitem(sys.modules, "timm", fake)
    return fake


def test_a_broken_timm_is_the_same_as_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"choose among cnn, resnet, vit, mixer") as caught:
        architectures.pretrained(TIMM[0])
    assert "\n" not in str(caught.value)


def test_timm_networks_get_their_own_normalisation_and_a_new_head(timm):
    network = registry.build(f"assay.timm/{TIMM[0]}", (3, 224, 224), 7)
    assert timm.asked == [(TIMM[0], False, 0, "default")]
    x = images()
    mean, sd = torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1), torch.tensor([0.1, 0.2, 0.5]).view(3, 1, 1)
    torch.testing.assert_close(network.features(x), network.body((x - mean) / sd))
    assert network(x).shape == (5, 7)


def test_unknown_timm_name(timm):
    with pytest.raises(UserError, match=r"timm 1 has no pretrained model resnet5000; see timm\.list_models"):
        registry.build("assay.timm/resnet5000", (3, 224, 224), 7)


@pytest.mark.parametrize("name", [TIMM[0], TIMM[7]])
def test_pretrained_is_a_body_with_a_new_head_and_the_whole_release(timm, name):
    """DeiT's two heads, too: the release is applied as it is, none of its heads is kept."""
    network, whole = architectures.pretrained(name)
    assert timm.asked == [(name, True, 1000, "default"), (name, True, 0, "default")]  # each pools as it was trained to
    assert isinstance(network, Network)
    assert network.head.out_features == 1000
    assert (whole.num_classes, whole.training) == (1000, False)
    assert not torch.equal(network.head.weight, whole.classifier.weight)
    x = images()
    mean, sd = torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1), torch.tensor([0.1, 0.2, 0.5]).view(3, 1, 1)
    torch.testing.assert_close(network.features(x), network.body((x - mean) / sd))
    assert whole(x).shape == (5, 1000)
    other, _ = architectures.pretrained(name)
    assert not torch.equal(network.head.weight, other.head.weight)  # random


def test_weights_that_cannot_be_had(timm):
    def refuse(*_, **__):
        raise OSError("no route to host")

    timm.create_model = refuse
    with pytest.raises(
        UserError, match=r"ImageNet weights of .* cannot be had \(no route to host\): check the network"
    ):
        architectures.pretrained(TIMM[0])
