"""Neural Interpreters: routing, and tokens that nobody takes."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from reprise.circuits.interpreter import Interpreter, InterpreterSizes, Line, Script, costs

TINY = InterpreterSizes(width=12, functions=3, signature=6, heads=2)


def tokens(b=4, v=7, width=5):
    return torch.randn(b, v, width, generator=torch.Generator().manual_seed(0))


def test_shares_of_the_functions_add_up_to_one():
    torch.manual_seed(0)
    script = Script(replace(TINY, reach=2.1))
    taken = script.compatibility(torch.randn(4, 7, 12))
    assert taken.shape == (4, 3, 7)
    torch.testing.assert_close(taken.sum(1), torch.ones(4, 7), atol=1e-4, rtol=0)


def test_tokens_out_of_reach_are_taken_by_none():
    torch.manual_seed(0)
    script = Script(replace(TINY, reach=0.0))
    x = torch.randn(4, 7, 12, requires_grad=True)
    assert script.compatibility(x).abs().max() < 1e-6
    out = script(x)
    assert out.abs().max() < 1e-5
    out.sum().backward()
    assert x.grad.abs().max() < 1e3


def test_routing_by_hand():
    torch.manual_seed(0)
    script, x = Script(replace(TINY, reach=1.0)), torch.randn(1, 1, 12)
    kind = torch.nn.functional.normalize(script.infer(x)[0, 0], dim=0)
    distance = 1 - torch.nn.functional.normalize(script.signature, dim=1) @ kind
    near = torch.where(distance < 1.0, torch.exp(-distance), 0.0)
    torch.testing.assert_close(script.compatibility(x)[0, :, 0], near / (near.sum() + 1e-6))
    assert 0 < (near > 0).sum() < 3  # some can reach it, some cannot


def test_a_function_does_not_touch_tokens_it_does_not_take():
    torch.manual_seed(0)
    line, x = Line(TINY), torch.randn(2, 3, 7, 12)
    taken = torch.ones(2, 3, 7)
    taken[:, 1, 2] = 0
    found = line(x, taken, torch.randn(3, 12))
    torch.testing.assert_close(found[:, 1, 2], x[:, 1, 2])
    other = x.clone()
    other[:, 1, 2] = 9.0  # nor do the others hear it
    again = line(other, taken, line.query.linear.weight.new_zeros(3, 12).add_(0.1))
    once = line(x, taken, line.query.linear.weight.new_zeros(3, 12).add_(0.1))
    rest = [k for k in range(7) if k != 2]
    torch.testing.assert_close(again[:, 1, rest], once[:, 1, rest])


def test_tokens_are_a_set_and_gradients_finite():
    torch.manual_seed(0)
    net = Interpreter(TINY, 5, 4)
    found = net(tokens())
    torch.testing.assert_close(net(tokens().flip(1)), found, atol=1e-5, rtol=1e-4)
    found.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_signatures_are_fixed():
    names = [name for name, _ in Interpreter(TINY, 5, 4).named_parameters()]
    assert not any("signature" in name for name in names)


@pytest.mark.parametrize("tokens_", [16, 64])
def test_costs_against_torchs_count(tokens_):
    net = Interpreter(TINY, 5, 4).eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        net(tokens(b=1, v=tokens_))
    assert counter.get_total_flops() / 2 == pytest.approx(
        costs(TINY, tokens_), rel=0.06
    )  # and of the codes, embedding and head


def test_costs_are_linear_in_functions_and_steps_and_quadratic_in_tokens():
    more = replace(TINY, functions=300)
    assert costs(replace(TINY, functions=600), 64) / costs(more, 64) == pytest.approx(2, rel=0.01)
    assert costs(replace(TINY, iterations=4), 64) / costs(TINY, 64) == 2
    assert costs(TINY, 40_000) / costs(TINY, 20_000) == pytest.approx(4, rel=0.01)
