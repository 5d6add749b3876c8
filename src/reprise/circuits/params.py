"""The `circuits` block of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from reprise import params
from reprise.params import Section

Method = Literal[
    "nac", "nac_nested", "nac_wide", "nac_wide_nested", "nac_prefit", "nac_no_prior", "nac_planted", "nac_ring",
    "nac_random", "nac_small_world", "nac_complete", "plain_sparse", "perceiver", "interpreter", "conditional",
]  # fmt: skip
Kind = Literal["scale_free", "planted_partition", "ring_of_cliques", "erdos_renyi", "watts_strogatz"]
Names = Annotated[list[str], Field(min_length=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Sweep = Annotated[list[PositiveInt], Field(min_length=2)]


class Network(Section):
    """Sizes of a circuit (Sec. 2, 6.1); `reprise.circuits.parts.Sizes` says what each one is."""

    state: PositiveInt
    code: PositiveInt
    signature: PositiveInt
    outputs: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    head: PositiveInt
    read_heads: PositiveInt
    read_head: PositiveInt
    feed_forward: Positive
    strength: Annotated[float, Field(description="of the modulation at the start")]
    bandwidth: Annotated[float, Field(gt=0.0, le=10.0, description="of the kernel at the start")]
    learnable: Annotated[bool, Field(description="train the bandwidth")]
    temperature: Positive
    layer_scale: Positive | None
    drop_path: Annotated[float, Field(ge=0.0, lt=1.0)]
    pooling: Positive


class Wide(Section):
    """What wide circuits have in place of `network`'s."""

    processors: PositiveInt


class TextMade(Section):
    """What circuits that a text makes have in place of `network`'s (Sec. 2.9).

    Links drawn from few probable ones drown what the text says: the bandwidth is the paper's own.
    """

    bandwidth: Annotated[float, Field(gt=0.0, le=10.0)]


class Perceiver(Section):
    """What Perceiver IO has in place of `network`'s, so that it has as many weights (Sec. 3, matching rule)."""

    feed_forward: Positive


class Interpreter(Section):
    """Sizes of a Neural Interpreter (Sec. 4)."""

    width: PositiveInt
    functions: PositiveInt
    signature: PositiveInt
    scripts: PositiveInt
    iterations: PositiveInt
    lines: PositiveInt
    heads: PositiveInt
    hidden: Positive
    reach: Annotated[float, Field(gt=0.0, le=2.0)]

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        return self


class ScaleFree(Section):
    """Settings of `priors.scale_free`."""

    m: Positive


class Clusters(Section):
    """Settings of `priors.planted_partition` and `priors.ring_of_cliques`."""

    clusters: PositiveInt
    inside: Share
    outside: Share


class ErdosRenyi(Section):
    """Settings of `priors.erdos_renyi`."""

    p: Share


class WattsStrogatz(Section):
    """Settings of `priors.watts_strogatz`."""

    neighbours: PositiveInt
    p: Share


class Graphs(Section):
    """Settings of the graph priors (Sec. 2.8)."""

    scale_free: ScaleFree
    planted_partition: Clusters
    ring_of_cliques: Clusters
    erdos_renyi: ErdosRenyi
    watts_strogatz: WattsStrogatz


class Prior(Section):
    """What links should look like, before training and during it."""

    kind: Annotated[Kind, Field(description="of the methods that do not name one")]
    weight: Annotated[float, Field(ge=0.0, description="of the graph term of the loss")]
    steps: Annotated[PositiveInt, Field(description="of fitting signatures before training")]
    lr: Rate
    graphs: Graphs


class Optimiser(Section):
    """AdamW on a one-cycle schedule (Sec. 2.11)."""

    weight_decay: Share
    clip_norm: Positive
    warmup: Annotated[float, Field(gt=0.0, lt=1.0, description="share of the steps in which the rate rises")]
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)]


class Nested(Section):
    """Nested module dropout (Sec. 6.4): steps in which the best connected processors alone take part."""

    probability: Share
    smallest: Annotated[PositiveShare, Field(description="share of the processors that is left, at least")]


class Patches(Section):
    """Tokens of an image: `reprise.circuits.tokens.Patches`."""

    side: PositiveInt
    bands: PositiveInt


class ConvNeXt(Section):
    """Tokens of an image: `reprise.circuits.tokens.ConvNeXt`."""

    widths: Annotated[list[PositiveInt], Field(min_length=1)]
    depths: list[NonNegativeInt]
    places: PositiveInt

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if len(self.widths) != len(self.depths):
            raise ValueError(f"{len(self.widths)} widths, but {len(self.depths)} depths")
        return self


class Points(Section):
    """Tokens of a point cloud: `reprise.circuits.tokens.Points`."""

    width: PositiveInt
    bands: PositiveInt


class Symbols(Section):
    """Tokens of a text: `reprise.circuits.tokens.Symbols`."""

    width: PositiveInt


class Tokens(Section):
    """One tokenizer by its name, with its sizes."""

    patches: Patches | None = None
    convnext: ConvNeXt | None = None
    points: Points | None = None
    symbols: Symbols | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError(f"must name one tokenizer of {', '.join(type(self).model_fields)}")
        return self


class Augmentation(Section):
    """Of training point clouds (Sec. 6.2, D5)."""

    scale: Annotated[list[Positive], Field(min_length=2, max_length=2, description="of each axis, from and to")]
    shift: Annotated[float, Field(ge=0.0, description="of each axis, at most")]
    jitter: Annotated[float, Field(ge=0.0, description="standard deviation of every coordinate")]
    clip: Annotated[float, Field(ge=0.0, description="of the jitter")]


class Task(Section):
    """What one data set needs of its own."""

    processors: PositiveInt
    tokens: Tokens
    text: Annotated[Symbols | None, Field(description="tokens of the text, where there is one beside the input")]
    augmentation: Augmentation | None
    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    lr: Rate
    runs: Annotated[dict[Method, list[NonNegativeInt]], Field(description="methods and their seeds")]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not {"nac", "conditional"} & set(self.runs):
            raise ValueError("runs must hold nac or conditional, which the others are compared with")
        if repeated := {name: seeds for name, seeds in self.runs.items() if len(set(seeds)) != len(seeds)}:
            raise ValueError(f"runs repeats a seed: {repeated}")
        if self.text is None and "conditional" in self.runs:
            raise ValueError("runs names conditional, whose circuit a text makes: say how `text` is read")
        if self.text is not None and "interpreter" in self.runs:
            raise ValueError("runs names interpreter, which reads no text beside its input")
        if self.augmentation is not None and self.tokens.points is None:
            raise ValueError("augmentation is for points")
        return self


class Pruning(Section):
    """Dropping processors after training (Sec. 2.12)."""

    fractions: Annotated[list[PositiveShare], Field(min_length=2, description="kept")]
    draws: Annotated[PositiveInt, Field(description="random orders")]

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if self.fractions[0] != 1 or self.fractions != sorted(set(self.fractions), reverse=True):
            raise ValueError(f"fractions must fall from 1, without repeats: {self.fractions}")
        return self


class FewShot(Section):
    """Learning new classes from few examples, with a frozen network (Sec. 6.5, A15)."""

    dataset: Annotated[str, Field(description="which holds classes that training does not see")]
    way: Annotated[int, Field(ge=2, description="classes of an episode")]
    shots: Annotated[list[PositiveInt], Field(min_length=1, description="examples of each")]
    queries: PositiveInt
    episodes: PositiveInt

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.shots != sorted(set(self.shots)):
            raise ValueError(f"shots must rise, without repeats: {self.shots}")
        return self


class Latency(Section):
    """What is timed, and over which sizes (Sec. 6.5, A10, A11)."""

    batch_size: PositiveInt
    repeats: Annotated[int, Field(ge=3)]
    tokens: Sweep
    functions: Sweep
    processors: Sweep
    steps: Sweep


class Evaluation(Section):
    """How predictions are judged."""

    permutations: Annotated[int, Field(ge=10, le=100_000, description="of the questions' types")]
    cut: Annotated[float, Field(gt=0.0, lt=1.0, description="links less probable than this are cut")]


class Params(Section):
    """The `circuits` block."""

    datasets: Names
    network: Network
    wide: Wide
    conditional: TextMade
    perceiver: Perceiver
    interpreter: Interpreter
    prior: Prior
    optimiser: Optimiser
    nested: Nested
    tasks: dict[str, Task]
    pruning: Pruning
    few_shot: FewShot
    latency: Latency
    evaluation: Evaluation

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if absent := [name for name in self.datasets if name not in self.tasks]:
            raise ValueError(f"datasets names {absent}, but tasks describes only {sorted(self.tasks)}")
        if len(set(self.datasets)) != len(self.datasets):
            raise ValueError(f"datasets repeats a value: {self.datasets}")
        if self.few_shot.dataset not in self.datasets:
            raise ValueError(f"few_shot.dataset = {self.few_shot.dataset} is none of datasets {self.datasets}")
        graphs = self.prior.graphs
        most = max(graphs.planted_partition.clusters, graphs.ring_of_cliques.clusters)
        if few := {name: task.processors for name, task in self.tasks.items() if task.processors < most}:
            raise ValueError(f"too few processors for {most} clusters of a graph prior: {few}")
        return self


def load(file: str = "params.yaml") -> Params:
    """The validated block, checked against the data sets of `common`."""
    block = params.load_block("circuits", model=Params, file=file)
    params.require_datasets("circuits", block.datasets, file)
    return block
