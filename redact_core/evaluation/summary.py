"""The figures that programs read: ``summary.json``, and what a row of it may hold."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import Any, TypedDict, cast

from redact_core.errors import RedactError, raise_together
from redact_core.support.folders import write_once
from redact_core.support.paths import at_home

SCHEMA = 1

_TEXTS, NUMBERS = ("task", "group", "metric"), ("base", "redacted", "low", "high")
_OPTIONAL_TEXTS = ("model", "kind", "wanted")
OPTIONAL_NUMBERS = ("difference", "difference_low", "difference_high")
COUNTS = ("n", "base_n", "unscored", "others")


class _Figures(TypedDict):
    """What every row of a summary holds."""

    task: str
    group: str
    metric: str
    base: float | None
    redacted: float | None
    n: int
    low: float | None
    """With ``high``, bounds ``redacted``."""
    high: float | None


class SummaryRow(_Figures, total=False):
    """One figure of a summary, before and after; what is declared here may be left out."""

    model: str
    """Name of the redacted model, where there are several."""
    kind: str
    """``rate``, ``mean`` or ``set``."""
    base_n: int
    """Samples of the base that could be judged, where they are not ``n`` as well."""
    wanted: str | None
    """A :data:`redact_core.metrics.scorer.Wish`; ``None`` where nothing is wished."""
    others: int
    """Of a figure of a set: how many samples the ``n`` were compared with."""
    unscored: int
    """Samples of the redacted model that could not be judged; they are not in ``n``."""
    difference: float | None
    """Mean of base less redacted over pairs of the same condition and seed."""
    difference_low: float | None
    difference_high: float | None


def write_summary(path: str | os.PathLike[str], rows: Sequence[SummaryRow]) -> None:
    """Write ``{"schema": 1, "rows": [...]}``, whole or not at all; ``nan`` becomes ``null``.

    Raises:
        RedactError: A row is faulty, or ``path`` exists or cannot be written.
    """
    values = {"schema": SCHEMA, "rows": checked(rows, f"{os.fspath(path)} was not written")}
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # what UTF-8 has no bytes for is escaped as JSON escapes it
    write_once(at_home(path), text.encode("utf-8", "backslashreplace"))


def read_summary(path: str | os.PathLike[str]) -> list[SummaryRow]:
    """The rows that :func:`write_summary` wrote.

    Raises:
        RedactError: There is no such file, it is damaged or of a newer schema, or rows are faulty.
    """
    path = at_home(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RedactError(f"{path} cannot be read ({error.strerror}); give a summary.json.") from error
    except ValueError as error:
        raise RedactError(f"{path}: is not a summary ({error}); write it again.") from error
    if not isinstance(values, dict):
        raise RedactError(f"{path}: is not a summary (no object with schema and rows); write it again.")
    if values.get("schema") != SCHEMA:
        raise RedactError(
            f"{path}: schema {values.get('schema')}, this version reads {SCHEMA}; update redact."
        )
    if not isinstance(values.get("rows"), list):
        raise RedactError(f"{path}: is not a summary (rows is no list); write it again.")
    return checked(values["rows"], f"{path} cannot be used")


def checked(rows: Sequence[Any], what: str) -> list[SummaryRow]:
    """The rows with plain numbers, and ``None`` for ``nan``.

    Args:
        rows: What should be rows of a summary.
        what: What cannot be done with faulty ones, the first words of the error.

    Raises:
        RedactError: All faults together, each with the number of its row.
    """
    raise_together(what, [f"row {i}: {fault}" for i, row in enumerate(rows, 1) for fault in _faults(row)])
    plain: list[SummaryRow] = []
    for row in rows:
        numbers = {
            key: None if _is_missing(row[key]) else float(row[key])
            for key in (*NUMBERS, *OPTIONAL_NUMBERS)
            if key in row
        }
        values = {key: (row | numbers)[key] for key in SummaryRow.__annotations__ if key in row}
        plain.append(cast(SummaryRow, values))
    return plain


def _faults(row: Any) -> list[str]:
    keys, required = SummaryRow.__annotations__.keys(), _Figures.__annotations__.keys()
    if not isinstance(row, dict):
        return [f"is {row!r:.40}; give {', '.join(required)}"]
    faults = [f"{key} is missing" for key in required if key not in row]
    faults += [f"{key!r:.40} is no key of a summary; remove it" for key in row if key not in keys]
    faults += [
        f"{key} is {row[key]!r:.40}; give a text"
        for key in _TEXTS
        if key in row and not isinstance(row[key], str)
    ]
    faults += [
        f"{key} is {row[key]!r:.40}; give a text or null"
        for key in _OPTIONAL_TEXTS
        if not isinstance(row.get(key), str | None)
    ]
    for key in (*NUMBERS, *OPTIONAL_NUMBERS):
        value = row.get(key)
        if not (value is None or is_number(value)):
            faults.append(f"{key} is {value!r:.40}; give a number or null")
        elif value is not None and math.isinf(value):
            faults.append(f"{key} is infinite; give a finite number or null")
    for key in COUNTS:
        n = row.get(key, 0)
        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            faults.append(f"{key} is {n!r:.40}; give a whole number from 0")
    bounds: list[Any] = [row.get(key) for key in ("low", "redacted", "high")]
    if not faults and not any(map(_is_missing, bounds)) and bounds != sorted(bounds):
        low, value, high = bounds
        faults.append(f"redacted {value:g} is not between low {low:g} and high {high:g}")
    return faults


def is_number(value: object) -> bool:
    """A number that is no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
