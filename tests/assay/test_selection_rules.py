"""DomainBed's selection rules on tables small enough to read."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprise.assay.selection import RULES, leave_one_domain_out, oracle, training_domain

COLUMNS = ["method", "draw", "held_out", "val_error", "lodo_error", "test_error"]
ROWS = pd.DataFrame(
    [
        ("erm", 0, "pen", 0.10, 0.50, 0.40),
        ("erm", 1, "pen", 0.20, 0.30, 0.60),
        ("erm", 2, "pen", 0.30, 0.40, 0.20),
        ("erm", 0, "font", 0.30, 0.10, 0.90),
        ("erm", 1, "font", 0.20, 0.20, 0.80),
        ("irm", 1, "pen", 0.25, np.nan, 0.70),
        ("irm", 0, "pen", 0.25, 0.60, 0.70),
    ],
    columns=COLUMNS,
)


def chosen(table):
    return {(row.method, row.held_out): row.draw for row in table.itertuples()}


def test_each_rule_reads_its_own_error():
    assert chosen(training_domain(ROWS)) == {("erm", "pen"): 0, ("erm", "font"): 1, ("irm", "pen"): 0}
    assert chosen(leave_one_domain_out(ROWS)) == {("erm", "pen"): 1, ("erm", "font"): 0, ("irm", "pen"): 0}
    assert chosen(oracle(ROWS)) == {("erm", "pen"): 2, ("erm", "font"): 1, ("irm", "pen"): 0}


def test_the_chosen_rows_come_whole_and_in_order():
    table = training_domain(ROWS)
    assert list(table.columns) == COLUMNS
    assert table["test_error"].tolist() == [0.80, 0.40, 0.70]
    assert table.index.tolist() == [0, 1, 2]


def test_a_choice_without_cross_validation_is_left_out():
    rows = ROWS.assign(lodo_error=ROWS["lodo_error"].where(ROWS["method"] == "irm"))
    assert chosen(leave_one_domain_out(rows)) == {("irm", "pen"): 0}
    assert leave_one_domain_out(rows.assign(lodo_error=np.nan)).empty


def test_two_networks_of_one_draw_are_an_error():
    with pytest.raises(ValueError, match="average over seeds"):
        oracle(pd.concat([ROWS, ROWS.iloc[:1]]))


@given(order=st.permutations(range(len(ROWS))))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_rows_does_not_matter(order):
    for rule in RULES.values():
        pd.testing.assert_frame_equal(rule(ROWS.iloc[order]), rule(ROWS))


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=12))
def test_the_oracle_is_the_best_and_the_first_of_equals(errors):
    rows = pd.DataFrame({"method": "erm", "held_out": "pen", "draw": range(len(errors)), "test_error": errors})
    (row,) = oracle(rows.iloc[::-1]).itertuples()
    assert (row.test_error, row.draw) == (min(errors), errors.index(min(errors)))
