"""Verdicts follow from values, bound and rule alone; the ledger is written whatever there is to measure."""

import importlib
import json
import math
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise import claims, results
from reprise.claims import (
    INCONCLUSIVE,
    NOT_MEASURED,
    NOT_REPRODUCED,
    REPRODUCED,
    VERDICTS,
    Claim,
    Measured,
    criterion,
    decide,
    interval,
    shown,
    verdict,
)


def claim(id="p.x", values=None, low=None, high=None, rule="mean", **extra):
    return Claim(id, "Statement", "Sec. 1", None, "as |x|", low, high, rule, lambda table: dict(values or {}), **extra)


def test_interval_by_hand():
    # mean 2, standard deviation 1, t(0.975, 2) = 4.302653: 2 -+ 4.302653 / sqrt(3)
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)
    # two values: t(0.975, 1) = 12.706205, standard error 0.5
    assert interval([0.0, 1.0]) == pytest.approx((0.5 - 6.353102, 0.5 + 6.353102), abs=1e-6)
    assert interval([0.7]) == (0.7, 0.7)
    assert interval([0.1, 0.1, 0.1]) == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize(
    ("values", "low", "high", "expected"),
    [
        ([0.9, 0.95], 0.9, None, REPRODUCED),  # the bound itself is inside
        ([0.9, 0.89], 0.9, None, INCONCLUSIVE),
        ([0.8, 0.89], 0.9, None, NOT_REPRODUCED),
        ([0.1, 0.05], None, 0.1, REPRODUCED),
        ([0.2, 0.05], None, 0.1, INCONCLUSIVE),
        ([0.2, 0.3], None, 0.1, NOT_REPRODUCED),
        ([0.3, 0.5, 0.7], 0.25, 0.75, REPRODUCED),
        ([0.2, 0.8], 0.25, 0.75, NOT_REPRODUCED),
        ([0.2, 0.5], 0.25, 0.75, INCONCLUSIVE),
        ([], 0.0, None, NOT_MEASURED),
    ],
)
def test_every_seed(values, low, high, expected):
    assert verdict(values, low, high, "every seed") == expected


@pytest.mark.parametrize(
    ("values", "low", "high", "expected"),
    [
        ([1.0, 2.0, 3.0], 2.0, None, REPRODUCED),  # the bound itself is inside; the spread does not matter
        ([1.0, 2.0, 3.0], 2.001, None, NOT_REPRODUCED),
        ([1.0, 2.0, 3.0], None, 2.0, REPRODUCED),
        ([1.0, 2.0, 3.0], 0.0, 1.9, NOT_REPRODUCED),
        ([2.0, 3.0], 1.0, None, INCONCLUSIVE),  # two seeds are too few
        ([], 1.0, None, NOT_MEASURED),
    ],
)
def test_point(values, low, high, expected):
    assert verdict(values, low, high, "point") == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [  # the interval of 1, 2, 3 is [-0.484, 4.484]
        (-0.5, None, REPRODUCED),
        (-0.48, None, INCONCLUSIVE),  # spans the bound although the mean is far above it
        (4.48, None, INCONCLUSIVE),
        (4.5, None, NOT_REPRODUCED),
        (None, 4.5, REPRODUCED),
        (None, 2.0, INCONCLUSIVE),
        (None, -0.5, NOT_REPRODUCED),
        (-0.5, 4.5, REPRODUCED),
        (-0.5, 4.0, INCONCLUSIVE),
        (5.0, 6.0, NOT_REPRODUCED),
        (1.0, 3.0, INCONCLUSIVE),
    ],
)
def test_mean(low, high, expected):
    assert verdict([1.0, 2.0, 3.0], low, high, "mean") == expected


def test_mean_without_values():
    assert verdict([], 0.0, 1.0, "mean") == NOT_MEASURED


numbers = st.lists(st.floats(-10, 10), min_size=1, max_size=6)


@given(numbers, st.floats(-10, 10), st.sampled_from(["mean", "point", "every seed"]))
def test_a_bound_and_its_mirror(values, bound, rule):
    """value >= bound exactly when -value <= -bound; the order of the seeds does not matter."""
    found = verdict(values, bound, None, rule)
    assert found == verdict([-value for value in values], None, -bound, rule)
    if rule == "every seed":
        assert found == verdict(values[::-1], bound, None, rule)


@given(numbers, st.floats(-10, 10), st.floats(0, 5), st.sampled_from(["mean", "point", "every seed"]))
def test_a_stricter_bound_never_helps(values, bound, more, rule):
    rank = {NOT_REPRODUCED: 0, INCONCLUSIVE: 1, REPRODUCED: 2}
    assert rank[verdict(values, bound + more, None, rule)] <= rank[verdict(values, bound, None, rule)]


@pytest.mark.parametrize("rule", ["mean", "point", "every seed"])
@pytest.mark.parametrize("values", [{0: math.nan}, {0: 0.5, 1: math.nan}])
def test_a_value_that_is_not_a_number_is_not_evidence(rule, values):
    """For instance a rank correlation of equal numbers: undefined, neither for nor against."""
    entry = decide(claim(values=values, low=0.0, rule=rule), pd.DataFrame())
    assert entry["verdict"] in (INCONCLUSIVE, NOT_MEASURED)
    json.dumps(entry, allow_nan=False)


def test_decide():
    entry = decide(claim(values={2: 3.0, 0: 1.0, 1: 2.0}, low=0.5, rule="every seed"), pd.DataFrame())
    assert entry.pop("verdict") == REPRODUCED
    assert entry.pop("ci_low") == pytest.approx(-0.484138, abs=1e-6)
    assert entry.pop("ci_high") == pytest.approx(4.484138, abs=1e-6)
    assert entry == {"value": 2.0, "worst": 1.0, "seeds": 3}
    assert decide(claim(low=0.5), pd.DataFrame()) == {"verdict": NOT_MEASURED}


@pytest.mark.parametrize(
    ("low", "high", "worst"), [(0.0, None, 0.2), (None, 1.0, 0.9), (0.0, 1.0, 0.9), (0.15, 2.0, 0.2)]
)
def test_worst_seed(low, high, worst):
    assert decide(claim(values={0: 0.2, 1: 0.5, 2: 0.9}, low=low, high=high), pd.DataFrame())["worst"] == worst


# ---------------------------------------------------------------- statistics of a whole run


def whole(value, left=None, right=None, low=None, high=None, rule="interval"):
    """The ledger entry of a statistic and its interval."""
    found = Measured(value, value if left is None else left, value if right is None else right)
    return decide(Claim("p.x", "S", "Sec. 1", None, "as it is", low, high, rule, lambda table: found), pd.DataFrame())


@pytest.mark.parametrize(
    ("left", "right", "low", "high", "expected"),
    [  # of the value 0.4
        (0.3, 0.5, 0.3, None, REPRODUCED),  # the bound itself is inside
        (0.3, 0.5, 0.31, None, INCONCLUSIVE),
        (0.3, 0.5, 0.5, None, INCONCLUSIVE),
        (0.3, 0.5, 0.51, None, NOT_REPRODUCED),
        (0.3, 0.5, None, 0.5, REPRODUCED),
        (0.3, 0.5, None, 0.45, INCONCLUSIVE),
        (0.3, 0.5, None, 0.29, NOT_REPRODUCED),
        (0.3, 0.5, 0.2, 0.6, REPRODUCED),
        (0.3, 0.5, 0.35, 0.6, INCONCLUSIVE),
        (0.3, 0.5, 0.35, 0.45, INCONCLUSIVE),
        (0.3, 0.5, 0.6, 0.7, NOT_REPRODUCED),
    ],
)
def test_an_interval_of_its_own_decides(left, right, low, high, expected):
    entry = whole(0.4, left, right, low, high)
    assert entry == {"verdict": expected, "value": 0.4, "ci_low": left, "ci_high": right}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.4, None, REPRODUCED),
        (0.41, None, NOT_REPRODUCED),
        (None, 0.4, REPRODUCED),
        (None, 0.39, NOT_REPRODUCED),
        (0.3, 0.5, REPRODUCED),
        (0.45, 0.5, NOT_REPRODUCED),
    ],
)
@pytest.mark.parametrize("ends", [(0.4, 0.4), (-9.0, 9.0)])
def test_as_measured_the_value_alone_decides(low, high, expected, ends):
    """Never inconclusive, whatever its interval is; it is shown all the same."""
    entry = whole(0.4, *ends, low, high, rule="as measured")
    assert entry["verdict"] == expected
    assert (entry["ci_low"], entry["ci_high"]) == ends


@given(
    st.floats(-5, 5), st.floats(0, 3), st.floats(0, 3), st.floats(-5, 5), st.sampled_from(["interval", "as measured"])
)
def test_a_bound_and_its_mirror_for_a_whole_run(value, below, above, bound, rule):
    found = whole(value, value - below, value + above, low=bound, rule=rule)["verdict"]
    assert found == whole(-value, -value - above, -value + below, high=-bound, rule=rule)["verdict"]


@pytest.mark.parametrize("rule", ["interval", "as measured"])
@pytest.mark.parametrize("found", [(math.nan, 0, 1), (0.5, math.nan, 1), (0.5, 0, math.inf)])
def test_a_statistic_that_is_not_a_number_is_not_evidence(rule, found):
    entry = whole(*found, low=0.0, rule=rule)
    assert entry == {"verdict": INCONCLUSIVE}
    assert shown(entry) == "–"


@pytest.mark.parametrize("rule", ["interval", "as measured"])
def test_a_statistic_may_not_have_been_measured(rule):
    assert decide(claim(low=0.5, rule=rule), pd.DataFrame()) == {"verdict": NOT_MEASURED}


@pytest.mark.parametrize("rule", ["every seed", "mean"])
def test_rules_over_seeds_need_seeds(rule):
    with pytest.raises(ValueError, match=r"p\.x: the rule .* needs a value per seed"):
        whole(0.5, low=0.0, rule=rule)


def test_whole_runs_in_the_ledger(tmp_path, monkeypatch):
    """Without seeds and a worst one among them; the page shows the interval and the rule."""
    found = Measured(0.4, 0.3, 0.5)
    entry = Claim("p.x", "S", "Sec. 1", None, "as it is", 0.2, None, "interval", lambda table: found)
    wing(monkeypatch, entry)
    ledger, page = written(tmp_path)
    assert json.loads(ledger)["p.x"] == {"verdict": REPRODUCED, "value": 0.4, "ci_low": 0.3, "ci_high": 0.5}
    assert "| 0.400 [0.300, 0.500] | interval >= 0.2 | reproduced |" in page
    assert page.count("0.400 [0.300, 0.500]") == 1


def test_criterion_in_words():
    assert criterion(claim(low=0.9, rule="every seed")) == "every seed >= 0.9"
    assert criterion(claim(high=1e-5)) == "mean <= 1e-05"
    assert criterion(claim(low=0.25, high=0.75)) == "mean in [0.25, 0.75]"
    assert criterion(claim(low=1e-9, rule="interval")) == "interval > 0"
    assert criterion(claim(high=3.0, rule="as measured")) == "as measured <= 3"
    assert criterion(claim(high=-1e-9, rule="interval")) == "interval < 0"
    assert criterion(claim(high=-1e-5)) == "mean <= -1e-05"
    assert criterion(claim(high=0.0)) == "mean <= 0"
    assert criterion(claim(low=0.0)) == "mean >= 0"


def test_shown():
    assert shown({"verdict": NOT_MEASURED}) == "–"
    assert shown({"value": 0.5, "ci_low": 0.4, "ci_high": 0.6}) == "0.500 [0.400, 0.600]"
    assert shown({"value": 0.5, "ci_low": 0.5, "ci_high": 0.5}) == "0.500"
    assert shown({"value": 3e-7, "ci_low": 0.0, "ci_high": 6e-7}) == "3.0e-07 [0.000, 6.0e-07]"


# ---------------------------------------------------------------- the ledger


def wing(monkeypatch, *entries):
    monkeypatch.setattr(claims, "wings", lambda: {"p": SimpleNamespace(PAPER="A paper", CLAIMS=list(entries))})


def written(folder, out="out"):
    names = [path.parent.name for path in folder.glob("p/*/results.parquet")]
    claims.write_ledger(folder, folder / out, {"p": names})
    return [(folder / out / f"claims.{end}").read_text() for end in ("json", "md")]


def seeds(table):
    rows = table[table["metric"] == "accuracy"]
    return dict(zip(rows["seed"], rows["value"], strict=True))


def test_ledger_of_a_table(tmp_path, monkeypatch):
    common = {"paper": "p", "dataset": "d", "method": "m", "metric": "accuracy", "n": 5}
    rows = [{**common, "seed": k, "value": 0.8 + k / 100} for k in range(3)]
    results.write(rows[:2], tmp_path / "p/d/results.parquet")
    results.write(rows[2:], tmp_path / "p/e/results.parquet")
    measured = {"measure": seeds, "explanation": lambda table: f"the story of {len(table)} rows"}
    kinds = {"p.good": 0.5, "p.bad": 0.9, "p.between": 0.81}
    entries = [
        Claim(
            id,
            f"Statement {id}",
            "Sec. 2",
            "0.9",
            "accuracy",
            low,
            None,
            "every seed",
            headline=id == "p.bad",
            **measured,
        )
        for id, low in kinds.items()
    ]
    wing(monkeypatch, *entries)
    ledger, page = written(tmp_path)
    found = json.loads(ledger)
    assert {id: entry["verdict"] for id, entry in found.items()} == {
        "p.good": REPRODUCED,
        "p.bad": NOT_REPRODUCED,
        "p.between": INCONCLUSIVE,
    }
    assert found["p.good"]["seeds"] == 3
    assert found["p.good"]["value"] == 0.81
    assert "## A paper" in page
    assert "1 reproduced, 1 not reproduced, 1 inconclusive." in page
    assert page.index("**p.bad**") < page.index("p.good")  # headlines first
    stories = [line for line in page.splitlines() if line.startswith("- ")]
    assert stories == ["- `p.bad`: the story of 3 rows", "- `p.between`: the story of 3 rows"]
    assert written(tmp_path, "again") == [ledger, page]


def test_ledger_without_results(tmp_path):
    """Before anything has run: every claim of every wing, not measured."""
    ledger, page = written(tmp_path / "nothing")
    found = json.loads(ledger)
    assert set(found) == {claim.id for wing in claims.wings().values() for claim in wing.CLAIMS}
    assert all(entry == {"verdict": NOT_MEASURED} for entry in found.values())
    assert "What does not hold" not in page
    assert written(tmp_path / "nothing", "again") == [ledger, page]


def test_ledger_of_a_table_that_lacks_every_variant(tmp_path):
    """A run that holds almost nothing (one unknown method, no setting) measures no claim and breaks none."""
    row = {
        "paper": "fairness",
        "dataset": "faces",
        "method": "x",
        "metric": "accuracy",
        "seed": 0,
        "value": 1.0,
        "n": 1,
    }
    results.write([row], tmp_path / "fairness/faces/results.parquet")
    ledger, _ = written(tmp_path)
    assert all(entry == {"verdict": NOT_MEASURED} for entry in json.loads(ledger).values())


def test_table_rows_have_as_many_cells_as_the_head(tmp_path, monkeypatch):
    """Statements may speak of |DDP|."""
    wing(monkeypatch, claim(values={0: 1.0}, low=0.0))
    _, page = written(tmp_path)
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert {line.replace("\\|", "").count("|") for line in rows} == {7}


def test_ids_are_unique(tmp_path, monkeypatch):
    wing(monkeypatch, claim("p.x", low=0.0), claim("p.x", high=1.0))
    with pytest.raises(results.ResultsError, match="two claims share an id"):
        written(tmp_path)


def test_every_wing_states_its_claims():
    for paper, module in claims.wings().items():
        assert importlib.import_module(f"reprise.{paper}.claims") is module
        ids = [claim.id for claim in module.CLAIMS]
        assert len(set(ids)) == len(ids)
        assert any(claim.headline for claim in module.CLAIMS)
        for entry in module.CLAIMS:
            assert entry.id.startswith(f"{paper}.")
            assert entry.low is not None or entry.high is not None
            assert entry.low is None or entry.high is None or entry.low < entry.high
            assert entry.rule in ("mean", "point", "every seed", "interval", "as measured")
            assert criterion(entry)
            assert entry.statement
            assert entry.where
            assert entry.measured
    assert len(set(VERDICTS)) == 4
