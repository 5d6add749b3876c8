"""The plan: which networks are trained on a data set, and what each of them is."""

from dataclasses import dataclass

from reprise.amodal.params import Params

COMPLETIONS = ("completion", "completion_clean")  # PCNet-M
IMAGE = (*COMPLETIONS, "supervised_image")  # networks that see one frame
SUPERVISED = ("supervised", "supervised_image")


@dataclass(frozen=True)
class Run:
    """One network; `adapted` is the number of steps on the unlabelled videos of another distribution."""

    method: str
    seed: int
    adapted: int | None = None

    @property
    def label(self) -> str:
        """Name of its files: `<method>.s<seed>`, `<method>.s<seed>.a<steps>`."""
        return f"{self.method}.s{self.seed}" + ("" if self.adapted is None else f".a{self.adapted}")


def runs(params: Params, dataset: str) -> list[Run]:
    """The networks trained on a data set, in the order of the parameters."""
    return [Run(method, seed) for method, seeds in params.tasks[dataset].runs.items() for seed in seeds]


def adapting(params: Params, dataset: str) -> list[Run]:
    """The networks that go on to another distribution, where the data set has one."""
    return [run for run in runs(params, dataset) if run.method in params.adaptation.methods]


def adapted(params: Params, dataset: str) -> list[Run]:
    """Their states after the steps at which they predict (after none they are the networks themselves)."""
    after = [steps for steps in params.adaptation.steps if steps]
    return [Run(run.method, run.seed, steps) for run in adapting(params, dataset) for steps in after]
