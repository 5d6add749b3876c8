"""Compiled circuits: the same answers, fewer numbers."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from reprise.circuits.circuit import Descriptions, TextConditioned
from reprise.circuits.compiled import ORDERS, Compiled, costs, kept
from reprise.circuits.kernel import CUT
from reprise.circuits.networks import NAC, perceiver_io
from reprise.circuits.parts import Sizes

TINY = Sizes(state=12, code=10, signature=5, processors=16, outputs=3, layers=2, heads=2, head=4, read_head=6)


def network(seed=0, **changes):
    torch.manual_seed(seed)
    return NAC(replace(TINY, **changes), 8, 4).eval()


def tokens(b=5, v=9, width=8):
    return torch.randn(b, v, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("changes", [{}, {"inputs": 4}, {"modulated": False}, {"sparse": False}], ids=str)
@pytest.mark.parametrize("keep", [None, [0, 3, 9]])
def test_compiled_circuits_answer_the_same(changes, keep):
    """A2 of the specification."""
    net = network(**changes)
    keep = None if keep is None else torch.tensor(keep)
    with torch.no_grad():
        expected = net(tokens(), keep=keep)
    torch.testing.assert_close(Compiled(net, net.circuit(), keep)(tokens()), expected, atol=1e-4, rtol=0)


def test_a_circuit_of_a_text_is_compiled_for_all_its_images():
    torch.manual_seed(0)
    generator = TextConditioned(Descriptions(16, 5, 10, 12), 8, heads=2).eval()
    net = NAC(TINY, 8, 4, describes=False).eval()
    text = torch.randn(1, 6, 8)
    with torch.no_grad():
        processors = generator(text)
        expected = net(tokens(), processors=generator(text.expand(5, -1, -1)))
        circuit = net.circuit(processors)
        torch.testing.assert_close(Compiled(net, circuit)(tokens()), expected, atol=1e-4, rtol=0)
        keep = kept(ORDERS["degree"](net, circuit, 0), 0.5)
        assert len(keep) == 8
        expected = net(tokens(), processors=generator(text.expand(5, -1, -1)), keep=keep)
        torch.testing.assert_close(Compiled(net, circuit, keep)(tokens()), expected, atol=1e-4, rtol=0)


def test_cut_links_are_gone():
    net = network(bandwidth=0.1)
    whole, cut = Compiled(net, net.circuit()), Compiled(net, net.circuit(), cut=0.01)
    before, after = (one.plan.layers[0].attention.links for one in (whole, cut))
    rare = before.exp() < 0.01
    assert rare.any() and not rare.all()
    assert (after[rare] == CUT).all() and torch.equal(after[~rare], before[~rare])
    assert (cut(tokens()) - whole(tokens())).abs().max() > 0


def test_compiled_circuits_stay_in_evaluation_mode():
    net = network()
    compiled = Compiled(net, net.circuit()).train()
    before = compiled(tokens())
    assert not compiled.training and not net.training
    net.train()
    with torch.no_grad():
        net.head.weight.zero_()
    assert net.training and torch.equal(compiled(tokens()), before)  # nothing is drawn, nothing is trained further


def test_orders():
    net = network()
    circuit = net.circuit()
    degrees = net.degrees(circuit)
    found = {name: order(net, circuit, 1) for name, order in ORDERS.items()}
    assert all(sorted(order.tolist()) == list(range(16)) for order in found.values())
    assert (degrees[found["degree"]].diff() <= 0).all()
    assert torch.equal(found["reversed"], found["degree"].flip(0))
    assert torch.equal(ORDERS["random"](net, circuit, 1), found["random"])
    assert not torch.equal(ORDERS["random"](net, circuit, 2), found["random"])


def test_shares_that_are_kept():
    order = torch.tensor([5, 2, 7, 0, 1, 3, 4, 6])
    assert kept(order, 0.5).tolist() == [0, 2, 5, 7]
    assert kept(order, 0.0625).tolist() == [5]  # at least one


def test_costs_fall_with_the_modules():
    """Against torch's own count of the operations."""
    twin = perceiver_io(replace(TINY, feed_forward=4.6), 8, 4).eval()
    for net in (network(), network(sparse=False), network(inputs=4), network(modulated=False), twin):
        circuit = net.requires_grad_(False).circuit()
        expected = costs(net, 9, 8)
        with FlopCounterMode(display=False) as counter:
            plan = net.plan(circuit)
        assert counter.get_total_flops() / 2 == expected.planned
        # the counter knows the plain products only, not torch's fused attention
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            net.head(net.execute(tokens(b=1), plan, circuit)[0])
        assert counter.get_total_flops() / 2 == expected.executed
    half = costs(network(), 9, 8, processors=8).executed
    assert 0.3 < half / costs(network(), 9, 8).executed < 0.6
    assert costs(perceiver_io(TINY, 8, 4), 9, 8).planned < costs(network(), 9, 8).planned
