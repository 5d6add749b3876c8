"""Calling DVC: the one of this environment, whose stages find this environment's python."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "dvc")


def environment(**more: str) -> dict[str, str]:
    """This process's environment with the folder of its python first on the path, and what is given."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"} | more


def write_lock_quickly() -> None:
    """Have the DVC of this process write to dvc.lock what a stage changes there, and not all of it: the same bytes.

    After every stage DVC parses and writes the whole file by the Python code that keeps comments, of which dvc.lock has
    none: two seconds with 60 stages, in the last of which a kill would leave half a file.
    """
    from dvc import dvcfile
    from dvc.utils.serialize import dumps_yaml, modify_yaml, parse_yaml

    @contextmanager
    def modify(path: str, fs: Any = None) -> Iterator[dict[str, Any]]:
        file = Path(path)
        text = file.read_text("utf-8") if file.name == "dvc.lock" and file.exists() else ""
        head, *entries = re.split(r"(?m)^(?=  \S)", text)
        known = parse_yaml(text, path).get("stages", {}) if entries else {}
        if head != "schema: '2.0'\nstages:\n" or len(entries) != len(known):  # not as DVC has written it
            with modify_yaml(path, fs=fs) as data:
                yield data
            return
        stages = dict(known)
        yield {"schema": "2.0", "stages": stages}
        places = {name: i for i, name in enumerate(known)}
        for name, stage in stages.items():
            if stage is not known.get(name):
                entry = dumps_yaml({"stages": {name: stage}}).removeprefix("stages:\n")
                place = places.get(name, len(entries))
                entries[place : place + 1] = [entry]
        aside = file.with_name(f".{file.name}.tmp")
        aside.write_text(head + "".join(entries), "utf-8")
        aside.replace(file)

    dvcfile.modify_yaml = modify
