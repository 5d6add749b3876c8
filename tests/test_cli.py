"""The `reprise` command, run in a copy of the parameter files."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reprise import cli
from reprise.claims import NOT_MEASURED, wings
from reprise.cli.scale import splice

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that holds the parameter files alone."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, reprise.cli; reprise.cli.parser(); print(*sys.modules)"
    start = time.monotonic()
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert time.monotonic() - start < 5
    assert not {"numpy", "pandas", "pydantic", "torch", "matplotlib", "dvc"} & set(loaded)


def test_check_accepts_every_scale(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "params.yaml: ok"
    assert len(out) == 1 + len(list((folder / "params").glob("*.yaml")))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("  strengths:", "  strenghts:", "fairness.strenghts is not a parameter; did you mean strengths?"),
        ("    n_train: 6000", "    n_train: -1", "data.faces.n_train"),
        ("common:\n", "commun:\n", "common is missing"),
        ("  loanapp: {}", "  loanap: {}", "data.loanap is not a data set"),
        ("fairness:\n", "fairnes:\n", "fairnes is no paper"),
        ("  fetched: [digits, colored, loanapp,", "  fetched: [digits, colored,", "which neither common.fetched ["),
        (
            "  fetched: [digits,",
            "  fetched: [digitz, digits,",
            "common.fetched names digitz, which data does not",
        ),
        (
            "  generated: [faces, letters,",
            "  generated: [faces, letters, numerals,",
            "common.generated names numerals, whose kind in sources.yaml is download: move it to common.fetched",
        ),
        ("common:\n", "common: [\n", "not valid YAML"),
    ],
)
def test_check_names_the_key(
    folder: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, message: str
) -> None:
    text = (folder / "params.yaml").read_text()
    assert before in text
    (folder / "params.yaml").write_text(text.replace(before, after, 1))
    assert cli.main(["check", "params.yaml"]) == 1
    assert message in capsys.readouterr().err


def test_check_names_a_generated_set_among_the_fetched(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "params.yaml").read_text()
    moved = text.replace(" points,", "", 1).replace("  fetched: [digits,", "  fetched: [digits, points,", 1)
    (folder / "params.yaml").write_text(moved)
    assert cli.main(["check", "params.yaml"]) == 1
    message = "common.fetched names points, whose kind in sources.yaml is generated: move it to common.generated"
    assert message in capsys.readouterr().err


def test_scale_copies_the_whole_file_and_shows_the_diff(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["scale", "smoke"]) == 0
    assert (folder / "params.yaml").read_bytes() == (folder / "params/smoke.yaml").read_bytes()
    assert "+++ params.yaml (smoke)" in capsys.readouterr().out


def test_scale_of_a_paper_and_back_changes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all")
    before = (folder / "params.yaml").read_text()
    for name in ("workstation", "paper", "smoke"):
        assert cli.main(["scale", name, "fairness"]) == 0
        assert (folder / "params.yaml").read_text() != before
        assert cli.main(["check", "params.yaml"]) == 0
    assert cli.main(["scale", "laptop", "fairness"]) == 0
    assert (folder / "params.yaml").read_text() == before


def test_scale_laptop_without_git_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["scale", "laptop"]) == 1
    assert "committed params.yaml" in capsys.readouterr().err


def test_unknown_paper_changes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "params.yaml").read_text()
    assert cli.main(["scale", "smoke", "alchemy"]) == 1
    assert "known: fairness" in capsys.readouterr().err
    assert (folder / "params.yaml").read_text() == before


def test_splice_leaves_other_papers_and_comments_alone() -> None:
    head = "# head\ncommon:\n  fetched: [x]  # got\n  generated: []  # made\n"
    head += "data:\n  x: {n: 1}  # first\n  y: {n: 2}\n  z: {n: 3}\n\n"
    text = head + "# about one\none:\n  datasets: [x]\n  k: 1  # why\n\n# about two\ntwo:\n  datasets: [x]\n  k: 1\n"
    other = (
        text.replace("k: 1", "k: 9")
        .replace("n: 2", "n: 7")
        .replace("one:\n  datasets: [x]", "one:\n  datasets: [z, y]")
        .replace("  fetched: [x]  # got\n  generated: []", "  fetched: [x, y]  # got\n  generated: [z]")
    )
    after = splice(text, other, ["one"])
    assert after == other.replace("two:\n  datasets: [x]\n  k: 9", "two:\n  datasets: [x]\n  k: 1")
    assert splice(after, text, ["one"]) == text


def lists(text: str) -> dict[str, list[str]]:
    common: dict[str, list[str]] = YAML(typ="safe", pure=True).load(text)["common"]
    return {key: common[key] for key in ("fetched", "generated")}


def test_a_paper_at_another_scale_brings_its_data_sets_to_the_right_list() -> None:
    laptop, paper = (ROOT / "params.yaml").read_text(), (ROOT / "params/paper.yaml").read_text()
    videos = ["chewgum", "chewgum_radial", "fishbowl_lite"]
    before, after = lists(laptop), lists(splice(laptop, paper, ["amodal"]))
    assert after["generated"] == [name for name in before["generated"] if name not in videos]
    assert set(after["fetched"]) == {*before["fetched"], "fishbowl", "kins_car"}
    assert lists(splice(paper, laptop, ["amodal"]))["generated"] == videos
    assert lists(splice(paper, laptop, ["amodal", "assay", "circuits", "fairness"])) == lists(laptop)


@pytest.mark.parametrize("file", ["params.yaml", "params/smoke.yaml", "params/workstation.yaml", "params/paper.yaml"])
def test_a_scale_spliced_into_itself_is_itself(file: str) -> None:
    text = (ROOT / file).read_text()
    assert all(splice(text, text, [wing]) == text for wing in wings())


def test_doctor_says_what_there_is_and_what_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["scale", "workstation", "fairness"]) == 0
    capsys.readouterr()
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "params.yaml is valid" in out and "torch" in out and "GB free" in out
    assert "!!  data        celeba must be fetched by hand: `python stages/download.py celeba` says from where" in out
    assert "    data        digits comes with a package" in out
    assert "!!  graph       this is no DVC repository" in out


def test_claims_prints_the_ledger(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["claims"]) == 1
    assert "dvc repro claims" in capsys.readouterr().err
    entries = {claim.id: {"verdict": NOT_MEASURED} for wing in wings().values() for claim in wing.CLAIMS}
    (folder / "reports").mkdir()
    (folder / "reports/claims.json").write_text(json.dumps(entries))
    assert cli.main(["claims", "fairness"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"{len(wings()['fairness'].CLAIMS)} {NOT_MEASURED}"
    assert cli.main(["claims", "alchemy"]) == 1


def test_output_that_nobody_reads_is_no_error(folder: Path) -> None:
    code = "import sys; from reprise.cli import main; sys.exit(main(['scale', 'smoke', 'fairness']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.close()  # as `| head` does
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_plots_say_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert cli.main(["plots"]) == 1
    assert "pip install -e '.[plots]'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["scale", "smoke", "fairness"], ["diff"]])
def test_a_file_that_is_no_yaml_is_no_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    (folder / "reports").mkdir()
    (folder / "reports/claims.json").write_text("{}")
    for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        git(folder, *step)
    (folder / "params.yaml").write_text("common: [\n")
    assert cli.main(command) == 1
    assert capsys.readouterr().err == "error: a parameter file is not valid YAML: `reprise check` says where\n"
    assert (folder / "params.yaml").read_text() == "common: [\n"


def test_scale_keeps_edits_that_were_not_committed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited = (folder / "params.yaml").read_text() + "# mine\n"
    (folder / "params.yaml").write_text(edited)
    assert cli.main(["scale", "smoke"]) == 0
    assert "as it was before: .reprise/params.before.yaml" in capsys.readouterr().out
    assert (folder / ".reprise/params.before.yaml").read_text() == edited
