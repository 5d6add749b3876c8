"""Attacks: exact optima on linear models, formulas by hand, invariances, an independent implementation."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from reprise.assay.attacks import Attack, _apgd, _checkpoints, dlr_loss, paper_eps, perturb
from reprise.errors import UserError

SHAPE = (3, 4, 4)


class Linear(nn.Module):
    """Logits linear in the pixels, so that the best attack is known in closed form."""

    def __init__(self, classes: int, scale: float = 1.0) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(scale * torch.randn(classes, math.prod(SHAPE), generator=random))

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5).flatten(1) @ self.weight.T


def centre_images(model: nn.Module, n: int = 40) -> tuple[Tensor, Tensor]:
    """Images far from the box's walls with the classes the model gives them."""
    x = 0.5 + 0.1 * torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return x, model(x).argmax(1)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    table = load_digits()
    x = torch.tensor(table.images / 16, dtype=torch.float32)[:, None].repeat(1, 3, 1, 1)
    return x, torch.tensor(table.target)


@pytest.fixture(scope="module")
def network(digits: tuple[Tensor, Tensor]) -> nn.Module:
    """A small network with batch norm, after 150 steps on 1,200 digits."""
    x, y = digits[0][:1200], digits[1][:1200]
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU(), nn.Flatten(), nn.Linear(192, 32), nn.ReLU(),
        nn.Dropout(0.1), nn.Linear(32, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(150):
        rows = torch.randint(0, len(x), (64,))
        loss = functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.zero_grad()
    return model.eval()


@pytest.fixture(scope="module")
def held_out(digits: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return digits[0][1200:1400], digits[1][1200:1400]


def error(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float((model(x).argmax(1) != y).float().mean())


def every_attack(eps_l2: float, eps_linf: float, steps: int = 5) -> list[Attack]:
    return [
        Attack(method, loss, norm, eps, 1 if method == "fgsm" else steps)  # type: ignore[arg-type]
        for method in ("fgsm", "pgd", "apgd")
        for loss in ("ce", "dlr")
        for norm, eps in (("l2", eps_l2), ("linf", eps_linf))
    ]


NAMES = [f"{a.method}-{a.loss}-{a.norm}" for a in every_attack(1, 1)]


# -- exact optima ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fgsm", "pgd", "apgd"])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_two_linear_classes(method: str, norm: str) -> None:
    """The best point moves eps along +-(w_1 - w_0), or along its signs; the images that survive end there."""
    model = Linear(2).eval()
    x, y = centre_images(model)
    eps = 0.05 if norm == "l2" else 0.01
    attack = Attack(method, "ce", norm, eps, 1 if method == "fgsm" else 40)  # type: ignore[arg-type]
    found = perturb(model, x, y, attack, seed=0)
    slope = (model.weight[1] - model.weight[0]).detach()
    direction = slope / slope.norm() if norm == "l2" else slope.sign()
    best = x + eps * torch.where(y == 0, 1, -1)[:, None, None, None] * direction.view(SHAPE)
    fooled = model(best).argmax(1) != y
    assert 0 < fooled.sum() < len(y)
    assert torch.equal(model(found).argmax(1) != y, fooled)
    torch.testing.assert_close(found[~fooled], best[~fooled], atol=2e-4, rtol=0)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_radii_of_three_linear_classes(norm: str, loss: str) -> None:
    """The distance to a boundary is margin / dual norm. Below the nearest one no point fools the model.

    Just above it an ascent may still climb towards the other class, so only most images fall; above both all do.
    The weights are large, so that the cross-entropy, too, is about the nearest class only.
    """
    model = Linear(3, scale=8).eval()
    x, y = centre_images(model, 20)
    with torch.no_grad():
        margins = model(x).gather(1, y[:, None]) - model(x)
        slopes = (model.weight[y][:, None] - model.weight[None]).norm(dim=2, p=2 if norm == "l2" else 1)
        others = ~functional.one_hot(y, 3).bool()
        near, far = (margins / slopes)[others].view(-1, 2).sort(1).values.T
    fallen = {"below": [], "above": [], "far": []}
    for name, radii in (("below", 0.99 * near), ("above", 1.02 * near), ("far", 1.05 * far)):
        for i, eps in enumerate(radii.tolist()):
            attack = Attack("apgd", loss, norm, eps, 20)  # type: ignore[arg-type]
            found = perturb(model, x[i : i + 1], y[i : i + 1], attack, seed=0)
            fallen[name].append(error(model, found, y[i : i + 1]))
    assert sum(fallen["below"]) == 0
    assert np.mean(fallen["above"]) >= 0.8
    assert np.mean(fallen["far"]) == 1


def test_ce_climbs_where_its_gradient_nearly_vanishes() -> None:
    """Logits 60 apart leave a gradient of 1e-26, whose square is 0 in float32; its direction still counts."""
    model = Linear(2).eval()
    with torch.no_grad():
        model.weight[1] = -model.weight[0]
        direction = model.weight[0] / model.weight[0].norm()
        x = 0.5 + 0.2 * direction.view(1, *SHAPE)
        y = model(x).argmax(1)
        model.weight *= 60 / (model(x)[0, 0] - model(x)[0, 1])
    found = perturb(model, x, y, Attack("pgd", "ce", "l2", 0.5, 5), seed=0)
    assert error(model, x, y) == 0 and error(model, found, y) == 1


# -- formulas --------------------------------------------------------------------------------------------------------


def test_dlr_by_hand() -> None:
    logits = torch.tensor([[5.0, 2.0, 1.0, 0.0], [5.0, 2.0, 1.0, 0.0], [1.0, 1.0, 0.0, -1.0]])
    y = torch.tensor([0, 2, 0])
    # -(5 - 2) / (5 - 1); -(1 - 5) / (5 - 1); -(1 - 1) / (1 - 0)
    torch.testing.assert_close(dlr_loss(logits, y), torch.tensor([-0.75, 1.0, 0.0]))
    torch.testing.assert_close(dlr_loss(3 * logits - 7, y), dlr_loss(logits, y))
    with pytest.raises(UserError, match="use loss ce"):
        dlr_loss(logits[:, :2], y)


def test_dlr_of_two_classes_is_refused_before_any_work() -> None:
    model = Linear(2).eval()
    with pytest.raises(UserError, match="3 classes or more, not 2"):
        perturb(model, *centre_images(model), Attack("apgd", "dlr", "l2", 0.1, 5), seed=0)


def test_checkpoints() -> None:
    assert sorted(_checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]  # Croce & Hein's, also those of their code
    assert _checkpoints(5) == {2, 3, 4, 5}
    assert _checkpoints(1) == {1}


def test_paper_sizes() -> None:
    sizes = [0.005, 0.05, 0.1, 0.15, 0.3, 0.5]
    radii = [round(paper_eps(size, "l2", (3, 224, 224)), 4) for size in sizes]
    assert radii == [0.0076, 0.0761, 0.1521, 0.2282, 0.4564, 0.7607]
    assert paper_eps(0.5, "linf", (3, 224, 224)) == 0.5 / 255


def test_bad_attacks() -> None:
    with pytest.raises(UserError, match="eps >= 0"):
        Attack("pgd", "ce", "l2", -1, 5)
    with pytest.raises(UserError, match="steps >= 1"):
        Attack("pgd", "ce", "l2", 1, 0)
    with pytest.raises(UserError, match="set steps to 1"):
        Attack("fgsm", "ce", "l2", 1, 5)


# -- properties on a trained network ---------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", every_attack(0.4, 0.03), ids=NAMES)
def test_ball_box_and_loss(network: nn.Module, held_out: tuple[Tensor, Tensor], attack: Attack) -> None:
    x, y = held_out
    found = perturb(network, x, y, attack, seed=0)
    assert found.dtype == torch.float32 and found.shape == x.shape
    assert found.min() >= 0 and found.max() <= 1
    change = (found - x).flatten(1)
    size = change.norm(dim=1) if attack.norm == "l2" else change.abs().amax(1)
    assert size.max() <= attack.eps * (1 + 1e-5) + 1e-6
    with torch.no_grad():
        clean, attacked = network(x), network(found)
    wrong = clean.argmax(1) != y
    assert torch.equal(found[wrong], x[wrong])
    assert (attacked.argmax(1) != y)[wrong].all()
    assert error(network, found, y) > error(network, x, y)
    loss = dlr_loss if attack.loss == "dlr" else lambda z, y: functional.cross_entropy(z, y, reduction="none")
    survivors = attacked.argmax(1) == y
    assert (loss(attacked, y) >= loss(clean, y) - 1e-6)[survivors].all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_larger_radii_fool_more(network: nn.Module, held_out: tuple[Tensor, Tensor], norm: str) -> None:
    x, y = held_out
    errors = [
        error(network, perturb(network, x, y, Attack("apgd", "ce", norm, eps, 20), seed=0), y)  # type: ignore[arg-type]
        for eps in np.array([0, 0.1, 0.2, 0.4, 0.8]) * (1 if norm == "l2" else 0.08)
    ]
    assert errors[0] == error(network, x, y)
    assert errors == sorted(errors) and errors[-1] > errors[0] + 0.3


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("steps", [5, 20])
def test_strength_order(network: nn.Module, held_out: tuple[Tensor, Tensor], norm: str, steps: int) -> None:
    x, y = held_out
    eps = 0.5 if norm == "l2" else 0.05
    fgsm, pgd, apgd = (
        error(network, perturb(network, x, y, Attack(method, "ce", norm, eps, count), seed=0), y)  # type: ignore[arg-type]
        for method, count in (("fgsm", 1), ("pgd", steps), ("apgd", steps))
    )
    assert fgsm <= min(pgd, apgd)
    if steps >= 20:  # APGD begins with steps of twice eps: five leave it little time to halve them
        assert pgd <= apgd


def test_nothing_of_the_model_changes(network: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network[0].weight.requires_grad_(False)
    with torch.no_grad():  # the caller's setting does not matter
        perturb(network, *held_out, Attack("apgd", "dlr", "l2", 0.4, 3), seed=0)
    assert not network[0].weight.requires_grad
    network[0].weight.requires_grad_(True)
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.train()
    with pytest.raises(ValueError, match="eval"):
        perturb(network, *held_out, Attack("pgd", "ce", "l2", 0.4, 3), seed=0)
    network.eval()


@pytest.mark.parametrize("attack", every_attack(0.4, 0.03), ids=NAMES)
def test_batches_and_seeds(network: nn.Module, held_out: tuple[Tensor, Tensor], attack: Attack) -> None:
    """Equal seeds, any batch size (the last batch holds one image), and images alone give the same result."""
    x, y = held_out[0][:21], held_out[1][:21]
    found = perturb(network, x, y, attack, seed=3)
    assert torch.equal(found, perturb(network, x, y, attack, seed=3))
    torch.manual_seed(1)
    for batch_size in (10, 1):
        again = perturb(network, x, y, attack, seed=3, batch_size=batch_size)
        close = (again - found).abs().flatten(1).amax(1) < 1e-4
        assert close.float().mean() >= 0.9  # rounding may turn a step of APGD
        assert torch.equal(network(again).argmax(1) != y, network(found).argmax(1) != y)
    if attack.method == "apgd":
        assert not torch.equal(found, perturb(network, x, y, attack, seed=4))
    assert not torch.equal(perturb(network, x[:1], y[:1], attack, seed=3), x[:1])
    assert perturb(network, x[:0], y[:0], attack, seed=3).shape == (0, 3, 8, 8)


@pytest.mark.parametrize("attack", every_attack(0.4, 0.03), ids=NAMES)
def test_known_answers_change_no_point(network: nn.Module, held_out: tuple[Tensor, Tensor], attack: Attack) -> None:
    """Whoever knows which images are classified correctly gets the same points, and no other image is computed."""
    x, y = held_out
    y = torch.where(torch.arange(len(y)) % 3 == 0, (y + 1) % 10, y)  # a third of them wrong, and more
    with torch.no_grad():
        correct = network(x).argmax(1) == y
    assert 50 < correct.sum() < 150
    seen = []
    watch = network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    known = perturb(network, x, y, attack, seed=3, batch_size=32, correct=correct)
    watch.remove()
    assert seen[0] == 32 and max(seen) == 32
    assert sum(seen) <= int(correct.sum()) * (attack.steps + 2)
    found = perturb(network, x, y, attack, seed=3, batch_size=32)
    assert known.dtype == found.dtype and known.shape == found.shape
    assert torch.equal(known[~correct], x[~correct])
    close = (known - found).abs().flatten(1).amax(1) < 1e-4
    assert close.float().mean() >= 0.97  # rounding, other in other batches, may turn a step of APGD
    assert torch.equal(network(known).argmax(1) != y, network(found).argmax(1) != y)


@pytest.mark.parametrize("attack", every_attack(0.4, 0.03), ids=NAMES)
def test_nothing_known_to_be_correct(network: nn.Module, held_out: tuple[Tensor, Tensor], attack: Attack) -> None:
    x, y = held_out
    found = perturb(network, x, y, attack, seed=0, correct=torch.zeros(len(x), dtype=torch.bool))
    assert torch.equal(found, x)
    assert found.data_ptr() != x.data_ptr()


def test_diverged_network_gives_finite_images() -> None:
    model = Linear(3, scale=torch.nan).eval()
    x = torch.full((4, *SHAPE), 0.5)
    for attack in every_attack(0.3, 0.1):
        assert torch.isfinite(perturb(model, x, torch.tensor([0, 1, 2, 0]), attack, seed=0)).all()


# -- independent implementations -------------------------------------------------------------------------------------


def autoattack_apgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, start: Tensor) -> Tensor:
    """APGD-CE under L2 written out for one image, after algorithm 1 of Croce & Hein, without bookkeeping of batches."""

    def ball(point: Tensor) -> Tensor:
        change = point - x
        return (x + change * min(1.0, eps / float(change.norm()))).clamp(0, 1)

    def climb(point: Tensor) -> tuple[float, Tensor, bool]:
        point = point.clone().requires_grad_()
        logits = model(point)
        loss = functional.cross_entropy(logits, y)
        return loss.item(), torch.autograd.grad(loss, point)[0], bool(logits.argmax(1) != y)

    points, values = [ball(start)], []
    length, halved, marks = 2 * eps, False, [0]
    value, slope, fooled = climb(points[0])
    best, best_point, best_slope, values = value, points[0], slope, [value]
    if fooled:
        return points[0]
    best_at_mark, rises = best, 0
    previous, now = points[0], points[0]
    for k in range(1, steps + 1):
        target = ball(now + length * slope / slope.norm())
        step = target if k == 1 else ball(now + 0.75 * (target - now) + 0.25 * (now - previous))
        previous, now = now, step
        value, slope, fooled = climb(now)
        if fooled:
            return now
        rises += value > values[-1]
        values.append(value)
        if value > best:
            best, best_point, best_slope = value, now, slope
        if k in _checkpoints(steps):
            halve = rises < 0.75 * (k - marks[-1]) or (not halved and best_at_mark == best)
            if halve:
                length, now, slope, values[-1] = length / 2, best_point, best_slope, best
            halved, best_at_mark, rises = halve, best, 0
            marks.append(k)
    return best_point


def test_apgd_against_a_plain_version(network: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    x, y = held_out[0][:12], held_out[1][:12]
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    attack = Attack("apgd", "ce", "l2", 0.3, 25)
    found = _apgd(network, x, y, attack, noise)
    right = network(x).argmax(1) == y
    assert 0 < error(network, found, y) < 1 and right.sum() > 5
    for i in right.nonzero()[:, 0]:
        one = slice(int(i), int(i) + 1)
        start = x[one] + attack.eps * noise[one] / noise[one].norm()
        expected = autoattack_apgd(network, x[one], y[one], attack.eps, attack.steps, start)
        torch.testing.assert_close(found[one], expected, atol=1e-3, rtol=0)


def test_pgd_against_foolbox(network: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    foolbox = pytest.importorskip("foolbox")
    x, y = held_out
    for norm, eps, oracle in (("l2", 0.5, foolbox.attacks.L2PGD), ("linf", 0.04, foolbox.attacks.LinfPGD)):
        theirs = oracle(rel_stepsize=0.125, steps=20, random_start=False)
        _, points, _ = theirs(foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu"), x, y, epsilons=eps)
        ours = error(network, perturb(network, x, y, Attack("pgd", "ce", norm, eps, 20), seed=0), y)
        assert abs(ours - error(network, points, y)) <= 0.015


def test_apgd_against_autoattack(network: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    autoattack = pytest.importorskip("autoattack.autopgd_base")
    x, y = held_out
    for norm, eps, name in (("l2", 0.5, "L2"), ("linf", 0.04, "Linf")):
        for loss in ("ce", "dlr"):
            theirs = autoattack.APGDAttack(network, n_iter=20, norm=name, eps=eps, loss=loss, device="cpu", seed=0)
            points = theirs.perturb(x, y)
            ours = error(network, perturb(network, x, y, Attack("apgd", loss, norm, eps, 20), seed=0), y)
            assert abs(ours - error(network, points, y)) <= 0.015
