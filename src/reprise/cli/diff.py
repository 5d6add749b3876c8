"""`reprise diff`: what changed since a revision, for the reviewer of a pull request.

Claims, parameters and the figures' data are in git, so it works in a fresh clone. The pictures themselves are in DVC:
pairs are written where its cache or remote has them.
"""

import argparse
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reprise.claims import Claim, shown, wings
from reprise.cli import revisions
from reprise.cli.parameters import flat
from reprise.errors import UserError

LEDGER, PARAMETERS, PLOTS, FIGURES = (
    Path("reports/claims.json"),
    Path("params.yaml"),
    "reports/plots",
    "reports/figures",
)
LISTED = 20  # rows beyond which a table is folded away


def run(arguments: argparse.Namespace) -> int:
    """Print Markdown, or JSON."""
    found = compare(arguments.revision)
    if arguments.images:
        pictures(found, Path(arguments.images))
    print(json.dumps(found, indent=2, ensure_ascii=False) if arguments.json else markdown(found))
    return 0


def compare(revision: str) -> dict[str, Any]:
    """What differs between the working tree and a revision.

    Returns:
        `revision` and its `commit`; `claims`, rows of `claims_changed`; `parameters`, rows of `parameters_changed`;
        `figures`, rows of `figures_changed`.
    """
    commit = revisions.resolve(revision)
    if not LEDGER.exists():
        raise UserError(f"{LEDGER} is missing: run `dvc repro claims`, or `git checkout {LEDGER}`")
    before = revisions.text(commit, LEDGER)
    return {
        "revision": revision,
        "commit": commit,
        "claims": claims_changed(json.loads(before or "{}"), json.loads(LEDGER.read_text(encoding="utf-8"))),
        "parameters": parameters_changed(revisions.text(commit, PARAMETERS) or "", PARAMETERS.read_text("utf-8")),
        "figures": figures_changed(commit),
    }


# ---------------------------------------------------------------- claims


def claims_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per claim whose value or verdict differs, headline claims first.

    `before` and `now` are the entries, None where the ledger has none; `difference` is now minus before; `inside` says
    whether the value now lies in the interval that it had before, None where that is a single number.
    """
    known: dict[str, Claim] = {claim.id: claim for wing in wings().values() for claim in wing.CLAIMS}
    rows = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        row: dict[str, Any] = {"id": name, "paper": name.split(".")[0], "before": old, "now": new}
        row["statement"] = known[name].statement if name in known else ""
        row["headline"] = name in known and known[name].headline
        row["flipped"] = old is not None and new is not None and old["verdict"] != new["verdict"]
        if old and new and "value" in old and "value" in new:
            row["difference"] = new["value"] - old["value"]
            wide = old["ci_low"] < old["ci_high"]
            row["inside"] = old["ci_low"] <= new["value"] <= old["ci_high"] if wide else None
            if not row["flipped"] and not row["difference"]:
                continue  # an interval alone moved
        rows.append(row)
    return sorted(rows, key=lambda row: not row["headline"])


# ---------------------------------------------------------------- parameters


def parameters_changed(before: str, now: str) -> list[dict[str, Any]]:
    """A row per key of params.yaml that differs: `key`, `before`, `now`; None where it has none."""
    if before == now:
        return []
    old, new = flat(before), flat(now)
    keys = [*new, *(key for key in old if key not in new)]
    return [{"key": key, "before": old.get(key), "now": new.get(key)} for key in keys if old.get(key) != new.get(key)]


# ---------------------------------------------------------------- figures


def figures_changed(commit: str) -> list[dict[str, Any]]:
    """A row per figure or table whose data (reports/plots, in git) differ: `paper`, `name`, `change`."""
    old, new = set(revisions.names(commit, PLOTS)), {path.as_posix() for path in Path(PLOTS).glob("*/*.csv")}
    rows = []
    for path in sorted(old | new):
        if path not in new:
            change = "gone"
        elif path not in old:
            change = "new"
        elif revisions.text(commit, path) != Path(path).read_text("utf-8"):
            change = "changed"
        else:
            continue
        rows.append({"paper": Path(path).parent.name, "name": Path(path).stem, "change": change})
    return rows


def pictures(found: dict[str, Any], folder: Path) -> None:
    """Write `folder`/<paper>-<figure>-{before,now}.* for the changed figures, and their paths into `found`."""
    if not found["figures"]:
        return
    from dvc.api import DVCFileSystem

    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*-before.*"), *folder.glob("*-now.*")):
        old.unlink()
    then = DVCFileSystem(rev=found["commit"])
    for row in found["figures"]:
        stem = f"{row['paper']}-{row['name']}"
        row["images"] = {}
        for path in sorted(Path(FIGURES, row["paper"]).glob(f"{row['name']}.*")):
            row["images"]["now"] = str(shutil.copy(path, folder / f"{stem}-now{path.suffix}"))
        try:
            earlier = list(then.ls(f"{FIGURES}/{row['paper']}", detail=False))
        except FileNotFoundError:
            earlier = []  # neither in the cache nor in a remote
        for path in (Path(name) for name in earlier if Path(name).stem == row["name"]):
            target = folder / f"{stem}-before{path.suffix}"
            try:
                target.write_bytes(then.cat_file(path.as_posix()))  # a copy: `get_file` may link to the cache
            except FileNotFoundError:
                continue
            row["images"]["before"] = str(target)


# ---------------------------------------------------------------- Markdown


def markdown(found: Mapping[str, Any]) -> str:
    """The comparison as a comment on a pull request."""
    since = f"`{found['revision']}` ({found['commit']})"
    if not any(found[key] for key in ("claims", "parameters", "figures")):
        return f"Nothing changed since {since}: no claim, no parameter, no figure."
    claims = found["claims"]
    flipped = [row for row in claims if row["flipped"]]
    moved = [row for row in claims if row["before"] and row["now"] and not row["flipped"]]
    new, gone = [row for row in claims if not row["before"]], [row for row in claims if not row["now"]]
    lines = [
        f"Since {since}: {_number(flipped, 'verdict')} flipped, {_number(moved, 'value')} moved, "
        f"{_number(found['parameters'], 'parameter')} and {_number(found['figures'], 'figure')} changed."
    ]
    if flipped:
        lines += ["", "**Verdicts that flipped**", "", *_claims(flipped)]
    titles = {"Values that moved, verdicts that did not": moved, "New claims": new, "Claims that are gone": gone}
    for title, rows in titles.items():
        if rows:
            lines += ["", *_folded(title, _claims(rows), len(rows) > LISTED)]
    if found["parameters"]:
        table = ["| parameter | before | now |", "| --- " * 3 + "|"]
        table += [f"| `{row['key']}` | {_value(row['before'])} | {_value(row['now'])} |" for row in found["parameters"]]
        lines += ["", *_folded("Parameters", table, len(found["parameters"]) > LISTED)]
    if found["figures"]:
        lines += ["", *_folded("Figures", list(_figures(found["figures"])), len(found["figures"]) > LISTED)]
    return "\n".join(lines)


def _number(rows: list[Any], noun: str) -> str:
    return f"{len(rows) or 'no'} {noun}{'' if len(rows) == 1 else 's'}"


def _folded(title: str, lines: list[str], fold: bool) -> list[str]:
    if fold:
        return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>"]
    return [f"**{title}**", "", *lines]


def _claims(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| claim | before | now | difference | verdict |", "| --- " * 5 + "|"]
    for row in rows:
        old, new = row["before"] or {"verdict": "–"}, row["now"] or {"verdict": "–"}
        name = f"**{row['id']}**" if row["headline"] else row["id"]
        verdict = new["verdict"] if old["verdict"] == new["verdict"] else f"{old['verdict']} → **{new['verdict']}**"
        words = f"{name}: {row['statement']}" if row["statement"] else name
        lines.append(
            f"| {words.replace('|', chr(92) + '|')} | {shown(old)} | {shown(new)} | {_moved(row)} | {verdict} |"
        )
    return lines


def _moved(row: Mapping[str, Any]) -> str:
    if "difference" not in row:
        return "–"
    size = abs(row["difference"])
    digits = 3 if size >= 5e-4 or not size else 1 - math.floor(math.log10(size))
    within = {True: ", inside the interval before", False: ", outside of the interval before", None: ""}[row["inside"]]
    return f"{row['difference']:+.{digits}f}{within}"


def _value(value: Any) -> str:
    return "–" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _figures(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        pair = row.get("images", {})
        files = ", ".join(f"{when} `{pair[when]}`" for when in ("before", "now") if when in pair)
        yield f"- {row['paper']}: {row['name'].replace('_', ' ')}, {row['change']}{f' ({files})' if files else ''}"
