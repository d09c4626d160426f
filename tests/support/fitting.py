"""``redact fit`` in this process, and what two artefacts have in common."""

import sys
from pathlib import Path

import pytest

from lightning_modules.cli import main as cli
from redact_core.support.folders import hashes

CAT = ["--data.redact", "cat", "--data.reference", "dog"]


def fit(monkeypatch: pytest.MonkeyPatch, *arguments: object, verb: str = "fit") -> int:
    monkeypatch.setattr(sys, "argv", ["redact", verb, *map(str, arguments)])
    return cli.main()


def on(folder: Path, out: Path, steps: int = 6, *more: str) -> list[str]:
    return [
        "--model.adapter", "StableDiffusion", "--model.adapter.source", str(folder), "--model.lr", "1e-3",
        "--export.folder", str(out), "--trainer.max_steps", str(steps), "--trainer.accelerator", "cpu", *more,
    ]  # fmt: skip


def same_files(a: Path, b: Path) -> bool:
    own = {"redaction.json", "README.md", "config.yaml"}  # these hold the date and the folder's name
    first, second = ({n: h for n, h in hashes(f).items() if n not in own} for f in (a, b))
    return first == second
