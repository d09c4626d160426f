"""From rows of evidence to figures: rates, means, paired differences, and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redact_core.evaluation.evidence import BASE
from redact_core.evaluation.summary import SummaryRow
from redact_core.metrics.scorer import Metric
from redact_core.metrics.statistics import Rate, bootstrap_mean, paired_bootstrap, wilson

TOLERATED = 0.05
"""Largest rate of a redacted group that its interval's lower end may exceed without a word."""


def summarise(rows: Sequence[Mapping[str, Any]], metrics: Mapping[str, Metric]) -> list[SummaryRow]:
    """One figure for each redacted model, task, group and metric, in the order of the rows.

    ``base`` and ``redacted`` are over the samples that could be judged, ``low`` and ``high`` bound
    ``redacted``; ``difference`` is the mean of base less redacted over the pairs of which both could
    be judged, with its paired bootstrap interval. ``unscored`` counts samples of the redacted model
    that could not be judged. ``n`` counts those of the redacted model that could, ``base_n`` the base's where these
    are not as many.

    Args:
        rows: From :meth:`redact_core.evaluation.evidence.Evidence.rows`.
        metrics: Of the scorers.
    """
    groups: dict[tuple[str, str, bool], dict[str, dict[int, Mapping[str, float]]]] = {}
    for row in rows:
        models = groups.setdefault((row["task"], row["group"], row["redacted"]), {})
        models.setdefault(row["model"], {})[row["index"]] = row["scores"]
    models = [m for m in dict.fromkeys(row["model"] for row in rows) if m != BASE]
    found: list[SummaryRow] = []
    for model in models:
        for (task, group, redacted), scores in groups.items():
            for name, metric in metrics.items():
                base = {i: s[name] for i, s in scores.get(BASE, {}).items() if name in s}
                own = {i: s[name] for i, s in scores.get(model, {}).items() if name in s}
                if own:
                    wanted = metric.wish(redacted)
                    found.append(_row(model, task, group, name, metric.kind, wanted, base, own))
    return found


Kind = Literal["unscored", "ideal", "as base", "low", "changed", "at most base", "high", "not gone"]


@dataclass(frozen=True)
class Finding:
    """A figure that contradicts its wish."""

    kind: Kind
    """The wish that it contradicts; ``not gone`` is a rate that fell and still shows, ``changed`` a distance to the base's
    own sample that shall be low where something stays."""
    row: SummaryRow
    text: str
    """As a sentence."""


def findings(summary: Sequence[SummaryRow], metrics: Mapping[str, Metric]) -> list[str]:
    """The sentences of :func:`found_wrong`."""
    return [finding.text for finding in found_wrong(summary, metrics)]


def found_wrong(summary: Sequence[SummaryRow], metrics: Mapping[str, Metric]) -> list[Finding]:
    """What a reader must not overlook; empty if every wish came true.

    A wish for *low* has failed unless the paired interval shows a fall below the metric's share of
    the base's figure, and for a rate also while its lower end exceeds :data:`TOLERATED`. A wish for
    *high* has failed unless the paired interval shows a rise. A wish for *as base* has failed if it
    shows a change, one for *at most base* if it shows a rise, one for *ideal* if the interval of the
    redacted figure stays farther from the metric's ideal than its tolerance. A mean of exactly 0 is low.
    """
    found: list[Finding] = []

    def note(kind: Kind, row: SummaryRow, text: str) -> None:
        found.append(Finding(kind, row, text))

    for row in summary:
        wanted, low, high = row.get("wanted"), row.get("difference_low"), row.get("difference_high")
        where = f"{row.get('model', 'redacted')}, {row['task']}, {row['group']}: {row['metric']}"
        base, redacted = _texts(row["base"], row["redacted"])
        figures = f"base {base}, redacted {redacted}, n = {row['n']}"
        if row.get("unscored"):
            note("unscored", row, f"{where} could not be judged in {row.get('unscored')} samples.")
        if wanted == "ideal":
            for text in _far_from_ideal(row, metrics[row["metric"]], f"{where} is not {{}} ({figures})."):
                note("ideal", row, text)
        if wanted is None or low is None or high is None:
            continue
        if wanted == "as base" and not low <= 0 <= high:
            note("as base", row, f"{where} is not as in the base ({figures}).")
        elif wanted == "low" and row.get("kind") == "mean" and row["redacted"] == 0:
            continue  # as low as can be, also where the base's figure is 0
        elif wanted == "low" and low <= (1 - metrics[row["metric"]].share) * abs(row["base"] or 0.0):
            share = metrics[row["metric"]].share
            enough = "lower than in the base" if share == 1 else f"below {share:g} of the base's"
            kind = "low" if metrics[row["metric"]].redacted == "low" else "changed"
            note(kind, row, f"{where} is not {enough} ({figures}).")
        elif wanted == "at most base" and high < 0:
            note("at most base", row, f"{where} is higher than in the base ({figures}).")
        elif wanted == "high" and high >= 0:
            note("high", row, f"{where} is not higher than in the base ({figures}).")
        elif wanted == "low" and row.get("kind") == "rate" and (row["low"] or 0) > TOLERATED:
            note("not gone", row, f"{where} is lower than in the base, but not gone ({figures}).")
    return found


def _far_from_ideal(row: SummaryRow, metric: Metric, sentence: str) -> list[str]:
    ideal, slack, low, high = metric.ideal, metric.tolerance, row["low"], row["high"]
    if ideal is None or low is None or high is None or math.isnan(low):
        return []
    if low - slack <= ideal <= high + slack:
        return []
    return [sentence.format(f"{ideal:g}")]


def _row(
    model: str, task: str, group: str, metric: str, kind: str, wanted: str | None,
    base: Mapping[int, float], own: Mapping[int, float],
) -> SummaryRow:  # fmt: skip
    before, after = (_rate(list(values.values()), kind) for values in (base, own))
    pairs = sorted(base.keys() & own.keys())
    gap = paired_bootstrap([base[i] for i in pairs], [own[i] for i in pairs])
    row = SummaryRow(
        model=model, task=task, group=group, metric=metric, kind=kind, wanted=wanted,
        base=before.value, redacted=after.value, n=after.n, low=after.low, high=after.high,
        difference=gap.value, difference_low=gap.low, difference_high=gap.high,
        unscored=len(own) - after.n,
    )  # fmt: skip
    if before.n != after.n:
        row["base_n"] = before.n
    return row


def _rate(values: Sequence[float], kind: str) -> Rate:
    if kind == "mean":
        return bootstrap_mean(values)
    judged = [value for value in values if not math.isnan(value)]
    return wilson(int(sum(judged)), len(judged))


def _texts(*values: float | None) -> list[str]:
    """Figures with three digits, or with as many more as show that they differ.

    >>> _texts(0.25, None), _texts(0.9992, 0.9987), _texts(1.0, 1.0)
    (['0.25', '–'], ['0.9992', '0.9987'], ['1', '1'])
    """
    known = {value for value in values if value is not None and not math.isnan(value)}
    digits = next((n for n in range(3, 8) if len({f"{value:.{n}g}" for value in known}) == len(known)), 8)
    return [f"{value:.{digits}g}" if value in known else "–" for value in values]
