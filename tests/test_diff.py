"""What a reviewer sees: `reprise diff` and the comment on a pull request, in a repository of two branches."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reprise import cli

ROOT = Path(__file__).parents[1]
PARAMS = "common:\n  seed: 0   # a comment\nfairness:\n  strengths: [0.0, 1.0]\n  lr: 0.1\n"
LEDGER = {
    "fairness.p3": {"verdict": "reproduced", "value": 0.95, "ci_low": 0.93, "ci_high": 0.97},
    "fairness.p5": {"verdict": "reproduced", "value": 0.02, "ci_low": 0.01, "ci_high": 0.03},
    "fairness.p6": {"verdict": "not measured at this scale"},
    "assay.f1": {"verdict": "reproduced", "value": 0.4, "ci_low": 0.4, "ci_high": 0.4},
}


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout


def write(ledger: dict[str, Any], params: str, figures: dict[str, str]) -> None:
    Path("reports/plots/fairness").mkdir(parents=True, exist_ok=True)
    Path("reports/claims.json").write_text(json.dumps(ledger))
    Path("params.yaml").write_text(params)
    for path in Path("reports/plots/fairness").glob("*.csv"):
        path.unlink()
    for name, text in figures.items():
        Path(f"reports/plots/fairness/{name}.csv").write_text(text)


@pytest.fixture
def branches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with `main`, and a branch `topic` at hand that changes nothing yet."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    write(LEDGER, PARAMS, {"parity": "x,y\n1,2\n", "flips": "x\n1\n"})
    git("add", ".")
    git("commit", "-qm", "main")
    git("checkout", "-qb", "topic")
    return tmp_path


def change() -> None:
    changed = {
        "fairness.p3": LEDGER["fairness.p3"] | {"value": 0.94, "ci_low": 0.9},
        "fairness.p5": LEDGER["fairness.p5"] | {"value": 0.06, "verdict": "not reproduced"},
        "fairness.p6": LEDGER["fairness.p6"],
        "fairness.new|odd": {"verdict": "reproduced", "value": 1.0, "ci_low": 1.0, "ci_high": 1.0},
    }
    params = PARAMS.replace("lr: 0.1", "lr: 0.2").replace("  seed: 0   # a comment\n", "  seed: 0   # reworded\n")
    write(changed, params.replace("[0.0, 1.0]", "[0.0, 1.0, 5.0]"), {"parity": "x,y\n1,3\n", "probes": "x\n"})


def test_nothing_changed_is_said_plainly(branches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diff", "main"]) == 0
    commit = git("rev-parse", "--short", "main").strip()
    assert capsys.readouterr().out == f"Nothing changed since `main` ({commit}): no claim, no parameter, no figure.\n"


def test_the_name_of_an_experiment_is_a_revision(branches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change()
    git("add", ".")
    git("commit", "-qm", "an experiment")
    git("update-ref", "refs/exps/ab/cdef/lucky-name", "HEAD")  # where DVC keeps it
    git("reset", "-q", "--hard", "main")
    assert cli.main(["diff", "lucky-name", "--json"]) == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)["claims"]}
    assert rows["fairness.p3"]["difference"] == pytest.approx(0.01)
    assert cli.main(["diff", "unlucky"]) == 1
    assert "git knows no revision unlucky" in capsys.readouterr().err


def test_a_row_per_claim_that_changed(branches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change()
    assert cli.main(["diff", "main", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["id"]: row for row in found["claims"]}
    assert set(rows) == {"fairness.p3", "fairness.p5", "fairness.new|odd", "assay.f1"}
    assert rows["fairness.p3"]["inside"] is True
    assert rows["fairness.p3"]["difference"] == pytest.approx(-0.01)
    assert not rows["fairness.p3"]["flipped"]
    assert rows["fairness.p5"]["inside"] is False
    assert rows["fairness.p5"]["flipped"]
    assert rows["fairness.new|odd"]["before"] is None
    assert rows["assay.f1"]["now"] is None
    assert found["parameters"] == [
        {"key": "fairness.strengths", "before": [0.0, 1.0], "now": [0.0, 1.0, 5.0]},
        {"key": "fairness.lr", "before": 0.1, "now": 0.2},
    ]
    assert [(row["name"], row["change"]) for row in found["figures"]] == [
        ("flips", "gone"),
        ("parity", "changed"),
        ("probes", "new"),
    ]


def test_markdown_for_a_reviewer(branches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change()
    assert cli.main(["diff", "main"]) == 0
    out = capsys.readouterr().out
    assert "1 verdict flipped, 1 value moved, 2 parameters and 3 figures changed." in out
    row = "| 0.020 [0.010, 0.030] | 0.060 [0.010, 0.030] | +0.040, outside of the interval before "
    assert f"{row}| reproduced → **not reproduced** |" in out
    assert "| -0.010, inside the interval before | reproduced |" in out
    assert "| fairness.new\\|odd | – | 1.000 | – | – → **reproduced** |" in out
    assert "| assay.f1 | 0.400 | – | – | reproduced → **–** |" in out
    assert "| `fairness.lr` | `0.1` | `0.2` |" in out
    assert out.index("Verdicts that flipped") < out.index("Values that moved") < out.index("Parameters")


def test_a_revision_that_git_does_not_know(branches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diff", "origin/nowhere"]) == 1
    assert "git knows no revision origin/nowhere here: fetch it first (`git fetch origin nowhere`)" in (
        capsys.readouterr().err
    )


def test_a_revision_before_the_ledger(branches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git("checkout", "-q", "--orphan", "bare")
    git("rm", "-rqf", "--cached", ".")
    git("commit", "-qm", "nothing", "--allow-empty")
    assert cli.main(["diff"]) == 0
    assert "**New claims**" in capsys.readouterr().out


def test_pairs_of_pictures(branches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def dvc(*arguments: str) -> None:
        subprocess.run(["dvc", *arguments, "-q"], check=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"})

    dvc("init")
    figures = Path("reports/figures/fairness")
    figures.mkdir(parents=True)
    (figures / "parity.svg").write_text("<svg>one</svg>")
    dvc("add", str(figures))
    git("add", ".")
    git("commit", "-qm", "figures")
    change()
    (figures / "parity.svg").write_text("<svg>two</svg>")
    Path("pairs").mkdir()
    Path("pairs/parity-now.png").touch()  # of an earlier call
    Path("pairs/notes.txt").touch()
    assert cli.main(["diff", "--json", "--images", "pairs"]) == 0
    assert sorted(path.name for path in Path("pairs").iterdir()) == [
        "fairness-parity-before.svg", "fairness-parity-now.svg", "notes.txt",
    ]  # fmt: skip
    found = {row["name"]: row.get("images") for row in json.loads(capsys.readouterr().out)["figures"]}
    assert Path(found["parity"]["before"]).read_text() == "<svg>one</svg>"
    assert Path(found["parity"]["now"]).read_text() == "<svg>two</svg>"
    assert found["flips"] == {}  # a table: no picture


# ---------------------------------------------------------------- the comment

GH = """#!/usr/bin/env python3
import pathlib, sys
log, args = pathlib.Path(__file__).with_name("calls"), sys.argv[1:]
body = next((arg.removeprefix("body=@") for arg in args if arg.startswith("body=@")), None)
if "--jq" in args:
    print(pathlib.Path(__file__).with_name("own").read_text(), end="")
else:
    with open(log, "a") as file:
        print(args[args.index("--method") + 1], next(arg for arg in args if arg.startswith("repos/")), file=file)
    pathlib.Path(__file__).with_name("body").write_text(pathlib.Path(body).read_text())
"""


def test_one_comment_is_posted_then_updated(branches: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bin")
    (folder / "gh").write_text(GH)
    (folder / "gh").chmod(0o755)
    (folder / "own").write_text("")
    change()
    git("commit", "-qam", "topic")
    path = f"{folder}:{os.environ['PATH']}"
    summary = folder / "summary"
    env = os.environ | {"PATH": path, "GITHUB_REPOSITORY": "us/reprise", "GITHUB_STEP_SUMMARY": str(summary)}
    for _ in range(2):
        subprocess.run([ROOT / ".github/comment.sh", "main", "7"], check=True, env=env)
        (folder / "own").write_text("123\n")
    assert (folder / "calls").read_text().splitlines() == [
        "POST repos/us/reprise/issues/7/comments",
        "PATCH repos/us/reprise/issues/comments/123",
    ]
    body = (folder / "body").read_text()
    assert body.startswith("<!-- reprise diff -->\n### What this changes\n")
    assert "1 verdict flipped" in body
    assert body in summary.read_text()


def test_the_workflow_uses_no_other_action_and_only_files_that_are_there() -> None:
    workflow = YAML(typ="safe").load(ROOT / ".github/workflows/pull-request.yml")
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    used = {step["uses"].split("@")[0] for step in steps if "uses" in step}
    assert used == {"actions/checkout", "actions/setup-python"}
    scripts = [word for step in steps for word in step.get("run", "").split() if word.startswith((".github/", ".ci/"))]
    assert {".github/comment.sh", ".ci/run"} == set(scripts)
    assert all(os.access(ROOT / script, os.X_OK) for script in scripts)
