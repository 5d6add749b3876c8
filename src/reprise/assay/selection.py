"""DomainBed's three rules for choosing hyperparameters (Gulrajani and Lopez-Paz, 2021, Sec. 3.2).

Rows describe networks after their last step, one per (method, held_out, draw): held_out is the test domain, val_error
the error on the pooled validation images of the training domains, lodo_error the mean over the training domains of the
error on each when it too was left out, test_error the error on held_out. Errors are shares in [0, 1].
"""

import pandas as pd

CHOICE = ["method", "held_out"]


def training_domain(rows: pd.DataFrame) -> pd.DataFrame:
    """Per (method, held_out) the draw with the least error on validation images of its own training domains."""
    return _least(rows, "val_error")


def leave_one_domain_out(rows: pd.DataFrame) -> pd.DataFrame:
    """Per (method, held_out) the draw that does best on left-out training domains; those without it drop out."""
    return _least(rows, "lodo_error")


def oracle(rows: pd.DataFrame) -> pd.DataFrame:
    """Per (method, held_out) the draw with the least test error: a bound, not a method, to be labelled as such."""
    return _least(rows, "test_error")


RULES = {
    "training_domain": training_domain,
    "leave_one_domain_out": leave_one_domain_out,
    "oracle": oracle,
}


def _least(rows: pd.DataFrame, error: str) -> pd.DataFrame:
    """The chosen rows, sorted by method and held_out; of equal errors the smallest draw's."""
    if rows.duplicated([*CHOICE, "draw"]).any():
        raise ValueError("more than one row for a method, held-out domain and draw: average over seeds first")
    known = rows[rows[error].notna()].sort_values([*CHOICE, error, "draw"])
    return known.drop_duplicates(CHOICE).reset_index(drop=True)
