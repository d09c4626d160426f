"""What the processes of ``redact demo`` do; see :mod:`lightning_modules.cli.demo`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from lightning_modules.cli import main
from lightning_modules.support.devices import chosen_device
from redact_core.evaluation.summary import SummaryRow, write_summary
from redact_core.reporting.exhibit import Graded
from redact_core.reporting.report import Report


def fit(arguments: Sequence[str], device: str) -> None:
    """``redact fit`` with ``arguments``, on one device."""
    kind = chosen_device(device).type
    main.fit(
        [
            "fit",
            *arguments,
            "--trainer.accelerator",
            {"cuda": "gpu"}.get(kind, kind),
            "--trainer.devices",
            "1",
        ]
    )


def grade(modality: str, arguments: Sequence[str | int], device: str) -> Graded:
    """What ``modalities.MODALITY.demo.grade`` says; the packages of modalities are named and never imported here."""
    return importlib.import_module(f"modalities.{modality}.demo").grade(
        *arguments, str(chosen_device(device))
    )


def write(out: Path, lead: str, parts: Sequence[Graded]) -> list[SummaryRow]:
    """Write ``summary.json`` and ``report.html`` into ``out``; the rows of all parts, in their order."""
    report = Report("What was redacted, and what it cost", lead)
    rows = [row for part in parts for row in part.rows]
    for part in parts:
        for exhibit in part.exhibits:
            exhibit.show(report)
    report.intervals(rows)
    report.table(rows)
    write_summary(out / "summary.json", rows)
    report.write(out / "report.html")
    return rows
