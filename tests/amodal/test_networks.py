"""The video network: the official sizes, the shapes of patches, and what its memory may know."""

from pathlib import Path

import pytest
import torch

from amodal import tiny
from reprise.amodal.networks import Decoder, Encoder, SaVos, geometry
from reprise.amodal.params import load
from reprise.amodal.predictor import predictor_of
from reprise.errors import UserError

ROOT = Path(__file__).parents[2]


def count(*modules):
    return sum(weight.numel() for module in modules for weight in module.parameters())


# The workstation's block, but for what Sec. 2.5 says beyond it: the encoder of the mask decoder has the shape of the
# first encoder, and both decoders have the same widths.
OFFICIAL = {"mask_encoder": [32, 64, 128, 256, 256, 512], "flow_decoder": [512, 256, 256, 128, 64, 32]}


def official(**widths):
    block = load(str(ROOT / "params/workstation.yaml")).model_dump(include={"network", "training", "completion"})
    return predictor_of("savos", block | {"network": block["network"] | widths}).network


def patches(n=2, t=5, channels=6, seed=0):
    return torch.rand(n, t, channels, 16, 16, generator=torch.Generator().manual_seed(seed))


def network(seed=0, **kind):
    torch.manual_seed(seed)
    return SaVos(tiny.sizes(), **kind)


# ---------------------------------------------------------------- sizes


def test_the_official_sizes_have_the_official_number_of_parameters():
    """17.30 M: encoder and LSTM 4.24, mask decoder 7.55, flow decoder 5.52 (Sec. 2.5).

    Ours has no linear layer between the flow decoder's own encoder and its first layer: 256 x 257 weights less.
    """
    made = official(**OFFICIAL)
    parts = (
        (4.24, (made.encoder, made.project, made.lstm)),
        (7.55, (made.mask_encoder, made.mask_decoder)),
        (5.52 - 0.066, (made.flow_encoder, made.flow_decoder)),
    )
    for millions, modules in parts:
        assert count(*modules) / 1e6 == pytest.approx(millions, abs=0.006)
    assert count(made) / 1e6 == pytest.approx(17.30 - 0.066, abs=0.01)


def test_the_steps_of_the_official_patches():
    halves, last = ((4, 4), (2, 2), (1, 1)), ((4, 4), (1, 1), (0, 0))
    assert geometry((64, 128)) == [halves] * 4 + [((3, 4), (1, 2), (1, 1)), last]
    assert geometry((32, 32)) == [halves] * 3 + [last]
    assert geometry((4, 4)) == [last]
    assert geometry((8, 32)) == [halves] + [((3, 4), (1, 2), (1, 1))] * 2 + [last]


@pytest.mark.parametrize("crop", [(30, 30), (64, 32), (2, 2), (12, 12), (32, 48)])
def test_sizes_that_do_not_come_out(crop):
    with pytest.raises(ValueError, match=r"patches of \(\d+, \d+\): need 4, 8, 16"):
        geometry(crop)


@pytest.mark.parametrize(("crop", "depth"), [((32, 32), 4), ((64, 128), 6), ((16, 16), 3)])
def test_encoders_end_in_features_and_decoders_in_patches(crop, depth):
    widths = [3, 4, 5, 6, 7, 8][:depth]
    features = Encoder(2, widths, crop)(torch.rand(3, 2, *crop))
    assert features.shape == (3, widths[-1])
    assert Decoder(widths[-1], widths, crop)(features).shape == (3, 2, *crop)
    for part in (Encoder, Decoder):
        with pytest.raises(ValueError, match=f"has {depth} layers, not {depth - 1}"):
            part(2, widths[1:], crop)


def test_wrong_widths_are_the_user_s_error():
    wrong = tiny.SETTINGS["network"] | {"encoder": [4, 8]}
    with pytest.raises(UserError, match=r"amodal\.network: an encoder of \(16, 16\) patches has 3 layers, not 2"):
        predictor_of("savos", tiny.SETTINGS | {"network": wrong})


@pytest.mark.parametrize("method", ["savos", "no_residual", "occluder_input"])
def test_shapes(method):
    made = tiny.predictor(method).network
    mask, residual = made(patches(channels=7 if method == "occluder_input" else 6))
    assert mask.shape == residual.shape == (2, 5, 2, 16, 16)
    assert residual.any() == (method != "no_residual")
    assert any("flow" in name for name, _ in made.named_parameters()) == (method != "no_residual")


# ---------------------------------------------------------------- memory


def outputs(made, x):
    with torch.inference_mode():
        return torch.cat(made(x), 2)


def test_later_frames_do_not_change_earlier_outputs():
    made, x = network(), patches()
    changed = x.clone()
    changed[:, 3] = torch.rand(2, 6, 16, 16)
    before, after = outputs(made, x), outputs(made, changed)
    torch.testing.assert_close(after[:, :3], before[:, :3], atol=1e-6, rtol=0)
    for t in (3, 4):  # the frame itself, and the memory of it
        assert (after[:, t] - before[:, t]).abs().max() > 1e-5


def test_without_memory_every_frame_is_on_its_own():
    made, x = network(recurrent=False), patches()
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(outputs(made, x[:, order]), outputs(made, x)[:, order], atol=1e-5, rtol=0)
    torch.testing.assert_close(outputs(made, x[:, 2:3])[:, 0], outputs(made, x)[:, 2], atol=1e-5, rtol=0)
    recurrent = network()
    assert (outputs(recurrent, x[:, order]) - outputs(recurrent, x)[:, order]).abs().max() > 1e-4


def test_clips_do_not_influence_each_other():
    made, x = network(), patches(3)
    torch.testing.assert_close(outputs(made, x[1:2]), outputs(made, x)[1:2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("channel", range(7))
def test_every_channel_is_seen(channel):
    made, x = network(occluder=True), patches(channels=7)
    changed = x.clone()
    changed[:, :, channel] += 1
    assert (outputs(made, changed) - outputs(made, x)).abs().max() > 1e-4


def test_the_mask_decoder_is_fed_the_visible_mask():
    """And not a channel of the flow, as in the official code."""
    made, x, seen = network(), patches(), []
    made.mask_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    made.flow_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    made(x)
    assert torch.equal(seen[0], x[:, :, 3:4].flatten(0, 1))
    torch.testing.assert_close(seen[1], x[:, :, 4:6].flatten(0, 1) * 0.25)
