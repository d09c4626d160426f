"""JSON that every reader accepts: numbers that are not finite are no JSON and are refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from redact_core.errors import RedactError


def without_nan(value: Any) -> Any:
    """``value`` with ``None`` for every NaN, at any depth, and lists for tuples: missing, as every reader knows it."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return value


def strict_json(values: Any, what: str, *, indent: int | None = 1, sort_keys: bool = False) -> str:
    """``values`` as JSON text, without a final line break.

    Args:
        values: What :mod:`json` can write.
        what: The file that is to be written, for the message.
        indent: As in :func:`json.dumps`.
        sort_keys: As in :func:`json.dumps`.

    Raises:
        RedactError: A number is NaN or infinite; the message says which.
    """
    try:
        return json.dumps(values, indent=indent, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys)
    except ValueError as error:
        found = _not_finite(values, "")
        if found is None:
            raise
        raise RedactError(f"{what} was not written: {found}, and JSON has finite numbers only.") from error


def _not_finite(values: object, place: str) -> str | None:
    """The first number below ``place`` that is not finite, with its place."""
    if isinstance(values, float) and not math.isfinite(values):
        return f"{place or 'the value'} is {values}"
    if isinstance(values, Mapping):
        inside = [(f"{place}.{key}" if place else str(key), value) for key, value in values.items()]
    elif isinstance(values, Sequence) and not isinstance(values, str):
        inside = [(f"{place}[{i}]", value) for i, value in enumerate(values)]
    else:
        return None
    return next(filter(None, (_not_finite(value, name) for name, value in inside)), None)
