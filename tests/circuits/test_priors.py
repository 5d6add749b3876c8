"""Graph priors: targets by hand, and signatures that meet them."""

import networkx as nx
import numpy as np
import pytest
import torch

from reprise.circuits import priors
from reprise.circuits.kernel import Kernel
from reprise.errors import UserError


@pytest.mark.parametrize("kind", priors.PRIORS)
def test_targets_are_symmetric_probabilities(kind):
    found = priors.target(kind, 24)
    assert found.shape == (24, 24)
    assert torch.equal(found, found.T)
    assert (found >= 0).all() and (found <= 1).all() and (found.diagonal() == 1).all()


def test_scale_free_by_hand():
    found = priors.target("scale_free", 9, m=2)
    assert found[0, 3].item() == pytest.approx(1 / 2)  # 1 / sqrt(1 * 4)
    assert found[3, 8].item() == pytest.approx(1 / 6)
    assert (found.sum(1).diff() <= 0).all()  # hubs first


def test_planted_partition_by_hand():
    found = priors.target("planted_partition", 8, clusters=2, inside=0.9, outside=0.05)
    assert found[0, 3].item() == pytest.approx(0.9)
    assert found[0, 4].item() == pytest.approx(0.05)


def test_the_ring_of_cliques_is_closed():
    found = priors.target("ring_of_cliques", 12, clusters=3)
    assert (found[0, :8] == 1).all() and found[0, 9].item() == pytest.approx(0.05)
    assert (found[8, 8:] == 1).all() and (found[8, :4] == 1).all()  # the last one's connector knows the first clique
    assert nx.is_connected(priors.sample(found, 0))


def test_watts_strogatz_by_hand():
    found = priors.target("watts_strogatz", 10, neighbours=4, p=0.4)
    assert [found[0, k].item() for k in (1, 2, 3, 8, 9)] == pytest.approx([0.6, 0.6, 0.16, 0.6, 0.6])


def test_erdos_renyi_samples_have_as_many_links():
    graph = priors.sample(priors.target("erdos_renyi", 200, p=0.1), 1)
    assert graph.number_of_edges() == pytest.approx(0.1 * 199 * 100, rel=0.1)
    assert not any(graph.has_edge(k, k) for k in graph)


@pytest.mark.parametrize(("kind", "settings"), [("star", {}), ("planted_partition", {"clusters": 30})])
def test_unknown_or_impossible_priors(kind, settings):
    with pytest.raises(UserError, match=r"star|1 to 24"):
        priors.target(kind, 24, **settings)


# ---------------------------------------------------------------- comparing


def test_mismatch_leaves_out_the_diagonal():
    links = torch.eye(3) * 5
    wanted = torch.full((3, 3), 0.5)
    assert priors.mismatch(links, wanted).item() == pytest.approx(0.25)


def test_rows_and_columns_are_put_in_order_together():
    """In the right order a circuit that is the target with other numbers costs nothing."""
    wanted = priors.target("planted_partition", 12, clusters=3)
    order = torch.from_numpy(np.random.default_rng(0).permutation(12))
    there = priors.matched(wanted, wanted)
    assert priors.mismatch(wanted, wanted, there).item() == pytest.approx(0.0, abs=1e-12)
    moved = wanted[order][:, order]
    inverse = torch.argsort(order)
    assert priors.mismatch(moved, wanted, inverse).item() == pytest.approx(0.0, abs=1e-12)
    assert priors.mismatch(moved, wanted).item() > 0.05


def test_matching_undoes_a_renumbering_that_keeps_the_hub():
    """Rows tell nodes apart where links to a node that keeps its number differ."""
    wanted = torch.zeros(6, 6)
    wanted[0] = wanted[:, 0] = torch.tensor([1.0, 0.9, 0.7, 0.5, 0.3, 0.1])
    order = torch.tensor([0, 3, 1, 5, 2, 4])
    moved = wanted[order][:, order]
    assert priors.mismatch(moved, wanted).item() > 0.01
    assert priors.regulariser(moved, wanted).item() == pytest.approx(0.0, abs=1e-12)


def test_the_regulariser_has_a_gradient_through_the_links():
    signatures = torch.randn(10, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    kernel = Kernel(0.3)
    wanted = priors.target("planted_partition", 10, clusters=2)
    loss = priors.regulariser(kernel.log_probability(signatures, signatures).exp(), wanted)
    (gradient,) = torch.autograd.grad(loss, signatures)
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_repulsion_by_hand():
    """Pairs nearer than the reach: 1 - cos 30 degrees; the others do not count."""
    angles = torch.tensor([0.0, 30.0, 180.0]).deg2rad()
    signatures = torch.stack([angles.cos(), angles.sin()], 1)
    assert priors.repulsion(signatures, 0.4).item() == pytest.approx(-(1 - 3**0.5 / 2), abs=1e-6)
    signatures.requires_grad_()
    priors.repulsion(signatures, 0.4).backward()
    assert signatures.grad[1, 1] < 0  # a step against it parts the two: the second one turns away


# ---------------------------------------------------------------- fitting (A7 of the specification)

BOUNDS = {"scale_free": 0.005, "planted_partition": 0.001}


def off(signatures, bandwidth, wanted):
    links = Kernel(bandwidth).log_probability(signatures, signatures).exp()
    return priors.mismatch(links, wanted).item()


@pytest.mark.parametrize("learnable", [True, False])
@pytest.mark.parametrize("kind", BOUNDS)
def test_sparse_graphs_are_met_with_a_narrow_kernel(kind, learnable):
    wanted = priors.target(kind, 32)
    signatures, bandwidth = priors.fit(wanted, 16, bandwidth=0.3, learnable=learnable)
    assert signatures.shape == (32, 16)
    assert learnable or bandwidth == pytest.approx(0.3)
    assert off(signatures, bandwidth, wanted) <= BOUNDS[kind]


@pytest.mark.parametrize("kind", BOUNDS)
def test_a_bandwidth_of_one_cannot_meet_them(kind):
    """No link is less probable than exp(-2)."""
    wanted = priors.target(kind, 32)
    signatures, bandwidth = priors.fit(wanted, 16, bandwidth=1.0, learnable=False)
    assert off(signatures, bandwidth, wanted) > BOUNDS[kind]


def test_fits_are_repeatable():
    wanted = priors.target("planted_partition", 12)
    first, second = (priors.fit(wanted, 8, steps=20, seed=3)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_outputs_start_beside_hubs():
    wanted = priors.target("scale_free", 32)
    signatures, bandwidth = priors.fit(wanted, 16)
    outputs = priors.beside_hubs(signatures, 6)
    links = Kernel(bandwidth).log_probability(outputs, signatures).exp().mean(0)
    assert links[:4].mean() > 2 * links[16:].mean()
