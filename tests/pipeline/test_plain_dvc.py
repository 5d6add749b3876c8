"""What DVC's own commands show of the pipeline: few and well-named things, and pictures one can read."""

import re
from pathlib import Path

import pytest

from browser import BROWSER, Links, browse, needs_browser
from conftest import copy_of, ran, run_in

pytestmark = pytest.mark.slow

CHANGED = "fairness.merge.near_parity"


@pytest.fixture(scope="module")
def tried(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A copy of the finished clone, its results committed, and what `dvc exp run` with one other parameter printed."""
    folder = copy_of(smoke, tmp_path_factory.mktemp("tried") / "clone")
    run = run_in(folder)
    run("git", "add", "-A")
    run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "results")
    assert "up to date" in run("dvc", "status").stdout
    out = run("dvc", "exp", "run", "-n", "probe", "-S", f"{CHANGED}=0.2").stdout
    return folder, out


def table(markdown: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in markdown.splitlines() if "|" in line]
    return [row for row in rows if not set("".join(row)) <= set("-: ")]


def test_an_experiment_runs_only_what_depends_on_its_parameter(tried: tuple[Path, str]) -> None:
    both = {f"fairness-{stage}@{dataset}" for stage in ("merge", "evaluate") for dataset in ("faces", "loanapp")}
    assert ran(tried[1]) == both | {"fairness-report", "claims", "report"}


def test_experiments_are_a_table_of_what_differs(tried: tuple[Path, str]) -> None:
    header, *rows = table(run_in(tried[0])("dvc", "exp", "show", "--md", "--only-changed").stdout)
    assert CHANGED in header
    differing = [name for name in header if name.startswith(("fairness.", "loanapp.", "faces.", "reports/"))]
    assert 2 <= len(differing) <= 30 and not any(name.startswith(("circuits.", "amodal.", "assay.")) for name in header)
    assert any("probe" in cell for row in rows for cell in row)


def test_the_difference_of_metrics_names_what_moved(tried: tuple[Path, str]) -> None:
    header, *rows = table(run_in(tried[0])("dvc", "metrics", "diff", "--md").stdout)
    assert header == ["Path", "Metric", "HEAD", "workspace", "Change"]
    assert {row[0] for row in rows} <= {"reports/metrics/fairness.json", "reports/claims.json"}
    measured = [row[1] for row in rows if row[0] == "reports/metrics/fairness.json"]
    assert measured and all(re.fullmatch(r"(faces|loanapp)\.[a-z_]+\.[a-z_]+", name) for name in measured)


def test_the_metrics_are_few(tried: tuple[Path, str]) -> None:
    rows = table(run_in(tried[0])("dvc", "metrics", "show", "--md").stdout)
    papers = [row for row in rows if row[0].startswith("reports/metrics/")]
    names = rows[0][1:]
    assert len(papers) == 4 and len(names) == len(set(names))
    for row in papers:
        assert 1 <= sum(cell not in ("", "-") for cell in row[1:]) <= 60, row[0]


@needs_browser
def test_plots_are_drawn_without_a_network(tried: tuple[Path, str], tmp_path: Path) -> None:
    assert BROWSER
    folder = tried[0]
    run_in(folder)("reprise", "plots", "-o", str(tmp_path / "page"), "HEAD")
    page = tmp_path / "page/index.html"
    assert Links(page.read_text()).targets == []
    dom, complaints = browse(page, tmp_path / "profile", "--host-resolver-rules=MAP * ~NOTFOUND")
    assert dom.count('class="marks"') == 4  # a plot per paper
    assert "Error" not in complaints
    for name in ("IoU on hidden parts", "accuracy under shift", "demographic parity", "never trained on"):
        assert name in dom


def test_the_graph_is_a_picture_one_can_read(tried: tuple[Path, str]) -> None:
    text = run_in(tried[0])("dvc", "dag", "--mermaid", "--collapse-foreach-matrix").stdout
    names = re.findall(r'^\s*node\d+\["([^"]+)"\]', text, re.MULTILINE)
    assert len(names) == len(set(names)) and 20 <= len(names) <= 35
    assert {"download", "fairness-train", "circuits-report", "claims", "report"} <= set(names)
    assert not any("@" in name for name in names)
