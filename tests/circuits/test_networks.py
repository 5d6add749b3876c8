"""Networks against those of the book, and the promises of circuits: cheap read-in, dropping, wirings, conditions."""

from dataclasses import replace

import pytest
import torch

from reference import circuits_reference as reference
from reprise.circuits.circuit import Circuit, Descriptions, Modules, TextConditioned
from reprise.circuits.kernel import CUT
from reprise.circuits.layers import modulations
from reprise.circuits.networks import NAC, perceiver_io
from reprise.circuits.parts import ReadIn, Sizes

TINY = Sizes(state=12, code=10, signature=5, processors=7, outputs=3, layers=2, heads=2, head=4, read_head=6)


def tokens(b=3, v=9, width=8, seed=0):
    return torch.randn(b, v, width, generator=torch.Generator().manual_seed(seed))


def network(seed=0, **changes):
    torch.manual_seed(seed)
    return NAC(replace(TINY, **changes), 8, 4).eval()


def modules(n=7, seed=0):
    torch.manual_seed(seed)
    return Descriptions(n, 5, 10, 12)()


# ---------------------------------------------------------------- read-in


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("modulated", [True, False])
def test_the_cheap_read_in_is_the_naive_one(heads, modulated):
    """A1 of the specification."""
    torch.manual_seed(0)
    layer, described = ReadIn(replace(TINY, read_heads=heads, modulated=modulated), 8), modules()
    for one in (layer.feed_forward.up, layer.feed_forward.down):
        torch.nn.init.zeros_(one.weight)  # so that what was heard is what comes out
    with torch.no_grad():
        found = layer(tokens(), layer.plan(described, modulations(layer.pairs(described))))
        torch.testing.assert_close(found, reference.read_in(layer, tokens(), described), atol=1e-5, rtol=0)


def test_padding_is_not_read():
    net, x = network(), tokens()
    padding = torch.zeros(3, 9, dtype=torch.bool)
    padding[:, 6:] = True
    other = x.clone()
    other[:, 6:] = 100.0
    with torch.no_grad():
        torch.testing.assert_close(net(x, padding), net(other, padding))
        torch.testing.assert_close(net(x, padding), net(x[:, :6]))


def test_tokens_are_a_set():
    net, x = network(), tokens()
    with torch.no_grad():
        torch.testing.assert_close(net(x), net(x.flip(1)))


# ---------------------------------------------------------------- Perceiver IO


def test_without_codes_and_kernel_it_is_perceiver_io():
    """A4 of the specification."""
    torch.manual_seed(0)
    ours = perceiver_io(replace(TINY, feed_forward=4.0), 8, 4).eval()
    theirs = reference.Perceiver(7, 12, 8, 2, 2, 4, 6, 48, 4)
    with torch.no_grad():
        theirs.latents.copy_(ours.processors.start)
        theirs.question.copy_(ours.outputs.start)
        pairs = [(theirs.encode, ours.read_in, "norm_state", "norm_token")]
        pairs += [(one, layer.attention, "norm", None) for one, layer in zip(theirs.think, ours.layers, strict=True)]
        pairs += [(theirs.decode, ours.read_out.attention, "norm", "norm_senders")]
        for one, other, norm, source in pairs:
            one.norm.load_state_dict(getattr(other, norm).state_dict())
            if source:
                one.norm_source.load_state_dict(getattr(other, source).state_dict())
            for name in ("query", "key", "value", "out"):
                getattr(one, name).load_state_dict(getattr(other, name).state_dict())
        feeds = [ours.read_in.feed_forward, *(layer.feed_forward for layer in ours.layers), ours.read_out.feed_forward]
        for one, other in zip(theirs.feed, feeds, strict=True):
            one.load_state_dict(other.state_dict())
        theirs.answer.load_state_dict(ours.head.state_dict())
        torch.testing.assert_close(ours(tokens()), theirs(tokens()), atol=1e-5, rtol=0)
    # nothing but the confidence of the only output, which is always 1, has a weight of no use
    count = sum(p.numel() for p in ours.parameters()) - sum(p.numel() for p in ours.read_out.confidence.parameters())
    assert count == sum(p.numel() for p in theirs.parameters() if p is not None) - 2 * 2 * 12  # unused source norms


@pytest.mark.parametrize("modulated", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
def test_the_ladder_of_ablations_has_one_code_path(modulated, sparse):
    net = network(modulated=modulated, sparse=sparse)
    names = {name.rsplit(".", 1)[-1] for name, _ in net.named_parameters()}
    assert ("strength" in names) == modulated
    assert ("log_bandwidth" in names) == sparse
    assert torch.isfinite(net(tokens())).all()
    links = net.links(net.circuit())
    assert links.shape == (2, 7, 7)
    assert sparse or (links == 1).all()


def test_sizes_of_the_small_scale():
    """About 90 thousand weights, Perceiver IO with a feed-forward layer twice as wide 84 thousand (Sec. 6.1)."""
    nac = sum(p.numel() for p in NAC(Sizes(), 12, 10).parameters())
    twin = sum(p.numel() for p in perceiver_io(Sizes(feed_forward=4.0), 12, 10).parameters())
    assert 86_000 < nac < 92_000
    assert 84_000 < twin < 85_000


# ---------------------------------------------------------------- dropping modules


def test_dropped_processors_are_as_if_cut_from_the_graph():
    """A3 of the specification: gathering is masking."""
    net, x = network(), tokens()
    circuit, keep = net.circuit(), torch.tensor([0, 2, 5])
    plan = net.plan(circuit)
    gone = torch.ones(7, dtype=torch.bool)
    gone[keep] = False

    def cut(layer):
        links = layer.attention.links.clone()
        links[:, gone] = -1e4
        return layer._replace(attention=layer.attention._replace(links=links))

    masked = plan._replace(
        layers=[cut(layer) for layer in plan.layers],
        read_out=plan.read_out._replace(layer=cut(plan.read_out.layer)),
    )
    with torch.no_grad():
        expected = net.head(net.execute(x, masked, circuit)[0])
        torch.testing.assert_close(net(x, keep=keep), expected, atol=1e-4, rtol=0)
        assert not torch.allclose(net(x, keep=keep), net(x), atol=1e-3)


def test_the_order_of_processors_does_not_matter():
    net, x = network(), tokens()
    with torch.no_grad():
        torch.testing.assert_close(net(x, keep=torch.randperm(7)), net(x))


def test_degrees_count_links():
    net = network()
    with torch.no_grad():
        net.processors.signature[:] = torch.eye(7, 5)  # 0 to 4 orthogonal, 5 and 6 without any direction
        net.processors.signature[5:] = net.processors.signature[0]
        for layer in net.layers:
            layer.attention.kernel.log_bandwidth.fill_(-3.0)  # exp(-1 / .05): hardly a link between different ones
    degrees = net.degrees(net.circuit())
    torch.testing.assert_close(degrees, torch.tensor([3.0, 1, 1, 1, 1, 3, 3]), atol=1e-2, rtol=0)


# ---------------------------------------------------------------- wirings


def test_inputs_of_their_own_are_heard_at_every_layer():
    """The older wiring, W1: processors hear inputs and each other, outputs hear both."""
    net, x = network(inputs=4), tokens()
    plan = net.plan(net.circuit())
    assert plan.read_in.query.shape == (1, 4, 8)
    assert [layer.attention.links.shape for layer in plan.layers] == [(7, 11), (7, 11)]
    assert plan.read_out.layer.attention.links.shape == (3, 11)
    with torch.no_grad():
        deaf = [
            layer._replace(attention=layer.attention._replace(links=_without(layer.attention.links, 4)))
            for layer in plan.layers
        ]
        last = plan.read_out.layer.attention
        out = plan.read_out.layer._replace(attention=last._replace(links=_without(last.links, 4)))
        alone = plan._replace(layers=deaf, read_out=plan.read_out._replace(layer=out))
        circuit = net.circuit()
        found = net.execute(x, alone, circuit)[0]
        torch.testing.assert_close(
            found, net.execute(x + tokens(seed=1), alone, circuit)[0]
        )  # nobody listens to the inputs
        assert not torch.allclose(net(x), net(x + tokens(seed=1)))
        assert torch.isfinite(net(x, keep=torch.tensor([1, 3]))).all()


def _without(links, inputs):
    cut = links.clone()
    cut[:, :inputs] = CUT
    return cut


def test_outputs_are_weighed_by_their_confidence():
    net, x = network(), tokens()
    circuit = net.circuit()
    with torch.no_grad():
        _, weight = net.execute(x, net.plan(circuit), circuit)
    assert weight.shape == (3, 3)
    torch.testing.assert_close(weight.sum(1), torch.ones(3))


# ---------------------------------------------------------------- one circuit per sample


def test_a_circuit_for_every_sample():
    net, x = network(), tokens()
    parts = [modules(seed=k) for k in range(3)]
    each = Modules(*(torch.stack([getattr(part, name) for part in parts]) for name in ("signature", "code", "state")))
    with torch.no_grad():
        found = net(x, processors=each)
        for k, part in enumerate(parts):
            torch.testing.assert_close(found[k], net(x[k : k + 1], processors=part)[0], atol=1e-5, rtol=0)
        keep = torch.tensor([1, 4])
        torch.testing.assert_close(
            net(x, processors=each, keep=keep)[1], net(x[1:2], processors=parts[1], keep=keep)[0], atol=1e-5, rtol=0
        )
    assert net.links(Circuit(each, net.outputs())).shape == (2, 3, 7, 7)
    assert net.degrees(Circuit(each, net.outputs())).shape == (3, 7)


def test_a_text_describes_a_circuit():
    torch.manual_seed(0)
    generator = TextConditioned(Descriptions(7, 5, 10, 12), 8, heads=2)
    text = tokens(2, 6)
    padding = torch.zeros(2, 6, dtype=torch.bool)
    padding[0, 4:] = True
    found = generator(text, padding)
    assert found.signature.shape == (2, 7, 5) and found.code.shape == (2, 7, 10) and found.state.shape == (2, 7, 12)
    other = text.clone()
    other[0, 4:] = 50.0
    torch.testing.assert_close(generator(other, padding).code, found.code)
    assert not torch.allclose(generator(text[[1, 0]], padding.flip(0)).code[0], found.code[0])
    net = NAC(TINY, 8, 4, describes=False)
    assert net(tokens(2), processors=found).shape == (2, 4)
    with pytest.raises(ValueError, match="no processors of its own"):
        net(tokens(2))


@pytest.mark.parametrize("seeding", ["projected", "learned", "code"])
def test_states_at_the_start(seeding):
    described = Descriptions(7, 5, 12, 12, seeding)
    found = described()
    assert found.state.shape == (7, 12)
    assert (found.state is found.code) == (seeding == "code")


def test_codes_of_another_width_are_no_states():
    with pytest.raises(ValueError, match="codes of 10 cannot be states of 12"):
        Descriptions(7, 5, 10, 12, "code")


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("changes", [{}, {"inputs": 4}, {"truncation": 0.9}, {"bandwidth": 0.01}], ids=str)
def test_gradients_are_finite_and_reach_everything(changes):
    net = network(**changes).train()
    net(tokens()).square().sum().backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), name
        reached = weight.grad.abs().max() > 0
        # a softmax does not care for a constant; hardly any link is left to a kernel so narrow
        assert reached or name == "read_out.confidence.bias" or changes == {"bandwidth": 0.01}, name
