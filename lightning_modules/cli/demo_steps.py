"""What the processes of ``redact demo`` do; see :mod:`lightning_modules.cli.demo`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch

from lightning_modules.cli.fit import fit_with
from lightning_modules.support.devices import chosen_device
from redact_core.evaluation.summary import SummaryRow, write_summary
from redact_core.metrics.scorer import Metric
from redact_core.reporting.exhibit import Graded
from redact_core.reporting.report import Report
from redact_core.reporting.verdict import Verdict, verdicts


def fit(arguments: Sequence[str], device: str) -> None:
    """``redact fit`` with ``arguments``, on one device."""
    kind = chosen_device(device).type
    fit_with(
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
    found = importlib.import_module(f"modalities.{modality}.demo")
    with torch.inference_mode():
        return found.grade(*arguments, str(chosen_device(device)))


# what tells a leak, in pictures and in voices
_MAIN = {name: Metric("rate", "low", "as base", leak=True) for name in ("found", "identified")}
_GONE = ("redacted", "paraphrased")


def write(out: Path, lead: str, parts: Sequence[Graded], subjects: Mapping[str, str]) -> list[SummaryRow]:
    """Write ``summary.json`` and ``report.html`` into ``out``.

    Args:
        out: A folder.
        lead: Of the page.
        parts: Figures and what is shown of them.
        subjects: Task -> what was redacted.

    Returns:
        The rows of all parts, in their order.
    """
    report = Report("What was redacted, and what it cost", lead)
    rows = [row for part in parts for row in part.rows]
    judges = {metric: judge for part in parts for metric, judge in part.judges.items()}
    said: list[Verdict] = []
    for name, metric in _MAIN.items():
        own = [
            cast(SummaryRow, {**row, "wanted": metric.wish(row["group"] in _GONE)})
            for row in rows
            if row["metric"] == name
        ]
        said += verdicts(own, {name: metric}, subjects, judges)
    report.opening(said)
    for part in parts:
        for exhibit in part.exhibits:
            exhibit.show(report)
    for verdict in said:
        report.answers(f"{verdict.task} {verdict.subject}: the figures", verdict.answers, None)
    report.intervals(rows, folded=True)
    report.table(rows, title="All figures", folded=True)
    write_summary(out / "summary.json", rows)
    report.write(out / "report.html")
    return rows
