"""How long circuits take (Sec. 2.12, 4, 6.5 A10, A11): with fewer modules, and over their sizes.

Everything is timed in one process and one thread, in inference mode, on fresh networks: time depends on sizes, not on
what was learned. A time is the median, in milliseconds a batch, after a warm-up that is not counted; variants to be
compared take turns, so that a busy machine slows all alike, and a speed-up is the median of those of the rounds.
Counted operations (`macs`) stand beside times.
"""

import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from reprise.circuits import compiled, interpreter, priors
from reprise.circuits.circuit import Circuit
from reprise.circuits.compiled import Compiled, by_degree, kept
from reprise.circuits.interpreter import Interpreter, InterpreterSizes
from reprise.circuits.models import Classifier, Conditional, Inputs, Settings, classifier_of, sizes_of
from reprise.circuits.networks import NAC, Plan, perceiver_io
from reprise.circuits.operations import batch, rows_of
from reprise.circuits.params import Params
from reprise.circuits.parts import LayerPlan, Sizes
from reprise.circuits.plan import PRUNED, VARIANTS, prior
from reprise.circuits.plan import settings as settings_of
from reprise.circuits.train import Augment, Objective
from reprise.data.arrays import Prepared, open_prepared
from reprise.progress import track
from reprise.results import setting
from reprise.seeding import derive

Row = dict[str, Any]
Key = TypeVar("Key", bound=Hashable)
Call = Callable[[], object]
Read = Callable[[], tuple[Tensor, Tensor | None]]  # a batch from input to tokens, and which of them are none
WARM_UP = 1  # calls of each variant that are not counted
MASKED = -1e4  # log probability of a link to a module that is only masked
CLASSES = 10  # of networks that only lend their sizes; the head's share is nothing


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch's own threads out of the way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def rounds(calls: Mapping[Key, Call], repeats: int, *, training: bool = False) -> dict[Key, list[float]]:
    """Milliseconds of each call, all of them in turn, in each of `repeats` rounds after the warm-up.

    `training`: the calls need gradients.
    """
    found: dict[Key, list[float]] = {key: [] for key in calls}
    with torch.inference_mode(not training):
        for _ in range(WARM_UP + repeats):
            for key, call in calls.items():
                start = time.perf_counter()
                call()
                found[key].append(1000 * (time.perf_counter() - start))
    return {key: times[WARM_UP:] for key, times in found.items()}


def medians(calls: Mapping[Key, Call], repeats: int, *, training: bool = False) -> dict[Key, float]:
    """The median round of each call, in milliseconds."""
    return {key: statistics.median(times) for key, times in rounds(calls, repeats, training=training).items()}


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Exponent of y over x: slope of the least-squares line through the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def row(method: str, metric: str, value: float, n: int, dataset: str = "", **keys: Any) -> Row:
    """A row of the results table; what is timed has no domain and no seed."""
    model = method if method in ("perceiver", "interpreter") else "nac"
    about = {"paper": "circuits", "dataset": dataset, "model": model, "method": method, "seed": 0}
    return about | {"setting": setting(**keys), "metric": metric, "value": float(value), "n": n}


# ---------------------------------------------------------------- fewer modules


def masked(network: NAC, plan: Plan, keep: Int[Tensor, " k"]) -> Plan:
    """The plan in which nobody listens to other processors than those, which are computed all the same: the control."""
    gone = torch.ones(network.sizes.processors, dtype=torch.bool)
    gone[keep] = False

    def deaf(layer: LayerPlan) -> LayerPlan:
        links = layer.attention.links
        if links is None:
            raise ValueError("a complete graph has no links to mask")
        return layer._replace(attention=layer.attention._replace(links=links.masked_fill(gone, MASKED)))

    layers = [deaf(layer) for layer in plan.layers]
    return Plan(plan.read_in, layers, plan.read_out._replace(layer=deaf(plan.read_out.layer)))


def fewer_modules(network: NAC, read: Read, shares: Sequence[float], repeats: int) -> Iterator[Row]:
    """Latency of a wide network from input to logits with shares of its processors, and the speed-up over all.

    Three ways: compiled, planned anew in every pass (dynamic), and with the dropped ones masked. This control, which
    has the whole network's cost at every share, is timed at every other one.
    """
    network, circuit = network.eval(), network.circuit()
    order = by_degree(network, circuit)
    whole = Compiled(network, circuit)
    calls: dict[tuple[float, str], Call] = {}
    for number, share in enumerate(shares):
        keep = kept(order, share)
        calls[share, "compiled"] = partial(_from_input, read, Compiled(network, circuit, keep))
        calls[share, "dynamic"] = partial(_from_input, read, partial(network, keep=keep))
        if number % 2 == 0:
            plan = masked(network, whole.plan, keep)
            calls[share, "masked"] = partial(_from_input, read, partial(_executed, network, circuit, plan))
    times = rounds(calls, repeats)
    for (share, how), took in times.items():
        keys: dict[str, Any] = {"processors": network.sizes.processors, "kept": float(share), "how": how}
        yield row(WIDE, "latency_ms", statistics.median(took), repeats, **keys)
        # Round by round: what slows the machine for a while slows both.
        speed_up = statistics.median(all_ / few for all_, few in zip(times[max(shares), how], took, strict=True))
        yield row(WIDE, "speed_up", speed_up, repeats, **keys)


def _from_input(read: Read, network: Callable[..., Tensor]) -> Tensor:
    return network(*read())


def _executed(network: NAC, circuit: Circuit, plan: Plan, tokens: Tensor, padding: Tensor | None) -> Tensor:
    return network.head(network.execute(tokens, plan, circuit, padding)[0])


def fixed_costs(network: NAC, read: Read, repeats: int) -> Iterator[Row]:
    """Shares of the compiled network's time that dropping modules does not touch (Amdahl), and of the read-in.

    Fixed are the tokenizer, and the read-out with the head.
    """
    static = Compiled(network, network.circuit())
    parts, plan = static.network, static.plan
    with torch.inference_mode():
        tokens, padding = read()
        states = parts.read_in(tokens, plan.read_in, padding)
    times = medians(
        {
            "whole": partial(_from_input, read, static),
            "tokenizer": read,
            "read_in": lambda: parts.read_in(tokens, plan.read_in, padding),
            "read_out": lambda: parts.head(parts.read_out(states, plan.read_out)[0]),
        },
        repeats,
    )
    yield row(WIDE, "read_in_share", times["read_in"] / times["whole"], repeats)
    yield row(WIDE, "fixed_share", (times["tokenizer"] + times["read_out"]) / times["whole"], repeats)


# ---------------------------------------------------------------- over sizes

# What grows, in which models it does, and the field it is. Steps are iterations of an Interpreter of one script.
GROWS: dict[str, dict[str, str | None]] = {
    "tokens": {"nac": None, "perceiver": None, "interpreter": None},
    "functions": {"interpreter": "functions"},
    "processors": {"nac": "processors", "perceiver": "processors"},
    "steps": {"nac": "layers", "perceiver": "layers", "interpreter": "iterations"},
}
# Parts of the usual batch, so that the largest network takes no more than half a second (laptop scale). With fewer than
# 16 samples of 16 tokens, starting operations hides how an Interpreter grows: on two cores of an EPYC its exponent over
# tokens is 1.2 with 4 samples, 1.4 with 8, 1.6 with 16 and with 32; 1.0, 1.2 and 1.3 with 4, 8 and 16 where the
# allocator keeps its memory (`reprise.engines.MALLOC`), which it does not here.
PART = {"tokens": 4, "functions": 2, "processors": 4, "steps": 4}


class Network(NamedTuple):
    """Something to time, and the multiply-accumulate operations of a sample."""

    call: nn.Module
    macs: int


def network_of(sizes: Sizes | InterpreterSizes, method: str, tokens: int, width: int) -> Network:
    """For so many tokens of a width. A circuit is compiled, and so is Perceiver IO."""
    if isinstance(sizes, InterpreterSizes):
        return Network(Interpreter(sizes, width, CLASSES).eval(), interpreter.costs(sizes, tokens))
    network = (perceiver_io if method == "perceiver" else NAC)(sizes, width, CLASSES).eval()
    return Network(Compiled(network, network.circuit()), compiled.costs(network, tokens, width).executed)


def scaling(
    over: str,
    values: Sequence[int],
    sizes: Mapping[str, Sizes | InterpreterSizes],
    tokens: Float[Tensor, "b v k"],
    repeats: int,
) -> Iterator[Row]:
    """Latency and operations over one size, and the exponents of both.

    Args:
        over: one of `GROWS`; `values` are those it takes.
        sizes: of each model, which keep what does not grow.
        tokens: of a batch where their number does not grow; a part of it is used (`PART`).
    """
    some, usual, width = max(1, len(tokens) // PART[over]), *tokens.shape[1:]
    calls: dict[tuple[str, int], Call] = {}
    macs = {}
    for at in values:
        v = at if over == "tokens" else usual
        x = torch.randn(some, v, width)
        for method, field in GROWS[over].items():
            grown: Any = sizes[method]
            if over == "steps" and method == "interpreter":
                grown = replace(grown, scripts=1)
            grown = grown if field is None else replace(grown, **{field: at})
            network, macs[method, at] = network_of(grown, method, v, width)
            calls[method, at] = partial(network, x)
    times = medians(calls, repeats)
    for method in GROWS[over]:
        for at in values:
            yield row(method, "latency_ms", times[method, at], repeats, over=over, at=at)
            yield row(method, "macs", macs[method, at], 1, over=over, at=at)
        for metric, found in (("exponent", times), ("macs_exponent", macs)):
            exponent = slope(values, [found[method, at] for at in values])
            yield row(method, metric, exponent, repeats, over=over)


def routing(sizes: InterpreterSizes, tokens: Float[Tensor, "b v k"], repeats: int) -> Iterator[Row]:
    """Share of the time in which types and compatibilities of all tokens are inferred; a compiled circuit has none."""
    network = Interpreter(sizes, tokens.shape[-1], CLASSES).eval()
    script: Any = network.scripts[0]
    states = torch.randn(len(tokens), tokens.shape[1] + 1, sizes.width)
    times = medians({"whole": lambda: network(tokens), "routing": lambda: script.compatibility(states)}, repeats)
    steps = sizes.scripts * sizes.iterations
    yield row("interpreter", "routing_share", steps * times["routing"] / times["whole"], repeats)
    yield row("nac", "routing_share", 0.0, repeats)


# ---------------------------------------------------------------- data sets


def as_trained(data: Prepared, methods: Sequence[str], settings: Settings, batch_size: int, repeats: int) -> list[Row]:
    """Latency of a batch from input to logits, and of a step of training, of each method on a data set.

    Networks that one circuit serves are compiled, and Perceiver IO is in the same way; a text's circuit and what an
    Interpreter does are made anew. A step is of the data set's own batch, with the loss, clipping and AdamW; a fifth of
    the repeats does for it.
    """
    inputs, few = Inputs.of(data), max(3, repeats // 5)
    models = {method: classifier_of(method, inputs, settings) for method in methods}
    given = batch(data, batch_size)
    forward: dict[str, Call] = {}
    for method, model in models.items():
        model.eval()
        if isinstance(model.body, Interpreter) or isinstance(model, Conditional):
            forward[method] = partial(model, *given)
        else:
            read = partial(model.read, *given)
            forward[method] = partial(_from_input, read, Compiled(model.body, model.body.circuit()))
    latencies = medians(forward, repeats)
    steps = {method: training_step(method, model, data, settings) for method, model in models.items()}
    trained = medians(steps, few, training=True)
    return [
        *(row(method, "latency_ms", took, repeats, data.name, at="default") for method, took in latencies.items()),
        *(row(method, "train_step_ms", took, few, data.name) for method, took in trained.items()),
    ]


def training_step(method: str, model: Classifier, data: Prepared, settings: Settings) -> Call:
    """A step of training as `reprise.circuits.train` takes it, always on the same batch."""
    task, optimiser, block = settings["task"], settings["optimiser"], settings["prior"]
    kind, wanted = prior(method, block["kind"]), None
    if kind is not None and VARIANTS[method].regularised:
        wanted = priors.target(kind, settings["network"]["processors"], **block["graphs"][kind])
    augment = Augment(**task["augmentation"]) if "augmentation" in task else None
    objective = Objective(
        None, wanted, weight=block["weight"], label_smoothing=optimiser["label_smoothing"], augment=augment
    )
    adam = torch.optim.AdamW(model.parameters(), task["lr"], weight_decay=optimiser["weight_decay"])
    names = ("x", "text") if "text" in data.arrays else ("x",)
    given = dict(zip(names, batch(data, task["batch_size"]), strict=True))
    given["y"] = torch.from_numpy(data.arrays["labels"][rows_of(data, task["batch_size"]), 0].astype(np.int64))

    def step() -> None:
        model.train()
        adam.zero_grad()
        objective(model, given).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), optimiser["clip_norm"])
        adam.step()

    return step


# ---------------------------------------------------------------- everything

TIMED = ("nac", "perceiver", "interpreter", "conditional")  # one of each kind
WIDE = "nac_wide"


def measure(block: Params, prepared: Path, seed: int) -> Iterator[Row]:
    """All rows of the latency table, on the CPU whatever has trained the networks.

    Sizes are those of the first data set on which processors are dropped, or else of the first of all.

    Args:
        prepared: folder of the prepared data sets.
    """
    torch.manual_seed(derive(seed, "circuits", "latency"))
    settings, repeats = block.latency, block.latency.repeats
    sets = {name: open_prepared(prepared / name) for name in block.datasets}
    first = next((name for name in sets if name in PRUNED), next(iter(sets)))
    about = settings_of(block, first)
    wide = classifier_of(WIDE, Inputs.of(sets[first]), about)
    read = partial(wide.read, *batch(sets[first], settings.batch_size))
    assert isinstance(wide.body, NAC)
    yield from fewer_modules(wide.body, read, block.pruning.fractions, repeats)
    yield from fixed_costs(wide.body, read, repeats)
    sizes: dict[str, Sizes | InterpreterSizes] = {name: sizes_of(name, about) for name in ("nac", "perceiver")}
    program = sizes["interpreter"] = InterpreterSizes(**about["interpreter"])
    with torch.no_grad():
        tokens, _ = read()
    for over in track(GROWS, "circuits-latency: scaling", len(GROWS), "size"):
        yield from scaling(over, getattr(settings, over), sizes, tokens, repeats)
    yield from routing(program, tokens, repeats)
    for name, data in track(sets.items(), "circuits-latency: as trained", len(sets), "data set"):
        methods = [method for method in TIMED if method in block.tasks[name].runs]
        yield from as_trained(data, methods, settings_of(block, name), settings.batch_size, repeats)
