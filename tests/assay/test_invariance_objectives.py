"""Each invariance objective against its formula and the naive versions."""

import math

import numpy as np
import pytest
import torch

from assay.toys import Given, batch_of, gradients, logits_batch, made, net
from reference import invariance_reference as naive
from reprise.assay.invariance_penalties import environments_of, risk_quantile, risks

LOG3 = math.log(3.0)


# ---------------------------------------------------------------- each method


def test_group_dro_by_hand():
    """R = (log 2, log 4/3): q grows by 2^eta and (4/3)^eta, eta = 1, to 3/5 and 2/5."""
    batch = logits_batch([[0.0, 0.0], [LOG3, 0.0]], [0, 0], [0, 1])
    loss = made("group_dro", Given(), environments=2, eta=1.0)
    value = loss(Given(), batch).item()
    assert loss.q.tolist() == pytest.approx([0.6, 0.4])
    assert value == pytest.approx(0.6 * math.log(2) + 0.4 * math.log(4 / 3))


def test_vrex_by_hand():
    batch = logits_batch([[0.0, 0.0], [LOG3, 0.0]], [0, 0], [0, 1])
    one, two = math.log(2), math.log(4 / 3)
    value = made("vrex", Given(), environments=2, penalty=10.0, anneal=0.0)(Given(), batch).item()
    assert value == pytest.approx((one + two) / 2 + 10 * ((one - two) / 2) ** 2)


def test_spectral_decoupling_by_hand():
    batch = logits_batch([[3.0, -1.0]], [0], [0])
    value = made("sd", Given(), strength=0.1)(Given(), batch).item()
    assert value == pytest.approx(math.log(1 + math.exp(-4)) + 0.1 * 5)


def test_fishr_smooths_the_variances():
    """With DomainBed's moving average a_t = ema a_(t-1) + (1 - ema) v_t, the penalty compares a_t / (1 - ema)."""
    model = net()
    loss = made("fishr", model, steps=5, penalty=7.0, anneal=0.0, ema=0.8)
    average = torch.zeros(3, 3, 6)
    for k in range(3):
        batch = batch_of(seed=k)
        features = model.features(batch["x"]).detach()
        variance = naive.head_gradient_variances(model.head, features, batch["y"], batch["env"])
        average = 0.8 * average + 0.2 * variance
        smooth = average / 0.2
        penalty = np.mean([(v - smooth.mean(0)).square().mean().item() for v in smooth])
        risk = made("erm", model)(model, batch).item()
        assert loss(model, batch).item() == pytest.approx(risk + 7 * penalty, rel=1e-4)
        torch.testing.assert_close(loss.average, average, rtol=1e-4, atol=1e-6)


def test_ib_irm_adds_the_variance_of_the_features_within_environments():
    batch, model = batch_of(), net()
    features = model.features(batch["x"])
    spread = np.mean([features[rows].var(dim=0).mean().item() for rows in naive.environments(batch["env"])])
    irm = made("irm", model, penalty=2.0, anneal=0.0)(model, batch).item()
    both = made("ib_irm", model, penalty=2.0, anneal=0.0, bottleneck=5.0, bottleneck_anneal=0.0)
    assert both(model, batch).item() == pytest.approx(irm + 5 * spread, rel=1e-5)


def test_eqrm_is_the_quantile_after_the_burn_in():
    batch, model = batch_of(), net()
    loss = made("eqrm", model, steps=2, quantile=0.9, anneal=0.5, rate=0.1)
    risk = risks(model(batch["x"]), batch["y"], environments_of(batch["env"]))
    assert loss(model, batch).item() == pytest.approx(risk.mean().item())
    assert loss(model, batch).item() == pytest.approx(risk_quantile(risk, 0.9).item())
    assert (loss.rate, made("irm", model).rate) == (0.1, 1.0)


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0])
def test_andmask_has_the_masked_gradient(tau):
    batch, model = batch_of(), net()
    value = made("andmask", model, tau=tau)(model, batch)
    assert value.item() == pytest.approx(made("erm", model)(model, batch).item(), rel=1e-5)
    expected = naive.masked_gradients(model, batch["x"], batch["y"], batch["env"], tau)
    for fast, slow in zip(gradients(value, model), expected, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-6)


def test_andmask_stands_still_where_environments_disagree():
    """Two environments with the same images and opposite labels: of two classes, every gradient is opposed."""
    x = torch.rand(4, 3, 2, 2)
    y = torch.tensor([0, 0, 1, 1])
    batch = {"x": torch.cat([x, x]), "y": torch.cat([y, 1 - y]), "env": torch.arange(2).repeat_interleave(4)}
    model = net(classes=2)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    found = gradients(made("andmask", model, environments=2, tau=1.0)(model, batch), model)
    assert all(gradient.abs().max() < 1e-6 for gradient in found)


def test_mixup_mixes_each_environment_with_the_next(monkeypatch):
    """Images that are their environment's number show who was mixed with whom."""
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self, shape: torch.full(shape, 0.75))
    seen = []

    class Spy(Given):
        def forward(self, x):
            seen.append(x[:, 0, 0, 0])
            return super().forward(x)

    env = torch.arange(12) % 3
    batch = {"x": env.float()[:, None, None, None].expand(-1, 2, 1, 1), "y": env % 2, "env": env}
    cycles = set()
    for seed in range(12):
        torch.manual_seed(seed)
        made("mixup", Spy(), alpha=0.2)(Spy(), batch)
        partner = (seen[-1] - 0.75 * env) / 0.25
        following = [partner[env == number].unique().tolist() for number in range(3)]
        assert all(len(each) == 1 for each in following)
        cycles.add(tuple(round(each[0]) for each in following))
    assert cycles == {(1, 2, 0), (2, 0, 1)}  # both ways round, never with itself


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_mixup_without_mixing_is_erm(monkeypatch, share):
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self, shape: torch.full(shape, share))
    batch, model = batch_of(), net()
    assert made("mixup", model)(model, batch).item() == pytest.approx(made("erm", model)(model, batch).item(), rel=1e-5)


def test_mixup_is_linear_in_inputs_and_labels(monkeypatch):
    """One row per environment: every term of the formula is known."""
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self, shape: torch.tensor([0.9, 0.6]))
    batch = logits_batch([[1.0, 0.0], [0.0, 3.0]], [0, 1], [0, 1])
    first = 0.9 * math.log(1 + math.exp(0.3 - 0.9)) + 0.1 * math.log(1 + math.exp(0.9 - 0.3))
    second = 0.6 * math.log(1 + math.exp(0.4 - 1.8)) + 0.4 * math.log(1 + math.exp(1.8 - 0.4))
    assert made("mixup", Given(), environments=2)(Given(), batch).item() == pytest.approx((first + second) / 2)


def test_causirl_compares_random_parts():
    batch, model = batch_of(60), net()
    risk = made("causirl", model, gamma=0.0)(model, batch).item()
    loss = made("causirl", model, gamma=5.0)
    extra = [loss(model, batch).item() - risk for _ in range(8)]
    assert min(extra) >= -1e-6
    assert len({round(value, 7) for value in extra}) > 4  # another cut each time
    same = {**batch, "x": torch.full_like(batch["x"], 0.5)}
    assert loss(model, same).item() == pytest.approx(made("erm", model)(model, same).item(), abs=1e-5)
