"""Parameters of the out-of-distribution assay: the `assay` block of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from reprise import params
from reprise.params import Recipe, Section

Names = Annotated[list[str], Field(min_length=1)]
Length = Annotated[str, Field(pattern=r"^[1-9]\d* (steps|epochs)$", description="of a training: steps or epochs")]
Rate = Annotated[float, Field(gt=0.0, le=1.0, description="constant learning rate of Adam")]
Regime = Annotated[str, Field(pattern=r"^(full|fewshot_[1-9]\d*)$", description="all images, or k per class")]
Strategy = Literal["full", "head"]
# The names of the registries, which import torch; a test keeps them equal.
Augment = Literal[
    "identity", "random_color", "random_color_as_code", "random_augment", "augmix", "standard", "rand", "blur",
    "gaussian_noise", "pixelate", "sharpen", "grayscale", "hflip", "color_jitter",
]  # fmt: skip
Method = Literal[
    "erm", "group_dro", "irm", "vrex", "coral", "sd", "mixup", "fishr", "eqrm", "andmask", "ib_irm", "causirl",
]  # fmt: skip
Corruption = Literal[
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "defocus_blur", "motion_blur", "zoom_blur",
    "gaussian_blur", "snow", "fog", "spatter", "brightness", "contrast", "saturate", "elastic_transform", "pixelate",
    "jpeg_compression",
]  # fmt: skip


class Upstream(Section):
    """Pretraining of the architectures that bring no weights of their own."""

    dataset: str
    recipes: dict[str, Recipe]


class Grid(Section):
    """Fine-tuning runs: the product of all lists, for every training domain and architecture."""

    regimes: Annotated[list[Regime], Field(min_length=1)]
    finetune: Annotated[list[Strategy], Field(min_length=1)]
    augment: Annotated[list[Augment], Field(min_length=1)]
    lengths: Annotated[list[Length], Field(min_length=1)]
    lr: dict[Strategy, Annotated[list[Rate], Field(min_length=1)]]
    batch_size: PositiveInt

    @model_validator(mode="after")
    def _rates(self) -> Self:
        if absent := sorted(set(self.finetune) - set(self.lr)):
            raise ValueError(f"lr says nothing about {absent}")
        return self


class Strategies(Section):
    """Fine-tuning strategies beyond the paper, on the first cell of the grid of each training domain."""

    architectures: Names
    names: list[Literal["lp_ft", "wise_ft", "soups", "last_layer"]]
    alphas: Annotated[int, Field(ge=2, le=101, description="points between pretrained (0) and fine-tuned (1)")]

    @model_validator(mode="after")
    def _parents(self) -> Self:
        if "wise_ft" in self.names and "lp_ft" not in self.names:
            raise ValueError("names: wise_ft interpolates towards lp_ft, so name lp_ft too")
        return self


class Invariance(Section):
    """Methods for several training environments, on pooled domains: each held-out domain is the target once."""

    methods: Annotated[list[Method], Field(min_length=1)]
    architectures: Names
    draws: Annotated[PositiveInt, Field(description="hyperparameter draws per method; the first is the default")]
    augment: Augment
    length: Length
    lr: Rate
    batch_size: PositiveInt


class PlantedCue(Section):
    """The experiment in which invariance must pay: colour agrees with the label, except at test time."""

    train: Names
    test: str
    methods: dict[Literal["erm_grayscale"] | Method, list[NonNegativeInt]]
    steps: PositiveInt
    lr: Rate
    l2: NonNegativeFloat


class Task(Section):
    """One task: the domains networks are fine-tuned on, one at a time, and those they are judged on."""

    train: Names
    test: Names
    crop: Annotated[int | None, Field(ge=16, description="side of random crops with flips; null: neither")]
    architectures: Annotated[Names | None, Field(description="of the sweep; null: all of the block's")]
    pool: Annotated[list[str], Field(description="domains of the invariance arm; none: no such arm")]
    held_out: list[str]
    planted_cue: PlantedCue | None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, value in self:
            if isinstance(value, list) and len(set(value)) != len(value):
                raise ValueError(f"{name} repeats a value: {value}")
        if unknown := sorted(set(self.held_out) - set(self.pool)):
            raise ValueError(f"held_out names {unknown}, which pool {self.pool} does not")
        if self.pool and len(self.pool) < 3:
            raise ValueError(f"pool needs three domains or more, two to train on and one to hold out: {self.pool}")
        return self


class AttackSettings(Section):
    """One adversarial attack (Sec. 4): `reprise.assay.attacks.Attack`."""

    method: Literal["fgsm", "pgd", "apgd"]
    loss: Literal["ce", "dlr"]
    norm: Literal["l2", "linf"]
    eps: Annotated[float, Field(gt=0.0, description="radius, for pixels in [0, 1]")]
    steps: PositiveInt

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        if self.method == "fgsm" and self.steps != 1:
            raise ValueError(f"fgsm makes one step: set steps to 1 instead of {self.steps}, or take pgd")
        return self


class Evaluation(Section):
    """What every network of the sweep is judged on, beside its own and the other domains' test splits."""

    corruptions: list[Corruption]
    severities: list[Annotated[int, Field(ge=1, le=5)]]
    attacks: dict[str, AttackSettings]
    attacked: Annotated[PositiveInt, Field(description="test images per domain that are attacked")]
    max_images: Annotated[int | None, Field(ge=1, description="of a test split; null: all")]
    bootstrap: Annotated[int, Field(ge=10, le=10_000, description="resamples for the standard errors of metrics")]


class Analysis(Section):
    """How the table of measurements is read (Sec. 5 of the specification)."""

    bootstrap: Annotated[int, Field(ge=10, le=100_000, description="resamples of runs, within training domains")]
    transform: Literal["logit", "probit", "raw"]
    factors: PositiveInt
    rotation: Literal["varimax", "quartimax"]


class Params(Section):
    """The `assay` block."""

    datasets: Names
    seeds: Annotated[list[NonNegativeInt], Field(min_length=1)]
    architectures: Names
    upstream: Upstream
    sweep: Grid
    strategies: Strategies
    invariance: Invariance
    tasks: dict[str, Task]
    evaluation: Evaluation
    analysis: Analysis

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if absent := [name for name in self.datasets if name not in self.tasks]:
            raise ValueError(f"datasets names {absent}, but tasks describes only {sorted(self.tasks)}")
        if "full" not in self.sweep.finetune and self.strategies.names:
            raise ValueError("strategies are made from fully fine-tuned networks: name full in sweep.finetune, or none")
        if "head" not in self.sweep.finetune and "lp_ft" in self.strategies.names:
            raise ValueError("strategies.names: lp_ft starts from a fitted head, so name head in sweep.finetune")
        if "erm" not in self.invariance.methods:
            raise ValueError("invariance.methods must hold erm, which the others are compared with")
        blocks: dict[str, Section] = {
            "": self,
            "sweep.": self.sweep,
            "strategies.": self.strategies,
            "evaluation.": self.evaluation,
            "invariance.": self.invariance,
        }
        for where, block in blocks.items():
            for name, value in block:
                if isinstance(value, list) and len(set(value)) != len(value):
                    raise ValueError(f"{where}{name} repeats a value: {value}")
        arms = {"strategies": self.strategies.architectures, "invariance": self.invariance.architectures}
        arms |= {
            f"tasks.{name}": task.architectures or [] for name, task in self.tasks.items() if name in self.datasets
        }
        for arm, named in arms.items():
            if strange := sorted(set(named) - set(self.architectures)):
                raise ValueError(f"{arm}.architectures names {strange}, which are not pretrained: not in architectures")
        return self


def load(file: str = "params.yaml") -> Params:
    """The validated block, checked against the data sets of `common`."""
    block = params.load_block("assay", model=Params, file=file)
    params.require_datasets("assay", [*block.datasets, block.upstream.dataset], file)
    return block
