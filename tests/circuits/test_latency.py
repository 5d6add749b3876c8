"""Timing: the arithmetic with a clock of the tests' own, the control against the real thing, and the rows."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from reprise import results
from reprise.circuits import compiled, interpreter, latency, plan
from reprise.circuits.compiled import Compiled, by_degree, kept
from reprise.circuits.interpreter import InterpreterSizes
from reprise.circuits.latency import (
    GROWS,
    as_trained,
    fewer_modules,
    fixed_costs,
    masked,
    measure,
    medians,
    network_of,
    one_thread,
    routing,
    scaling,
    slope,
    training_step,
)
from reprise.circuits.models import Inputs, classifier_of, sizes_of
from reprise.circuits.networks import NAC
from reprise.circuits.operations import batch, operations, rows_of
from reprise.circuits.params import Params
from reprise.circuits.parts import Sizes
from reprise.data import arrays, nlvr_mini
from reprise.data.arrays import open_prepared

TINY = Sizes(state=8, code=6, signature=4, processors=8, outputs=2, layers=1, heads=2, head=4, read_head=4)
PROGRAM = InterpreterSizes(width=8, functions=2, signature=4, heads=2)
SIZES = {"nac": TINY, "perceiver": TINY, "interpreter": PROGRAM}
SHARES = [1.0, 0.5, 0.125]


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only calls take."""
    now = [0.0]
    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])

    def taking(*milliseconds):
        left = itertools.cycle(milliseconds)

        def call(*_, **__):
            now[0] += next(left) / 1000
            return torch.zeros(1, 3, 5)

        return call

    return taking


def read():
    """A batch of tokens."""
    return torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0)), None


def values(rows):
    return {(row["method"], row["metric"], row["setting"]): row["value"] for row in rows}


def network():
    torch.manual_seed(0)
    return NAC(TINY, 5, 3).eval()


def test_medians_are_of_calls_in_turn_after_a_warm_up(clock):
    order = []
    slow = clock(1000, 5, 7, 90)  # one to warm up, then three

    def first():
        order.append("first")
        slow()

    def second():
        order.append("second")
        clock(2)()

    found = medians({"first": first, "second": second}, 3)
    assert found == {"first": pytest.approx(7), "second": pytest.approx(2)}
    assert order == ["first", "second"] * 4


def test_slope_is_the_exponent():
    assert slope([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    assert slope([16, 64, 256], [5, 5, 5]) == pytest.approx(0)


def test_one_thread_and_then_as_before():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_masked_modules_are_not_heard():
    """The control answers as the smaller network does (A3), with all modules still computed."""
    net, tokens = network(), torch.randn(4, 6, 5)
    circuit = net.circuit()
    keep = kept(by_degree(net, circuit), 0.5)
    with torch.inference_mode():
        plan = masked(net, net.plan(circuit), keep)
        found = net.head(net.execute(tokens, plan, circuit)[0])
        torch.testing.assert_close(found, Compiled(net, circuit, keep)(tokens), atol=1e-4, rtol=0)
        assert net.read_in(tokens, plan.read_in).shape[1] == TINY.processors
        assert not torch.allclose(found, net(tokens), atol=1e-4)


def test_a_complete_graph_cannot_be_masked():
    net = network_of(Sizes(processors=4, sparse=False), "nac", 3, 5).call.network
    with pytest.raises(ValueError, match="complete"):
        masked(net, net.plan(net.circuit()), torch.tensor([0]))


def test_speed_ups_are_over_the_whole_network_executed_in_the_same_way(monkeypatch):
    times = {
        (share, how): 10 * share + k for k, how in enumerate(("compiled", "dynamic", "masked")) for share in SHARES
    }
    slower = (1, 1, 30)  # the machine, round by round: what is compared in one round suffers alike
    monkeypatch.setattr(
        latency, "rounds", lambda calls, repeats: {key: [times[key] * factor for factor in slower] for key in calls}
    )
    rows = list(fewer_modules(network(), read, SHARES, 20))
    found = values(rows)
    assert len(found) == len(rows) == 2 * (3 + 3 + 2)
    assert found["nac_wide", "latency_ms", "how=compiled;kept=0.5;processors=8"] == 5
    assert found["nac_wide", "speed_up", "how=compiled;kept=0.5;processors=8"] == 2
    assert found["nac_wide", "speed_up", "how=masked;kept=0.125;processors=8"] == pytest.approx(12 / 3.25)
    assert {row["n"] for row in rows} == {20}
    assert ("nac_wide", "speed_up", "how=masked;kept=0.5;processors=8") not in found  # at every other share
    assert all(found["nac_wide", "speed_up", f"how={how};kept=1;processors=8"] == 1 for _, how in times)


def test_the_three_ways_answer_the_same(monkeypatch):
    answers = {}

    def called(calls, repeats):
        with torch.inference_mode():
            answers.update({key: call() for key, call in calls.items()})
        return dict.fromkeys(calls, 1.0)

    monkeypatch.setattr(latency, "medians", called)
    list(fewer_modules(network(), read, SHARES, 1))
    for (share, _), found in answers.items():
        torch.testing.assert_close(found, answers[share, "compiled"], atol=1e-4, rtol=0)


def test_shares_of_fixed_costs(monkeypatch):
    took = {"whole": 10.0, "tokenizer": 1.0, "read_in": 2.0, "read_out": 3.0}
    monkeypatch.setattr(latency, "medians", lambda calls, repeats: took if calls.keys() == took.keys() else {})
    found = values(fixed_costs(network(), read, 4))
    assert found == {("nac_wide", "read_in_share", ""): 0.2, ("nac_wide", "fixed_share", ""): 0.4}


@pytest.mark.parametrize("over", GROWS)
def test_scaling_has_times_operations_and_both_exponents(over):
    rows = list(scaling(over, [2, 4], SIZES, torch.randn(32, 3, 5), 1))
    assert len(results.table(rows)) == len(rows) == len(GROWS[over]) * (2 * 2 + 2)
    found = values(rows)
    for method in GROWS[over]:
        assert found[method, "macs", f"at=4;over={over}"] > found[method, "macs", f"at=2;over={over}"]
        ratio = found[method, "latency_ms", f"at=4;over={over}"] / found[method, "latency_ms", f"at=2;over={over}"]
        assert found[method, "exponent", f"over={over}"] == pytest.approx(torch.tensor(ratio).log2().item(), abs=1e-4)
    if over == "functions":
        assert 0.8 < found["interpreter", "macs_exponent", "over=functions"] <= 1


def test_an_interpreter_works_on_tokens_quadratically_and_a_circuit_only_reads_them():
    rows = list(scaling("tokens", [16, 256], SIZES, torch.randn(16, 3, 5), 1))
    found = values(rows)
    assert found["interpreter", "macs_exponent", "over=tokens"] > 1.2
    assert found["nac", "macs_exponent", "over=tokens"] < 0.6


def test_routing_is_inferred_at_every_step(monkeypatch):
    monkeypatch.setattr(latency, "medians", lambda calls, repeats: {"whole": 8.0, "routing": 0.5})
    found = values(routing(PROGRAM, torch.randn(2, 3, 5), 5))
    assert found == {("interpreter", "routing_share", ""): 0.25, ("nac", "routing_share", ""): 0.0}


# ---------------------------------------------------------------- data sets

NETWORK = {
    "state": 8, "code": 6, "signature": 4, "outputs": 2, "layers": 1, "heads": 2, "head": 4,
    "read_heads": 1, "read_head": 4, "feed_forward": 2.0, "strength": 1.0, "bandwidth": 0.3, "learnable": True,
    "temperature": 0.5, "layer_scale": None, "drop_path": 0.0, "pooling": 1.0,
}  # fmt: skip
CLUSTERS = {"clusters": 2, "inside": 0.9, "outside": 0.05}
GRAPHS = {
    "scale_free": {"m": 2.0}, "planted_partition": CLUSTERS, "ring_of_cliques": CLUSTERS, "erdos_renyi": {"p": 0.1},
    "watts_strogatz": {"neighbours": 4, "p": 0.4},
}  # fmt: skip
TASK = {"processors": 8, "text": None, "augmentation": None, "epochs": 1, "batch_size": 8, "lr": 0.01}
RUNS = {"nac": [0, 1], "nac_nested": [0], "perceiver": [0]}
BLOCK = Params.model_validate(
    {
        "datasets": ["nlvr_mini", "handwriting"],
        "network": NETWORK,
        "wide": {"processors": 16},
        "conditional": {"bandwidth": 1.0},
        "perceiver": {"feed_forward": 4.0},
        "interpreter": {
            "width": 8, "functions": 2, "signature": 4, "scripts": 2, "iterations": 2, "lines": 1, "heads": 2,
            "hidden": 1.0, "reach": 1.4,
        },
        "prior": {"kind": "scale_free", "weight": 0.1, "steps": 5, "lr": 0.02, "graphs": GRAPHS},
        "optimiser": {"weight_decay": 0.05, "clip_norm": 1.0, "warmup": 0.1, "label_smoothing": 0.05},
        "nested": {"probability": 0.6, "smallest": 0.1},
        "tasks": {
            "nlvr_mini": TASK
            | {"tokens": {"patches": {"side": 4, "bands": 2}}, "text": {"width": 8}}
            | {"runs": RUNS | {"conditional": [0]}},
            "handwriting": TASK
            | {"tokens": {"patches": {"side": 2, "bands": 2}}, "runs": RUNS | {"interpreter": [0]}},
        },
        "pruning": {"fractions": [1.0, 0.5], "draws": 1},
        "few_shot": {"dataset": "handwriting", "way": 2, "shots": [1], "queries": 1, "episodes": 2},
        "latency": {
            "batch_size": 32, "repeats": 12, "tokens": [4, 9], "functions": [1, 3], "processors": [4, 8],
            "steps": [1, 2],
        },
        "evaluation": {"permutations": 10, "cut": 0.01},
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    nlvr_mini.prepare(folder, folder / "nlvr_mini", nlvr_mini.Options(n_train=16, n_test=8), seed=0)
    random = np.random.default_rng(0)
    arrays.write(
        folder / "handwriting",
        name="handwriting",
        arrays={
            "x": random.integers(0, 256, (9, 1, 8, 8)).astype(np.uint8),
            "labels": (np.arange(9) % 3).astype(np.uint8)[:, None],
        },
        splits={"iid/test": (0, 3), "iid/train": (3, 9)},
    )
    return folder


def test_input_is_of_training_begun_again_where_there_is_little(prepared):
    data = open_prepared(prepared / "handwriting")
    assert rows_of(data, 8).tolist() == [3, 4, 5, 6, 7, 8, 3, 4]
    (x,) = batch(data, 7)
    assert x.dtype == torch.uint8 and torch.equal(x[6], x[0])
    x, text = batch(open_prepared(prepared / "nlvr_mini"), 2)
    assert x.shape == (2, 3, 16, 16) and text.shape == (2, 4)


def test_operations_are_of_a_data_sets_tokens(prepared):
    shown, asked = (open_prepared(prepared / name) for name in ("handwriting", "nlvr_mini"))
    settings = plan.settings(BLOCK, "handwriting")
    found = {name: operations(name, shown, settings) for name in ("nac", "nac_wide", "perceiver", "interpreter")}
    sizes = sizes_of("nac", settings)
    assert found["nac"] == compiled.costs(NAC(sizes, 12, 3), 16, 12).executed  # 2x2 pixels and 8 of the place
    assert found["nac_wide"] > found["nac"] and found["perceiver"] > found["nac"]
    assert found["interpreter"] == interpreter.costs(PROGRAM, 16)
    settings = plan.settings(BLOCK, "nlvr_mini")
    # The text is tokens to the one, and to the other what makes the circuit.
    assert operations("nac", asked, settings) == compiled.costs(NAC(sizes, 8, 2), 16 + 4, 8).executed
    assert operations("conditional", asked, settings) == compiled.costs(NAC(sizes, 56, 2), 16, 56).executed


def test_a_data_sets_networks_and_their_training(prepared, monkeypatch):
    answers = {}

    def called(calls, repeats, training=False):
        with torch.inference_mode(not training):
            answers[training] = {method: call() for method, call in calls.items()}
        return {method: float(k + training) for k, method in enumerate(calls)}

    monkeypatch.setattr(latency, "medians", called)
    settings = plan.settings(BLOCK, "nlvr_mini")
    data, methods = open_prepared(prepared / "nlvr_mini"), ["nac", "perceiver", "conditional"]
    rows = as_trained(data, methods, settings, 5, 40)
    assert {row["dataset"] for row in rows} == {"nlvr_mini"}
    found = {key: (row["value"], row["n"]) for key, row in zip(values(rows), rows, strict=True)}
    assert found["perceiver", "latency_ms", "at=default"] == (1, 40)
    assert found["conditional", "train_step_ms", ""] == (3, 8)
    assert all(found.shape == (5, 2) for found in answers[False].values())


@pytest.mark.parametrize("method", ["nac", "perceiver", "interpreter"])
def test_a_step_of_training_learns_its_batch(prepared, method):
    torch.manual_seed(0)
    data, settings = open_prepared(prepared / "handwriting"), plan.settings(BLOCK, "handwriting")
    model = classifier_of(method, Inputs.of(data), settings)
    step = training_step(method, model, data, settings)
    rows = rows_of(data, 8)
    y = torch.from_numpy(data.arrays["labels"][rows, 0]).long()

    def loss():
        with torch.no_grad():
            return nn.functional.cross_entropy(model.eval()(*batch(data, 8)), y).item()

    before = loss()
    for _ in range(30):
        step()
    assert loss() < before - 0.2


def test_everything_is_measured_once(prepared, monkeypatch):
    monkeypatch.setattr(latency, "WARM_UP", 0)
    fast = BLOCK.model_copy(update={"latency": BLOCK.latency.model_copy(update={"repeats": 3})})
    frame = results.expand(results.table(measure(fast, prepared, 0)))
    assert set(frame["paper"]) == {"circuits"} and set(frame["seed"]) == {0}
    assert (frame.loc[~frame["metric"].str.endswith("exponent"), "value"] >= 0).all()
    whole = frame[frame["dataset"] == ""]
    speed = whole[whole["metric"] == "speed_up"]
    assert set(speed["processors"]) == {"16"} and set(speed["kept"]) == {"1", "0.5"}
    assert set(speed["how"]) == {"compiled", "dynamic", "masked"} and set(speed["method"]) == {"nac_wide"}
    slopes = whole[whole["metric"] == "macs_exponent"]
    assert set(zip(slopes["over"], slopes["method"], strict=True)) == {
        (over, method) for over, methods in GROWS.items() for method in methods
    }
    assert set(whole["metric"]) >= {"routing_share", "fixed_share", "read_in_share", "exponent"}
    steps = frame[frame["metric"] == "train_step_ms"]
    assert set(zip(steps["dataset"], steps["method"], strict=True)) == {
        ("handwriting", "nac"), ("handwriting", "perceiver"), ("handwriting", "interpreter"),
        ("nlvr_mini", "nac"), ("nlvr_mini", "perceiver"), ("nlvr_mini", "conditional"),
    }  # fmt: skip


def test_counted_operations_are_the_same_every_time(prepared, monkeypatch):
    monkeypatch.setattr(latency, "medians", lambda calls, *_, **__: dict.fromkeys(calls, 1.0))
    first, second = (
        [row for row in measure(BLOCK, prepared, seed) if row["metric"].startswith("macs")] for seed in (0, 1)
    )
    assert first == second and first
