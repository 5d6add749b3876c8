"""The real tables: the published facts (spec 5.3) hold for what the loaders write.

Adult and COMPAS need samples that may not be copied into the repository: the folder `shared/data` beside it, or
the one that REPRISE_TEST_DATA names.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from reprise.data import tables
from reprise.data.arrays import DataError, open_prepared
from reprise.data.sources import fetch

SAMPLES = Path(os.environ.get("REPRISE_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
ADULT_ROWS = """\
39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, {home}, <=50K
28, ?, 338409, Bachelors, 13, Married-civ-spouse, ?, Wife, Black, Female, 0, 0, 40, Cuba, >50K
"""
COMPAS_HEADER = (
    "age,priors_count,juv_fel_count,juv_misd_count,juv_other_count,c_charge_degree,sex,race,"
    "days_b_screening_arrest,is_recid,score_text,two_year_recid"
)


@pytest.fixture(autouse=True)
def official_sources(monkeypatch):
    monkeypatch.delenv("REPRISE_SOURCES", raising=False)


@pytest.fixture
def samples(monkeypatch):
    if not (SAMPLES / "mirror.yaml").exists():
        pytest.skip(f"no sample data in {SAMPLES} (REPRISE_TEST_DATA names another folder)")
    monkeypatch.setenv("REPRISE_SOURCES", str(SAMPLES / "mirror.yaml"))


def prepared(name, root):
    raw, out = root / "raw" / name, root / "prepared" / name
    fetch(name, raw)
    getattr(tables, name)(raw, out, tables.Options(), seed=0)
    data = open_prepared(out)
    assert data.arrays["x"].dtype == np.float32
    assert data.arrays["labels"].dtype == np.uint8
    assert data.arrays["x"].shape[1] == len(data.card["feature_names"])
    assert (data.arrays["x"].std(axis=0) > 0).all()
    assert data.card["licence"]
    assert data.card["sources"]
    return data


def rates(data, split):
    """Rows, positive rate, rows of a = 1, positive rate by group (0, 1)."""
    y, a = data.arrays["labels"][data.rows(split)].T
    return len(y), y.mean(), (a == 1).sum(), y[a == 0].mean(), y[a == 1].mean()


def column(data, name):
    return data.arrays["x"][:, data.card["feature_names"].index(name)]


def test_adult_facts(tmp_path, samples):
    data = prepared("adult", tmp_path)
    assert data.card["splits"] == {"train": [0, 32561], "test": [32561, 48842]}
    assert data.card["label_names"] == ["income", "male"]
    assert rates(data, "train") == pytest.approx((32561, 0.241, 21790, 0.109, 0.306), abs=5e-4)
    assert rates(data, "test") == pytest.approx((16281, 0.236, 10860, 0.109, 0.300), abs=5e-4)
    train, income = data.rows("train"), data.arrays["labels"][:32561, 0]
    for race, rate in (("race_Black", 0.124), ("race_White", 0.256)):
        assert income[column(data, race)[train] == 1].mean() == pytest.approx(rate, abs=5e-4)
    unknown = [column(data, name)[train] for name in data.card["feature_names"] if name.endswith("_?")]
    assert (np.sum(unknown, axis=0) > 0).sum() == 2399
    names = data.card["feature_names"]
    assert "education-num" in names
    assert not [name for name in names if name.startswith(("sex", "fnlwgt", "education_", "income"))]
    assert data.card["sources"]["adult.data"].startswith("5b002646")  # the sample is the official file, byte for byte


def test_compas_facts(tmp_path, samples):
    data = prepared("compas", tmp_path)
    assert data.card["rows_before_race_restriction"] == 6172
    assert data.card["splits"] == {"all": [0, 3175 + 2103]}
    assert data.card["label_names"] == ["no_recidivism", "caucasian"]
    assert rates(data, "all") == pytest.approx((5278, 0.5296, 2103, 1 - 0.523, 1 - 0.391), abs=5e-4)


def test_loanapp_facts(tmp_path):
    data = prepared("loanapp", tmp_path)
    assert data.card["label_names"] == ["approve", "white"]
    assert rates(data, "all") == pytest.approx((1989, 0.877, 1681, 0.708, 0.908), abs=5e-4)
    assert not {"action", "reject", "approve", "white", "black", "hispan"} & set(data.card["feature_names"])
    assert data.card["missing"]["min30"] == 183
    assert np.isfinite(data.arrays["x"]).all()
    assert column(data, "term").max() == 480  # the code 999999.375 is gone
    assert column(data, "gdlin").max() == 1


def test_adult_small(tmp_path):
    (tmp_path / "adult.data").write_text(ADULT_ROWS.format(home="United-States"))
    (tmp_path / "adult.test").write_text(
        "|1x3 Cross validator\n" + ADULT_ROWS.format(home="Peru").replace("50K", "50K.") + "\n"
    )
    tables.adult(tmp_path, tmp_path / "out", tables.Options(), seed=0)
    data = open_prepared(tmp_path / "out")
    assert data.card["splits"] == {"train": [0, 2], "test": [2, 4]}
    np.testing.assert_array_equal(data.arrays["labels"], [[0, 1], [1, 0]] * 2)
    np.testing.assert_array_equal(column(data, "workclass_?"), [0, 1, 0, 1])
    np.testing.assert_array_equal(column(data, "native-country_Peru"), [0, 0, 1, 0])  # one schema for both files
    np.testing.assert_array_equal(column(data, "capital-gain"), [2174, 0, 2174, 0])


def test_compas_filter(tmp_path):
    rows = [
        "20,1,0,0,0,F,Male,Caucasian,-1,0,Low,0",
        "21,2,0,0,0,M,Female,African-American,30,1,High,1",
        "22,0,0,0,0,F,Male,Other,0,0,Low,0",  # counted before the race restriction only
        "23,0,0,0,0,F,Male,Caucasian,31,0,Low,0",
        "24,0,0,0,0,F,Male,Caucasian,,0,Low,0",
        "25,0,0,0,0,F,Male,Caucasian,0,-1,Low,0",
        "26,0,0,0,0,O,Male,Caucasian,0,0,Low,0",
        "27,0,0,0,0,F,Male,Caucasian,0,0,N/A,0",
    ]
    (tmp_path / "compas-scores-two-years.csv").write_text("\n".join([COMPAS_HEADER, *rows]) + "\n")
    tables.compas(tmp_path, tmp_path / "out", tables.Options(), seed=0)
    data = open_prepared(tmp_path / "out")
    assert data.card["rows_before_race_restriction"] == 3
    np.testing.assert_array_equal(data.arrays["labels"], [[1, 1], [0, 0]])
    np.testing.assert_array_equal(data.arrays["x"], [[20, 1, 0, 0, 0, 1, 1], [21, 2, 0, 0, 0, 0, 0]])


def test_missing_raw_file_names_the_command(tmp_path):
    (tmp_path / "compas").mkdir()
    with pytest.raises(DataError, match=r"two-years.csv is missing .* run `dvc repro -f -s download@compas`"):
        tables.compas(tmp_path / "compas", tmp_path / "out", tables.Options(), seed=0)


def test_strange_labels_are_refused(tmp_path):
    rows = ADULT_ROWS.format(home="Cuba")
    (tmp_path / "adult.data").write_text(rows)
    (tmp_path / "adult.test").write_text(rows.removesuffix(">50K\n"))
    with pytest.raises(DataError, match="column income holds"):
        tables.adult(tmp_path, tmp_path / "out", tables.Options(), seed=0)
    assert not (tmp_path / "out").exists()
