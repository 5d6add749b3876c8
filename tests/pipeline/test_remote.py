"""Results shared through a DVC remote, as `docs/remote.md` says, with a folder in the place of a server."""

import subprocess
from pathlib import Path

import pytest

from conftest import copy_of, ran, run_in


@pytest.mark.slow
def test_a_second_clone_pulls_and_runs_only_what_it_changes(smoke: Path, tmp_path: Path) -> None:
    first = copy_of(smoke, tmp_path / "first")
    run = run_in(first)
    run("dvc", "remote", "add", "-d", "team", str(tmp_path / "store"))
    run("git", "add", "-A")
    run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "results")
    run("dvc", "push", "-q")
    second = tmp_path / "second"
    subprocess.run(["git", "clone", "-q", str(first), str(second)], check=True)
    run = run_in(second)
    run("dvc", "pull", "-q", "reports/figures/fairness")
    assert len(list((second / "reports/figures/fairness").glob("*.svg"))) > 5
    assert not (second / "reports/figures/assay").exists()
    run("dvc", "pull", "-q", "--allow-missing")
    assert (second / "reports/index.html").exists() and not (second / "data/raw/digits").exists()
    assert not ran(run("dvc", "repro", "--allow-missing").stdout)
    out = run("dvc", "exp", "run", "--pull", "--allow-missing", "-S", "fairness.merge.near_parity=0.2").stdout
    both = {f"fairness-{stage}@{dataset}" for stage in ("merge", "evaluate") for dataset in ("faces", "loanapp")}
    assert ran(out) == both | {"fairness-report", "claims", "report"}
