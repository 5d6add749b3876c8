"""The registry names every data set, stays cheap to import, and the two data stages work from end to end."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from reprise.data import registry
from reprise.data.arrays import DataError, open_prepared
from reprise.data.celeba import Options

STAGES = Path(__file__).parents[2] / "stages"


@pytest.mark.parametrize("name", registry.DATASETS)
def test_every_entry_exists(name):
    assert callable(registry.prepare_function(name))
    assert issubclass(registry.options_model(name), BaseModel)


def test_unknown_name():
    with pytest.raises(DataError, match="did you mean celeba"):
        registry.prepare_function("celebA")


@pytest.mark.parametrize("block", [{"image_size": 8, "per_split": None}, {"image_size": 64}, {"image_size": 64.5}])
def test_options_are_checked(block):
    with pytest.raises(ValidationError):
        Options.model_validate(block)


def test_import_is_cheap():
    heavy = {"torch", "pandas", "PIL", "joblib"}
    code = f"import sys, reprise.data.registry; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def stage(folder, script, name="loanapp"):
    command = [sys.executable, STAGES / script, name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_stages(tmp_path):
    common = "common: {seed: 0, fetched: [loanapp], generated: []}\n"
    (tmp_path / "params.yaml").write_text(f"{common}data:\n  loanapp: {{}}\n")
    for script in ("download.py", "prepare.py"):
        done = stage(tmp_path, script)
        assert (done.returncode, done.stderr) == (0, "")
    assert open_prepared(tmp_path / "data/prepared/loanapp").arrays["x"].shape == (1989, 51)
    (tmp_path / "params.yaml").write_text(f"{common}data:\n  loanapp: {{size: 1}}\n")
    done = stage(tmp_path, "prepare.py")
    assert done.returncode == 1
    assert "data.loanapp.size is not a parameter" in done.stderr


def test_a_generated_data_set_needs_no_raw_files(tmp_path):
    common = "common: {seed: 0, fetched: [], generated: [letters]}\n"
    (tmp_path / "params.yaml").write_text(f"{common}data:\n  letters: {{n: 100}}\n")
    done = stage(tmp_path, "download.py", "letters")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: letters is generated: `python stages/prepare.py letters` makes it")
    assert not (tmp_path / "data").exists()
    done = stage(tmp_path, "prepare.py", "letters")
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["prepared"]
    assert open_prepared(tmp_path / "data/prepared/letters").card["sources"] == {}
