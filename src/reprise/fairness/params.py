"""Parameters of the fairness paper: the `fairness` block of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from reprise import params
from reprise.params import Recipe, Section

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Strengths = list[NonNegativeFloat]
HeadLoss = Literal["mse_linear", "mse_sigmoid", "bce"]


class Methods(Section):
    """Trained on the targets named in `compare`, beside the squared regulariser of `strengths`."""

    ddp_abs: Strengths
    ddp_unbiased: Strengths
    two_headed: Annotated[list[HeadLoss], Field(min_length=1)]
    group_weight: Share
    massaging: list[NonNegativeFloat]
    adversarial: Strengths
    fair_mixup: Strengths
    exponentiated_gradient: list[Annotated[float, Field(gt=0.0, le=1.0)]]


class Ablations(Section):
    """Strengths at which the controls are trained (on the targets named in `compare`)."""

    twin: Strengths
    scratch: Strengths
    fair_target: Strengths


class Task(Section):
    """What is learned on one data set, and with which network."""

    protected: str
    targets: Annotated[list[str], Field(min_length=1)]
    compare: list[str]
    backbone: Literal["convnet", "mlp", "mobilenet_v3_small", "resnet50"]
    init: Literal["factors", "imagenet", "scratch"]
    pretrain: Recipe | None
    train: Recipe
    scratch: Recipe | None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unknown = sorted(set(self.compare) - set(self.targets))
        if unknown:
            raise ValueError(f"compare names {unknown}, which are not among targets {self.targets}")
        if self.protected in self.targets:
            raise ValueError(f"protected {self.protected} cannot be a target as well")
        if self.init == "imagenet" and self.backbone not in ("mobilenet_v3_small", "resnet50"):
            raise ValueError(f"init: imagenet needs mobilenet_v3_small or resnet50, not {self.backbone}")
        if self.init == "factors" and self.pretrain is None:
            raise ValueError("init: factors needs a pretrain recipe")
        return self


class Merge(Section):
    """The search for (b, c) on the validation split (Sec. 4)."""

    epsilons: Annotated[int, Field(ge=2, le=201, description="slack values from 0.001 to the unconstrained gap")]
    near_parity: Annotated[float, Field(gt=0.0, le=0.5, description="slack at which methods are compared")]
    b_points: Annotated[int, Field(ge=3, le=10001)]

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.b_points % 2 == 0:
            raise ValueError(f"b_points must be odd, so that b = 0 is among the candidates: {self.b_points}")
        return self

    b_range: Annotated[float, Field(gt=0.0, le=100.0, description="in standard deviations of z2")]


class Probe(Section):
    """Recovery of the protected attribute from the frozen representation (Sec. 3)."""

    c: Annotated[float, Field(gt=0.0, description="inverse L2 strength of the logistic probe")]
    max_iter: PositiveInt
    max_rows: Annotated[PositiveInt, Field(description="training rows whose features are kept")]
    sgd_strengths: Strengths
    sgd_seeds: list[NonNegativeInt]
    sgd: Recipe


class Params(Section):
    """The `fairness` block."""

    datasets: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[NonNegativeInt], Field(min_length=1)]
    strengths: Annotated[Strengths, Field(min_length=1)]
    methods: Methods
    ablations: Ablations
    tasks: dict[str, Task]
    merge: Merge
    probe: Probe
    bootstrap: Annotated[int, Field(ge=10, le=100_000)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        absent = [name for name in self.datasets if name not in self.tasks]
        if absent:
            raise ValueError(f"datasets names {absent}, but tasks describes only {sorted(self.tasks)}")
        blocks: dict[str, Section] = {"": self, "methods.": self.methods, "ablations.": self.ablations}
        blocks |= {f"tasks.{name}.": task for name, task in self.tasks.items()}
        for where, block in blocks.items():
            for name, value in block:
                if isinstance(value, list) and len(set(value)) != len(value):
                    raise ValueError(f"{where}{name} repeats a value: {value}")
        if 0 not in self.strengths:
            raise ValueError(
                f"strengths must hold 0, the unconstrained network everything is compared with: {self.strengths}"
            )
        return self


def load(file: str = "params.yaml") -> Params:
    """The validated block, checked against the data sets of `common`."""
    block = params.load_block("fairness", model=Params, file=file)
    params.require_datasets("fairness", block.datasets, file)
    if "faces" in block.datasets:
        draws = params.read(file).get("data", {}).get("faces", {}).get("draws", [])
        if unknown := sorted(set(block.seeds) - set(draws)):
            raise params.ParamsError(f"{file}: fairness.seeds names {unknown}, which data.faces.draws {draws} does not")
    return block
