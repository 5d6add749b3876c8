"""Methods for several training environments (Sec. 8): on held-out domains (analysis 11), with a planted cue (12).

A method's network for a held-out domain is one of its hyperparameter draws, chosen by one of DomainBed's rules; the
comparison is with ERM on the same pooled data, chosen by the same rule.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from reprise.assay.analysis.bootstrap import Row, row, with_interval
from reprise.assay.analysis.settings import Settings
from reprise.assay.selection import RULES
from reprise.seeding import derive

CELL = ["dataset", "held_out", "model", "seed"]
BASELINE = "erm"


def invariance(table: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of analysis=invariance: ood_accuracy, minus_erm by method and selection, per held-out domain and on average.

    Args: `table`, measurements after `results.expand`.

    A held-out domain's value is the mean over seeds and architectures. The intervals of the averages are over held-out
    domains, resampled for all methods alike: a method has too few networks per training set to resample those.
    leave_one_domain_out is reported where its networks, trained without two domains, were run.
    """
    found = chosen(candidates(table))
    if found.empty:
        return []
    erm = found[found["method"] == BASELINE].set_index([*CELL, "selection"])["ood_accuracy"].rename("erm")
    found = found.join(erm, on=[*CELL, "selection"])
    found["minus_erm"] = (found["ood_accuracy"] - found["erm"]).where(found["method"] != BASELINE)
    rows: list[Row] = []
    by_method: Any = found.groupby(["method", "selection"], sort=True)
    for (method, selection), members in by_method:
        key = {"method": method, "selection": selection}
        for metric in ("ood_accuracy", "minus_erm"):
            cells = members.dropna(subset=[metric])
            by_domain: Any = cells.groupby(["dataset", "train_domain", "held_out"], sort=True)[metric]
            for (dataset, train, held_out), values in by_domain:
                line = row("invariance", key, metric, values.mean(), len(values), dataset=dataset)
                rows.append(line | {"train_domain": train, "test_domain": held_out})
            rows += _averages(by_domain.mean(), key, metric, settings)
    return rows


def candidates(table: pd.DataFrame) -> pd.DataFrame:
    """One row per hyperparameter draw of a method and held-out domain: val_error, lodo_error, test_error.

    The pool of a data set is what the arm's networks were trained or tested on; a network that lacks one domain of it
    is a candidate for that domain, networks that lack two give lodo_error: the mean over the training domains v of the
    error on v without v in training (NaN unless all were run), on validation images of v where those were measured.
    """
    rows = table[(table["arm"] == "invariance") & (table["metric"] == "error")] if "arm" in table else table[:0]
    columns = [*CELL, "train_domain", "method", "draw", "val_error", "lodo_error", "test_error"]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    names = rows["train_domain"] + "+" + rows["test_domain"]
    pools = {dataset: set("+".join(part.unique()).split("+")) for dataset, part in names.groupby(rows["dataset"])}
    left_out: Any = [
        tuple(sorted(pools[dataset] - set(train.split("+"))))
        for dataset, train in zip(rows["dataset"], rows["train_domain"], strict=True)
    ]
    rows = rows.assign(left_out=left_out, draw=rows["draw"].astype(int))
    network = ["dataset", "model", "seed", "method", "draw", "left_out"]
    inside = rows[(rows["shift"] == "id") & (rows["split"] == "val")].groupby(network)["value"].mean()
    outside = rows[rows["shift"] == "ood"].groupby([*network, "test_domain", "split"])["value"].mean().to_dict()
    found = []
    singles: Any = rows[rows["left_out"].map(len) == 1].groupby([*network, "train_domain"], sort=True).groups
    for *start, held_out, train in singles:
        (target,) = held_out
        key = tuple(start)
        pairs = [(*key, tuple(sorted((target, v))), v) for v in train.split("+")]
        others = [outside.get((*pair, "val"), outside.get((*pair, "test"), np.nan)) for pair in pairs]
        found.append(
            {
                **dict(zip(network[:-1], start, strict=True)),
                "train_domain": train,
                "held_out": target,
                "val_error": inside.get((*key, held_out), np.nan),
                "lodo_error": np.mean(others),
                "test_error": outside.get((*key, held_out, target, "test"), np.nan),
            }
        )
    return pd.DataFrame(found, columns=columns).dropna(subset=["test_error"])


def chosen(draws: pd.DataFrame) -> pd.DataFrame:
    """The chosen rows of `candidates` by each of DomainBed's rules (`selection`), with their ood_accuracy."""
    found = [
        rule(rows).assign(selection=selection)
        for selection, rule in RULES.items()
        for _, rows in draws.groupby(["dataset", "model", "seed"], sort=True)
    ]
    if not found:
        return draws.assign(selection="", ood_accuracy=np.nan)
    best = pd.concat(found, ignore_index=True)
    return best.assign(ood_accuracy=1 - best["test_error"])


def planted_cue(table: pd.DataFrame) -> list[Row]:
    """Rows of analysis=planted_cue per method and seed: reversed_accuracy, where the cue is reversed, and id_accuracy.

    The second, on validation images of the training environments, tells a network that ignores the cue from one that
    has learned nothing and is right half of the time everywhere.
    """
    if "arm" not in table:
        return []
    rows = table[(table["arm"] == "planted_cue") & (table["metric"] == "error")]
    keys = ["dataset", "train_domain", "model", "method", "seed"]
    found = []
    for metric, shift in (("reversed_accuracy", "ood"), ("id_accuracy", "id")):
        means: Any = rows[rows["shift"] == shift].groupby(keys, sort=True)["value"].mean()
        for (dataset, train, model, method, seed), error in means.items():
            key = {"model": model, "method": method}
            line = row("planted_cue", key, metric, 1 - error, 1, dataset=dataset)
            found.append(line | {"train_domain": train, "test_domain": "", "seed": int(seed)})
    return found


def _averages(values: pd.Series, key: dict[str, Any], metric: str, settings: Settings) -> Iterator[Row]:
    """Averages over held-out domains (index level dataset first), by data set and over all."""
    drawn = {
        str(dataset): part.to_numpy()[_resampled(len(part), str(dataset), settings)]
        for dataset, part in values.groupby(level="dataset", sort=True)
    }
    if not drawn:
        return
    means = np.stack([part.mean(1) for part in drawn.values()])
    for dataset, part in [*drawn.items(), ("all", np.hstack(list(drawn.values())))]:
        averages = {"pairs": part.mean(1), "pairs_median": np.median(part, axis=1)}
        if dataset == "all":
            averages["tasks"] = means.mean(0)
        for average, draws in averages.items():
            here = {**key, "average": average}
            yield from with_interval("invariance", here, metric, draws, part.shape[1], dataset=dataset)


def _resampled(n: int, dataset: str, settings: Settings) -> Int[np.ndarray, "draws domains"]:
    """Places of `n` held-out domains: first each of them once, then with replacement."""
    random = np.random.default_rng(derive(settings.seed, "bootstrap", "held-out domains", dataset))
    return np.vstack([np.arange(n), random.integers(0, n, (settings.bootstrap, n))])
