"""The tidy table, its canonical settings, and files that are equal byte for byte where their content is."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprise import results
from reprise.results import COLUMNS, ResultsError, expand, setting, table


def row(**changes):
    fixed = {"paper": "p", "dataset": "d", "model": "m", "method": "erm", "setting": "lr=1", "seed": 0}
    return {**fixed, "split": "test", "metric": "accuracy", "value": 0.5, "n": 10, **changes}


def test_columns_of_the_design():
    expected = "paper dataset train_domain test_domain shift model method setting seed split metric value n"
    assert list(COLUMNS) == expected.split()
    frame = table([row()])
    assert list(frame) == list(COLUMNS)
    assert frame.loc[0, ["train_domain", "test_domain", "shift"]].tolist() == ["", "", ""]
    assert (frame["seed"].dtype, frame["n"].dtype, frame["value"].dtype) == (np.int64, np.int64, np.float64)


def test_empty_table_has_the_columns():
    assert list(table([])) == list(COLUMNS)
    assert list(expand(table([]))) == list(COLUMNS)


def test_unknown_and_missing_columns_are_named():
    with pytest.raises(ResultsError, match=r"unknown columns \['lambda'\], missing columns \['value'\]"):
        table([{key: value for key, value in row().items() if key != "value"} | {"lambda": 1}])


def test_measured_twice_is_refused():
    with pytest.raises(ResultsError, match=r"measured twice.*'seed': 3"):
        table([row(), row(seed=3), row(seed=3, value=0.6, n=99)])
    assert len(table([row(), row(seed=3), row(metric="gap")])) == 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_values_are_finite(value):
    with pytest.raises(ResultsError, match=r"not finite.*'metric': 'loss'"):
        table([row(), row(metric="loss", value=value)])


@settings(max_examples=15, deadline=None)
@given(st.permutations([row(seed=k, metric=m, value=k / 3) for k in range(3) for m in ("a", "b")]))
def test_order_of_the_rows_does_not_matter(rows):
    frame = table(rows)
    assert frame.equals(table(rows[::-1]))
    assert list(zip(frame["seed"], frame["metric"], strict=True)) == [(k, m) for k in range(3) for m in "ab"]


def test_setting_is_canonical():
    assert setting(target="mouth", eps=0.01) == setting(eps=0.01, target="mouth") == "eps=0.01;target=mouth"
    assert setting(a=1.0) == setting(a=1) == setting(a=np.float64(1)) == setting(a=np.int64(1)) == "a=1"
    assert setting(a=1e-5, b=0.1 + 0.2) == "a=1e-05;b=0.3"
    assert setting() == ""


def test_expand():
    frame = table(
        [row(setting=setting(eps=0.01, target="x"), seed=1), row(setting="target=y", seed=2), row(setting="")]
    )
    wide = expand(frame)
    assert set(wide) == {*COLUMNS, "eps", "target"}
    by_seed = wide.set_index("seed")
    assert by_seed["target"].to_dict() == {0: "", 1: "x", 2: "y"}
    assert by_seed["eps"].to_dict() == {0: "", 1: "0.01", 2: ""}
    assert list(wide["value"]) == list(frame["value"])


def test_expand_of_a_part_of_a_table():
    frame = table([row(seed=k, setting=f"k={k}") for k in range(5)])
    assert expand(frame[frame["seed"] > 2])["k"].tolist() == ["3", "4"]


def test_files_round_trip_and_are_deterministic(tmp_path):
    rows = [row(seed=k, value=1 / (k + 1)) for k in range(4)]
    paths = [tmp_path / name / "results.parquet" for name in ("one", "two")]
    written = results.write(rows, paths[0])
    results.write(rows[::-1], paths[1])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    pd.testing.assert_frame_equal(results.read(paths[:1]), written, check_dtype=False)
    assert len(results.read([paths[0], paths[1]])) == 8
    assert [path.name for path in paths[0].parent.iterdir()] == ["results.parquet"]


def test_refused_table_leaves_the_old_file(tmp_path):
    path = tmp_path / "results.parquet"
    results.write([row()], path)
    before = path.read_bytes()
    with pytest.raises(ResultsError):
        results.write([row(value=math.nan)], path)
    assert path.read_bytes() == before


def test_missing_table_names_the_remedy(tmp_path):
    with pytest.raises(ResultsError, match=r"none\.parquet is missing: run `dvc repro`"):
        results.read([tmp_path / "none.parquet"])


def test_json_is_rounded_sorted_and_free_of_minus_zero(tmp_path):
    path = tmp_path / "new" / "metrics.json"
    content = {"b": {"y": -1e-9, "x": 1 / 3}, "a": [0.1 + 0.2, 2, True, None, "é"], 3: np.float64(-0.0)}
    results.write_json(content, path)
    text = path.read_bytes().decode()
    assert text == (
        '{\n  "3": 0.0,\n  "a": [\n    0.3,\n    2,\n    true,\n    null,\n    "é"\n  ],\n'
        '  "b": {\n    "x": 0.333333,\n    "y": 0.0\n  }\n}\n'
    )
    results.write_json({"x": 1 / 3}, path, digits=2)
    assert json.loads(path.read_text()) == {"x": 0.33}
    assert [file.name for file in path.parent.iterdir()] == ["metrics.json"]


def test_text_keeps_its_line_ends(tmp_path):
    results.write_text("a\nb é\n", tmp_path / "x.md")
    assert (tmp_path / "x.md").read_bytes() == "a\nb é\n".encode()
