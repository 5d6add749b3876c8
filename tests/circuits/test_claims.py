"""The circuits' entries of the ledger: stable ids, the specification's bounds, and that each of them can fail."""

import math

import pytest

from circuits.claim_rows import ROWS, bought, level
from circuits.tables import SEEDS, latency_rows, row, rows, table
from reprise import results
from reprise.circuits.claims import CLAIMS
from reprise.claims import INCONCLUSIVE, NOT_MEASURED, NOT_REPRODUCED, REPRODUCED, Measured, criterion, decide
from reprise.data.registry import DATASETS

BY_ID = {claim.id.removeprefix("circuits."): claim for claim in CLAIMS}
ABOVE = 1e-9  # strictly above zero

# id -> (low, high, rule)
BOUNDS = {
    # C1 to C8, and what goes beyond the paper
    "low-shot": (ABOVE, None, "mean"),
    "low-shot-cifar": (ABOVE, None, "mean"),
    "low-shot-cub": (ABOVE, None, "mean"),
    "renditions": (ABOVE, None, "mean"),
    "tiny-imagenet-r": (ABOVE, None, "mean"),
    "falls-less": (ABOVE, None, "mean"),
    "faster": (1.7, None, "mean"),
    "eight-times": (8.0, None, "mean"),
    "connectivity": (ABOVE, None, "mean"),
    "faster-nested": (4.0, None, "mean"),
    "perceiver-loses-more": (ABOVE, None, "mean"),
    "prior-prunes": (ABOVE, None, "mean"),
    "cut": (None, 0.01, "mean"),
    "competitive-points": (-0.06, None, "mean"),
    "competitive-symbols": (-0.06, None, "mean"),
    "competitive-bytes": (-0.06, None, "mean"),
    "modelnet40": (-0.06, None, "mean"),
    "lra-listops": (-0.06, None, "mean"),
    "imdb": (-0.06, None, "mean"),
    "similar-circuits": (ABOVE, None, "mean"),
    "similarity-learned": (ABOVE, None, "mean"),
    "retrieval": (ABOVE, None, "mean"),
    "nlvr2": (ABOVE, None, "mean"),
    "transplant": (ABOVE, None, "mean"),
    "codes": (ABOVE, None, "mean"),
    "priors-spread": (None, 0.03, "mean"),
    "priors-spread-shifted": (None, 0.03, "mean"),
    "priors-work": (-0.02, None, "mean"),
    "regulariser": (ABOVE, None, "mean"),
    "codes-needed": (ABOVE, None, "mean"),
    "graph-needed": (ABOVE, None, "mean"),
    "scaling": (ABOVE, None, "as measured"),
    "rerouting": (ABOVE, None, "as measured"),
    "operations": (ABOVE, None, "as measured"),
    # Specification, Section 6.5
    "a7-scale-free": (None, 0.005, "as measured"),
    "a7-planted": (None, 0.001, "as measured"),
    "a8-nac": (0.90, None, "point"),
    "a8-perceiver": (-0.02, None, "point"),
    "a8-interpreter": (0.88, None, "point"),
    "a9-loss": (None, 0.04, "point"),
    "a9-order": (0.05, None, "point"),
    "a9-nested": (None, 0.05, "point"),
    "a10-half": (1.7, None, "as measured"),
    "a10-quarter": (3.0, None, "as measured"),
    "a10-eighth": (4.0, None, "as measured"),
    "a10-masked": (None, 1.2 - 1e-9, "as measured"),
    "a11-tokens-interpreter": (1.2, None, "as measured"),
    "a11-tokens-nac": (None, 0.5, "as measured"),
    "a11-functions": (0.8, None, "as measured"),
    "a11-routing": (None, 0.0, "as measured"),
    "a11-processors": (None, 2.0, "as measured"),
    "a12-accuracy": (0.85, None, "point"),
    "a12-perceiver": (0.10, None, "point"),
    "a12-similarity": (0.15, None, "point"),
    "a12-p": (None, 0.01 - 1e-9, "every seed"),
    "a13-perceiver": (-0.06, None, "point"),
    "a13-chance": (2.0 + 1e-9, None, "point"),
    "a14": (-0.03, None, "point"),
    "a15": (-0.10, None, "point"),
}
PER_SEED = [name for name, bounds in BOUNDS.items() if bounds[2] != "as measured"]
TIMED = [name for name, bounds in BOUNDS.items() if bounds[2] == "as measured" and not name.startswith("a7")]
BOUGHT = ["faster", "eight-times", "faster-nested"]  # times as well as networks
FETCHED = {"low-shot-cifar", "low-shot-cub", "tiny-imagenet-r", "modelnet40", "lra-listops", "imdb", "nlvr2"}
ELSEWHERE = FETCHED | {"eight-times"}


def test_ids_are_stable():
    """Dashboards and pull requests know claims by their id: one may be added here, none renamed or dropped."""
    assert all(claim.id.startswith("circuits.") for claim in CLAIMS)
    assert len(BY_ID) == len(CLAIMS)
    assert set(BOUNDS) == set(BY_ID)


@pytest.mark.parametrize(("name", "expected"), BOUNDS.items(), ids=BOUNDS)
def test_bounds_are_those_of_the_specification(name, expected):
    claim = BY_ID[name]
    assert (claim.low, claim.high, claim.rule) == expected
    assert criterion(claim)


def test_headlines_cover_the_claims_of_the_paper():
    said = " ".join(claim.statement for claim in CLAIMS if claim.headline)
    assert [k for k in range(1, 9) if f"(C{k}" not in said] == []


def test_every_acceptance_check_of_results_is_there():
    """A1 to A6 are about code, not about results: tests hold them."""
    checks = {claim.where.removeprefix("spec check ") for claim in CLAIMS if claim.where.startswith("spec check")}
    assert checks == {f"A{k}" for k in range(7, 16)}
    assert not any(claim.headline for claim in CLAIMS if claim.where.startswith("spec check"))


def test_ours_is_told_from_the_papers():
    for name, claim in BY_ID.items():
        of_paper, ours = "(C" in claim.statement, "(ours" in claim.statement
        assert claim.headline == of_paper, name
        assert of_paper + ours + claim.where.startswith("spec check") == 1, name
        assert of_paper or claim.paper_value is None, name


# ---------------------------------------------------------------- measured on tables

EMPTY = results.expand(results.table([]))


@pytest.mark.parametrize("claim", CLAIMS, ids=BY_ID)
def test_nothing_is_measured_on_nothing(claim):
    assert decide(claim, EMPTY) == {"verdict": NOT_MEASURED}
    unrelated = table([row("movi", "nac", "accuracy", 1.0, shots=1)])
    assert decide(claim, unrelated) == {"verdict": NOT_MEASURED}
    assert claim.explanation
    assert claim.explanation(EMPTY).startswith("Nothing was ")


@pytest.fixture(scope="module")
def run():
    return table(rows(), latency_rows())


@pytest.fixture(scope="module")
def untimed():
    return table(rows())


@pytest.mark.parametrize("name", BY_ID)
def test_a_laptop_measures_everything_but_the_papers_sizes(run, name):
    found = BY_ID[name].measure(run)
    if name in ELSEWHERE:
        assert found == {}
    elif name in PER_SEED:
        assert set(found) == set(SEEDS)
        assert all(math.isfinite(value) for value in found.values())
    else:
        assert isinstance(found, Measured)


def test_a_run_like_the_pilots_keeps_every_bound(run):
    verdicts = {name: decide(claim, run)["verdict"] for name, claim in BY_ID.items()}
    assert {name for name, verdict in verdicts.items() if verdict != REPRODUCED} == ELSEWHERE


@pytest.mark.parametrize("name", [*TIMED, *BOUGHT])
def test_without_times_there_is_no_verdict_but_a_reason(untimed, name):
    claim = BY_ID[name]
    assert decide(claim, untimed) == {"verdict": NOT_MEASURED}
    assert "circuits-latency" in claim.explanation(untimed)
    assert "latency table" in claim.measured


@pytest.mark.parametrize("name", sorted(FETCHED))
def test_what_must_be_fetched_is_said(run, name):
    story = BY_ID[name].explanation(run)
    assert "must be fetched" in story
    assert story.split(": ")[1].split(" ")[0] in DATASETS  # and there is a reader for it


@pytest.mark.parametrize("name", sorted(set(BY_ID) - FETCHED))
def test_stories_are_told(run, name):
    story = BY_ID[name].explanation(run)
    assert len(story) > 40 and story.endswith(".")
    assert "nan" not in story and "\n" not in story


# ---------------------------------------------------------------- every claim can fail


def decided(name, built):
    return decide(BY_ID[name], table(built))


def test_every_claim_has_rows():
    assert set(ROWS) == set(BY_ID)


@pytest.mark.parametrize("name", ROWS)
def test_verdicts_follow_the_rows(name):
    build, good, bad = ROWS[name]
    entry = decided(name, build(good))
    assert entry["value"] == pytest.approx(good)
    assert entry["verdict"] == REPRODUCED
    for value in bad:
        entry = decided(name, build(value))
        assert entry["value"] == pytest.approx(value, abs=1e-12)
        assert entry["verdict"] == NOT_REPRODUCED


@pytest.mark.parametrize("name", ROWS)
def test_both_sides_of_every_bound_are_tried(name):
    _, good, bad = ROWS[name]
    claim = BY_ID[name]
    low = -math.inf if claim.low is None else claim.low
    high = math.inf if claim.high is None else claim.high
    assert low <= good <= high
    assert claim.low is None or any(value < low for value in bad)
    assert claim.high is None or any(value > high for value in bad)


@pytest.mark.parametrize("name", PER_SEED)
def test_seeds_on_both_sides_are_inconclusive_and_one_decides_nothing(name):
    build, good, bad = ROWS[name]
    mixed = [one for one in build(good) if one["seed"] == 0]
    assert decided(name, mixed)["verdict"] == INCONCLUSIVE
    if name not in BOUGHT:  # a time is one for all seeds
        mixed += [one for one in build(bad[-1]) if one["seed"] == 1]
        assert decided(name, mixed)["verdict"] == INCONCLUSIVE


def test_few_networks_are_not_eight_times_as_fast_for_being_64():
    build, good, _ = ROWS["faster"]
    assert decided("eight-times", build(9.0))["verdict"] == NOT_MEASURED
    assert decided("faster", build(good))["verdict"] == REPRODUCED


def test_removals_that_cost_too_much_buy_no_speed():
    dear = level("nac_wide", 0.5)  # far below what the same networks have with fewer modules lost
    built = [one for one in bought("nac_wide")(5.0) if one["setting"]] + dear
    assert decided("faster", built)["value"] == 20.0
    dear = level("nac_wide", 1.0)
    built = [one for one in bought("nac_wide")(5.0) if one["setting"]] + dear
    entry = decided("faster", built)
    assert entry["value"] == 1.0 and entry["verdict"] == NOT_REPRODUCED
