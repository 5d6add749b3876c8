"""Predictions and losses against the loop by the book, and what the method promises: no copying, symmetry, no leaks."""

import math
from dataclasses import replace

import pytest
import torch

from amodal import tiny
from reference import savos_loop
from reprise.amodal.geometry import cut
from reprise.amodal.objectives import Objective, Weights, consistency, photometric, reconstruction, soft_iou
from reprise.amodal.predictor import Clip, Predictions, arrivals, reversal

EPS = 1e-4
METHODS = ["savos", "per_frame", "forward_only", "no_residual", "current_label", "occluder_input"]
COUNTS = {"whole": (6, 6, 6), "padded": (6, 4, 2), "one frame": (1, 6, 3)}


def by_the_book(predictor, clip):
    return savos_loop.predict(
        predictor.network,
        clip,
        enlarge=predictor.enlarge,
        bidirectional=predictor.bidirectional,
        warped=predictor.warped,
        occluder=predictor.occluder,
    )


def on_frames(found, values, clip):
    """Values (n, t, a, b) in windows, as whole frames."""
    whole = torch.zeros_like(clip.visible)
    for n, t in torch.cartesian_prod(*(torch.arange(k) for k in values.shape[:2])).tolist():
        x, y = found.origin[n, t].tolist()
        whole[n, t, y : y + found.size[0], x : x + found.size[1]] = values[n, t]
    return whole


def windowed(found, clip, label=None, trusted=None, eps=EPS):
    """L_rec as the objective computes it."""
    label, trusted = clip.visible if label is None else label, 1 - clip.others if trusted is None else trusted
    label, trusted = (cut(part, found.origin, found.size) for part in (label, trusted))
    return reconstruction(found, label, trusted, eps)


def outside(found, clip, trusted):
    """The loss of zeros where nothing is, -log(1 - eps/2) a pixel, which the windows leave out: a mean over frames."""
    predicted = found.valid.any(0)
    left_out = trusted.sum((2, 3)) - cut(trusted, found.origin, found.size).sum((2, 3))
    return -math.log1p(-EPS / 2) * ((left_out * predicted).sum() / predicted.sum()).item()


def gradients(loss, network):
    return torch.autograd.grad(loss, list(network.parameters()), allow_unused=True, retain_graph=True)


def assert_equal_gradients(one, other, network):
    found = [gradients(loss, network) for loss in (one, other)]
    largest = max(g.abs().max().item() for g in found[1] if g is not None)
    assert largest > 1e-3
    for (name, _), fast, slow in zip(network.named_parameters(), *found, strict=True):
        fast, slow = (torch.zeros(1) if g is None else g for g in (fast, slow))
        assert (fast - slow).abs().max() < 1e-4 * largest, name


# ---------------------------------------------------------------- against the reference


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_predictions_are_those_of_the_loop(method, counts):
    """In every frame of every pass, and zero outside of the windows."""
    clip, predictor = tiny.clip(counts=counts), tiny.predictor(method, scale=2.0)
    with torch.inference_mode():
        found, expected = predictor(clip), by_the_book(predictor, clip)
    assert found.size < (44, 52)  # smaller than the frame
    merged = on_frames(found, found.merged()[0], clip)
    probability = [on_frames(found, part, clip) for part in found.probability]
    for n, passes in enumerate(expected):
        for which, own in enumerate(passes):
            assert found.valid[which, n].nonzero().flatten().tolist() == sorted(own.probability)
            for s, frame in own.probability.items():
                torch.testing.assert_close(probability[which][n, s], frame, atol=1e-4, rtol=0)
        for s in range(counts[n]):
            frame = savos_loop.merged(passes, s)
            torch.testing.assert_close(merged[n, s], torch.zeros(44, 52) if frame is None else frame, atol=1e-4, rtol=0)
        assert not merged[n, counts[n] :].any()
    assert found.probability.std() > 0.1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_losses_and_gradients_are_those_of_the_loop(method, counts):
    clip, predictor = tiny.clip(counts=counts, seed=1), tiny.predictor(method)
    network, trusted = predictor.network, 1 - clip.others
    found, expected = predictor(clip), by_the_book(predictor, clip)
    ours, theirs = windowed(found, clip), savos_loop.reconstruction(expected, clip.visible, trusted, EPS)
    left_out = outside(found, clip, trusted)
    assert left_out > 0.01
    assert ours.item() + left_out == pytest.approx(theirs.item(), rel=1e-6)
    assert_equal_gradients(ours, theirs, network)
    ours, theirs = consistency(found), savos_loop.consistency(expected)
    assert ours.item() > 0.1
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert_equal_gradients(ours, theirs, network)
    ours, theirs = photometric(found, clip), savos_loop.photometric(expected, clip)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-4)
    if network.residual:
        assert_equal_gradients(ours, theirs, network)


def test_predictions_in_the_windows_are_those_of_the_loop_however_fast_the_object_is():
    clip, predictor = tiny.clip(fastest=4.0), tiny.predictor(scale=2.0)
    with torch.inference_mode():
        found, expected = predictor(clip), by_the_book(predictor, clip)
    merged, _ = found.merged()
    whole = torch.stack([torch.stack([savos_loop.merged(passes, s) for s in range(6)]) for passes in expected])
    torch.testing.assert_close(merged, cut(whole, found.origin, found.size), atol=1e-4, rtol=0)


def test_predictions_in_the_windows_do_not_depend_on_their_size():
    """A second object, far larger, makes all windows larger."""
    clip, predictor = tiny.clip(), tiny.predictor()
    alone = Clip(*(part[:1] for part in vars(clip).values()))
    large = clip.visible.clone()
    large[2, :, 2:-2, 2:-2] = 1
    found, other = predictor(alone), predictor(replace(clip, visible=large))
    assert found.size < other.size
    one, both = (on_frames(p, p.merged()[0][:1], alone) for p in (found, other))
    torch.testing.assert_close(one, both, atol=1e-5, rtol=0)


def test_the_objective_adds_its_terms():
    batch, predictor = tiny.batch(), tiny.predictor()
    clip = Clip.of(batch).floats()
    found = predictor(clip)
    rec, cons, photo = (part.item() for part in (windowed(found, clip), consistency(found), photometric(found, clip)))
    for weights, expected in (
        (Weights(0.0, 0.0, EPS), rec),
        (Weights(10.0, 0.0, EPS), rec + 10 * cons),
        (Weights(10.0, 0.1, EPS), rec + 10 * cons + 0.1 * photo),
    ):
        assert Objective(weights)(predictor, batch).item() == pytest.approx(expected, rel=1e-5)


def test_the_supervised_label_is_the_full_mask_everywhere():
    batch, predictor = tiny.batch(), tiny.predictor("supervised")
    clip = Clip.of(batch).floats()
    found, full = predictor(clip), batch["amodal"].float()
    assert (full - clip.visible).sum() > 100  # the bar hides something
    loss = Objective(Weights(0.0, 0.0, EPS, supervised=True))(predictor, batch)
    everywhere = torch.ones_like(full)
    expected = savos_loop.reconstruction(by_the_book(predictor, clip), full, everywhere, EPS)
    assert loss.item() + outside(found, clip, everywhere) == pytest.approx(expected.item(), rel=1e-6)
    assert loss.item() != pytest.approx(windowed(found, clip).item(), rel=0.01)


def test_self_supervised_losses_do_not_read_the_truth():
    batch, predictor = tiny.batch(), tiny.predictor()
    del batch["amodal"]
    assert Objective(Weights(10.0, 0.1, EPS))(predictor, batch).item() > 0
    with pytest.raises(KeyError, match="amodal"):
        Objective(Weights(0.0, 0.0, EPS, supervised=True))(predictor, batch)


# ---------------------------------------------------------------- where others hide the object


def test_what_others_cover_is_not_compared():
    clip, predictor = tiny.clip(), tiny.predictor()
    found = predictor(clip)
    probability = found.probability.detach().requires_grad_()
    windowed(replace(found, probability=probability), clip).backward()
    others = cut(clip.others, found.origin, found.size)[None].expand_as(probability) > 0
    assert (probability.grad[others] == 0).all()
    assert (probability.grad[~others] != 0).float().mean() > 0.8


def test_reconstruction_by_hand():
    """Three pixels: visible, background, covered by another; two frames, one of them with a single pass."""
    probability = torch.tensor([[[[[0.8, 0.3, 0.9]], [[0.6, 0.2, 0.1]]]], [[[[0.4, 0.1, 0.9]], [[0.7, 0.7, 0.7]]]]])
    merge = torch.zeros(2, 1, 2, 1, 3)
    merge[0, 0, 0, 0, 0] = math.log(3)  # weights 3/4 and 1/4
    valid = torch.tensor([[[True, True]], [[True, False]]])
    found = Predictions(probability, merge, torch.zeros(2, 1, 2, 2, 1, 3), torch.zeros(1, 2, 2).long(), (1, 3), valid)
    label, trusted = torch.tensor([[[[1.0, 0, 0]]] * 2]).view(1, 2, 1, 3), torch.tensor([1.0, 1, 0]).expand(1, 2, 1, 3)
    first = -math.log(0.75 * 0.8 + 0.25 * 0.4) - math.log(1 - 0.2)
    second = -math.log(0.6) - math.log(1 - 0.2)
    assert reconstruction(found, label, trusted, 1e-9).item() == pytest.approx((first + second) / 2, rel=1e-5)
    _, weight = found.merged()
    torch.testing.assert_close(weight[0, :, 0], torch.tensor([[0.75, 0.5, 0.5], [1.0, 1, 1]]))


# ---------------------------------------------------------------- no copying


@pytest.mark.parametrize("method", [method for method in METHODS if method != "current_label"])
@pytest.mark.parametrize("s", [0, 2, 5])
def test_nothing_of_a_frame_influences_its_own_prediction(method, s):
    """No derivative by its visible mask, colours or flow; the neighbours' ones are not zero."""
    clip, predictor = tiny.clip(), tiny.predictor(method)
    parts = {name: getattr(clip, name).clone().requires_grad_() for name in ("frames", "visible", "flow", "others")}
    found = predictor(replace(clip, **parts))
    inputs = ["frames", "visible", "flow", *(["others"] if method == "occluder_input" else [])]
    if not found.valid[:, 0, s].any():
        assert (method, s) in (("per_frame", 0), ("forward_only", 0))
        return
    (found.merged()[0][:, s]).square().sum().backward()
    for name in inputs:
        by_frame = parts[name].grad.abs().sum((0, *range(2, parts[name].ndim)))
        assert by_frame[s] == 0, name
        assert by_frame[s - 1 if s else s + 1] > 0, name


def test_the_current_label_can_be_copied():
    clip, predictor = tiny.clip(), tiny.predictor("current_label")
    visible = clip.visible.clone().requires_grad_()
    predictor(replace(clip, visible=visible)).merged()[0][:, 2].square().sum().backward()
    assert visible.grad[:, 2].abs().max() > 0


@pytest.mark.parametrize(("method", "same"), [("savos", True), ("current_label", False)])
def test_another_visible_mask_of_a_frame_changes_only_the_other_frames(method, same):
    """Holes in it, which leave its box where it was."""
    clip, predictor = tiny.clip(), tiny.predictor(method)
    visible = clip.visible.clone()
    visible[:, 2, 18:24, 22:28] = 0
    assert (visible != clip.visible).any()
    with torch.inference_mode():
        before, after = predictor(clip), predictor(replace(clip, visible=visible))
    assert torch.equal(before.origin, after.origin)
    changed = (before.merged()[0] != after.merged()[0]).any(3).any(2).any(0)
    assert changed[2] == (not same)
    assert changed[[1, 3]].all()


# ---------------------------------------------------------------- time reversal


def test_reversal_runs_backwards_through_what_is_real():
    order = reversal(torch.tensor([4, 1, 2]), 4)
    assert order.tolist() == [[3, 2, 1, 0], [0, 1, 2, 3], [1, 0, 2, 3]]
    assert arrivals(torch.tensor([3, 1]), 4).long().tolist() == [
        [[0, 1, 1, 0], [0, 0, 0, 0]],
        [[1, 1, 0, 0], [0, 0, 0, 0]],
    ]


@pytest.mark.parametrize("counts", [(6, 6, 6), (6, 4, 2)], ids=["whole", "padded"])
def test_a_reversed_video_gives_the_reversed_predictions(counts):
    clip, predictor = tiny.clip(counts=counts), tiny.predictor()
    order = reversal(clip.count, 6)
    rows = torch.arange(3)[:, None]
    turned = {name: getattr(clip, name)[rows, order] for name in ("frames", "visible", "others", "flow")}
    turned["flow"] = turned["flow"][:, :, [2, 3, 0, 1]]
    with torch.inference_mode():
        found, other = predictor(clip), predictor(replace(clip, **turned))
    (merged, weight), (again, swapped) = found.merged(), other.merged()
    torch.testing.assert_close(again[rows, order], merged, atol=1e-5, rtol=0)
    both = found.valid.all(0)
    assert both.sum() == sum(max(count - 2, 0) for count in counts)
    torch.testing.assert_close(1 - swapped[rows, order][both], weight[both], atol=1e-5, rtol=0)
    assert consistency(found).item() == pytest.approx(consistency(other).item(), rel=1e-4)


# ---------------------------------------------------------------- consistency


def moving(error=0, n=1, t=5, size=(12, 24)):
    """Predictions of a square that moves 2 pixels to the right, in windows that move 1; `error` shifts every other."""
    probability, motion = torch.zeros(2, n, t, *size), torch.zeros(2, n, t, 2, *size)
    origin = torch.zeros(n, t, 2).long()
    origin[:, :, 0] = torch.arange(t)
    for k in range(t):
        left = 4 + k + error * (k % 2)
        probability[:, :, k, 3:8, left : left + 5] = 1.0
    motion[0, :, :, 0], motion[1, :, :, 0] = 2.0, -2.0
    valid = torch.ones(2, n, t, dtype=torch.bool)
    valid[0, :, 0] = valid[1, :, -1] = False
    return Predictions(probability, torch.zeros_like(probability), motion, origin, size, valid)


def test_consistency_of_perfect_predictions_is_zero():
    assert consistency(moving()).item() == pytest.approx(0.0, abs=1e-5)


def test_consistency_grows_with_the_error():
    """An error of e pixels of 5: soft IoU (5 - e) / (5 + e), in both passes."""
    for error in range(1, 5):
        expected = 2 * (1 - (5 - error) / (5 + error))
        assert consistency(moving(error)).item() == pytest.approx(expected, abs=1e-4)


def test_consistency_takes_the_motion_as_given():
    clip, predictor = tiny.clip(), tiny.predictor()
    found = predictor(clip)
    motion = found.motion.detach().clone().requires_grad_()
    probability = found.probability.detach().clone().requires_grad_()
    consistency(replace(found, motion=motion, probability=probability)).backward()
    assert motion.grad is None
    assert probability.grad.abs().max() > 0


def test_soft_iou_by_hand():
    a, b = torch.tensor([[[1.0, 0.5]], [[0.0, 0.0]]]), torch.tensor([[[0.5, 0.5]], [[0.0, 0.0]]])
    assert soft_iou(a, b).tolist() == pytest.approx([0.75 / (2.5 - 0.75), 0.0])


# ---------------------------------------------------------------- photometric


def travelling(speed=(2, 1)):
    """A textured square on a still ground, moving by whole pixels, without a residual motion."""
    random = torch.Generator().manual_seed(0)
    texture = torch.rand(3, 10, 10, generator=random)
    frames, visible = torch.rand(3, 40, 48, generator=random).repeat(1, 5, 1, 1, 1), torch.zeros(1, 5, 40, 48)
    for t in range(5):
        x, y = 12 + speed[0] * t, 12 + speed[1] * t
        frames[0, t, :, y : y + 10, x : x + 10] = texture
        visible[0, t, y : y + 10, x : x + 10] = 1
    motion = torch.tensor([*speed, -speed[0], -speed[1]]).view(1, 1, 4, 1, 1)
    return Clip(frames, visible, torch.zeros_like(visible), motion * visible[:, :, None], torch.tensor([5]))


def test_photometric_is_zero_for_exact_motion():
    clip, predictor = travelling(), tiny.predictor("no_residual")
    assert photometric(predictor(clip), clip).item() < 1e-2  # 100 pixels of three colours, both ways
    wrong = replace(clip, flow=clip.flow + 1)
    assert photometric(predictor(wrong), wrong).item() > 10


def test_motion_of_the_hidden_part_is_that_of_the_visible_one():
    clip, predictor = travelling(), tiny.predictor("no_residual")
    motion = predictor(clip).motion
    torch.testing.assert_close(motion[0, 0, 1:].amax((0, 2, 3)), torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(motion[0, 0, 1:].amin((0, 2, 3)), torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(motion[1, 0, :-1].amax((0, 2, 3)), torch.tensor([-2.0, -1.0]))


def test_without_flow_nothing_depends_on_it():
    clip, predictor = travelling(), tiny.predictor("no_flow")
    found, other = predictor(clip), predictor(replace(clip, flow=clip.flow + 1))
    assert torch.equal(found.probability, other.probability) and torch.equal(found.motion, other.motion)
    assert found.motion.any()  # the residual alone
    other = tiny.predictor("savos")
    assert not torch.equal(other(clip).probability, other(replace(clip, flow=clip.flow + 1)).probability)


# ---------------------------------------------------------------- awkward clips


def test_flow_that_is_no_number_counts_as_rest():
    batch, predictor = tiny.batch(), tiny.predictor()
    broken, still = batch["flow"].clone(), batch["flow"].clone()
    broken[0, 1], broken[1, 2], broken[2, 3] = torch.nan, torch.inf, -torch.inf
    for k in range(3):
        still[k, 1 + k] = 0
    objective = Objective(Weights(10.0, 0.1, EPS))
    loss = objective(predictor, {**batch, "flow": broken})
    assert loss.item() == objective(predictor, {**batch, "flow": still}).item()
    assert all(torch.isfinite(gradient).all() for gradient in gradients(loss, predictor.network))


@pytest.mark.parametrize("case", ["zero flow", "never visible", "hidden now and then", "one frame", "two frames"])
def test_awkward_clips_have_finite_losses_and_gradients(case):
    batch = tiny.batch(counts={"one frame": (1, 1, 1), "two frames": (2, 2, 2)}.get(case, (6, 6, 6)))
    if case == "zero flow":
        batch["flow"] = torch.zeros_like(batch["flow"])
    elif case == "never visible":
        batch["object"] = torch.tensor([77, 78, 79])
    elif case == "hidden now and then":
        batch["owner"][:, [0, 2, 5]] = 0
    predictor = tiny.predictor()
    loss = Objective(Weights(10.0, 0.1, EPS))(predictor, batch)
    found = [g for g in gradients(loss, predictor.network) if g is not None]
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in found)
    if case == "one frame":  # nothing says anything of it
        assert loss.item() == 0
        assert all((gradient == 0).all() for gradient in found)
        merged, weight = predictor(Clip.of(batch)).merged()
        assert not merged.any() and not weight.any()
    else:
        assert any((gradient != 0).any() for gradient in found)


def test_two_frames_see_one_pass_each():
    found = tiny.predictor()(tiny.clip(counts=(2, 2, 2), length=2))
    assert found.valid[:, 0].tolist() == [[False, True], [True, False]]
    assert torch.equal(found.merged()[0][:, 0], found.probability[1, :, 0])
    assert torch.equal(found.merged()[0][:, 1], found.probability[0, :, 1])
    assert consistency(found).item() == 0


@pytest.mark.parametrize("method", ["savos", "current_label", "per_frame", "occluder_input"])
def test_mixed_precision_comes_near(method):
    """With frames, masks and flow as they are stored; what is compared is in single precision."""
    batch, predictor = tiny.batch(), tiny.predictor(method)
    batch["flow"] = batch["flow"].half()
    objective = Objective(Weights(10.0, 0.1, EPS))
    whole = objective(predictor, batch).item()
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective(predictor, batch)
        found = predictor(Clip.of(batch))
    assert loss.item() == pytest.approx(whole, rel=0.02)
    assert found.probability.dtype == found.merge.dtype == found.motion.dtype == torch.float32
    assert all(
        torch.isfinite(gradient).all() for gradient in gradients(loss, predictor.network) if gradient is not None
    )


def test_confident_predictions_keep_a_gradient_in_mixed_precision():
    """A logit of 8 is 0.9997; in half precision it would be 1, and learn nothing more."""
    predictor, batch = tiny.predictor("savos"), tiny.batch()
    with torch.no_grad():
        predictor.network.mask_decoder.layers[-1].bias[0] = 8.0
    with torch.autocast("cpu", torch.bfloat16):
        found = predictor(Clip.of(batch))
    inside = found.probability[found.probability > 0.99]
    assert len(inside) and (inside < 1).any()
    (gradient,) = torch.autograd.grad(found.probability.sum(), predictor.network.mask_decoder.layers[-1].bias)
    assert gradient[0] > 0
