"""The fairness paper's real tables: Adult, COMPAS and loanapp as `x` (n, d) float32 and `labels` (n, 2) uint8.

Column 0 of the labels is the target (1 = the preferred outcome), column 1 the protected attribute, which is never among
the inputs. Other inputs may betray it (`relationship` says husband or wife): that they do is the paper's subject.
Features are not standardised; that needs a training split, and the wing draws it. Their names are in the card's
`feature_names`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from reprise.data import arrays
from reprise.data.arrays import DataError
from reprise.data.sources import provenance
from reprise.params import Section

ADULT_COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "income",
)
COMPAS_INPUTS = ("age", "priors_count", "juv_fel_count", "juv_misd_count", "juv_other_count")
LOANAPP_OUTCOMES = ("action", "reject", "approve")
LOANAPP_GROUPS = ("white", "black", "hispan")
# Taken for codes of "no answer": far outside each column's range. The package's documentation does not explain them.
LOANAPP_MISSING = {"gdlin": 666, "review": 999, "term": 999999.375, "lines": 999999.375, "liq": 1000000}


class Options(Section):
    """`data.adult`, `data.compas` and `data.loanapp` in params.yaml: nothing to choose."""


def adult(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Adult: income above 50K from a census record, protected sex (1 = Male); the official train and test rows.

    `fnlwgt` (a survey weight) and `education` (the words for `education-num`) are dropped; categories, of which "?" is
    one, are one-hot over both files together.
    """
    parts = {
        split: _read(raw / file, header=None, names=ADULT_COLUMNS, skipinitialspace=True, comment="|")
        for split, file in (("train", "adult.data"), ("test", "adult.test"))
    }
    frame = pd.concat(parts.values(), ignore_index=True)
    income = frame["income"].str.rstrip(".")  # the test file's labels end with a full stop
    _expect(raw, "income", income, {"<=50K", ">50K"})
    _expect(raw, "sex", frame["sex"], {"Male", "Female"})
    inputs = frame.drop(columns=["fnlwgt", "education", "sex", "income"])
    n_train = len(parts["train"])
    _write(
        raw,
        out,
        name="adult",
        inputs=pd.get_dummies(inputs),
        labels={"income": income == ">50K", "male": frame["sex"] == "Male"},
        splits={"train": (0, n_train), "test": (n_train, len(frame))},
    )


def compas(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """COMPAS: no new offence within two years, protected race (1 = Caucasian, 0 = African-American).

    ProPublica's filter: screened within 30 days of the arrest, a known recidivism flag, no ordinary traffic offence, a
    score at hand; then the two largest groups. The COMPAS scores themselves are no inputs.
    """
    frame = _read(raw / "compas-scores-two-years.csv")
    usual = (
        frame["days_b_screening_arrest"].between(-30, 30)
        & (frame["is_recid"] != -1)
        & (frame["c_charge_degree"] != "O")
        & frame["score_text"].notna()  # "N/A" is read as missing
    )
    filtered = frame[usual]
    frame = filtered[filtered["race"].isin(["African-American", "Caucasian"])]
    inputs = frame[list(COMPAS_INPUTS)].assign(
        charge_felony=frame["c_charge_degree"] == "F", male=frame["sex"] == "Male"
    )
    _write(
        raw,
        out,
        name="compas",
        inputs=inputs,
        labels={"no_recidivism": frame["two_year_recid"] == 0, "caucasian": frame["race"] == "Caucasian"},
        splits={"all": (0, len(frame))},
        rows_before_race_restriction=len(filtered),
    )


def loanapp(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """loanapp: a mortgage application approved, protected race (1 = white).

    Outcomes (`action`, `reject`, `approve`), group columns (`white`, `black`, `hispan`) and `msa`, which is the same in
    every row, are dropped. Missing values become the column's median over all rows; the card counts them in `missing`.
    So is `typur` (who later bought the loan): it is known only after the decision and nearly gives it away.
    """
    frame = _read(raw / "loanapp.csv.bz2")
    inputs = frame.drop(columns=[*LOANAPP_OUTCOMES, *LOANAPP_GROUPS, "msa", "typur"])
    for column, code in LOANAPP_MISSING.items():
        inputs[column] = inputs[column].mask(inputs[column] == code)
    missing = {str(column): int(count) for column, count in inputs.isna().sum().items() if count}
    _write(
        raw,
        out,
        name="loanapp",
        inputs=inputs.fillna(inputs.median()),
        labels={"approve": frame["approve"] == 1, "white": frame["white"] == 1},
        splits={"all": (0, len(frame))},
        missing=missing,
    )


def _read(path: Path, **options: object) -> pd.DataFrame:
    try:
        return pd.read_csv(path, **options)  # type: ignore[call-overload]
    except (
        FileNotFoundError,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeDecodeError,
        EOFError,
    ) as failure:
        again = f"run `dvc repro -f -s download@{path.parent.name}`"
        raise DataError(f"{path} is missing or not the table it should be ({failure}): {again}") from failure


def _expect(raw: Path, column: str, values: pd.Series, allowed: set[str]) -> None:
    if strange := set(values.unique()) - allowed:
        raise DataError(
            f"{raw}: column {column} holds {sorted(map(str, strange))[:3]}, expected only {sorted(allowed)}: "
            f"truncated or another version; run `dvc repro -f -s download@{raw.name}`"
        )


def _write(
    raw: Path,
    out: Path,
    *,
    name: str,
    inputs: pd.DataFrame,
    labels: dict[str, pd.Series],
    splits: dict[str, tuple[int, int]],
    **extra: object,
) -> None:
    x = inputs.to_numpy(dtype=np.float32)
    if not np.isfinite(x).all():
        bad = inputs.columns[~np.isfinite(x).all(axis=0)]
        raise DataError(
            f"{raw}: columns {', '.join(bad)} have missing values: run `dvc repro -f -s download@{raw.name}`"
        )
    arrays.write(
        out,
        name=name,
        arrays={"x": x, "labels": np.column_stack([column.to_numpy(np.uint8) for column in labels.values()])},
        splits=splits,
        label_names=list(labels),
        feature_names=[str(column) for column in inputs.columns],
        **provenance(name, raw),
        **extra,
    )
