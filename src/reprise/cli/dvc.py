"""Calling DVC: the one of this environment, whose stages find this environment's python."""

import os
import sys
from pathlib import Path

COMMAND = (sys.executable, "-m", "dvc")


def environment(**more: str) -> dict[str, str]:
    """This process's environment with the folder of its python first on the path, and what is given."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"} | more
