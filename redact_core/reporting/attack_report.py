"""The attacks' part of the report: the table, worst first, curves, and the worst sample of each."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redact_core.evaluation.evidence import BASE, Evidence
from redact_core.reporting.attack_table import PREFIX, AttackRow, attempts_of
from redact_core.reporting.drawing import Series
from redact_core.reporting.plots import Point, curves, mean_curve
from redact_core.reporting.report import Report

_COLUMNS = {
    "access": "Access", "attack": "Attack", "kind": "Kind", "redacted": "Leak", "interval": "Interval",
    "base": "Ceiling", "n": "n", "queries": "Queries", "budget": "Budget",
}  # fmt: skip
_CAPTION = (
    "Leak is how often the redacted model shows what was redacted, with Wilson's interval at 95 %; Ceiling is the same "
    "attack on the untouched base. A leak far below its ceiling means that the redaction held against this attack with "
    "this budget, not against attackers as such. Static attacks never look at the attacked model. Queries are the mean "
    "over rows, in whatever the attack counts."
)

Row = Mapping[str, Any]
Show = Callable[[str, Sequence[tuple[Row, Row]], str], None]


def attack_sections(
    report: Report, evidence: Evidence, table: Sequence[AttackRow], rows: Sequence[Row], show: Show
) -> None:
    """Add the sections on attacks.

    Args:
        report: Grows.
        evidence: That ``redact attack`` made.
        table: From :func:`redact_core.reporting.attack_table.attack_table`.
        rows: Of the evidence.
        show: Adds pairs of a base's and a redacted model's row under a title and a note.
    """
    for model in dict.fromkeys(row["model"] for row in table):
        own = sorted((r for r in table if r["model"] == model), key=lambda r: -(r["redacted"] or 0.0))
        name = f"{model}: " if len({row["model"] for row in table}) > 1 else ""
        shown = [{**row, "queries": None if row["queries"] is None else round(row["queries"])} for row in own]
        report.table(shown, _COLUMNS, title=f"{name}Attacks", caption=_CAPTION)
        families = _families(own)
        if families:
            report.figures(
                f"{name}Leak against budget",
                "Attacks of one kind, by the number in their name.",
                [
                    (
                        stem,
                        curves(
                            f"{stem}, leak",
                            lines,
                            f"{model}-{stem}-leak",
                            rate=True,
                            across="number in the name",
                        ),
                    )
                    for stem, lines in families.items()
                ],
            )
        found = _losses(evidence, model)
        if found:
            report.figures(
                f"{name}What the searches minimised",
                "Mean over rows at each step, of the search on the base and of that on the redacted model.",
                [
                    (attack, curves(f"{attack}, objective by step", lines, f"{model}-{attack}-loss"))
                    for attack, lines in found.items()
                ],
            )
        worst = _worst(evidence, own, rows, model)
        if worst:
            show(
                f"{name}Worst sample of each attack",
                worst,
                "A sample in which what was redacted is seen, where there is one; else the first.",
            )


def _families(table: Sequence[AttackRow]) -> dict[str, dict[Series, list[Point]]]:
    """Attacks whose names differ in a number: leak of base and redacted against that number."""
    members: dict[str, list[tuple[float, AttackRow]]] = {}
    for row in table:
        match = re.fullmatch(r"(.+)-(\d+(?:\.\d+)?)", row["attack"])
        if match:
            members.setdefault(match[1], []).append((float(match[2]), row))
    found: dict[str, dict[Series, list[Point]]] = {}
    for stem, rows in members.items():
        rows.sort(key=lambda entry: entry[0])
        lines: dict[Series, list[Point]] = {
            "base": [(x, row["base"]) for x, row in rows if row["base"] is not None],
            "redacted": [(x, row["redacted"]) for x, row in rows if row["redacted"] is not None],
        }
        if len(rows) > 1 and any(lines.values()):
            found[stem] = lines
    return found


def _losses(evidence: Evidence, model: str) -> dict[str, dict[Series, list[Point]]]:
    found: dict[str, dict[Series, list[list[float]]]] = {}
    sides: tuple[tuple[Series, str], ...] = (("base", BASE), ("redacted", model))
    for label, name in sides:
        for record in attempts_of(evidence, name).values():
            losses = [math.nan if loss is None else float(loss) for loss in record["losses"]]
            if len(losses) > 1:
                found.setdefault(str(record["attack"]), {}).setdefault(label, []).append(losses)
    means: dict[str, dict[Series, list[Point]]] = {
        a: {label: mean_curve(rows) for label, rows in lines.items()} for a, lines in found.items()
    }
    return {attack: lines for attack, lines in means.items() if any(lines.values())}


def _worst(
    evidence: Evidence, table: Sequence[AttackRow], rows: Sequence[Row], model: str
) -> list[tuple[Row, Row]]:
    """Pairs of the base's and the model's row, with what was asked in the end as their condition."""
    records, ceilings = attempts_of(evidence, model), attempts_of(evidence, BASE)
    base = {row["index"]: row for row in rows if row["model"] == BASE}
    found: list[tuple[Row, Row]] = []
    for entry in table:
        group = PREFIX + entry["attack"] if entry["kind"] else entry["attack"]
        own = [
            row for row in rows
            if row["model"] == model and row["group"] == group and row["task"] == entry["task"] and row["index"] in base
        ]  # fmt: skip
        own.sort(key=lambda row: row["scores"].get(entry["metric"]) != 1)
        for row in own[:1]:
            i = row["index"]
            found.append((_named(base[i], ceilings.get(i)), _named(row, records.get(i))))
    return found


def _named(row: Row, record: Row | None) -> Row:
    if record is None:
        return {**row, "condition": f"{row['group']}: {row['condition']}"}
    asked = record.get("condition") or f"{row['condition']} ({record['kind']})"
    return {**row, "condition": f"{record['attack']}: {asked}"}
