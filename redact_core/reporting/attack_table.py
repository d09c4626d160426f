"""Attacks as a table: what came back, by what the attacker may touch, beside the untouched model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict, get_args

from redact_core.attacks.base import Access
from redact_core.evaluation.evidence import BASE, Evidence
from redact_core.evaluation.scoring import metrics_of
from redact_core.evaluation.summary import SummaryRow
from redact_core.metrics.scorer import leak_metric
from redact_core.support.jsonl import read_lines

PLAIN = "plain"
"""The group that is asked as it stands, without an attack."""
PREFIX = "attack:"
"""Of the groups of attacks."""
_ORDER = ("none", *get_args(Access))


class AttackRow(TypedDict):
    """One attack on one model; ``redacted`` is its leak, ``base`` its ceiling."""

    model: str
    access: str
    attack: str
    kind: str
    """``static`` or ``adaptive``; empty for the plain group."""
    budget: str
    task: str
    metric: str
    base: float | None
    redacted: float | None
    low: float | None
    high: float | None
    n: int
    base_n: int
    unscored: int
    queries: float | None
    """Mean over the rows of the redacted model."""


def attempts_of(evidence: Evidence, model: str) -> dict[int, dict[str, Any]]:
    """What was attempted on ``model``, by plan index; of a row that was attempted twice, the last."""
    return {row["index"]: row for row in read_lines(evidence.folder / "attempts" / f"{model}.jsonl")}


def attack_table(evidence: Evidence, summary: Sequence[SummaryRow]) -> list[AttackRow]:
    """One row for each model, task and attack, the plain group first, by access and then worst first.

    Empty where the evidence holds no attacks, or nothing that tells a leak was scored.

    Args:
        evidence: That ``redact attack`` made.
        summary: Of its scores.
    """
    attacks, leak = evidence.manifest.get("attacks", {}), leak_metric(metrics_of(evidence))
    if not attacks or leak is None:
        return []
    queries = {model: _mean_queries(evidence, model) for model in evidence.models if model != BASE}
    found: list[AttackRow] = []
    for row in summary:
        name = row["group"].removeprefix(PREFIX)
        if row["metric"] != leak or (row["group"] != PLAIN and name not in attacks):
            continue
        model = row.get("model") or ""
        record = attacks.get(name, {}) if row["group"] != PLAIN else {}
        kind = ("adaptive" if record["adaptive"] else "static") if record else ""
        found.append(
            AttackRow(
                model=model, access=record.get("access", "none"), attack=name, kind=kind,
                budget=record.get("budget", ""), task=row["task"], metric=leak, base=row["base"],
                redacted=row["redacted"], low=row["low"], high=row["high"], n=row["n"],
                base_n=row.get("base_n", row["n"]), unscored=row.get("unscored", 0), queries=queries[model].get((row["task"], row["group"])),
            )
        )  # fmt: skip
    found.sort(key=lambda r: (r["model"], r["task"], _ORDER.index(r["access"]), -(r["redacted"] or 0.0)))
    return found


def _mean_queries(evidence: Evidence, model: str) -> dict[tuple[str, str], float]:
    counts: dict[tuple[str, str], list[float]] = {}
    for i, row in attempts_of(evidence, model).items():
        asked = evidence.plan[i]
        counts.setdefault((asked.task, asked.group), []).append(float(row["queries"]))
    return {key: sum(values) / len(values) for key, values in counts.items()}
