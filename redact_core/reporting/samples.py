"""Which samples of an evidence folder the report shows, and how: base and redacted, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redact_core.evaluation.damage import LABEL as DISTANCE
from redact_core.evaluation.evidence import Evidence
from redact_core.metrics.scorer import Metric
from redact_core.plan import ASKED
from redact_core.reporting.report import Report

Row = Mapping[str, Any]
"""Of ``rows.jsonl``."""


def show_pairs(
    report: Report,
    evidence: Evidence,
    title: str,
    pairs: Sequence[tuple[Row, Row]],
    note: str,
    metric: str = "",
    folded: bool = False,
) -> None:
    """Add pictures or players, whichever the files are; redacted ones apart from the retained, and blurred.

    Args:
        report: Grows.
        evidence: Holds the samples.
        title: Of the section.
        pairs: Of a base's and a redacted model's row of the evidence.
        note: Which samples these are.
        metric: Whose figures the captions give, if any.
        folded: Show the section only when it is opened.
    """
    note += " Base and redacted answer the same condition with the same seed."
    for blurred in (True, False):
        part = [pair for pair in pairs if pair[1]["redacted"] == blurred]
        if not part:
            continue
        captions = [_caption(own, base, metric) for base, own in part]
        before, after = (
            [evidence.folder / row["sample"] for row in rows] for rows in zip(*part, strict=True)
        )
        heading = title if len(part) == len(pairs) else f"{title} ({'redacted' if blurred else 'retained'})"
        if before[0].suffix == ".png":
            report.pictures(heading, captions, before, after, note=note, blurred=blurred, folded=folded)
        elif before[0].suffix in {".wav", ".ogg", ".flac"}:
            report.sounds(heading, list(zip(captions, before, after, strict=True)), note=note, folded=folded)


def grouped(pairs: Sequence[tuple[Row, Row]]) -> dict[tuple[str, str], list[tuple[Row, Row]]]:
    """By task and group."""
    found: dict[tuple[str, str], list[tuple[Row, Row]]] = {}
    for base, own in pairs:
        found.setdefault((own["task"], own["group"]), []).append((base, own))
    return found


def worst_leak(pairs: Sequence[tuple[Row, Row]], main: str) -> tuple[Row, Row] | None:
    """The first pair in which ``main`` finds what was redacted; asked by its own name before all others."""
    found = [pair for pair in pairs if pair[1]["redacted"] and pair[1]["scores"].get(main) == 1]
    return min(found, key=lambda pair: pair[1]["group"] != ASKED, default=None)


def worst_failure(pairs: Sequence[tuple[Row, Row]], main: str) -> tuple[Row, Row] | None:
    """The pair that lost what shall stay, farthest from what was redacted where distances are known."""
    lost = [
        (base, own)
        for base, own in pairs
        if not own["redacted"] and base["scores"].get(main) == 1 and own["scores"].get(main) == 0
    ]
    return max(lost, key=lambda pair: float(pair[1]["labels"].get(DISTANCE, 0.0)), default=None)


def worst_pairs(
    pairs: Sequence[tuple[Row, Row]], metrics: Mapping[str, Metric], count: int
) -> dict[str, list[tuple[Row, Row]]]:
    """For each metric the ``count`` pairs that miss its wish by most; rates that meet it are no failures."""
    found: dict[str, list[tuple[Row, Row]]] = {}
    for name, metric in metrics.items():
        badness = [(_badness(metric, name, base, own), base, own) for base, own in pairs]
        ranked = sorted((entry for entry in badness if entry[0] > 0), key=lambda entry: -entry[0])
        if ranked:
            found[name] = [(base, own) for _, base, own in ranked[:count]]
    return found


def _badness(metric: Metric, name: str, base: Row, own: Row) -> float:
    value, before = own["scores"].get(name, math.nan), base["scores"].get(name, math.nan)
    wish = metric.wish(own["redacted"])
    if wish is None or math.isnan(value):
        return 0.0
    if wish == "as base":
        return 0.0 if math.isnan(before) else abs(value - before)
    if wish == "low":
        return value
    return 1.0 - value


def _caption(own: Row, base: Row, metric: str) -> str:
    # of a reference clip only whose it is and its name
    words = (
        "/".join(Path(own["condition"]).parts[-2:])
        if Path(own["condition"]).is_absolute()
        else own["condition"]
    )
    if "sentence" in own["labels"]:
        words += f": “{own['labels']['sentence']}”"
    words += f" (seed {own['seed']})"
    if metric:
        values = [row["scores"].get(metric, math.nan) for row in (base, own)]
        seen = [
            _seen(value) if all(v in (0.0, 1.0) or math.isnan(v) for v in values) else f"{value:.3g}"
            for value in values
        ]
        words += f"; {metric}: base {seen[0]}, redacted {seen[1]}"
    return words


def _seen(value: float) -> str:
    return "not judged" if math.isnan(value) else "yes" if value else "no"
