"""Latency of circuits: dropped modules, the cheap read-in, Perceiver IO and the Interpreter; writes circuits.md.

    dvc repro prepare@handwriting && python benchmarks/circuits.py

One process and one thread, in evaluation mode, networks with random weights: time does not depend on what they learned.
What dropping modules costs in accuracy is measured on two trained networks of 256 modules; training them takes minutes.
Times are medians after a warm-up, end to end from images or tokens to logits. On a busy machine they mean little.
"""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from reprise.circuits import plan as plans
from reprise.circuits.circuit import Circuit, Modules
from reprise.circuits.compiled import Compiled, by_degree, kept
from reprise.circuits.interpreter import Interpreter, InterpreterSizes
from reprise.circuits.kernel import CUT
from reprise.circuits.layers import modulations
from reprise.circuits.models import Inputs, restored
from reprise.circuits.networks import NAC, Plan, perceiver_io
from reprise.circuits.params import load
from reprise.circuits.parts import ReadIn, Sizes
from reprise.circuits.tokens import Patches
from reprise.circuits.train import START, body, train
from reprise.data.arrays import open_prepared
from reprise.engines import n_workers

HERE = Path(__file__).resolve().parent
BATCH, RUNS = 64, 30
SHARES = (1.0, 0.5, 0.25, 0.125, 0.0625)
WIDE = Sizes(state=64, code=64, layers=4, head=16, read_head=64, outputs=8)  # of the runs about speed


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def milliseconds(call: Callable[[], object], runs: int = RUNS) -> float:
    """Median time of a call, after three that are not counted."""
    found = []
    for _ in range(runs + 3):
        start = time.perf_counter()
        call()
        found.append(1000 * (time.perf_counter() - start))
    return statistics.median(found[3:])


def dropped(sizes: Sizes) -> list[tuple[float, float, float]]:
    """(share kept, milliseconds compiled, milliseconds when the others are but masked)."""
    patches, images = Patches((3, 32, 32), 4), torch.rand(BATCH, 3, 32, 32)
    network = NAC(sizes, patches.width, 10).eval()
    circuit = network.circuit()
    order = by_degree(network, circuit)
    rows = []
    for share in SHARES:
        keep = kept(order, share)
        compiled = Compiled(network, circuit, keep)
        plan = masked(network, circuit, keep)

        def whole(plan: Plan = plan) -> Tensor:
            return network.head(network.execute(patches(images), plan, circuit)[0])

        with torch.inference_mode():
            rows.append((share, milliseconds(lambda c=compiled: c(patches(images))), milliseconds(whole)))  # type: ignore[misc]
    return rows


def masked(network: NAC, circuit: Circuit, keep: Tensor) -> Plan:
    """The plan in which nobody listens to the other processors, which stay where they are."""
    gone = torch.ones(circuit.processors.code.shape[-2], dtype=torch.bool)
    gone[keep] = False
    with torch.no_grad():
        plan = network.plan(circuit)

    def cut(layer):  # type: ignore[no-untyped-def]
        links = layer.attention.links.clone()
        links[:, gone] = CUT
        return layer._replace(attention=layer.attention._replace(links=links))

    return plan._replace(
        layers=[cut(layer) for layer in plan.layers],
        read_out=plan.read_out._replace(layer=cut(plan.read_out.layer)),
    )


def trained(method: str) -> list[tuple[float, float, float]]:
    """(share kept, accuracy on handwriting, milliseconds compiled) of 256 modules trained by the laptop's recipe."""
    folder = Path("data/prepared/handwriting")
    settings = plans.settings(load(), "handwriting") | {"wide": {"processors": 256}}
    torch.set_num_threads(n_workers())
    state = train(method, 0, str(folder), settings=settings, common_seed=0)
    torch.set_num_threads(1)
    state.pop(START)
    data = open_prepared(folder)
    model = restored(method, Inputs.of(data), settings, state)
    network, rows = body(model), data.rows("iid/test")
    x, labels = torch.from_numpy(np.array(data.arrays["x"][rows])), data.arrays["labels"][rows, 0]
    found = []
    with torch.inference_mode():
        circuit = network.circuit()
        order = by_degree(network, circuit)
        for share in SHARES:
            compiled = Compiled(network, circuit, kept(order, share))
            right = compiled(*model.read(x, None)).argmax(-1).numpy() == labels
            took = milliseconds(lambda c=compiled: c(*model.read(x[:BATCH], None)))  # type: ignore[misc]
            found.append((share, float(right.mean()), took))
    return found


def cheap_read_in(layer: ReadIn, tokens: Tensor, modules: Modules) -> Tensor:
    """As the network does it, plan included."""
    return layer(tokens, layer.plan(modules, modulations(layer.pairs(modules))))


def naive_read_in(layer: ReadIn, tokens: Tensor, modules: Modules) -> Tensor:
    """Keys and values of every token for every module, in one batched product each."""
    y = layer.norm_token(tokens)[:, None]  # b 1 v k
    code = modules.code
    keys, values = (
        nn.functional.linear(y * part.modulation(code)[:, None], part.weight)  # type: ignore[index]
        for part in (layer.key, layer.value)
    )
    query = layer.query(layer.norm_state(modules.state), layer.query.modulation(code))
    weight = (torch.einsum("ue,buve->buv", query, keys) * query.shape[-1] ** -0.5).softmax(-1)
    heard = torch.einsum("buv,buve->bue", weight, values)
    x = modules.state + layer.out(heard, layer.out.modulation(code))
    return layer.feed_forward(x, layer.feed_forward.plan(modulations(layer.feed_forward.pairs(code))))


def read_in() -> tuple[float, float, float]:
    """Milliseconds of the cheap and the naive form at 256 tokens and 64 modules, and how far they are apart."""
    sizes = replace(WIDE, processors=64)
    network, tokens = NAC(sizes, 64, 10).eval(), torch.randn(BATCH, 256, 64)
    modules, layer = network.circuit().processors, network.read_in
    with torch.inference_mode():
        apart = (cheap_read_in(layer, tokens, modules) - naive_read_in(layer, tokens, modules)).abs().max().item()
        cheap = milliseconds(lambda: cheap_read_in(layer, tokens, modules))
        naive = milliseconds(lambda: naive_read_in(layer, tokens, modules), 5)
    return cheap, naive, apart


def beside_perceiver() -> tuple[float, float, int, int]:
    """Milliseconds of the dense circuit and of Perceiver IO with as many weights, and their numbers of weights."""
    circuit = NAC(Sizes(sparse=False), 56, 10).eval()
    twin = perceiver_io(Sizes(feed_forward=4.4), 56, 10).eval()
    tokens = torch.randn(BATCH, 16, 56)
    with torch.inference_mode():
        times = [milliseconds(lambda n=network: n(tokens), 60) for network in (circuit, twin)]  # type: ignore[misc]
    counts = [sum(p.numel() for p in network.parameters()) for network in (circuit, twin)]
    return times[0], times[1], counts[0], counts[1]


def exponent(x: list[int], y: list[float]) -> float:
    """Slope of a line through the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def scaling() -> list[tuple[str, list[int], list[float], list[float]]]:
    """What is varied, its values, milliseconds of the Interpreter and of a compiled circuit (batch 32)."""

    def interpreter(tokens: int = 16, **changes: int) -> float:
        network = Interpreter(replace(InterpreterSizes(), **changes), 16, 10).eval()
        x = torch.randn(32, tokens, 16)
        with torch.inference_mode():
            return milliseconds(lambda: network(x), 5)

    def circuit(tokens: int = 16, **changes: int) -> float:
        network = NAC(replace(Sizes(), **changes), 16, 10).eval()
        compiled, x = Compiled(network, network.circuit()), torch.randn(32, tokens, 16)
        return milliseconds(lambda: compiled(x), 15)

    tokens, units, steps = [16, 64, 256], [4, 8, 16, 32], [1, 2, 4, 8]
    return [
        ("tokens", tokens, [interpreter(v, functions=8) for v in tokens], [circuit(v) for v in tokens]),
        (
            "functions, modules",
            units,
            [interpreter(functions=n) for n in units],
            [circuit(processors=8 * n) for n in units],
        ),
        ("steps", steps, [interpreter(iterations=n) for n in steps], [circuit(layers=n) for n in steps]),
    ]


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    lines = [
        "# Latency of circuits",
        "",
        f"Written by `benchmarks/circuits.py`. Hardware: {cpu_model()}, one thread; torch {torch.__version__}. Random",
        f"weights, evaluation mode, batches of {BATCH}, medians of {RUNS} runs, end to end.",
        "",
        "Modules dropped by degree and the rest compiled; beside it the control that masks the dropped ones and saves",
        "nothing.",
        "",
        "| modules | kept | ms | speed-up | masked only, ms |",
        "| --- | --- | --- | --- | --- |",
    ]
    for count in (64, 256):
        rows = dropped(replace(WIDE, processors=count))
        lines += [
            f"| {count} | {share:.2%} | {took:.2f} | {rows[0][1] / took:.1f} | {control:.2f} |"
            for share, took, control in rows
        ]
    lines += [
        "",
        "What that costs: networks of 256 modules trained on handwriting (seed 0, the laptop's recipe), by degree.",
        "",
        "| method | kept | accuracy | lost, points | ms | speed-up |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for method in ("nac_wide", "nac_wide_nested"):
        shares = trained(method)
        lines += [
            f"| {method} | {share:.2%} | {right:.3f} | {100 * (shares[0][1] - right):.1f} | {took:.2f} "
            f"| {shares[0][2] / took:.1f} |"
            for share, right, took in shares
        ]
    cheap, naive, apart = read_in()
    dense, twin, weights, others = beside_perceiver()
    lines += [
        "",
        f"Read-in of 256 tokens by 64 modules: {cheap:.1f} ms in the cheap form, {naive:.1f} ms in the naive one,",
        f"{naive / cheap:.1f} times as much; the greatest difference of their results is {apart:.1e}.",
        "",
        f"Dense circuit ({weights:,} weights) {dense:.2f} ms, Perceiver IO ({others:,} weights) {twin:.2f} ms:",
        f"a factor of {dense / twin:.2f}. The circuit is planned anew in every pass here; compiled it would not be.",
        "",
        "| varied | values | Interpreter, ms | exponent | circuit, ms | exponent |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, x, one, other in scaling():
        values = f"{', '.join(map(str, x))}{' (modules: 8 times as many)' if 'modules' in name else ''}"
        times = [", ".join(f"{value:.1f}" for value in each) for each in (one, other)]
        lines.append(
            f"| {name} | {values} | {times[0]} | {exponent(x, one):.2f} | {times[1]} | {exponent(x, other):.2f} |"
        )
    (HERE / "circuits.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
