"""The README says what the committed ledger says."""

import json
import re
from pathlib import Path

import pytest

from reprise import claims

ROOT = Path(__file__).parents[1]


def test_the_readmes_ledger_is_the_committed_one() -> None:
    file = ROOT / "reports/claims.json"
    if not file.exists():
        pytest.skip("no ledger yet: dvc repro writes reports/claims.json")
    block = re.search(r"<!-- ledger -->\n(.*?)\n<!-- /ledger -->", (ROOT / "README.md").read_text(), re.S)
    assert block is not None
    expected = claims.summary(json.loads(file.read_text()))
    assert block.group(1).strip() == expected, f"put this between the ledger marks of README.md:\n{expected}"
