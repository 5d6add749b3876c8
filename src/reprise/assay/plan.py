"""The plan: every network that is trained, as a table; a run's id is a hash of its resolved configuration.

A run belongs to one arm:

    sweep        the paper's protocol: fine-tuned on one domain (36 domains x 864 cells = 31,104 at paper scale)
    strategies   LP-FT on the first cell of the grid; WiSE-FT, soups and last-layer retraining are derived from runs
    invariance   several pooled domains, one method each, hyperparameters drawn at random; one or two domains held out
    planted_cue  from random weights on two environments whose cue turns around at test time
"""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

from reprise.assay.params import Params
from reprise.results import setting


@dataclass(frozen=True)
class Run:
    """One network. `sources` are its training domains joined by "+"; lengths are steps or epochs as in params.yaml."""

    dataset: str
    arm: str
    sources: str
    model: str
    regime: str
    finetune: str
    augment: str
    method: str
    lr: float
    length: str
    batch_size: int
    crop: int | None
    draw: int
    seed: int

    @property
    def id(self) -> str:
        """Eight hex digits: equal configurations, equal ids."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]

    @property
    def domains(self) -> list[str]:
        return self.sources.split("+")

    @property
    def name(self) -> str:
        """The architecture as tables and figures call it."""
        return name_of(self.model)

    @property
    def start(self) -> str:
        """File name of the pretrained weights it starts from."""
        return start_of(f"{self.model}.s{self.seed}")

    @property
    def label(self) -> str:
        """For people: progress and errors."""
        return f"{self.sources} {self.name} {self.method} {self.regime} {self.finetune} {self.augment} {self.id}"

    def epochs(self, rows: int) -> int:
        """Passes over `rows` images that make up the length."""
        number, unit = self.length.split()
        per_epoch = -(-rows // self.batch_size)
        return int(number) if unit == "epochs" else max(1, round(int(number) / per_epoch))

    def setting(self, **more: Any) -> str:
        """Its `setting` in the results table."""
        keys: dict[str, Any] = {name: getattr(self, name) for name in ("arm", "regime", "finetune", "augment", "lr")}
        if self.arm == "invariance":
            keys["draw"] = self.draw
        return setting(run=self.id, length=self.length.replace(" ", ""), **(keys | more))

    def as_job(self) -> dict[str, Any]:
        return asdict(self)


def name_of(model: str) -> str:
    """What tables and figures call an architecture."""
    return model.removeprefix("assay.").removeprefix("timm/")


def start_of(label: str) -> str:
    """File name of the pretrained weights of `<architecture>.s<seed>`."""
    return f"{label.replace('/', '-')}.safetensors"


def runs(params: Params, dataset: str) -> list[Run]:
    """Every network of one task, in a fixed order. Raises ValueError if two had one id."""
    found = [*_sweep(params, dataset), *_strategies(params, dataset), *_invariance(params, dataset)]
    found += _planted_cue(params, dataset)
    if len({run.id for run in found}) != len(found):
        raise ValueError(f"the plan of {dataset} holds two runs of one id")
    return found


def _sweep(params: Params, dataset: str) -> Iterator[Run]:
    task, grid = params.tasks[dataset], params.sweep
    models = task.architectures or params.architectures
    cells = product(params.seeds, task.train, models, grid.regimes, grid.finetune, grid.augment)
    for seed, domain, model, regime, finetune, augment in cells:
        for lr, length in product(grid.lr[finetune], grid.lengths):
            yield Run(
                dataset, "sweep", domain, model, regime, finetune, augment, "erm", lr, length, grid.batch_size,
                task.crop, 0, seed,
            )  # fmt: skip


def _strategies(params: Params, dataset: str) -> Iterator[Run]:
    task, grid = params.tasks[dataset], params.sweep
    if "lp_ft" not in params.strategies.names:
        return
    models = [
        model for model in params.strategies.architectures if model in (task.architectures or params.architectures)
    ]
    for seed, domain, model in product(params.seeds, task.train, models):
        yield Run(
            dataset, "strategies", domain, model, grid.regimes[0], "lp_ft", grid.augment[0], "erm", grid.lr["full"][0],
            grid.lengths[0], grid.batch_size, task.crop, 0, seed,
        )  # fmt: skip


def _invariance(params: Params, dataset: str) -> Iterator[Run]:
    """All pools that lack one held-out domain, and those that lack a second one: leave-one-domain-out needs them."""
    task, arm = params.tasks[dataset], params.invariance
    left_out = [{domain} for domain in task.held_out]
    if len(task.pool) > 3:  # else one domain would remain, which is no choice of environments
        pairs = (set(pair) for pair in combinations(task.pool, 2))
        left_out += [pair for pair in pairs if pair & set(task.held_out)]
    for seed, model, held in product(params.seeds, arm.architectures, left_out):
        sources = "+".join(domain for domain in task.pool if domain not in held)
        for method, draw in product(arm.methods, range(arm.draws)):
            yield Run(
                dataset, "invariance", sources, model, "full", "full", arm.augment, method, arm.lr, arm.length,
                arm.batch_size, task.crop, draw, seed,
            )  # fmt: skip


def _planted_cue(params: Params, dataset: str) -> Iterator[Run]:
    arm = params.tasks[dataset].planted_cue
    if arm is None:
        return
    for method, seed in ((method, seed) for method, seeds in arm.methods.items() for seed in seeds):
        # Full batches: the length in steps is the length in epochs, whatever the size.
        yield Run(
            dataset, "planted_cue", "+".join(arm.train), "assay.mlp", "full", "scratch", "identity", method, arm.lr,
            f"{arm.steps} epochs", 1_000_000, None, 0, seed,
        )  # fmt: skip


def groups(params: Params, dataset: str) -> dict[str, list[Run]]:
    """The runs that are judged together, one prediction file each: `<arm>.<sources>.<architecture>.s<seed>` -> runs."""
    found: dict[str, list[Run]] = {}
    for run in runs(params, dataset):
        arm = "sweep" if run.arm == "strategies" else run.arm  # derived from the sweep's networks, so judged with them
        found.setdefault(f"{arm}.{run.sources}.{run.name}.s{run.seed}", []).append(run)
    return found


def probe_of(run: Run, finished: list[Run]) -> Run:
    """The head-only run whose head an LP-FT run starts from: the first of its domain, architecture and seed."""
    return next(
        head
        for head in finished
        if (head.arm, head.finetune, head.regime, head.sources, head.model, head.seed)
        == ("sweep", "head", run.regime, run.sources, run.model, run.seed)
    )


def write(found: list[Run], path: Path) -> None:
    """The plan as a CSV table, one row per run, its id first."""
    rows = [{"run": run.id, **asdict(run)} for run in found]
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def derived_setting(name: str, members: list[Run]) -> str:
    """The `setting` of a network made of finished runs, `wise_ft-<alpha>`, `uniform_soup`, ... (`predict`)."""
    finetune, _, alpha = name.partition("-")
    parent = next(run for run in members if run.finetune == "full")
    identity = hashlib.sha256(f"{name} {' '.join(run.id for run in members)}".encode()).hexdigest()[:8]
    keys: dict[str, Any] = {"alpha": alpha} if alpha else {}
    return setting(
        run=identity, arm="strategies", regime=parent.regime, finetune=finetune, augment=parent.augment, lr=parent.lr,
        length=parent.length.replace(" ", ""), **keys,
    )  # fmt: skip
