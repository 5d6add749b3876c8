"""The `amodal` block of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from reprise import params
from reprise.params import Section

Method = Literal[
    "savos", "per_frame", "completion", "completion_clean", "supervised", "supervised_image", "no_consistency",
    "forward_only", "no_flow", "no_residual", "current_label", "occluder_input",
]  # fmt: skip
Names = Annotated[list[str], Field(min_length=1)]
Widths = Annotated[list[PositiveInt], Field(min_length=2)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]


class Network(Section):
    """Sizes of the video network (Sec. 2.5)."""

    crop: Annotated[list[PositiveInt], Field(min_length=2, max_length=2, description="height and width of a patch")]
    enlarge: Annotated[float, Field(ge=1.0, le=5.0, description="box of a patch over the box of the visible mask")]
    encoder: Annotated[Widths, Field(description="channels of the encoder's layers")]
    mask_encoder: Widths
    flow_encoder: Widths
    mask_decoder: Widths
    flow_decoder: Widths
    hidden: PositiveInt
    flow_scale: Annotated[float, Field(gt=0.0, description="of the flow given to the encoders")]
    residual_scale: Annotated[float, Field(gt=0.0, description="of the predicted residual motion, in pixels")]


class Training(Section):
    """Training of the video networks (Sec. 2.4, 2.6)."""

    lr: Rate
    schedule: Literal["one_cycle", "constant", "step"]
    clip_norm: Annotated[float | None, Field(gt=0.0)]
    clip_length: Annotated[int, Field(ge=3, description="frames of a training clip")]
    consistency: Annotated[float, Field(ge=0.0, description="weight of L_cons, averaged over time")]
    photometric: Annotated[float, Field(ge=0.0, description="weight of L_photo")]
    eps: Annotated[float, Field(gt=0.0, lt=0.1, description="probabilities are kept eps/2 from 0 and 1")]


class Completion(Section):
    """PCNet-M (Zhan et al. 2020), and the supervised network of the same shape (Sec. 5)."""

    crop: PositiveInt
    enlarge: Annotated[float, Field(ge=1.0, le=5.0)]
    widths: Annotated[list[PositiveInt], Field(min_length=3)]
    steps: PositiveInt
    batch_size: PositiveInt
    lr: Rate
    in_front: Annotated[Share, Field(description="share of erasers that cut the mask, the others lie behind it")]
    shift: Annotated[float, Field(ge=0.0, le=1.0, description="greatest offset of the eraser, in boxes")]
    weight: Annotated[float, Field(ge=1.0, description="of the loss inside the eraser")]


class Adaptation(Section):
    """Training goes on, on the unlabelled videos of the new distribution (Sec. 2.7)."""

    methods: list[Literal["savos", "per_frame", "completion"]]
    steps: Annotated[list[NonNegativeInt], Field(min_length=1, description="at which predictions are made")]
    lr: Rate
    batch_size: PositiveInt
    mode: Annotated[Literal["transductive", "inductive"], Field(description="on the test clips, or on other ones")]


class Task(Section):
    """What one data set needs of its own."""

    steps: Annotated[PositiveInt, Field(description="of the video networks")]
    batch_size: Annotated[PositiveInt, Field(description="clips")]
    supervised_batch_size: Annotated[PositiveInt, Field(description="the same, of the supervised video network")]
    runs: Annotated[dict[Method, list[NonNegativeInt]], Field(description="methods and their seeds")]

    @model_validator(mode="after")
    def _runs(self) -> Self:
        if "savos" not in self.runs:
            raise ValueError("runs must hold savos, which the others are compared with")
        if repeated := {name: seeds for name, seeds in self.runs.items() if len(set(seeds)) != len(seeds)}:
            raise ValueError(f"runs repeats a seed: {repeated}")
        return self


class Evaluation(Section):
    """How predictions are judged (Sec. 2.8)."""

    occlusion: Annotated[list[Share], Field(min_length=2, max_length=2, description="scored: rates between these")]
    threshold: Share
    completion_threshold: Share
    bootstrap: Annotated[int, Field(ge=10, le=100_000, description="resamples of videos")]


class Params(Section):
    """The `amodal` block."""

    datasets: Names
    network: Network
    training: Training
    completion: Completion
    adaptation: Adaptation
    tasks: dict[str, Task]
    evaluation: Evaluation

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if absent := [name for name in self.datasets if name not in self.tasks]:
            raise ValueError(f"datasets names {absent}, but tasks describes only {sorted(self.tasks)}")
        for name in self.adaptation.methods:
            if not any(name in self.tasks[dataset].runs for dataset in self.datasets):
                raise ValueError(f"adaptation.methods names {name}, which no data set trains")
        low, high = self.evaluation.occlusion
        if low >= high:
            raise ValueError(f"evaluation.occlusion = [{low}, {high}] is empty: the lower bound comes first")
        if self.adaptation.steps != sorted(set(self.adaptation.steps)):
            raise ValueError(f"adaptation.steps must rise, without repeats: {self.adaptation.steps}")
        if len(set(self.datasets)) != len(self.datasets):
            raise ValueError(f"datasets repeats a value: {self.datasets}")
        return self


def load(file: str = "params.yaml") -> Params:
    """The validated block, checked against the data sets of `common`."""
    block = params.load_block("amodal", model=Params, file=file)
    params.require_datasets("amodal", block.datasets, file)
    return block
