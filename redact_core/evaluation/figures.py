"""Everything that the evidence says in figures: of samples, of whole groups, and of test beds."""

from __future__ import annotations

from collections.abc import Mapping

from redact_core.evaluation import inappropriateness
from redact_core.evaluation.evidence import Evidence
from redact_core.evaluation.scoring import metrics_of
from redact_core.evaluation.set_scoring import metrics_of_sets, set_rows
from redact_core.evaluation.summarise import summarise
from redact_core.evaluation.summary import SummaryRow
from redact_core.metrics.scorer import Metric


def figures_of(evidence: Evidence) -> list[SummaryRow]:
    """All rows of the summary.

    Raises:
        RedactError: Nothing was scored.
    """
    rows = evidence.rows()
    summary = summarise(rows, metrics_of(evidence)) + set_rows(evidence)
    return summary + inappropriateness.inappropriateness(rows)


def all_metrics(evidence: Evidence) -> Mapping[str, Metric]:
    """Every metric that a row of the summary may have."""
    return {**metrics_of(evidence), **metrics_of_sets(evidence), **inappropriateness.METRICS}
