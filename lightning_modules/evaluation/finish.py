"""What follows once samples are there: scores, summary, and the figures for people."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_modules.evaluation.judges import Judges
from lightning_modules.support.output import say, say_columns
from redact_core.evaluation.evidence import Evidence
from redact_core.evaluation.figures import all_metrics
from redact_core.evaluation.summarise import findings
from redact_core.evaluation.summary import SummaryRow
from redact_core.reporting.attack_table import AttackRow, attack_table
from redact_core.reporting.conclusions import verdicts_of
from redact_core.reporting.evidence_report import write_evidence_summary
from redact_core.reporting.formats import show, span


def finish(evidence: Evidence, judges: Judges) -> None:
    """Score what is there, write the summary and print it: by attack where there were attacks."""
    spent = judges.judge(evidence)
    summary = write_evidence_summary(evidence)
    say(f"Scored in {spent:.1f} s; figures are in {evidence.folder / 'summary.json'}.")
    attacks = attack_table(evidence, summary)
    if attacks:
        _print_attacks(attacks)
    else:
        _print_table(summary)
    for verdict in verdicts_of(evidence, summary, attacks):
        say(f"{verdict.model}: {verdict.headline}")
    if attacks:
        return
    for finding in findings(summary, all_metrics(evidence)):
        say(f"! {finding}")


def _print_table(summary: Sequence[SummaryRow]) -> None:
    lines = [
        [
            "model", "task", "group", "metric", "base", "redacted", "interval", "base less redacted", "n",
            "unscored",
        ]
    ]  # fmt: skip
    for row in summary:
        rate = row.get("kind") == "rate"
        gap = f"{show(row.get('difference'), rate)} ({span(row.get('difference_low'), row.get('difference_high'), rate)})"
        lines.append(
            [
                str(row.get("model")), row["task"], row["group"], row["metric"], show(row["base"], rate),
                show(row["redacted"], rate), span(row["low"], row["high"], rate), gap, str(row["n"]),
                str(row.get("unscored")),
            ]
        )  # fmt: skip
    say_columns(lines)


def _print_attacks(rows: Sequence[AttackRow]) -> None:
    lines = [
        ["model", "access", "attack", "kind", "budget", "leak", "interval", "ceiling", "n", "queries"],
    ]
    lines += [
        [
            row["model"], row["access"], row["attack"], row["kind"], row["budget"], show(row["redacted"], True),
            span(row["low"], row["high"], True), show(row["base"], True), str(row["n"]),
            "–" if row["queries"] is None else f"{row['queries']:.0f}",
        ]
        for row in rows
    ]  # fmt: skip
    say_columns(lines)
