"""The plan: which networks are trained, what each is called, and on which data it is judged.

A run is one network. Runs come in arms; the runs of one arm and seed share their data, so their predictions stand side
by side in one file:

    main     the target, from the pretrained backbone
    twin     the same data and start, another random seed: how far two equal trainings agree
    scratch  the target, from random weights
    fair     a target that does not depend on the group (control)
    group    the protected attribute itself as the target: what a probe can reach at best
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from reprise.fairness.params import Params

UNCONSTRAINED = "unconstrained"
ARMS = ("main", "twin", "scratch", "fair", "group")


@dataclass(frozen=True)
class Run:
    """One network: `method` and `level` (strength, head loss or kappa) as in params.yaml."""

    dataset: str
    target: str
    arm: str
    method: str
    level: str
    seed: int

    @property
    def label(self) -> str:
        """Unique within a data set; a file name."""
        return f"{self.target}.{self.arm}.{self.method}.{self.level}.s{self.seed}"

    @property
    def key(self) -> str:
        """Unique within its arm, target and seed: the name of its arrays in the prediction files."""
        return f"{self.method}.{self.level}"

    @property
    def probed(self) -> str:
        """Label of the network that a run of the `sgd_probe` method retrains."""
        method = UNCONSTRAINED if self.strength == 0 else "ddp_squared"
        return replace(self, method=method).label

    @property
    def strength(self) -> float:
        return float(self.level)

    def as_job(self) -> dict[str, Any]:
        return asdict(self)


def runs(params: Params, dataset: str) -> list[Run]:
    """Every network of one data set, in a fixed order."""
    task, methods, ablations = params.tasks[dataset], params.methods, params.ablations
    found: list[Run] = []
    for seed in params.seeds:

        def add(target: str, arm: str, method: str, levels: list[Any], seed: int = seed) -> None:
            for level in levels:
                name, text = method, f"{level:g}" if isinstance(level, int | float) else level
                if method == "ddp_squared" and level == 0:
                    name = UNCONSTRAINED
                found.append(Run(dataset, target, arm, name, text, seed))

        for target in task.targets:
            add(target, "main", "ddp_squared", params.strengths)
            compared = target in task.compare
            add(target, "main", "two_headed", methods.two_headed if compared else methods.two_headed[:1])
            if not compared:
                continue
            for method in ("ddp_abs", "ddp_unbiased", "massaging", "adversarial", "fair_mixup"):
                add(target, "main", method, getattr(methods, method))
            if task.backbone == "mlp":
                add(target, "main", "exponentiated_gradient", methods.exponentiated_gradient)
            add(target, "twin", "ddp_squared", ablations.twin)
            if task.scratch:
                add(target, "scratch", "ddp_squared", ablations.scratch)
            if dataset == "faces":
                add(target, "fair", "ddp_squared", ablations.fair_target)
            add(target, "group", "group", [0])
            if task.backbone != "mlp" and seed in params.probe.sgd_seeds:
                strengths = [level for level in params.probe.sgd_strengths if level in params.strengths]
                add(target, "main", "sgd_probe", strengths)
    return found


def arms(params: Params, dataset: str) -> dict[str, list[Run]]:
    """The runs that share their data: `<target>.<arm>.s<seed>` -> runs."""
    found: dict[str, list[Run]] = {}
    for run in runs(params, dataset):
        found.setdefault(f"{run.target}.{run.arm}.s{run.seed}", []).append(run)
    return found


def file_name(label: str, split: str) -> str:
    """Name of a prediction file in its split's folder; pairs are test people and lie beside them."""
    return f"{label}.pairs.npz" if split == "pairs" else f"{label}.npz"
