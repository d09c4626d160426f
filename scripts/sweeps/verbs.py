"""The commands that the sweeps kill and starve, on tiny models, and what is to become of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forked import run

SLOW = "fit and export, diffusers"
"""Gets a fifth of the kills or faults: it costs ten times as much, and only its export differs."""


@dataclass(frozen=True)
class Verb:
    """A command of the sweep."""

    name: str
    arguments: Callable[[Path], list[str]]
    """What to run, given the folder it writes to."""
    sound: Callable[[Path], bool]
    """Whether what lies there after a kill is absent or whole."""
    go_on: Callable[[Path], list[str] | None]
    """More arguments of the command that goes on; ``None`` where the work is done."""


def verbs(root: Path) -> list[Verb]:
    """The commands of the sweep, on tiny models in ``root``."""
    from tiny import tiny_stable_diffusion
    from toy_evaluation import PictureToy, without_plums

    from redact_core import RedactionCard

    base = tiny_stable_diffusion(root / "base")
    redacted = without_plums(PictureToy(), root)
    trainer = [
        "--trainer.accelerator",
        "cpu",
        "--trainer.devices",
        "1",
        "--trainer.enable_progress_bar",
        "false",
    ]

    def fit(out: Path) -> list[str]:
        return [
            "fit", "--model.adapter", "StableDiffusion", "--model.adapter.source", str(base), "--data.redact", "cat",
            "--data.reference", "dog", "--export.folder", str(out), "--trainer.max_steps", "12",
            "--checkpoint.every_n_train_steps", "5", *trainer,
        ]  # fmt: skip

    def fit_toy(out: Path) -> list[str]:
        return [
            "fit", "--model.adapter", "toy_evaluation.PictureToy", "--data.redact", "plum", "--data.reference", "fig",
            "--export.folder", str(out), "--trainer.max_steps", "40", "--checkpoint.every_n_train_steps", "7", *trainer,
        ]  # fmt: skip

    def go_on(out: Path) -> list[str] | None:
        if out.exists():
            return None
        found = sorted(
            out.parent.glob("out.run/checkpoints/*.ckpt"), key=lambda path: path.stat().st_mtime_ns
        )
        if any(path.stem.startswith("last") for path in found):
            return ["--ckpt_path", "last"]
        return ["--ckpt_path", str(found[-1])] if found else []

    def fitted(out: Path) -> bool:
        return not out.exists() or RedactionCard.read(out).verify(out) == []

    def toy(verb: str, model: str, out: Path, *more: str) -> list[str]:
        return [
            verb, "--base", model, "--redacted", str(redacted), "--out", str(out), "--redact", "plum", "--n", "12",
            "--batch_size", "4", *more,
        ]  # fmt: skip

    def evaluate(out: Path) -> list[str]:
        more = ["--base.delay", "0.02", "--reference", "fig", *trainer]
        return toy("evaluate", "toy_evaluation.PictureToy", out, *more)

    def attack(out: Path) -> list[str]:
        attacks = "[toy_attacks.Spelling, toy_attacks.Bypass, SeedSearch]"
        more = ["--attacks", attacks, "--scorers", "[toy_evaluation.WordScorer]", "--device", "cpu"]
        return toy("attack", "toy_attacks.OpenToy", out, *more)

    def scored(out: Path) -> bool:
        return not (out / "summary.json").exists() or bool(json.loads((out / "summary.json").read_text()))

    evidence = root / "evidence"
    made = run(evaluate(evidence), root / "log")
    if made.status:
        raise SystemExit(made.errors)

    def report(out: Path) -> list[str]:
        return ["report", str(evidence), "--out", str(out / "report.html")]

    def reported(out: Path) -> bool:
        page = out / "report.html"
        return not page.exists() or page.read_text(encoding="utf-8").rstrip().endswith("</html>")

    return [
        Verb("fit and export", fit_toy, fitted, go_on),
        Verb("fit and export, diffusers", fit, fitted, go_on),
        Verb("evaluate", evaluate, scored, lambda out: []),
        Verb("attack", attack, scored, lambda out: []),
        Verb("report", report, reported, lambda out: None if (out / "report.json").exists() else []),
    ]
