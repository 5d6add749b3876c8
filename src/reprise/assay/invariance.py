"""The methods of the invariance arm by name, with DomainBed's hyperparameters and its random search (Sec. 8).

Weights of penalties, shares of the training and the like are those of DomainBed's registry (Gulrajani and Lopez-Paz,
2021); its schedules, written in steps, are kept as shares of its 5,000.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from reprise.assay.invariance_objectives import (
    AndMask,
    CausIrl,
    Coral,
    Eqrm,
    Erm,
    Fishr,
    GroupDro,
    IbIrm,
    Irm,
    Mixup,
    SpectralDecoupling,
    VRex,
)
from reprise.seeding import derive

STEPS = 5000
LEARNING_RATE = 5e-5  # of its natural images; its learning rate for EQRM is kept as a multiple of it


@dataclass(frozen=True)
class Method:
    """An objective, DomainBed's hyperparameters and how its random search draws them."""

    build: Callable[..., Erm]
    defaults: dict[str, float] = field(default_factory=dict)
    draw: Callable[[np.random.Generator], dict[str, float]] = lambda random: {}


def _power(random: np.random.Generator, low: float, high: float) -> float:
    return float(10 ** random.uniform(low, high))


def _share(steps: float) -> float:
    return min(steps / STEPS, 1.0)


METHODS: dict[str, Method] = {
    "erm": Method(Erm),
    "group_dro": Method(GroupDro, {"eta": 1e-2}, lambda r: {"eta": _power(r, -3, -1)}),
    "irm": Method(
        Irm,
        {"penalty": 1e2, "anneal": _share(500)},
        lambda r: {"penalty": _power(r, -1, 5), "anneal": _share(_power(r, 0, 4))},
    ),
    "vrex": Method(
        VRex,
        {"penalty": 1e1, "anneal": _share(500)},
        lambda r: {"penalty": _power(r, -1, 5), "anneal": _share(_power(r, 0, 4))},
    ),
    "coral": Method(Coral, {"gamma": 1.0}, lambda r: {"gamma": _power(r, -1, 1)}),
    "sd": Method(SpectralDecoupling, {"strength": 0.1}, lambda r: {"strength": _power(r, -5, -1)}),
    "mixup": Method(Mixup, {"alpha": 0.2}, lambda r: {"alpha": _power(r, -1, 1)}),
    "fishr": Method(
        Fishr,
        {"penalty": 1e3, "anneal": _share(1500), "ema": 0.95},
        lambda r: {"penalty": _power(r, 1, 4), "anneal": r.uniform(0.0, 1.0), "ema": r.uniform(0.90, 0.99)},
    ),
    "eqrm": Method(
        Eqrm,
        {"quantile": 0.75, "anneal": _share(2500), "rate": 1e-6 / LEARNING_RATE},
        lambda r: {
            "quantile": r.uniform(0.5, 0.99),
            "anneal": _share(_power(r, 2.5, 3.5)),
            "rate": _power(r, -7, -5) / LEARNING_RATE,
        },
    ),
    "andmask": Method(AndMask, {"tau": 1.0}, lambda r: {"tau": r.uniform(0.5, 1.0)}),
    "ib_irm": Method(
        IbIrm,
        {"penalty": 1e2, "anneal": _share(500), "bottleneck": 1e2, "bottleneck_anneal": _share(500)},
        lambda r: {
            "penalty": _power(r, -1, 5),
            "anneal": _share(_power(r, 0, 4)),
            "bottleneck": _power(r, -1, 5),
            "bottleneck_anneal": _share(_power(r, 0, 4)),
        },
    ),
    "causirl": Method(CausIrl, {"gamma": 1.0}, lambda r: {"gamma": _power(r, -1, 1)}),
}


def objective(name: str, model: nn.Module, *, environments: int, steps: int, **hyperparameters: float | bool) -> Erm:
    """The objective called `name` for a training of `steps` steps; hyperparameters not given are DomainBed's."""
    method = METHODS[name]
    return method.build(model, environments, steps, **(method.defaults | hyperparameters))


def draws(name: str, k: int, seed: int) -> list[dict[str, float]]:
    """`k` draws of the hyperparameters of `name`: the defaults, then k - 1 at random; a larger k only adds to them."""
    method = METHODS[name]
    numbered = [np.random.default_rng(derive(seed, "invariance", name, number)) for number in range(1, k)]
    return [dict(method.defaults), *(method.draw(random) for random in numbered)]


def learning_rates(k: int, seed: int) -> list[float]:
    """Factors on the recipe's learning rate for `k` draws, the same for every method (so that ERM is searched too).

    DomainBed: 1e-3 by default, 10^U(-4.5, -2.5) at random for small images.
    """
    numbered = [np.random.default_rng(derive(seed, "invariance", "lr", number)) for number in range(1, k)]
    return [1.0, *(_power(random, -1.5, 0.5) for random in numbered)]
