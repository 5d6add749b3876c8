"""Rows of analyses by hand, for the tests of what the claims measure and decide."""

from reprise import results


def row(analysis, metric, value, *, n=30, seed=0, train="", test="", method="", dataset="digits", model="", **keys):
    return {
        "paper": "assay",
        "dataset": dataset,
        "train_domain": train,
        "test_domain": test,
        "model": model,
        "method": method,
        "setting": results.setting(analysis=analysis, **keys),
        "seed": seed,
        "metric": metric,
        "value": float(value),
        "n": n,
    }


def averaged(analysis, metric, value, low=None, high=None, *, over="pairs", **keys):
    """A value and its interval (of half a tenth to each side)."""
    ends = {
        "": value,
        "_ci_low": value - 0.05 if low is None else low,
        "_ci_high": value + 0.05 if high is None else high,
    }
    return [row(analysis, f"{metric}{end}", number, average=over, **keys) for end, number in ends.items()]


def photographs():
    """A row that shows that a natural data set is in force; no claim measures it."""
    return row("radar", "accuracy", 0.5, dataset="pacs", model="cnn")


def moved(rows):
    """The averages (and counts) of digits among the rows as those over all data sets, tasks equal."""
    return [
        {**one, "dataset": "all", "setting": one["setting"].replace("average=pairs", "average=tasks")}
        for one in rows
        if one["dataset"] == "digits" and ("average=pairs" in one["setting"] or one["metric"] == "count")
    ]


def counted(dataset="digits", **counts):
    return [row("shapes", "count", value, shape=name, dataset=dataset) for name, value in counts.items()]


def loadings(**variables):
    """Loadings on factors 1, 2, ... of each variable."""
    return [
        row("factors", "loading", value, factor=k, variable=name)
        for name, values in variables.items()
        for k, value in enumerate(values, 1)
    ]


def planted(method, *values, metric="reversed_accuracy"):
    """One value per seed."""
    place = {"method": method, "dataset": "colored", "model": "mlp", "train": "e10+e20"}
    return [row("planted_cue", metric, value, n=1, seed=seed, **place) for seed, value in enumerate(values)]
