"""Shared fixtures: seeds, offline libraries, and tiny models of the real classes written to disk."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # an accidental download fails
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from pathlib import Path

import pytest
import torch
from tiny import tiny_stable_diffusion


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion folder of the real classes with tiny random weights; do not write into it."""
    return tiny_stable_diffusion(tmp_path_factory.mktemp("base") / "tiny_sd")
