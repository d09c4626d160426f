"""Guidance and size that a row of a plan asks for."""

from __future__ import annotations

from collections.abc import Sequence

from redact_core import RedactError
from redact_core.adapters.base import ROW_SETTINGS


def settings_of(labels: Sequence[str | None]) -> tuple[float | None, int | None, int | None]:
    """Guidance, height and width in pixels, from the labels in the order of :data:`ROW_SETTINGS`.

    Raises:
        RedactError: A label is no number, or a side is no multiple of 8.
    """
    named = dict(zip(ROW_SETTINGS, labels, strict=True))
    values: dict[str, float | None] = {}
    for name, text in named.items():
        try:
            values[name] = None if text is None else float(text)
        except ValueError:
            raise RedactError(f"The label {name} is {text!r:.40}; give a number.") from None
    height, width = (_side(name, values[name]) for name in ("height", "width"))
    return values["guidance"], height, width


def _side(name: str, value: float | None) -> int | None:
    if value is not None and (value < 8 or value % 8):
        raise RedactError(f"The label {name} is {value:g}; give a multiple of 8.")
    return None if value is None else int(value)
