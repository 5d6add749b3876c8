"""What every trained network says, once; every metric is computed from it later.

A job's arrays:

    n_params, macs             number of trained parameters, and of operations on one sample (`operations`)
    <domain>/logits            float32 (n, classes), for every split <domain>/test
    features                   float32 (n, d), of the split of new classes (`.../few`), where the data set has one
    pruned/<order>/<share>     float32 (n, classes), on iid/test with a share of the processors; orders are degree,
                               reversed and random0, random1, ... (a Perceiver's latents have no degrees)
    cut/logits                 float32 (n, classes), on iid/test without improbable links
    links, links_start         float32 (l, u, u), link probabilities after and before training
    target                     float32 (u, u), links of the prior
    circuits, circuits_start   float16 (n, u, u), link probabilities, means over the layers, that each test text makes
                               after and before training
    swapped/from, swapped/logits   int64 (n,), float32 (n, classes): input i through the circuit of text from[i]
    mixed/logits               float32 (n, classes), signatures of the own text, codes of text from[i]

Pruning and cutting are for the data sets of `plan.PRUNED`, pruning for the methods of `plan.FEWER`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.numpy import load_file
from torch import Tensor

from reprise.circuits import priors
from reprise.circuits.circuit import Modules
from reprise.circuits.compiled import ORDERS, Compiled, kept
from reprise.circuits.models import Classifier, Conditional, Inputs, restored
from reprise.circuits.operations import operations
from reprise.circuits.plan import FEWER, PRUNED, prior
from reprise.circuits.train import START, body, links, links_of, start
from reprise.data.arrays import Prepared, open_prepared
from reprise.devices import device
from reprise.seeding import derive

BATCH = 256
TEST = "iid/test"
Arrays = dict[str, np.ndarray]
Call = Callable[[Tensor, Tensor | None], Tensor]


@torch.inference_mode()
def predict(
    method: str,
    seed: int,
    weights: str,
    folder: str,
    *,
    settings: dict[str, Any],
    pruning: dict[str, Any],
    cut: float,
    common_seed: int,
) -> Arrays:
    """Apply one trained network to every test split of its data set.

    Args:
        weights: file of the network's weights.
        settings: those of `plan.settings`.
        pruning: `fractions` of the processors that stay and number of random `draws`.
        cut: links less probable than this are cut.
    """
    data = open_prepared(Path(folder))
    state = load_file(weights)
    before = state.pop(START, None)
    inputs = Inputs.of(data)
    model = restored(method, inputs, settings, state).to(device())
    found: Arrays = {
        "n_params": np.array(sum(weight.numel() for weight in model.parameters())),
        "macs": np.array(operations(method, data, settings)),
    }
    for split in data.card["splits"]:
        domain, _, part = split.rpartition("/")
        if part == "test":
            found[f"{domain}/logits"] = _over(data, split, model)
        elif part == "few":
            found["features"] = _over(data, split, model.features)
    draw = derive(common_seed, "circuits", "predict", data.name, seed)
    if isinstance(model, Conditional):
        with torch.inference_mode(False):  # signatures are fitted to the prior
            untrained, _ = start(method, inputs, settings, seed=derive(common_seed, "circuits", "start", seed))
        assert isinstance(untrained, Conditional)
        texts, own = np.unique(data.arrays["text"][data.rows(TEST)], axis=0, return_inverse=True)
        before_links = _circuits(untrained.to(device()).eval(), texts)[1][own.reshape(-1)]
        return found | {"circuits_start": before_links} | _exchanged(model, data, draw)
    if data.name in PRUNED and method in FEWER:
        found |= _pruned(model, data, found["iid/logits"], pruning, draw)
    if links_of(model):
        assert before is not None
        found |= {"links": links(model).cpu().numpy(), START: before}
        if data.name in PRUNED:
            found["cut/logits"] = _over(data, TEST, _static(model, cut))
    if target := prior(method, settings["prior"]["kind"]):
        n = body(model).sizes.processors
        found["target"] = priors.target(target, n, **settings["prior"]["graphs"][target]).numpy()
    return found


def _batches(data: Prepared, split: str) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Inputs of a split, and the texts beside them."""
    rows = data.rows(split)
    for first in range(rows.start, rows.stop, BATCH):
        part = slice(first, min(first + BATCH, rows.stop))
        x, text = (
            torch.from_numpy(np.array(data.arrays[name][part])).to(device()) if name in data.arrays else None
            for name in ("x", "text")
        )
        assert x is not None
        yield x, text


def _over(data: Prepared, split: str, call: Call) -> Float[np.ndarray, "n k"]:
    """What a function of inputs and texts says of a whole split."""
    return np.concatenate([call(x, text).float().cpu().numpy() for x, text in _batches(data, split)])


# ---------------------------------------------------------------- fewer processors and links


def _pruned(model: Classifier, data: Prepared, whole: np.ndarray, pruning: dict[str, Any], seed: int) -> Arrays:
    """Logits with shares of the processors, in several orders of dropping them; `whole` are those with all."""
    network = body(model)
    circuit = network.circuit()
    orders = {f"random{k}": ORDERS["random"](network, circuit, derive(seed, k)) for k in range(pruning["draws"])}
    if network.sizes.sparse:
        orders = {name: ORDERS[name](network, circuit, 0) for name in ("degree", "reversed")} | orders
    found = {f"pruned/{name}/1": whole for name in orders}
    sets = {
        f"pruned/{name}/{share:g}": kept(order, share)
        for name, order in orders.items()
        for share in pruning["fractions"]
        if share < 1
    }
    parts: dict[str, list[np.ndarray]] = {name: [] for name in sets}
    for x, text in _batches(data, TEST):
        tokens, padding = model.read(x, text)
        for name, keep in sets.items():
            parts[name].append(network(tokens, padding, keep=keep).float().cpu().numpy())
    return found | {name: np.concatenate(part) for name, part in parts.items()}


def _static(model: Classifier, cut: float) -> Call:
    """The network without improbable links."""
    network = body(model)
    compiled = Compiled(network, network.circuit(), cut=cut)
    return lambda x, text: compiled(*model.read(x, text))


# ---------------------------------------------------------------- circuits of other texts


def _exchanged(model: Conditional, data: Prepared, seed: int) -> Arrays:
    """The circuits of the test texts, and answers through those of others; a circuit is made once for each text."""
    texts, own = np.unique(data.arrays["text"][data.rows(TEST)], axis=0, return_inverse=True)
    own = own.reshape(-1)
    modules, links = _circuits(model, texts)
    exchange = np.random.default_rng(derive(seed, "exchange")).permutation(len(own))

    def answers(signatures: Int[np.ndarray, " n"], codes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n classes"]:
        """Through circuits with the signatures of some texts, and codes and states of others."""
        found, first = [], 0
        for x, _ in _batches(data, TEST):
            i, j = (torch.from_numpy(of[first : first + len(x)]).to(device()) for of in (signatures, codes))
            mixed = Modules(modules.signature[i], modules.code[j], modules.state[j])
            found.append(model.through(x, mixed).float().cpu().numpy())
            first += len(x)
        return np.concatenate(found)

    other = own[exchange]
    return {
        "circuits": links[own],
        "swapped/from": exchange.astype(np.int64),
        "swapped/logits": answers(other, other),
        "mixed/logits": answers(own, other),
    }


def _circuits(model: Conditional, texts: Int[np.ndarray, "n t"]) -> tuple[Modules, Float[np.ndarray, "n u u"]]:
    """The modules that texts describe, and their links, means over the layers."""
    described = [
        model.processors(torch.from_numpy(texts[first : first + BATCH]).to(device()))
        for first in range(0, len(texts), BATCH)
    ]
    modules = Modules(*(torch.cat(parts) for parts in zip(*map(_parts, described), strict=True)))
    links = torch.cat([model.body.links(model.body.circuit(part)).mean(0).half() for part in described])
    return modules, links.cpu().numpy()


def _parts(modules: Modules) -> tuple[Tensor, Tensor, Tensor]:
    return modules.signature, modules.code, modules.state
