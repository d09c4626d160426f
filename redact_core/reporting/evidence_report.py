"""The HTML report of an evidence folder, from the evidence alone."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redact_core.evaluation.cost import costs_of
from redact_core.evaluation.damage import damage_curves
from redact_core.evaluation.evidence import BASE, Evidence
from redact_core.evaluation.figures import all_metrics, figures_of
from redact_core.evaluation.inappropriateness import METRICS as SHARES
from redact_core.evaluation.scoring import scorer_records
from redact_core.evaluation.set_scoring import set_records
from redact_core.evaluation.summarise import findings
from redact_core.evaluation.summary import SummaryRow, write_summary
from redact_core.metrics.scorer import leak_metric
from redact_core.reporting.attack_report import attack_sections
from redact_core.reporting.attack_table import PREFIX, attack_table
from redact_core.reporting.report import RATES, Report
from redact_core.reporting.samples import Row, grouped, show_pairs, worst_pairs
from redact_core.reporting.sections import add_costs, add_curves

_COLUMNS = {
    "task": "Task", "group": "Group", "metric": "Metric", "wanted": "Wanted", "base": "Base",
    "redacted": "Redacted", "interval": "Interval", "difference": "Fall",
    "difference interval": "Its interval", "n": "n", "others": "Compared with", "unscored": "Unscored",
}  # fmt: skip
_CAPTION = (
    "Rates are in percent. The first interval (Wilson's for rates, bootstrap for means, jackknife for figures of whole "
    "groups) bounds the redacted figure. "
    "Fall is base less redacted, with a paired bootstrap interval over conditions and seeds; all at 95 %. n counts "
    "what was judged; what could not be judged is unscored and in no average."
)
_PAIRS, _WORST = 6, 6


def write_evidence_summary(evidence: Evidence) -> list[SummaryRow]:
    """Write ``summary.json`` anew and return its rows.

    Raises:
        RedactError: Nothing was scored.
    """
    rows = figures_of(evidence)
    target = evidence.folder / "summary.json"
    _replace(target, lambda path: write_summary(path, rows))
    return rows


def write_report(evidence: Evidence, target: Path) -> None:
    """Write the page anew; reads nothing but the folder, and checks every sample's hash.

    Raises:
        RedactError: A sample is missing or was changed, or ``target`` cannot be written.
    """
    evidence.check_samples()
    rows, metrics, summary = evidence.rows(), all_metrics(evidence), figures_of(evidence)
    attacks = attack_table(evidence, summary)
    curves = damage_curves(rows, metrics)
    rates = RATES | {name for name, metric in metrics.items() if metric.kind == "rate"} | set(SHARES)
    report = Report("What was redacted, and what it cost", _lead(evidence, summary), rates=rates)
    # what an attack does to other figures than the leak is nobody's wish
    judged = [row for row in summary if row["metric"] == leak_metric(metrics)] if attacks else summary
    wrong = findings(judged, metrics)
    report.text(
        "What to know first",
        *(wrong or ["No figure contradicts what was wished, as far as the intervals can tell."]),
    )
    if attacks:

        def show(title: str, pairs: Sequence[tuple[Row, Row]], note: str) -> None:
            show_pairs(report, evidence, title, pairs, note)

        attack_sections(report, evidence, attacks, rows, show)
    by_key = {(row["model"], row["index"]): row for row in rows}
    models = [model for model in evidence.models if model != BASE]
    for model in models:
        own = [row for row in judged if row.get("model") == model]
        name = f"{model}: " if len(models) > 1 else ""
        shown = {row["metric"] for row in own}
        notes = "".join(
            f" {key}: {metrics[key].note}." for key in metrics if key in shown and metrics[key].note
        )
        report.table(own, _columns(own), title=f"{name}Figures", caption=_CAPTION + notes)
        if own:
            report.intervals(own, title=f"{name}Base and redacted")
        mine = [curve for curve in curves if curve.model == model]
        add_curves(report, mine, rates, f"{name}Damage against distance")
        pairs = [
            (by_key[BASE, r["index"]], r)
            for r in rows
            if r["model"] == model and (BASE, r["index"]) in by_key
        ]
        if attacks:  # their samples were shown
            pairs = [pair for pair in pairs if not pair[1]["group"].startswith(PREFIX)]
        for (task, group), members in grouped(pairs).items():
            show_pairs(
                report, evidence, f"{name}{task}, {group}", members[:_PAIRS], "The first of the group."
            )
        for metric, members in worst_pairs(pairs, metrics, _WORST).items():
            note = f"The samples whose “{metric}” is farthest from what is wished."
            show_pairs(report, evidence, f"{name}Worst by {metric}", members, note, metric)
    add_costs(report, costs_of(evidence))
    report.text(
        "How this was made",
        f"{len(evidence.plan)} conditions, each with a seed, were put to {len(evidence.models)} models. The commands:",
        code="\n".join(evidence.manifest["commands"]),
    )
    report.text(
        "Hashes",
        "SHA-256 of the plan, of the models' files, and of the scorers' weights.",
        code=_hashes(evidence),
    )
    _replace(target, report.write)


def _lead(evidence: Evidence, summary: Sequence[SummaryRow]) -> str:
    there = sum(len(evidence.samples(model)) for model in evidence.models)
    wanted = len(evidence.plan) * len(evidence.models)
    words = [] if there == wanted else [f"Incomplete: {there} of {wanted} samples are there."]
    gone = [
        row for row in summary
        if row.get("wanted") == "low" and row.get("kind") == "rate" and row["redacted"] is not None
        and not math.isnan(row["redacted"])
    ]  # fmt: skip
    if gone:
        worst = max(gone, key=lambda row: (row["redacted"], row["high"]))
        words.append(
            f"Worst leak: {worst['metric']} in {_percent(worst['redacted'])} of {worst['n']} samples of the group "
            f"{worst['group']} ({worst['task']}, {worst.get('model')}), by the interval at most "
            f"{_percent(worst['high'])}; in the base {_percent(worst['base'])}."
        )
    harmed = [
        row for row in summary
        if row.get("wanted") == "as base" and row.get("kind") == "rate" and not _missing(row.get("difference"))
    ]  # fmt: skip
    if harmed:
        worst = max(harmed, key=lambda row: row.get("difference") or 0.0)
        words.append(
            f"Largest damage: {worst['metric']} in the group {worst['group']} falls from "
            f"{_percent(worst['base'])} to {_percent(worst['redacted'])}."
            if (worst.get("difference") or 0.0) > 0
            else "No rate that shall stay has fallen."
        )
    words.append("Base and redacted models got the same conditions and seeds.")
    return " ".join(words)


def _columns(rows: Sequence[SummaryRow]) -> dict[str, str]:
    """Without what is the same in every row: phones are narrow."""
    dull = {key for key in ("unscored", "others") if not any(row.get(key) for row in rows)}
    if len({row["task"] for row in rows}) == 1:
        dull.add("task")
    return {key: heading for key, heading in _COLUMNS.items() if key not in dull}


def _hashes(evidence: Evidence) -> str:
    manifest = evidence.manifest
    lines = [f"plan {manifest['plan']}"]
    for model, record in manifest["models"].items():
        lines += [
            f"{model} ({record['class']} of {record['source']})",
            f"  encoder in memory {record['encoder']}",
        ]
        lines += [f"  {name} {digest}" for name, digest in record["files"].items()]
    for record in (*scorer_records(evidence), *set_records(evidence)):
        lines.append(f"{record['scorer']} {json.dumps(record.get('init_args', {}), allow_nan=False)}")
        lines += [f"  {name} {digest}" for name, digest in record["files"].items()]
    conduct = manifest["conduct"]
    lines.append(
        f"precision {conduct['precision']}, device {conduct['device']}, batches of {conduct['batch_size']}"
    )
    lines += [f"{name} {version}" for name, version in conduct["versions"].items()]
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "–" if _missing(value) else f"{100 * (value or 0.0):.1f} %"


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def _replace(target: Path, write: Any) -> None:
    """Let ``write`` make a file beside ``target`` that then takes its name."""
    part = target.with_name(f".{target.name}.new")
    part.unlink(missing_ok=True)
    write(part)
    part.replace(target)
