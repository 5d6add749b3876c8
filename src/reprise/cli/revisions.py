"""Files as a git revision holds them."""

import subprocess
from pathlib import Path

from reprise.errors import UserError


class RevisionError(UserError):
    """Git is not there, or does not know the revision."""


def resolve(revision: str) -> str:
    """The short name of a revision's commit, or of a DVC experiment's; raises RevisionError."""
    experiments = run("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{revision}").split()
    revision = experiments[-1] if experiments else revision
    branch = revision.removeprefix("origin/")
    remedy = "" if {*branch} & {*"~^@:"} else f": fetch it first (`git fetch origin {branch}`)"
    failure = f"git knows no revision {revision} here{remedy}"
    return run("rev-parse", "--short", "--verify", "--quiet", f"{revision}^{{commit}}", failure=failure).strip()


def text(revision: str, path: Path | str) -> str | None:
    """A file of the revision, `path` from the current folder; None where it has none."""
    try:
        return run("show", f"{revision}:./{path}")
    except RevisionError:
        return None


def names(revision: str, folder: Path | str) -> list[str]:
    """Paths of the files below `folder` in the revision, from the current folder."""
    return run("ls-tree", "-r", "--name-only", revision, "--", f"{folder}/").splitlines()


def run(*arguments: str, failure: str = "") -> str:
    """What a git command prints; raises RevisionError with `failure`, or with git's own words."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=True, encoding="utf-8")
    except FileNotFoundError:
        raise RevisionError("git is not on the path: install it") from None
    except subprocess.CalledProcessError as error:
        raise RevisionError(failure or error.stderr.strip() or f"git {arguments[0]} failed") from None
    return done.stdout
