"""Every measurement of trained circuits, from stored predictions alone: accuracy, graphs, few shots, texts' circuits.

`shift` is empty for the test set of the training distribution, else the name of the test domain. A network whose logits
are not finite is wrong where they are not.
"""

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from reprise.circuits import conditional, metrics, plan
from reprise.circuits.few_shot import episodes, few_shot
from reprise.circuits.params import Evaluation, FewShot, Params
from reprise.circuits.priors import matched, mismatch
from reprise.data.arrays import DataError, Prepared, open_prepared
from reprise.results import ResultsError, setting
from reprise.seeding import derive

Row = dict[str, Any]
Arrays = Mapping[str, np.ndarray]
IID = "iid"
TEST = f"{IID}/test"
SHOWN = 400  # questions whose circuits are stored for figures


@dataclass(frozen=True)
class Prediction:
    """The file of one trained network; the module `reprise.circuits.predict` says what is in it."""

    path: Path
    method: str
    seed: int

    @property
    def about(self) -> Row:
        return {"method": self.method, "model": plan.family(self.method), "seed": self.seed}

    def read(self) -> Arrays:
        """All arrays. Raises ResultsError where there are none, or damaged ones."""
        if not self.path.exists():
            raise ResultsError(f"{self.path} is missing: run `dvc repro circuits-predict`")
        try:
            # NumPy leaves a damaged file open that it was given by name.
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return dict(archive)
        except (zipfile.BadZipFile, ValueError, EOFError) as error:
            raise ResultsError(f"{self.path} is damaged ({error}): run `dvc repro -f -s circuits-predict`") from None


def predictions(block: Params, dataset: str, folder: Path) -> list[Prediction]:
    """The networks of a data set, with their files in `folder`."""
    return [Prediction(folder / f"{run.label}.npz", run.method, run.seed) for run in plan.runs(block, dataset)]


def evaluate(
    folder: Path,
    runs: Iterable[Prediction],
    evaluation: Evaluation,
    shots: FewShot,
    seed: int,
) -> Iterator[Row]:
    """Rows of the results table of one data set.

    Args:
        folder: the prepared data set.
        shots: of learning from few examples; on its data set alone.
        seed: of episodes and permutations.

    Raises:
        DataError: the data do not suffice for few-shot episodes.
        ResultsError: a prediction is missing, damaged or of other samples.
    """
    data = open_prepared(folder)
    common = {"paper": "circuits", "dataset": folder.name, "train_domain": IID, "split": "test"}
    for row in _facts(data):
        yield common | {"method": "data", "model": "none", "seed": 0} | row
    for run in runs:
        arrays = run.read()
        rows = [
            *_accuracies(run, arrays, data, evaluation),
            *_one("n_params", float(arrays["n_params"]), 1),
            *_one("macs", float(arrays["macs"]), 1),
            *_graph(arrays),
        ]
        if folder.name == shots.dataset:
            rows += _few_shot(arrays, data, shots, seed, run.seed)
        if "circuits" in arrays:
            permutations = evaluation.permutations
            for name, value, n in (
                *conditional.similarity(arrays, data, TEST, permutations=permutations, seed=seed),
                *conditional.exchanged(arrays, data, TEST),
            ):
                rows += _one(name, value, n)
        for row in rows:
            yield common | run.about | row


def _one(metric: str, value: float, n: int, domain: str = IID, **keys: Any) -> list[Row]:
    """One row; none of a value that is not defined."""
    if not np.isfinite(value):
        return []
    shift = "" if domain == IID else domain
    about = {"test_domain": domain, "shift": shift, "setting": setting(**keys)}
    return [about | {"metric": metric, "value": float(value), "n": int(n)}]


def labels(data: Prepared, split: str) -> Int[np.ndarray, " n"]:
    """The classes of a split."""
    return data.arrays["labels"][data.rows(split), 0].astype(int)


def _facts(data: Prepared) -> list[Row]:
    """Accuracy of guessing, and of always naming the most frequent class."""
    train, test = labels(data, f"{IID}/train"), labels(data, TEST)
    return [
        *_one("chance", 1 / len(np.unique(train)), len(test)),
        *_one("majority", metrics.majority(train, test), len(test)),
    ]


# ---------------------------------------------------------------- answers


def _accuracies(run: Prediction, arrays: Arrays, data: Prepared, evaluation: Evaluation) -> Iterator[Row]:
    """In every domain, and on the test set of training with fewer modules or links, and for each kind of question."""

    def scored(name: str, domain: str = IID, **keys: Any) -> list[Row]:
        y = labels(data, f"{domain}/test")
        if arrays[name].shape[0] != len(y):
            raise ResultsError(
                f"{run.path}: {name} is of {len(arrays[name])} samples, the data set has {len(y)}: "
                "run `dvc repro -f -s circuits-predict`"
            )
        return _one("accuracy", metrics.accuracy(arrays[name], y), len(y), domain, **keys)

    if f"{IID}/logits" not in arrays:
        raise ResultsError(f"{run.path} holds no {IID}/logits: run `dvc repro -f -s circuits-predict`")
    for name in arrays:
        match name.split("/"):
            case ["cut", "logits"]:
                yield from scored(name, cut=evaluation.cut)
            case ["pruned", order, fraction]:
                yield from scored(name, kept=fraction, order=order)
            case [domain, "logits"] if f"{domain}/test" in data.card["splits"]:
                yield from scored(name, domain)
    if "type" in data.arrays:
        y, kinds = labels(data, TEST), data.arrays["type"][data.rows(TEST)]
        for kind, name in enumerate(data.card["types"]):
            if (those := kinds == kind).any():
                right = metrics.accuracy(arrays[f"{IID}/logits"][those], y[those])
                yield from _one("accuracy", right, those.sum(), kind=name)


def _few_shot(arrays: Arrays, data: Prepared, settings: FewShot, seed: int, run: int) -> Iterator[Row]:
    """Accuracy in each episode, of which all networks of a seed have the same."""
    split = next((name for name in data.card["splits"] if name.endswith("/few")), None)
    if split is None:
        raise DataError(f"{data.name} has no classes to learn from few examples: name another few_shot.dataset")
    features = arrays["features"]
    if not np.isfinite(features).all():  # of a network that has diverged nothing can be learned
        return
    y = labels(data, split)
    drawn = episodes(
        y,
        way=settings.way,
        shots=max(settings.shots),
        queries=settings.queries,
        count=settings.episodes,
        seed=derive(seed, "circuits", run),
    )
    for shots, accuracy in few_shot(features, drawn, settings.shots):
        for episode, value in enumerate(accuracy):
            n = settings.way * settings.queries
            yield from _one("few_shot_accuracy", value, n, split.split("/")[0], shots=shots, episode=episode)


# ---------------------------------------------------------------- graphs


def _graph(arrays: Arrays) -> Iterator[Row]:
    """How near the links are to the prior, before and after training, and how unequal the degrees; means over layers.

    Every layer is matched to the target by itself, as in training. A target of links all alike correlates with nothing.
    """
    if "links" not in arrays:
        return
    links = arrays["links"]
    modules = links.shape[-1]
    yield from _one("degree_gini", metrics.gini(metrics.degrees(links.mean(0))), modules)
    if "target" in arrays:
        target = arrays["target"]
        errors, correlations = zip(*(compared(layer, target) for layer in links), strict=True)
        yield from _one("prior_error", float(np.mean(errors)), modules)
        yield from _one("prior_correlation", float(np.mean(correlations)), modules)
        start = [compared(layer, target)[0] for layer in arrays["links_start"]]
        yield from _one("prior_error_start", float(np.mean(start)), modules)


def compared(links: Float[np.ndarray, "u u"], target: Float[np.ndarray, "u u"]) -> tuple[float, float]:
    """Mean square of the differences, and correlation, of links with a target after matching."""
    order = matching(links, target)
    found, wanted = (torch.from_numpy(one).double() for one in (links[order][:, order], target))
    return float(mismatch(found, wanted)), metrics.correlation(found.numpy(), target)


def matching(links: Float[np.ndarray, "u u"], target: Float[np.ndarray, "u u"]) -> Int[np.ndarray, " u"]:
    """The processor that plays each node of the target."""
    return matched(torch.from_numpy(links), torch.from_numpy(target)).numpy()


def graphs(runs: Sequence[Prediction]) -> Iterator[tuple[str, np.ndarray]]:
    """Links of each method's first network before and after training, and their targets, means over layers.

    Both are in the order in which the trained links match the target, so that a processor has one place; where there
    is no target, in their own.
    """
    for run in first(runs):
        arrays = run.read()
        if "links" in arrays:
            after, before = arrays["links"].mean(0), arrays["links_start"].mean(0)
            if "target" in arrays:
                order = matching(after, arrays["target"])
                after, before = after[order][:, order], before[order][:, order]
                yield f"{run.method}/target", arrays["target"]
            yield f"{run.method}/links", after
            yield f"{run.method}/links_start", before


def circuits_of_texts(folder: Path, runs: Sequence[Prediction]) -> Iterator[tuple[str, np.ndarray]]:
    """The circuits of the first test questions, the questions, and what their numbers mean, where they have types."""
    data = open_prepared(folder)
    if "type" not in data.arrays:
        return
    rows = data.rows(TEST)
    for run in first(runs):
        arrays = run.read()
        if "circuits" in arrays:
            yield f"{run.method}/circuits", arrays["circuits"][:SHOWN]
            for name in ("type", "text"):
                yield f"{run.method}/{name}", np.asarray(data.arrays[name][rows][:SHOWN])
            for name in ("words", "types"):
                yield name, np.array(data.card[name])


def first(runs: Sequence[Prediction]) -> list[Prediction]:
    """The network of the least seed of each method, in the order of the methods."""
    methods = dict.fromkeys(run.method for run in runs)
    return [min((run for run in runs if run.method == method), key=lambda run: run.seed) for method in methods]
