"""Predictions: every frame of every occluded track once, in order, whatever shares its batch."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from amodal import tiny
from reference import savos_loop
from reprise.amodal import predict as module
from reprise.amodal.completion import UNet, complete
from reprise.amodal.params import Completion
from reprise.amodal.predict import predict
from reprise.amodal.predictor import Clip
from reprise.amodal.tracks import Tracks
from reprise.amodal.train import state

NAMES = {"probability", "weight", "gap", "motion"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.prepare(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture
def predicted(data, tmp_path):
    def one(method="savos", splits=("test",), seed=0, **changes):
        network = tiny.predictor(method, seed, scale=2.0).network
        save_file(state(network), tmp_path / "weights")
        return predict(method, str(tmp_path / "weights"), str(data), list(splits), settings=tiny.SETTINGS, **changes)

    return one


def clip_of(tracks, number):
    """One whole track."""
    columns = tracks.columns(np.array([[number, 0]]), int(tracks.lengths[number]))
    batch = {name: torch.from_numpy(np.array(column[np.array([0])])) for name, column in columns.items()}
    return Clip.of(batch).floats()


@pytest.mark.parametrize("method", ["savos", "per_frame", "forward_only", "current_label", "occluder_input"])
def test_predictions_are_those_of_the_loop(data, predicted, method):
    """Tracks of 6, 1 and 2 frames, in the order of `tracks`; where no pass says anything there is nothing."""
    found, tracks, row = predicted(method), Tracks(data, "test"), 0
    predictor = tiny.predictor(method, scale=2.0)
    assert tracks.lengths.tolist() == [6, 1, 2]
    for number, length in enumerate(tracks.lengths):
        clip = clip_of(tracks, number)
        with torch.inference_mode():
            (passes,) = savos_loop.predict(
                predictor.network, clip, enlarge=1.5, bidirectional=predictor.bidirectional,
                warped=predictor.warped, occluder=predictor.occluder,
            )  # fmt: skip
        for s in range(length):
            expected = savos_loop.merged(passes, s)
            expected = torch.zeros(tiny.HEIGHT, tiny.WIDTH) if expected is None else expected
            pixels = found["test/probability"][row].astype(int)
            inside = pixels > 0  # the windows leave out the rim of fast boxes
            assert np.abs(pixels - 255 * expected.numpy())[inside].max(initial=0) <= 0.51
            assert 255 * expected.numpy()[~inside].sum() <= 0.02 * pixels.sum() + 0.01 * pixels.size
            row += 1
    assert len(found["test/probability"]) == row == 9
    if method != "current_label":
        assert not found["test/probability"][6].any()  # the track of one frame


def test_shapes_and_types(data, predicted):
    found = predicted(splits=["test", "unseen"])
    assert set(found) == {"n_params", *(f"{split}/{name}" for split in ("test", "unseen") for name in NAMES)}
    for split, k in (("test", 9), ("unseen", 12)):
        assert found[f"{split}/probability"].shape == (k, tiny.HEIGHT, tiny.WIDTH)
        assert found[f"{split}/weight"].shape == found[f"{split}/gap"].shape == (k,)
        assert found[f"{split}/motion"].shape == (k, 2)
        types = [found[f"{split}/{name}"].dtype for name in ("probability", "weight", "gap", "motion")]
        assert types == [np.uint8, np.uint8, np.float16, np.float16]
        assert all(np.isfinite(found[f"{split}/{name}"]).all() for name in NAMES)
    assert found["n_params"] == sum(weight.numel() for weight in tiny.predictor().network.parameters())


def test_ends_of_tracks_have_one_pass(predicted):
    """The weight of the pass forwards, the difference of both, and the motion that the first one predicts."""
    found = predicted()
    weight, gap, motion = (found[f"test/{name}"] for name in ("weight", "gap", "motion"))
    first, last = [0, 7], [5, 8]
    assert (weight[first] == 0).all() and (weight[last] == 255).all()
    assert (gap[[*first, *last]] == 0).all() and (motion[first] == 0).all()
    assert ((weight[1:5] > 0) & (weight[1:5] < 255)).all()
    assert (gap[3:5] > 0).all() and (motion[1:6] != 0).any(1).all()
    assert weight[6] == gap[6] == 0 and not motion[6].any()


def test_the_motion_is_that_beyond_the_visible_one(predicted):
    """Without a residual there is none: the square moves as a whole, two pixels a frame."""
    np.testing.assert_allclose(predicted("no_residual")["test/motion"], 0, atol=1e-2)
    assert np.abs(predicted()["test/motion"]).max() > 1e-2


@pytest.mark.parametrize("method", ["savos", "supervised"])
def test_tracks_do_not_depend_on_what_shares_their_batch(predicted, monkeypatch, method):
    together = predicted(method, ["test", "unseen"])
    monkeypatch.setattr(module, "FRAMES", 1)
    alone = predicted(method, ["test", "unseen"])
    for name in together:
        if name.endswith("weight"):
            assert np.abs(together[name].astype(int) - alone[name]).max() <= 1
    for split in ("test", "unseen"):
        one, other = (found[f"{split}/probability"].astype(int) for found in (together, alone))
        both = (one > 0) & (other > 0)
        assert np.abs(one - other)[both].max() <= 1
        assert np.abs(one - other).sum() <= 0.02 * one.sum()
        for name in ("gap", "motion"):
            one, other = (found[f"{split}/{name}"].astype(float) for found in (together, alone))
            np.testing.assert_allclose(one, other, atol=5e-3)


def test_states_of_an_adaptation(data, tmp_path):
    networks = {steps: tiny.predictor(seed=steps).network for steps in (0, 50)}
    states = {f"{steps}/{name}": value for steps, made in networks.items() for name, value in state(made).items()}
    save_file(states, tmp_path / "states")
    for steps, made in networks.items():
        save_file(state(made), tmp_path / "alone")
        arguments = (str(data), ["unseen"])
        found = predict("savos", str(tmp_path / "states"), *arguments, steps=steps, settings=tiny.SETTINGS)
        alone = predict("savos", str(tmp_path / "alone"), *arguments, settings=tiny.SETTINGS)
        assert all(np.array_equal(found[name], alone[name]) for name in alone)


@pytest.mark.parametrize("method", ["completion", "completion_clean", "supervised_image"])
def test_networks_of_single_images(data, tmp_path, method):
    torch.manual_seed(0)
    network = UNet(tiny.SETTINGS["completion"]["widths"]).eval()
    save_file(state(network), tmp_path / "weights")
    found = predict(method, str(tmp_path / "weights"), str(data), ["test"], settings=tiny.SETTINGS)
    assert set(found) == {"test/probability", "n_params"}
    tracks, parts = Tracks(data, "test"), []
    for number in range(len(tracks)):
        clip = clip_of(tracks, number)
        parts.append(
            complete(network, clip.visible[0] > 0, clip.others[0] > 0, Completion(**tiny.SETTINGS["completion"]))
        )
    expected = torch.cat(parts).numpy() * 255
    assert np.abs(found["test/probability"] - expected).max() <= 0.51
    assert found["test/probability"].any()
