"""The words of the amodal page: every exhibit rests on claims there are, and no number of the paper is told."""

import re

import pytest

from amodal.tables import rows, table
from reprise.amodal import figures
from reprise.amodal.claims import CLAIMS, PAPER
from reprise.amodal.page import PAGE
from reprise.amodal.page_exhibits import EXHIBITS
from reprise.report import sources

IDS = {claim.id.removeprefix("amodal."): claim for claim in CLAIMS}
WORDS = [PAGE.summary, PAGE.note, *PAGE.scope, *PAGE.methodology, *PAGE.easy, *PAGE.difficult, *PAGE.limits,
         *(text for pair in PAGE.deviations for text in pair),
         *(text for one in EXHIBITS for text in (one.title, one.caption, one.alt, one.paper))]  # fmt: skip


def test_the_page_is_of_the_paper():
    assert PAGE.title == PAPER
    assert "2210.12733" in "".join(PAGE.links.values())
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
    drawn = {*figures.FIGURES, *figures.PICTURES, figures.ANIMATION}
    assert {exhibit.name for exhibit in EXHIBITS if not exhibit.columns} == drawn
    assert {exhibit.name for exhibit in EXHIBITS if exhibit.columns} == set(figures.TABLES)


@pytest.mark.parametrize("exhibit", [one for one in EXHIBITS if one.columns], ids=lambda one: one.name)
def test_columns_of_printed_tables_exist(exhibit, tmp_path):
    data = figures.TABLES[exhibit.name](table(rows()))
    data.to_csv(tmp_path / "table.csv", index=False)
    printed = sources.tables(tmp_path / "table.csv", exhibit)
    assert sum(len(one.rows) for one in printed) == len(data)
    for one in printed:
        assert all(any(row[k] != "–" for row in one.rows) for k in range(len(one.header)))  # none is always empty


def test_every_claim_is_seen_on_the_page():
    assert set(IDS) == {name for exhibit in EXHIBITS for name in exhibit.claims}


def test_only_the_animation_moves():
    assert [exhibit.name for exhibit in EXHIBITS if exhibit.moves] == ["animation"]


def test_no_score_of_the_paper_is_told():
    """None could be verified: no text holds a percentage with a decimal or a pair of scores."""
    for text in WORDS:
        assert not re.search(r"\d\d\.\d\d?\b", re.sub(r"2210\.12733", "", text)), text
    assert sum("could not be read" in text or "No table or figure of it could be read" in text for text in WORDS) > 3


def test_what_was_set_on_pilots_is_said():
    limits = " ".join(PAGE.limits)
    assert "settled while looking at test scores" in limits
    assert "exact" in " ".join(what for what, _ in PAGE.deviations).lower()
