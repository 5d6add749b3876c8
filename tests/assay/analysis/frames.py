"""Wide tables small enough to read: networks of one or a few pairs, from columns given as arrays."""

import numpy as np
import pandas as pd

from reprise.assay.analysis.settings import Settings

SETTINGS = Settings(classes={"digits": 10, "colored": 2}, bootstrap=50)


def wide_frame(n: int, *, train: str = "pen", test: str = "font", dataset: str = "digits", **columns) -> pd.DataFrame:
    """`n` networks of the sweep; any column of the wide table may be given as an array or a constant."""
    filled = {
        "dataset": dataset,
        "train_domain": train,
        "test_domain": test,
        "run": [f"{k:08x}" for k in range(n)],
        "model": np.resize(["cnn", "vit"], n),
        "method": "erm",
        "arm": "sweep",
        "regime": "full",
        "finetune": "full",
        "augment": "standard",
        "lr": "0.001",
        "length": "100steps",
        "alpha": "",
        "draw": "",
        "seed": 0,
        "n_id": 540,
        "n_ood": 540,
        **columns,
    }
    return pd.DataFrame(filled, index=range(n))


def values(rows, metric: str, **wanted) -> list[float]:
    """Values of the rows of `metric` whose columns, or settings, are `wanted` ("" for a setting they lack)."""
    found = []
    for row in rows:
        said = dict(part.split("=", 1) for part in row["setting"].split(";"))
        if row["metric"] == metric and all(str(row.get(k, said.get(k, ""))) == str(v) for k, v in wanted.items()):
            found.append(row["value"])
    return found


def value(rows, metric: str, **wanted) -> float:
    """The one value of `metric` with `wanted`."""
    (found,) = values(rows, metric, **wanted)
    return found
