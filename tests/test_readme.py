"""The README says what the committed ledger says."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprise import claims

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("name", "written"), [("scores", claims.scores), ("ledger", claims.summary)])
def test_the_readmes_ledger_is_the_committed_one(name: str, written: Callable[[dict[str, Any]], str]) -> None:
    file = ROOT / "reports/claims.json"
    if not file.exists():
        pytest.skip("no ledger yet: dvc repro writes reports/claims.json")
    block = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", (ROOT / "README.md").read_text(), re.S)
    assert block is not None
    expected = written(json.loads(file.read_text()))
    assert block.group(1).strip() == expected, f"put this between the marks {name} of README.md:\n{expected}"
