"""Sections of the report beside figures and samples: damage curves and costs; and the report as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from redact_core.evaluation.cost import costs_of
from redact_core.evaluation.damage import Curve, damage_curves
from redact_core.evaluation.evidence import Evidence
from redact_core.evaluation.figures import all_metrics, figures_of
from redact_core.evaluation.scoring import scorer_records
from redact_core.evaluation.set_scoring import set_records
from redact_core.evaluation.summarise import findings
from redact_core.reporting.curves import curve_plot
from redact_core.reporting.plots import show, span
from redact_core.reporting.report import Report
from redact_core.support.jsonl import replace_file

SCHEMA = 1


def add_curves(report: Report, curves: Sequence[Curve], rates: Collection[str], title: str) -> None:
    """Damage against semantic distance; nothing if there are no curves."""
    if not curves:
        return
    plots = []
    for i, curve in enumerate(curves):
        rate = curve.metric in rates
        text = (
            f"{curve.task}, {curve.metric}: slope {show(curve.slope)} by unit of distance "
            f"({span(curve.slope_low, curve.slope_high)}), n = {curve.n}"
        )
        plots.append((text, curve_plot(curve, rate, f"{curve.model}-curve{i}")))
    report.figures(
        title,
        "What stays, sorted by how far the untouched base hears it from what was redacted. Damage is what the "
        "figure has lost against the base on the same seeds, or, for a distance to the base's own sample, that "
        "distance. A line that falls says that the neighbours suffer most.",
        plots,
    )


_COST = {
    "model": "Model", "seconds_per_sample": "Seconds a sample", "slower": "Times the base's",
    "peak": "Peak memory, MB", "parameters": "Encoder parameters", "changed": "Changed",
    "size": "Files, MB", "changed_size": "Of them new, MB", "training": "Training, s",
    "training_peak": "Training peak, MB",
}  # fmt: skip


def add_costs(report: Report, costs: Sequence[Mapping[str, Any]]) -> None:
    """What each model costs; nothing if nothing was recorded."""
    if not costs:
        return
    rows = [
        {
            **cost, "peak": _mega(cost.get("peak_bytes")), "size": _mega(cost.get("bytes")),
            "changed_size": _mega(cost.get("changed_bytes")),
            "training": cost.get("training", {}).get("seconds"),
            "training_peak": _mega(cost.get("training", {}).get("peak_bytes")),
        }
        for cost in costs
    ]  # fmt: skip
    columns = {key: text for key, text in _COST.items() if any(row.get(key) is not None for row in rows)}
    report.table(
        rows,
        columns,
        title="Cost",
        caption="Sampling as it was done here, batches and writing of files included; peak memory is the "
        "accelerator's allocator's, or on a CPU the resident size of the whole process. One MB is a million bytes.",
    )


def report_json(evidence: Evidence) -> dict[str, Any]:
    """What ``report.json`` holds; the schema is in ``docs/reference/evaluation.md``."""
    rows, metrics = figures_of(evidence), all_metrics(evidence)
    used = {row["metric"] for row in rows}
    manifest = evidence.manifest
    return {
        "schema": SCHEMA,
        "models": manifest["models"],
        "conduct": manifest["conduct"],
        "commands": manifest["commands"],
        "plan": {"rows": len(evidence.plan), "sha256": manifest["plan"]},
        "scorers": [*scorer_records(evidence), *set_records(evidence)],
        "metrics": {name: vars(metric) for name, metric in metrics.items() if name in used},
        "findings": findings(rows, metrics),
        "rows": rows,
        "curves": [curve.as_json() for curve in damage_curves(evidence.rows(), metrics)],
        "costs": costs_of(evidence),
    }


def write_report_json(evidence: Evidence, target: Path) -> None:
    """Write the report for programs anew, whole or not at all."""
    text = json.dumps(_plain(report_json(evidence)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    replace_file(target, text.encode("utf-8", "backslashreplace"))


def _mega(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value / 1e6


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
