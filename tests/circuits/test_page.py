"""The words of the page on circuits: every exhibit rests on claims there are, and only known numbers are told."""

import re

import pytest

from circuits.tables import latency_rows, rows, table
from reprise.circuits import figures
from reprise.circuits.claims import CLAIMS, PAPER
from reprise.circuits.page import PAGE
from reprise.circuits.page_exhibits import EXHIBITS
from reprise.report import sources

IDS = {claim.id.removeprefix("circuits."): claim for claim in CLAIMS}
WORDS = [PAGE.summary, PAGE.note, *PAGE.scope, *PAGE.methodology, *PAGE.easy, *PAGE.difficult, *PAGE.limits,
         *(text for pair in PAGE.deviations for text in pair),
         *(text for one in EXHIBITS for text in (one.title, one.caption, one.alt, one.paper))]  # fmt: skip
README = {"60.76", "19.52", "60.71", "19.42", "60.54", "20.03", "60.33", "19.83"}  # of the authors' code
DIFFERENCES = {"0.43", "0.61"}  # greatest minus least of these


def test_the_page_is_of_the_paper():
    assert PAGE.title == PAPER
    assert "2210.08031" in "".join(PAGE.links.values())
    assert PAGE.exhibits == EXHIBITS


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda one: one.name)
def test_exhibits_rest_on_claims_there_are(exhibit):
    assert set(exhibit.claims) <= set(IDS)
    assert len(set(exhibit.claims)) == len(exhibit.claims)
    assert exhibit.title and exhibit.caption
    assert bool(exhibit.alt) != bool(exhibit.columns)  # a figure is told in words, a table is text itself


def test_names_are_told_apart():
    assert len({exhibit.name for exhibit in EXHIBITS}) == len(EXHIBITS)


def test_exhibits_are_those_the_wing_draws():
    drawn = {*figures.FIGURES, *figures.PICTURES, figures.CONDITIONAL}
    assert {exhibit.name for exhibit in EXHIBITS if not exhibit.columns} == drawn
    assert {exhibit.name for exhibit in EXHIBITS if exhibit.columns} == set(figures.TABLES)


@pytest.mark.parametrize("exhibit", [one for one in EXHIBITS if one.columns], ids=lambda one: one.name)
def test_columns_of_printed_tables_exist(exhibit, tmp_path):
    data = figures.TABLES[exhibit.name](table(rows(), latency_rows()))
    data.to_csv(tmp_path / "table.csv", index=False)
    printed = sources.tables(tmp_path / "table.csv", exhibit)
    assert sum(len(one.rows) for one in printed) == len(data) > 0
    for k in range(len(exhibit.columns)):  # none is always empty
        assert any(row[k] != "–" for one in printed for row in one.rows)


def test_every_claim_is_seen_on_the_page():
    assert set(IDS) == {name for exhibit in EXHIBITS for name in exhibit.claims}


def test_nothing_moves():
    assert not any(exhibit.moves for exhibit in EXHIBITS)


def test_only_numbers_that_could_be_read_are_told():
    """Of the paper the abstract's, and those of the README of its code; no text holds another score."""
    for text in WORDS:
        told = set(re.findall(r"\b\d\d\.\d\d?\b", re.sub(r"2210\.08031|2110\.06399", "", text)))
        assert told <= README, text
    quoted = {claim.paper_value for claim in CLAIMS if claim.paper_value}
    assert {number for text in quoted for number in re.findall(r"\d+\.\d\d", text)} <= README | DIFFERENCES
    assert sum("could not be read" in text or "could be read" in text for text in WORDS) > 3


def test_what_cannot_be_said_is_said():
    limits = " ".join(PAGE.limits)
    assert "neither confirmed nor refuted" in limits and "pilots" in limits
    assert "cannot be ranked" in limits and "GPU" in limits and "by construction" in limits
