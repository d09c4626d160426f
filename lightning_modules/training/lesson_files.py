"""Lessons from a CSV or a YAML file; the rules are the core's."""

from __future__ import annotations

from pathlib import Path

import yaml

from redact_core import Lesson, RedactError, read_lessons
from redact_core.lessons.rules import parse_rows
from redact_core.support.paths import as_file


def load_lessons(path: Path) -> list[Lesson]:
    """Read ``.csv``, ``.yaml`` or ``.yml``; a YAML file is a list of mappings with the CSV's columns.

    Raises:
        RedactError: The file is unreadable or of another kind; or every faulty row, together.
    """
    path = as_file(path)
    if path.suffix.lower() == ".csv":
        return read_lessons(path)
    if path.suffix.lower() not in {".yaml", ".yml"}:
        raise RedactError(f"{path}: lessons are read from .csv, .yaml or .yml files; give one of these.")
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise RedactError(f"{path}: cannot be read as YAML ({reason}).") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RedactError(f"{path}: must be a list of entries such as '- {{asked: ..., answer: ...}}'.")
    numbered = [(i, {str(k): v for k, v in row.items()}) for i, row in enumerate(rows, start=1)]
    return parse_rows(numbered, str(path), "entry")
