"""The `reprise` command: a thin layer beside `dvc`, for what it leaves open.

Each subcommand is a module of this package with one `run(arguments) -> exit status`, imported only when it is called,
so that the command starts at once.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

SCALES = ("smoke", "laptop", "workstation", "paper")


def parser() -> argparse.ArgumentParser:
    """The command line; `module` of the parsed arguments names the subcommand's module."""
    root = argparse.ArgumentParser(prog="reprise", description="Reproductions of NeurIPS 2022 papers, beside `dvc`.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="validate parameter files: every key, value and data set")
    check.add_argument("files", nargs="*", metavar="FILE", help="default: params.yaml and params/*.yaml")
    check.set_defaults(module="validate")

    scale = commands.add_parser(
        "scale",
        help="put another scale into params.yaml and show the diff",
        description="Copies params/NAME.yaml over params.yaml, or only the blocks of the named papers and of the data "
        "sets they use. `laptop` is the committed params.yaml (git show HEAD:params.yaml).",
    )
    scale.add_argument("name", metavar="NAME", choices=SCALES, help=", ".join(SCALES))
    scale.add_argument("papers", nargs="*", metavar="PAPER", help="default: the whole file")
    scale.set_defaults(module="scale")

    ledger = commands.add_parser("claims", help="print the ledger: a verdict per claim")
    ledger.add_argument("paper", nargs="?", metavar="PAPER", help="default: every paper")
    ledger.set_defaults(module="ledger")

    diff = commands.add_parser(
        "diff",
        help="what changed since a revision: claims, parameters, figures",
        description="Compares the ledger, the parameters and the figures' data with those that a git revision holds; "
        "prints Markdown for a pull request. Needs no data.",
    )
    diff.add_argument("revision", nargs="?", default="HEAD", metavar="REV", help="default: HEAD")
    diff.add_argument("--json", action="store_true", help="JSON in the place of Markdown")
    diff.add_argument("--images", metavar="FOLDER", help="write pairs of the changed figures there, before and now")
    diff.set_defaults(module="diff")

    plots = commands.add_parser(
        "plots",
        help="`dvc plots diff` as a page that needs no network",
        usage="reprise plots [REV ...] [options of `dvc plots diff`]",
        description="One plot per paper, the workspace beside the revisions (HEAD). Everything is passed on to DVC.",
    )
    plots.set_defaults(module="plots", passed=[])

    why = commands.add_parser("why", help="which file, parameter or upstream stage makes a stage run")
    why.add_argument(
        "stage", nargs="?", metavar="STAGE", help="a stage, or a group of them; default: all that would run"
    )
    why.set_defaults(module="why")

    sweep = commands.add_parser(
        "sweep",
        help="run a checked-in sweep as queued DVC experiments",
        description="Queues every cell of the sweep that is not done, failed ones again, and starts DVC's workers.",
    )
    sweep.add_argument("file", metavar="FILE", help="sweeps/NAME.yaml")
    sweep.add_argument("-j", "--jobs", type=int, metavar="N", help="cells at a time; default: side_by_side of FILE")
    sweep.add_argument(
        "--status", action="store_true", help="where it stands; writes the table and figure of what is done"
    )
    sweep.set_defaults(module="sweep")

    doctor = commands.add_parser("doctor", help="this machine, the data, what would run and roughly for how long")
    doctor.set_defaults(module="doctor")

    repro = commands.add_parser(
        "repro",
        help="`dvc repro` with independent stages side by side",
        description="Runs every stage that has changed as soon as what it reads is made, N at a time; output goes to "
        ".reprise/logs. What is killed, `dvc repro` takes up.",
    )
    repro.add_argument("targets", nargs="*", metavar="TARGET", help="stages or groups of them; default: all")
    repro.add_argument("-j", "--jobs", type=int, default=2, metavar="N", help="stages at a time (2)")
    repro.set_defaults(module="repro")
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; expected errors are one line and exit status 1."""
    root = parser()
    arguments, rest = root.parse_known_args(argv)
    if hasattr(arguments, "passed"):
        arguments.passed = rest
    elif rest:
        root.error(f"unrecognized arguments: {' '.join(rest)}")
    command = importlib.import_module(f"reprise.cli.{arguments.module}")
    from reprise.errors import UserError

    try:
        status: int = command.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # of `| head`; what is left to print at the end would say so again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (UserError, OSError) as error:
        if os.environ.get("REPRISE_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if type(error).__module__.startswith("ruamel.yaml"):  # not imported before it is needed
            print("error: a parameter file is not valid YAML: `reprise check` says where", file=sys.stderr)
            return 1
        raise
    return status
