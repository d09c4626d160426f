"""Files of prompts."""

from __future__ import annotations

import csv
from pathlib import Path

from redact_core import RedactError


def read_prompts(path: Path) -> list[str]:
    """Prompts of a ``.txt`` file (one a line) or a ``.csv`` file with a column ``prompt``.

    Raises:
        RedactError: The file is absent, unreadable, empty or has no such column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            if path.suffix.lower() == ".csv":
                reader = csv.DictReader(file)
                if "prompt" not in (reader.fieldnames or ()):
                    raise RedactError(f"{path}: has no column named prompt; name the column of prompts so.")
                prompts = [row["prompt"] or "" for row in reader]
            else:
                prompts = list(file)
    except (OSError, UnicodeDecodeError) as error:
        raise RedactError(f"{path}: cannot be read as UTF-8 text ({error}).") from error
    prompts = list(dict.fromkeys(prompt.strip() for prompt in prompts if prompt.strip()))
    if not prompts:
        raise RedactError(f"{path}: holds no prompts; write one a line.")
    return prompts
