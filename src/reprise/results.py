"""Results: one tidy long table per evaluation, each row a measurement.

Every figure, metrics file and claim is computed from these tables. `setting` says which variant a row belongs to, as
sorted `key=value` pairs joined by `;` ("eps=0.01;target=mouth"); `expand` turns them into columns.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprise.errors import UserError

if TYPE_CHECKING:  # half a second that a process which only names a setting does without
    import pandas as pd

COLUMNS = {
    "paper": str,
    "dataset": str,
    "train_domain": str,
    "test_domain": str,
    "shift": str,
    "model": str,
    "method": str,
    "setting": str,
    "seed": int,
    "split": str,
    "metric": str,
    "value": float,
    "n": int,
}
KEY = [name for name in COLUMNS if name not in ("value", "n")]


class ResultsError(UserError):
    """A results table is malformed or missing."""


def setting(**pairs: Any) -> str:
    """Canonical text of a variant: `setting(target="mouth", eps=0.01)` is "eps=0.01;target=mouth"."""
    return ";".join(f"{key}={_text(value)}" for key, value in sorted(pairs.items()))


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(rows: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """Rows (missing text columns are empty) as a validated table, sorted by its key."""
    import pandas as pd

    frame = pd.DataFrame(list(rows))
    if frame.empty:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    for name, kind in COLUMNS.items():
        if name not in frame and kind is str:
            frame[name] = ""
    unknown = sorted(map(str, set(frame) - set(COLUMNS)))
    absent = sorted(set(COLUMNS) - set(frame))
    if unknown or absent:
        raise ResultsError(f"results table: unknown columns {unknown}, missing columns {absent}")
    frame = frame[list(COLUMNS)].astype({name: kind for name, kind in COLUMNS.items() if kind is not str})
    twice = frame.duplicated(KEY)
    if twice.any():
        raise ResultsError(f"results table: measured twice: {frame.loc[twice, KEY].iloc[0].to_dict()}")
    bad = ~frame["value"].map(math.isfinite)
    if bad.any():
        raise ResultsError(f"results table: value is not finite: {frame.loc[bad, KEY].iloc[0].to_dict()}")
    return frame.sort_values(KEY, kind="stable", ignore_index=True)


def write(rows: Iterable[Mapping[str, Any]], path: Path) -> "pd.DataFrame":
    """Validate and write a table to `path` (parquet), aside first, then renamed."""
    frame = table(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp")
    frame.to_parquet(aside, index=False)
    aside.replace(path)
    return frame


def read(paths: Sequence[Path]) -> "pd.DataFrame":
    """Read and stack tables; raises ResultsError naming the missing file and the stage to run."""
    import pandas as pd

    frames = []
    for path in paths:
        if not path.exists():
            raise ResultsError(f"{path} is missing: run `dvc repro` for the stage that evaluates it")
        frames.append(pd.read_parquet(path))
    return pd.concat(frames, ignore_index=True)


def expand(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Add one column per key found in `setting` (text; "" where a row lacks the key)."""
    import pandas as pd

    frame = frame.reset_index(drop=True)
    pairs = [dict(part.split("=", 1) for part in text.split(";") if part) for text in frame["setting"]]
    extra = pd.DataFrame(pairs, index=frame.index).fillna("")
    return frame.join(extra)


def where(frame: "pd.DataFrame", **columns: str) -> "pd.DataFrame":
    """Rows with these values in these columns; a column that is not there holds "" in every row.

    One selection for all of them, as every selection copies all columns.
    """
    import numpy as np

    chosen = np.ones(len(frame), dtype=bool)
    for name, value in columns.items():
        chosen &= (frame[name] == value).to_numpy(dtype=bool) if name in frame else value == ""
    return frame[chosen]


def write_json(content: Mapping[str, Any], path: Path, *, digits: int | None = 6) -> None:
    """Write JSON deterministically: sorted keys, floats rounded unless `digits` is None, aside first, then renamed."""
    rounded = content if digits is None else _round(content, digits)
    write_text(json.dumps(rounded, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write a text file with `\n`, aside first, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.tmp")
    aside.write_text(text, encoding="utf-8", newline="\n")
    aside.replace(path)


def _round(node: Any, digits: int) -> Any:
    if isinstance(node, Mapping):
        return {str(key): _round(value, digits) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_round(value, digits) for value in node]
    return round(float(node), digits) + 0.0 if isinstance(node, float) else node
