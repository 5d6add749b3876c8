"""The plan: which networks are trained on a data set, and what each of them is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reprise.circuits.params import Params
from reprise.data.arrays import DataError

Family = Literal["nac", "perceiver", "interpreter"]
PRUNED = ("handwriting", "tiny_imagenet")  # data sets on which processors and links are dropped after training
FEWER = ("nac", "nac_nested", "nac_no_prior", "nac_wide", "nac_wide_nested", "perceiver")  # whose processors are


@dataclass(frozen=True)
class Variant:
    """What sets a method apart (Sec. 1, C6 and C7; Sec. 2.14, the ladder).

    Attributes:
        modulated, sparse: ModFC layers, links of the kernel; of circuits.
        prior: which graph signatures are fitted to before training: "kind" is the one that the parameters name.
        regularised: it stays a term of the loss.
        nested: trained with nested module dropout, which the paper does not have (Sec. 6.4).
        wide: of more processors.
        conditional: a text makes the circuit.
    """

    family: Family = "nac"
    modulated: bool = True
    sparse: bool = True
    prior: str | None = "kind"
    regularised: bool = True
    nested: bool = False
    wide: bool = False
    conditional: bool = False


VARIANTS = {
    "nac": Variant(),
    "nac_nested": Variant(nested=True),
    "nac_wide": Variant(wide=True),
    "nac_wide_nested": Variant(wide=True, nested=True),
    "nac_prefit": Variant(regularised=False),
    "nac_no_prior": Variant(prior=None, regularised=False),
    "nac_planted": Variant(prior="planted_partition"),
    "nac_ring": Variant(prior="ring_of_cliques"),
    "nac_random": Variant(prior="erdos_renyi"),
    "nac_small_world": Variant(prior="watts_strogatz"),
    "nac_complete": Variant(sparse=False, prior=None, regularised=False),
    "plain_sparse": Variant(modulated=False),
    "perceiver": Variant("perceiver", modulated=False, sparse=False, prior=None, regularised=False),
    "interpreter": Variant("interpreter", modulated=False, sparse=False, prior=None, regularised=False),
    # Every text has its own graph, of which no prior is known.
    "conditional": Variant(prior=None, regularised=False, conditional=True),
}


@dataclass(frozen=True)
class Run:
    """One network."""

    method: str
    seed: int

    @property
    def label(self) -> str:
        """Name of its files, `<method>.s<seed>`."""
        return f"{self.method}.s{self.seed}"


def family(method: str) -> Family:
    """The kind of network that a method trains."""
    return VARIANTS[method].family


def prior(method: str, kind: str) -> str | None:
    """Name of a method's graph prior, `kind` being the one that the parameters name."""
    named = VARIANTS[method].prior
    return kind if named == "kind" else named


def runs(params: Params, dataset: str) -> list[Run]:
    """The networks trained on a data set, in the order of the parameters."""
    return [Run(method, seed) for method, seeds in params.tasks[dataset].runs.items() for seed in seeds]


def settings(params: Params, dataset: str) -> dict[str, Any]:
    """The blocks that say what a network on a data set is and how it is trained, as a job takes them."""
    blocks = {"network", "wide", "conditional", "perceiver", "interpreter", "prior", "optimiser", "nested"}
    task = params.tasks[dataset].model_dump(exclude={"runs"}, exclude_none=True)
    found = params.model_dump(include=blocks) | {"task": task}
    found["network"]["processors"] = task.pop("processors")
    return found


DATA = "data.txt"  # in a folder of models or predictions


def name_data(folder: Path, digest: str) -> None:
    """Leave the digest of the data that a data set's networks are trained on, or applied to, beside them."""
    (folder / DATA).write_text(f"{digest}\n")


def check_data(folder: Path, digest: str) -> None:
    """Raises DataError where the networks or predictions of a folder are of other data than those at hand."""
    named = (folder / DATA).read_text().strip() if (folder / DATA).exists() else ""
    if named != digest:
        raise DataError(
            f"{folder} is of other data than data/prepared/{folder.name}: run `dvc repro circuits-train@{folder.name}`"
        )
