"""Where finished networks are applied."""

import pytest
import torch

from reprise import devices


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [(None, True, "cuda"), (None, False, "cpu"), ("cpu", True, "cpu"), ("gpu", True, "cuda"), ("gpu", False, "cpu")],
)
def test_device(monkeypatch, wanted, there, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.delenv("REPRISE_ACCELERATOR", raising=False)
    if wanted:
        monkeypatch.setenv("REPRISE_ACCELERATOR", wanted)
    assert devices.device() == torch.device(expected)
