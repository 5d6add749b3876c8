"""Progress: a bar on a terminal, a line a minute in a log."""

import io
import sys

import pytest

from reprise import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only item."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_a_minute(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress.track(range(10), "stage", 10, "job"):
        clock[0] += 25.0
    assert capsys.readouterr().out.splitlines() == [
        "stage: 3 of 10 jobs, 25.0 s/job, 3 min left",
        "stage: 6 of 10 jobs, 25.0 s/job, 2 min left",
        "stage: 9 of 10 jobs, 25.0 s/job, 25 s left",
    ]


def test_what_is_over_within_a_minute_says_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track("abc", "stage", 3, "job")) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("done", "total", "seconds", "unit", "words"),
    [
        (300, 1200, 100.0, "step", "300 of 1200 steps, 3.0 steps/s, 5 min left"),
        (1, 100, 600.0, "epoch", "1 of 100 epochs, 600.0 s/epoch, 16.5 h left"),
        (50_000_000, 200_000_000, 10.0, "B", "50 of 200 MB, 5.0 MB/s, 30 s left"),
        (0, 5, 60.0, "job", "0 of 5 jobs, 60.0 s/job, 5 min left"),
    ],
)
def test_words(done: int, total: int, seconds: float, unit: str, words: str) -> None:
    assert progress.said(done, total, seconds, unit) == words


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for _ in progress.track(range(4), "stage", 4, "job"):
        pass
    shown = terminal.getvalue().split("\r")[-1]
    assert shown.startswith("stage: 100%") and "4/4" in shown and "job/s" in shown
