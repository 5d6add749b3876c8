"""How a stage ends: exit status, one line for expected errors, a traceback for bugs, a note of time and memory."""

import json
import subprocess
import sys

import pytest

from reprise import errors
from reprise.errors import UserError, run_stage


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "REPRISE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def status(main):
    with pytest.raises(SystemExit) as ended:
        run_stage(main)
    return ended.value.code


def raising(error):
    def main():
        raise error

    return main


def test_success(capsys, elsewhere):
    assert status(lambda: None) == 0
    assert capsys.readouterr() == ("", "")
    assert not list(elsewhere.iterdir())  # no note outside DVC


@pytest.mark.parametrize("error", [UserError("data/raw/x is missing: fetch it"), FileNotFoundError(2, "No file", "y")])
def test_expected_errors_take_one_line(capsys, error):
    assert status(raising(error)) == 1
    assert capsys.readouterr() == ("", f"error: {error}\n")


def test_interrupt(capsys):
    assert status(raising(KeyboardInterrupt())) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("interrupted: finished jobs are kept")
    assert err.count("\n") == 1


def test_bugs_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_stage(lambda: 1 / 0)


@pytest.mark.parametrize("error", [UserError("no"), OSError("disk")])
def test_debug_keeps_every_traceback(monkeypatch, error):
    monkeypatch.setenv("REPRISE_DEBUG", "1")
    with pytest.raises(type(error)):
        run_stage(raising(error))


def test_as_a_script(elsewhere):
    script = elsewhere / "stage.py"
    script.write_text(
        "import sys\nfrom reprise.errors import UserError, run_stage\n"
        "def main():\n    {'user': user, 'bug': bug}[sys.argv[1]]()\n"
        "def user(): raise UserError('thing: remedy')\n"
        "def bug(): [][0]\n"
        "run_stage(main)\n"
    )
    done = {
        kind: subprocess.run([sys.executable, script, kind], capture_output=True, text=True, check=False)
        for kind in ("user", "bug")
    }
    assert (done["user"].returncode, done["user"].stdout, done["user"].stderr) == (1, "", "error: thing: remedy\n")
    assert done["bug"].returncode == 1
    assert "Traceback" in done["bug"].stderr
    assert "IndexError" in done["bug"].stderr


def test_note_of_time_and_memory(monkeypatch, elsewhere):
    monkeypatch.setenv("DVC_STAGE", "fairness-train@faces")
    clock = iter([10.0, 12.34])
    monkeypatch.setattr(errors.time, "monotonic", lambda: next(clock))
    assert status(lambda: None) == 0
    text = (elsewhere / ".reprise/timings/fairness-train@faces.json").read_text()
    note = json.loads(text)
    assert (note["stage"], note["seconds"]) == ("fairness-train@faces", 2.3)
    assert 10 < note["peak_mib"] < 1e6
    assert note["cores"] >= 1
    assert {"machine", "python"} <= note.keys()
    assert list(note) == sorted(note)


def test_a_failed_stage_leaves_no_note(monkeypatch, elsewhere):
    monkeypatch.setenv("DVC_STAGE", "x")
    assert status(raising(UserError("no"))) == 1
    assert not list(elsewhere.iterdir())
