"""Shared fixtures: seeds, offline libraries, and tiny models of the real classes written to disk."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # an accidental download fails
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from browser import CHROMIUM
from tiny import tiny_stable_diffusion


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion folder of the real classes with tiny random weights; do not write into it."""
    return tiny_stable_diffusion(tmp_path_factory.mktemp("base") / "tiny_sd")


@pytest.fixture
def chromium(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs headless Chromium with further arguments."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here; apt-get install chromium")
    # no sandbox: its own needs user namespaces, which containers often lack
    common = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    common += [
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=9000",
    ]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CHROMIUM, *common, *arguments], capture_output=True, text=True, timeout=180, check=True
        )

    return run
