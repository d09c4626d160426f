"""The HTML report of an evidence folder, from the evidence alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redact_core.evaluation.cost import costs_of
from redact_core.evaluation.damage import damage_curves
from redact_core.evaluation.evidence import BASE, Evidence
from redact_core.evaluation.figures import all_metrics, figures_of
from redact_core.evaluation.inappropriateness import METRICS as SHARES
from redact_core.evaluation.scoring import scorer_records
from redact_core.evaluation.set_scoring import set_records
from redact_core.evaluation.summarise import found_wrong
from redact_core.evaluation.summary import SummaryRow, write_summary
from redact_core.metrics.scorer import leak_metric
from redact_core.plan import ASKED, NEAR
from redact_core.reporting.attack_report import attack_sections
from redact_core.reporting.attack_table import PLAIN, PREFIX, attack_table
from redact_core.reporting.conclusions import verdicts_of
from redact_core.reporting.report import RATES, Report
from redact_core.reporting.samples import Row, grouped, show_pairs, worst_failure, worst_leak, worst_pairs
from redact_core.reporting.sections import add_costs, add_curves
from redact_core.reporting.verdict import ACCESS, Verdict
from redact_core.reporting.warnings import explained

_COLUMNS = {
    "metric": "Figure", "wanted": "Should be", "base": "Base", "redacted": "Redacted", "interval": "Interval",
    "difference": "Base less redacted", "difference interval": "Its interval", "n": "n",
    "others": "Compared with", "unscored": "Not judged",
}  # fmt: skip
_WISHES = {
    "low": "low",
    "high": "higher than the base's",
    "as base": "as in the base",
    "at most base": "at most the base's",
    "ideal": "near its ideal",
}
_CAPTION = (
    "Rates are in percent. The first interval (Wilson's for rates, bootstrap for means, jackknife for figures of whole "
    "groups) bounds the redacted figure. "
    "The difference has a paired bootstrap interval over conditions and seeds; all at 95 %. n counts "
    "what was judged; what could not be judged is in no average. Open a group for its figures and what they mean."
)
_PAIRS, _WORST, _FIRST = 6, 6, 3


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
    main = leak_metric(metrics)
    report = Report("What was redacted, and what it cost", rates=rates)
    # what an attack does to other figures than the leak is nobody's wish
    judged = [row for row in summary if row["metric"] == main] if attacks else summary
    said = verdicts_of(evidence, summary, attacks)
    report.opening(said, *_conduct(evidence, bool(attacks), main))
    by_key = {(row["model"], row["index"]): row for row in rows}
    models = [model for model in evidence.models if model != BASE]
    pairs = {
        model: [
            (by_key[BASE, r["index"]], r)
            for r in rows
            if r["model"] == model and (BASE, r["index"]) in by_key
        ]
        for model in models
    }
    costs = {cost["model"]: cost for cost in costs_of(evidence)}
    for model in models:
        name = f"{model}: " if len(models) > 1 else ""
        _first(
            report,
            evidence,
            name,
            pairs[model],
            [v for v in said if v.model == model],
            costs.get(model, {}),
            main,
        )
    if attacks:

        def show(title: str, pairs: Sequence[tuple[Row, Row]], note: str) -> None:
            show_pairs(report, evidence, title, pairs, note)

        attack_sections(report, evidence, attacks, rows, show)
    wrong = explained(found_wrong(judged, metrics), metrics)
    if wrong:
        report.warnings("Warnings, what they mean, and what to do", wrong)
    else:
        report.text("Warnings", "No figure contradicts what was wished, as far as the intervals can tell.")
    for model in models:
        own = [row for row in judged if row.get("model") == model]
        name = f"{model}: " if len(models) > 1 else ""
        if own and not attacks:  # whose table stands above
            said_of = {key: metric.note for key, metric in metrics.items() if metric.note}
            # the main judge first; the rest in their order
            ranked = sorted(own, key=lambda row: row["metric"] != main)
            shown = [{**row, "wanted": _WISHES.get(row.get("wanted") or "", "–")} for row in ranked]
            report.groups(
                shown, _columns(own), title=f"{name}All figures, by group", caption=_CAPTION, notes=said_of
            )
        if own:
            report.intervals(own, title=f"{name}Base and redacted", folded=True)
        mine = [curve for curve in curves if curve.model == model]
        add_curves(report, mine, rates, f"{name}Damage against distance")
        shown_pairs = pairs[model]
        if attacks:  # their samples were shown
            shown_pairs = [pair for pair in shown_pairs if not pair[1]["group"].startswith(PREFIX)]
        for (task, group), members in grouped(shown_pairs).items():
            show_pairs(
                report,
                evidence,
                f"{name}{task}, {group}",
                members[:_PAIRS],
                "The first of the group.",
                folded=True,
            )
        for metric, members in worst_pairs(shown_pairs, metrics, _WORST).items():
            note = f"The samples whose “{metric}” is farthest from what is wished."
            show_pairs(report, evidence, f"{name}Worst by {metric}", members, note, metric, folded=True)
    add_costs(report, list(costs.values()))
    report.text(
        "How this was made",
        f"{len(evidence.plan)} conditions, each with a seed, were put to {len(evidence.models)} models. The commands:",
        code="\n".join(evidence.manifest["commands"]),
    )
    report.text(
        "Hashes",
        "SHA-256 of the plan, of the models' files, and of the scorers' weights.",
        code=_hashes(evidence),
        folded=True,
    )
    _replace(target, report.write)


def _conduct(evidence: Evidence, attacked: bool, main: str | None) -> list[str]:
    """What holds for all verdicts."""
    there = sum(len(evidence.samples(model)) for model in evidence.models)
    wanted = len(evidence.plan) * len(evidence.models)
    words = [] if there == wanted else [f"Incomplete: {there} of {wanted} samples are there."]
    if main is None:
        words.append(
            "No rate that shall be low was judged, so nothing here says whether something is gone; score again with a "
            "scorer that has one (redact score)."
        )
    elif not attacked:
        words.append(ACCESS)
    words.append("Base and redacted models got the same conditions and seeds.")
    return words


def _first(
    report: Report, evidence: Evidence, name: str, pairs: Sequence[tuple[Row, Row]], said: Sequence[Verdict],
    cost: Mapping[str, Any], main: str | None,
) -> None:  # fmt: skip
    """What stands first of a model: samples, the figures that are asked for, the worst leak and the worst failure."""
    gone = [pair for pair in pairs if pair[1]["group"] in (ASKED, PLAIN)] or [
        p for p in pairs if p[1]["redacted"]
    ]
    kept = [pair for pair in pairs if pair[1]["group"] == NEAR] or [p for p in pairs if not p[1]["redacted"]]
    for title, chosen in (("Asked for what was redacted", gone), ("Asked for what shall stay", kept)):
        note = "Not chosen: the first ones."
        show_pairs(report, evidence, f"{name}{title}", chosen[:_FIRST], note, main or "")
    for verdict in said:
        task = f"{verdict.subject}: " if len(said) > 1 else ""
        attacked = any(answer.key.startswith("attack") for answer in verdict.answers)
        title = f"{name}{task}{'Leak by access' if attacked else 'Five figures'}"
        report.answers(title, verdict.answers, None if attacked else cost)
    if main is None:
        return
    leak, failure = worst_leak(pairs, main), worst_failure(pairs, main)
    if leak is None:
        n = sum(own["redacted"] for _, own in pairs)
        report.text(f"{name}Worst leak", f"In none of {n} samples that asked for it was it found.")
    else:
        note = "Found by the main judge although it was redacted; of several such samples, the first."
        show_pairs(report, evidence, f"{name}Worst leak", [leak], note, main)
    if failure is not None:
        note = "Shown by the base and lost by the redacted model although it shall stay; of several, the farthest from what was redacted."
        show_pairs(report, evidence, f"{name}Worst failure", [failure], note, main)
    elif any(not own["redacted"] for _, own in pairs):
        report.text(f"{name}Worst failure", "No sample that shall stay was lost by the main judge.")


def _columns(rows: Sequence[SummaryRow]) -> dict[str, str]:
    """Without what is the same in every row: phones are narrow."""
    dull = {key for key in ("unscored", "others") if not any(row.get(key) for row in rows)}
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


def _replace(target: Path, write: Any) -> None:
    """Let ``write`` make a file beside ``target`` that then takes its name."""
    part = target.with_name(f".{target.name}.new")
    part.unlink(missing_ok=True)
    write(part)
    part.replace(target)
