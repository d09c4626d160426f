"""Rows of a summary, or any other rows, as an HTML table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any

from redact_core.evaluation.summary import COUNTS, NUMBERS, OPTIONAL_NUMBERS, is_number
from redact_core.reporting.formats import MISSING, show, span

_SHOWN = {*NUMBERS, *OPTIONAL_NUMBERS, "interval", "difference interval"}


def table_parts(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    caption: str,
    rates: Collection[str],
    name: str,
    notes: Mapping[str, str] | None = None,
) -> list[str]:
    """Lines of HTML.

    Args:
        rows: Texts, numbers, or ``None`` and ``nan`` for what is missing.
        columns: Key of a row -> heading; ``interval`` joins ``low`` and ``high``.
        caption: How to read the table.
        rates: Metrics that are shown in percent.
        name: Element id of the caption, unique in the page.
        notes: Metric -> what it means, shown under its name.
    """
    numeric = {key for key in columns if _is_numeric(key, rows)}
    head = "".join(
        f'<th role="columnheader" scope="col"{_number_class(key in numeric)}>{escape(heading)}</th>'
        for key, heading in columns.items()
    )
    body: list[str] = []
    last: str | None = None
    for row in rows:
        rate = row.get("metric") in rates
        cells = [(_cell(row, key, rate and key in _SHOWN), key) for key in columns]
        # the first column names the row; where it changes, a rule is drawn
        first = cells[0][0] if cells else ""
        # on a narrow page cells stand below one another, each after its heading; roles keep it a table then
        line = "".join(
            f'<th role="rowheader" scope="row"{_number_class(key in numeric)}>{escape(text)}{_note(row, key, notes)}</th>'
            if i == 0
            else f'<td role="cell" data-label="{escape(columns[key])}"{_number_class(key in numeric)}>'
            f"{escape(text)}{_note(row, key, notes)}</td>"
            for i, (text, key) in enumerate(cells)
        )
        new = ' class="new"' if first != last else ""
        body.append(f'<tr role="row"{new}>{line}</tr>')
        last = first
    return [
        f'<div class="wide" role="region" tabindex="0" aria-labelledby="{name}">',
        f'<table role="table"><caption id="{name}"><span>{escape(caption)}</span></caption>',
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>',
        '<tbody role="rowgroup">',
        *body,
        "</tbody></table></div>",
    ]


def _note(row: Mapping[str, Any], key: str, notes: Mapping[str, str] | None) -> str:
    text = (notes or {}).get(str(row.get("metric"))) if key == "metric" else None
    return f"<small>{escape(text)}</small>" if text else ""


def _is_numeric(key: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    filled = [row[key] for row in rows if row.get(key) is not None]
    return key in {*_SHOWN, *COUNTS} or (bool(filled) and all(map(is_number, filled)))


def _number_class(numeric: bool) -> str:
    return ' class="number"' if numeric else ""


def _cell(row: Mapping[str, Any], key: str, rate: bool) -> str:
    if key == "interval":
        return span(row.get("low"), row.get("high"), rate)
    if key == "difference interval":
        return span(row.get("difference_low"), row.get("difference_high"), rate)
    value = row.get(key)
    if isinstance(value, float):
        return show(value, rate)
    if is_number(value):
        return show(value, True) if rate else f"{value:,}".replace("-", "−")
    return MISSING if value is None or value == "" else str(value)
