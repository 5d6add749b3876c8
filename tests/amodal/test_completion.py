"""PCNet-M: how masks are erased, what the network must fill in, and completion of whole frames."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from amodal import tiny
from reprise.amodal import completion
from reprise.amodal.completion import COVERED, Erase, Frames, FullMasks, UNet, complete, every_frame, untouched
from reprise.amodal.params import Completion
from reprise.amodal.tracks import Tracks


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    return Tracks(tiny.prepare(tmp_path_factory.mktemp("data") / "tiny"), "train", occluded=False)


def settings(**changes):
    return Completion(**tiny.SETTINGS["completion"] | changes)


class Seen(nn.Module):
    """Says the same of every pixel, and keeps what it is given."""

    def forward(self, x):
        self.shown, self.hider = x[:, 0], x[:, 1]
        return torch.full_like(self.shown, 0.3)


def erased(n=256, seed=0, **changes):
    """Inputs of the network and its loss, for a square of 10 pixels and an eraser beside another one of that size."""
    owner = torch.zeros(n, 30, 30, dtype=torch.uint8)
    owner[:, 10:20, 10:20] = 1
    eraser = torch.zeros(n, 30, 30, dtype=torch.uint8)
    eraser[:, 10:20, 10:15], eraser[:, 10:20, 15:20] = 4, 255
    one, two = torch.full((n,), 1), torch.full((n,), 4)
    torch.manual_seed(seed)
    seen = Seen()
    chosen = settings(**changes)
    batch = {"owner": owner, "object": one, "eraser_owner": eraser, "eraser_object": two}
    return seen, Erase(chosen)(seen, batch)


# ---------------------------------------------------------------- erasing


def test_an_eraser_in_front_cuts_the_mask():
    seen, _ = erased(in_front=1.0)
    assert set(seen.shown.unique().tolist()) == set(seen.hider.unique().tolist()) == {0.0, 1.0}
    assert not (seen.shown * seen.hider).any()
    cut = seen.hider.sum((1, 2)) > 0
    # The whole square has between (10 / (20 * 1.2))^2 and (10 / (20 * 0.8))^2 of the 256 pixels.
    assert (seen.shown[~cut].sum((1, 2)) >= 256 * (10 / 24) ** 2 * 0.75).all()
    assert cut.float().mean() > 0.5
    assert seen.shown[cut].sum((1, 2)).min() < 30


def test_an_eraser_behind_leaves_the_mask_and_is_trimmed():
    seen, _ = erased(in_front=0.0)
    assert not (seen.shown * seen.hider).any()
    assert (seen.shown.sum((1, 2)) >= 256 * (10 / 24) ** 2 * 0.75).all()
    assert (seen.hider.sum((1, 2)) > 0).float().mean() > 0.5


def test_the_share_of_erasers_in_front():
    front, back, both = (erased(in_front=share)[0] for share in (1.0, 0.0, 0.8))
    differ = (front.shown != back.shown).any(2).any(1)
    in_front = (both.shown == front.shown).all(2).all(1)[differ]
    assert differ.sum() > 60
    assert in_front.float().mean() == pytest.approx(0.8, abs=0.12)


def test_erasers_that_hide_nearly_all_are_not_used(monkeypatch):
    """Without an offset and with a mask of half the size, the eraser would hide it all."""
    owner = torch.zeros(64, 30, 30, dtype=torch.uint8)
    owner[:, 12:16, 12:16] = 1
    everything = torch.full_like(owner, 255)
    everything[:, 14, 14] = 2
    number = torch.ones(64, dtype=torch.int32)
    batch = {"owner": owner, "object": number, "eraser_owner": everything, "eraser_object": number + 1}
    seen = Seen()
    Erase(settings(in_front=1.0, shift=0.0))(seen, batch)
    assert not seen.hider.any()
    assert (seen.shown.sum((1, 2)) > 0).all()
    monkeypatch.setattr(completion, "COVERED", 1.0)
    Erase(settings(in_front=1.0, shift=0.0))(seen, batch)
    assert (seen.shown.sum((1, 2)) <= 16).all()
    assert COVERED == 0.9


def test_the_loss_weighs_what_is_under_the_eraser():
    """Both erasers behind: the target is what is shown."""
    seen, loss = erased(in_front=0.0, weight=5.0)
    each = functional.binary_cross_entropy_with_logits(torch.full_like(seen.shown, 0.3), seen.shown, reduction="none")
    assert loss.item() == pytest.approx((each * (1 + 4 * seen.hider)).mean().item(), rel=1e-5)
    _, plain = erased(in_front=0.0, weight=1.0)
    assert plain.item() == pytest.approx(each.mean().item(), rel=1e-5)


def test_the_supervised_network_sees_what_is_and_must_say_what_is_hidden():
    owner = torch.zeros(32, 30, 30, dtype=torch.uint8)
    amodal = torch.zeros(32, 30, 30, dtype=torch.bool)
    amodal[:, 8:20, 10:20] = True
    owner[amodal] = 1
    owner[:, 16:22] = 2
    seen = Seen()
    batch = {"owner": owner, "object": torch.ones(32, dtype=torch.int32), "amodal": amodal}
    loss = FullMasks(settings())(seen, batch)
    assert not (seen.shown * seen.hider).any()
    whole = functional.binary_cross_entropy_with_logits(torch.full_like(seen.shown, 0.3), seen.shown)
    assert loss.item() != pytest.approx(whole.item(), rel=1e-3)
    no_mask = functional.softplus(torch.tensor(0.3)).item()  # each pixel of the mask costs 0.3 less
    share = (no_mask - loss.item()) / 0.3
    assert seen.shown.mean().item() < share < 1.8 * seen.shown.mean().item()  # the mask has 12 rows, 8 are seen


def test_an_object_that_cannot_be_seen_gives_a_finite_loss():
    owner = torch.full((4, 30, 30), 255, dtype=torch.uint8)
    number = torch.ones(4, dtype=torch.int32)
    torch.manual_seed(0)
    network = UNet([4, 8, 8])
    batch = {"owner": owner, "object": number, "eraser_owner": owner, "eraser_object": number}
    loss = Erase(settings())(network, batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(weight.grad).all() for weight in network.parameters())


# ---------------------------------------------------------------- frames


def test_every_frame_of_every_track(tracks):
    rows = every_frame(tracks)
    assert len(rows) == tracks.lengths.sum() == 6 * 7 + 3
    assert rows[6 * 2 : 6 * 2 + 4].tolist() == [[2, 0], [2, 1], [2, 2], [3, 0]]


def test_columns_are_single_frames(tracks):
    rows = np.array([[2, 1], [0, 4], [1, 0]])
    columns = Frames(tracks, rows).columns(rows[::-1], truth=True)
    everything = np.arange(3)
    owner = tracks.data.arrays["owner"][[9, 4, 0]]  # the third track starts at the third frame of the second video
    np.testing.assert_array_equal(columns["owner"][everything], owner)
    np.testing.assert_array_equal(columns["eraser_owner"][everything], owner[::-1])
    assert columns["object"][everything].tolist() == [1, 1, 2]
    assert columns["eraser_object"][everything].tolist() == [2, 1, 1]
    full = np.stack([tiny.video(1, left=2)[3][0, 3], tiny.video(0, left=1)[3][0, 4], tiny.video(0, left=1)[3][1, 0]])
    np.testing.assert_array_equal(columns["amodal"][everything], full)
    assert set(Frames(tracks, rows).columns()) == {"owner", "object"}


def test_untouched_masks_have_only_background_around(tracks):
    """Object 1 of the first video spans columns 1 + 2t to 9 + 2t, and 15 to 18 hide it."""
    rows = np.array([[0, t] for t in range(6)])
    assert untouched(tracks, rows).tolist() == [True, True, True, False, False, False]
    assert not untouched(tracks, np.array([[6, 4], [7, 4]])).any()
    hidden = np.array([[6, 3]])  # not seen at all: touches nothing
    assert untouched(tracks, hidden).tolist() == [True]


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize(("widths", "size"), [([4, 8, 8], 16), ([4, 8, 8, 16], 32), ([2, 3, 4, 5, 6], 64)])
def test_the_network_keeps_the_size(widths, size):
    network = UNet(widths)
    assert network(torch.rand(2, 2, size, size)).shape == (2, size, size)
    assert network.down[0][0].in_channels == 2


def test_the_laptop_s_network_has_a_quarter_million_parameters():
    assert sum(weight.numel() for weight in UNet([16, 32, 64, 64]).parameters()) == pytest.approx(0.26e6, rel=0.03)


class Copy(nn.Module):
    """Certain of what it is shown, or of what hides it."""

    def __init__(self, channel):
        super().__init__()
        self.channel = channel

    def forward(self, x):
        return (x[:, self.channel] - 0.5) * 20


def test_completion_pastes_what_the_network_says_into_the_frame():
    visible, others = torch.zeros(2, 2, 40, 50, dtype=torch.bool)
    visible[0, 10:22, 10:24] = visible[1, 20:36, 4:16] = True
    others[0, 10:22, 24:30] = others[1, 10:20] = True
    found = complete(Copy(0), visible, others, settings(crop=32))
    assert found.shape == (2, 40, 50)
    for one, mask in zip(found > 0.5, visible, strict=True):
        assert (one & mask).sum() / (one | mask).sum() > 0.9
    hidden = complete(Copy(1), visible, others, settings(crop=32)) > 0.5
    assert (hidden & others).sum() / hidden.sum() > 0.9
    assert not hidden[0, :, 33:].any()  # outside of the box


def test_completion_of_an_object_that_cannot_be_seen_is_defined():
    nothing = torch.zeros(1, 40, 50, dtype=torch.bool)
    found = complete(UNet([4, 8, 8]).eval(), nothing, ~nothing, settings())
    assert torch.isfinite(found).all()
