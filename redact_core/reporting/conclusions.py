"""The verdicts of an evidence folder: who judged, what was redacted, whether it was attacked."""

from __future__ import annotations

from collections.abc import Sequence

from redact_core.evaluation.evidence import Evidence
from redact_core.evaluation.figures import all_metrics
from redact_core.evaluation.scoring import scorer_records
from redact_core.evaluation.summary import SummaryRow
from redact_core.plan import SUBJECT
from redact_core.reporting.attack_table import AttackRow
from redact_core.reporting.attack_verdict import attack_verdicts
from redact_core.reporting.verdict import Verdict, verdicts

UNNAMED = "what was redacted"
"""Where a plan has no label ``subject`` and asks for too many things to name them."""
_NAMED = 3


def verdicts_of(
    evidence: Evidence, summary: Sequence[SummaryRow], attacks: Sequence[AttackRow]
) -> list[Verdict]:
    """What is said of each model and task: of its attacks where there were any.

    Args:
        evidence: Scored.
        summary: Of its scores.
        attacks: Of both, from :func:`redact_core.reporting.attack_table.attack_table`.
    """
    subjects: dict[str, dict[str, None]] = {}
    for row in evidence.plan:
        if row.redacted:
            known = row.labels.get(SUBJECT) or (row.condition if "/" not in row.condition else UNNAMED)
            subjects.setdefault(row.task, {})[known] = None
    names = {task: ", ".join(found) if len(found) <= _NAMED else UNNAMED for task, found in subjects.items()}
    judges = {
        metric: record["about"]
        for record in scorer_records(evidence)
        for metric in record["metrics"]
        if record.get("about")
    }
    if attacks:
        return attack_verdicts(attacks, names, judges)
    return verdicts(summary, all_metrics(evidence), names, judges)
