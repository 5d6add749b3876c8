"""Where finished networks are applied; training leaves the choice to Lightning (`reprise.training`)."""

import os

import torch


def device() -> torch.device:
    """The GPU if there is one, unless REPRISE_ACCELERATOR says otherwise."""
    wanted = os.environ.get("REPRISE_ACCELERATOR", "auto")
    return torch.device("cuda" if torch.cuda.is_available() and wanted in ("auto", "gpu", "cuda") else "cpu")
