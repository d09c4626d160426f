"""Sections of the report beside figures and samples: damage curves and costs; and the report as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from redact_core.evaluation.cost import costs_of
from redact_core.evaluation.damage import Curve, damage_curves
from redact_core.evaluation.evidence import Evidence
from redact_core.evaluation.figures import all_metrics, figures_of
from redact_core.evaluation.scoring import scorer_records
from redact_core.evaluation.set_scoring import set_records
from redact_core.evaluation.summarise import found_wrong
from redact_core.reporting.attack_table import attack_table
from redact_core.reporting.conclusions import verdicts_of
from redact_core.reporting.formats import show, span
from redact_core.reporting.plots import damage_plot
from redact_core.reporting.report import Report
from redact_core.reporting.warnings import explained
from redact_core.support.jsonl import replace_file
from redact_core.support.strict_json import without_nan

SCHEMA = 1


def add_curves(report: Report, curves: Sequence[Curve], rates: Collection[str], title: str) -> None:
    """Damage against semantic distance; nothing if there are no curves."""
    if not curves:
        return
    plots = []
    for i, curve in enumerate(curves):
        rate = curve.metric in rates
        text = (
            f"{curve.task}, {curve.metric}: slope {show(curve.slope, rate)} by unit of distance "
            f"({span(curve.slope_low, curve.slope_high, rate)}), n = {curve.n}"
        )
        plots.append((text, damage_plot(curve, rate, f"{curve.model}-curve{i}")))
    report.figures(
        title,
        "What stays, sorted by how far the untouched encoder places it from what was redacted. Damage is what the "
        "figure has lost against the base on the same seeds, or, for a distance to the base's own sample, that "
        "distance. A line that falls says that the neighbours suffer most.",
        plots,
    )


_COST: Mapping[str, Callable[[Mapping[str, Any]], float | None]] = {
    "Seconds a sample": lambda cost: cost.get("seconds_per_sample"),
    "Times the base's": lambda cost: cost.get("slower"),
    "Peak memory, MB": lambda cost: _mega(cost.get("peak_bytes")),
    "Encoder parameters": lambda cost: cost.get("parameters"),
    "Of them changed": lambda cost: cost.get("changed"),
    "Files, MB": lambda cost: _mega(cost.get("bytes")),
    "Of them new, MB": lambda cost: _mega(cost.get("changed_bytes")),
    "Training, s": lambda cost: cost.get("training", {}).get("seconds"),
    "Training peak, MB": lambda cost: _mega(cost.get("training", {}).get("peak_bytes")),
}
_ABREAST = 4
"""Models in a table; more than these columns do not fit a page."""


def add_costs(report: Report, costs: Sequence[Mapping[str, Any]]) -> None:
    """What each model costs, a model in a column; nothing if nothing was recorded."""
    caption = (
        "Sampling as it was done here, batches and writing of files included; peak memory is the "
        "accelerator's allocator's, or on a CPU the resident size of the whole process. One MB is a million bytes."
    )
    for start in range(0, len(costs), _ABREAST):
        part = costs[start : start + _ABREAST]
        # numbers, for a model may have the name of another column
        keys = [f"model {i}" for i in range(len(part))]
        figures = [
            (text, dict(zip(keys, map(of, part), strict=True)))  # a model has a column
            for text, of in _COST.items()
        ]
        shown = [{"what": text, **row} for text, row in figures if any(x is not None for x in row.values())]
        columns = {"what": "", **{key: cost["model"] for key, cost in zip(keys, part, strict=True)}}
        report.table(shown, columns, title="Cost" if not start else "Cost, further models", caption=caption)


def report_json(evidence: Evidence) -> dict[str, Any]:
    """What ``report.json`` holds; the schema is in ``docs/reference/evaluation.md``."""
    rows, metrics = figures_of(evidence), all_metrics(evidence)
    attacks = attack_table(evidence, rows)
    used, wrong = {row["metric"] for row in rows}, found_wrong(rows, metrics)
    manifest = evidence.manifest
    return {
        "schema": SCHEMA,
        "models": manifest["models"],
        "conduct": manifest["conduct"],
        "commands": manifest["commands"],
        "plan": {"rows": len(evidence.plan), "sha256": manifest["plan"]},
        "scorers": [*scorer_records(evidence), *set_records(evidence)],
        "metrics": {name: vars(metric) for name, metric in metrics.items() if name in used},
        "findings": [one.text for one in wrong],
        "warnings": [vars(one) for one in explained(wrong, metrics)],
        "verdicts": [verdict.as_json() for verdict in verdicts_of(evidence, rows, attacks)],
        "attacks": attacks,
        "rows": rows,
        "curves": [curve.as_json() for curve in damage_curves(evidence.rows(), metrics)],
        "costs": costs_of(evidence),
    }


def write_report_json(evidence: Evidence, target: Path) -> None:
    """Write the report for programs anew, whole or not at all."""
    text = (
        json.dumps(without_nan(report_json(evidence)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )
    replace_file(target, text.encode("utf-8", "backslashreplace"))


def _mega(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value / 1e6
