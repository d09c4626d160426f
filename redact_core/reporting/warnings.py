"""Figures that contradict their wish, for people: what each means, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redact_core.evaluation.summarise import Finding
from redact_core.metrics.scorer import Metric, leak_metric
from redact_core.plan import ASKED
from redact_core.reporting.verdict import ENOUGH


@dataclass(frozen=True)
class Explained:
    """A finding with its meaning."""

    text: str
    """The figure that contradicts its wish."""
    means: str
    advice: str
    main: bool
    """Whether the main judge says so of a leak or of damage."""


def explained(findings: Sequence[Finding], metrics: Mapping[str, Metric]) -> list[Explained]:
    """What the findings mean: leaks and damage by the main judge, leaks by others, damage by others, the reference.

    Args:
        findings: From :func:`redact_core.evaluation.summarise.found_wrong`.
        metrics: Of the scorers.
    """
    main = leak_metric(metrics)
    order = ("low", "not gone", "as base", "changed", "at most base", "ideal", "unscored", "high")

    def rank(finding: Finding) -> tuple[bool, int]:
        return not _by_main(finding, main), order.index(finding.kind)

    return [_explain(finding, main) for finding in sorted(findings, key=rank)]


def _by_main(finding: Finding, main: str | None) -> bool:
    """Whether the main judge says so of a leak or of damage."""
    return finding.row["metric"] == main and finding.kind in ("low", "not gone", "as base")


def _explain(finding: Finding, main: str | None) -> Explained:
    row, kind = finding.row, finding.kind
    of_main = row["metric"] == main
    asked = row["group"] == ASKED
    means, advice = {
        "unscored": (
            "The judge cannot read these samples or does not know what they were labelled with; they are in no average.",
            "Look at the samples, or name labels that the judge knows.",
        ),
        "ideal": (
            "Samples of what was redacted can still be told from strangers' (or are unlike anybody).",
            "Choose another reference, or train longer.",
        ),
        "as base": (
            "What shall stay has changed: this is damage."
            if of_main
            else "A side of the samples that the redaction should leave alone has changed.",
            "Retain it by name or with more of its kind (--retain), train fewer steps, or name a reference that is "
            "nearer to what was redacted.",
        ),
        "low": (
            ("The redaction does not work" if asked else "The redaction does not reach this way of asking")
            + (
                " by the main judge."
                if of_main
                else "; a second judge says so, see whether the main one agrees."
            ),
            "Check that the request names what these samples ask for, train longer, or use another method."
            if asked
            else "Redact these names or clips too (--redact takes several).",
        ),
        "changed": (
            "What shall stay is not near enough to the untouched model's own sample of the same request: this is damage.",
            "Train fewer steps, or retain it by name or with more of its kind (--retain).",
        ),
        "not gone": (
            "It has become rarer, but still comes back.",
            "Redact the names or clips that still work as well, train longer, or use a robust method.",
        ),
        "at most base": (
            "These samples are farther from the untouched model's than two halves of its own are from one another.",
            "Train fewer steps, or retain more.",
        ),
        "high": (
            "What shall appear instead is not seen more often than before. This is no leak: what was redacted may be "
            "gone all the same. The untouched model may draw the reference badly, or this judge may not know it.",
            "Look at the pairs; if the reference matters, name one that the untouched model shows well, or train longer.",
        ),
    }[kind]
    if row["n"] < ENOUGH and kind not in ("unscored", "low", "not gone"):
        advice += f" With n = {row['n']} chance is large; evaluate with a larger --n first."
    return Explained(finding.text, means, advice, _by_main(finding, main))
