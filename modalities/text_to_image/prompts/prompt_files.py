"""Files of prompts."""

from __future__ import annotations

import warnings
from pathlib import Path

from redact_core import RedactError
from redact_core.support.csv_rows import read_csv
from redact_core.support.paths import as_file

_KINDS = (".txt", ".csv", "")


def read_prompts(path: Path) -> list[str]:
    """Prompts of a ``.txt`` file (one a line) or a ``.csv`` file with a column ``prompt``.

    Lines of a text that are empty or begin with ``#`` and a blank are passed over. What is not used is said
    in numbers, but for empty lines.

    Raises:
        RedactError: The file is absent, unreadable, of another kind or empty, has no such column, or has
            rows with more cells than columns.
    """
    path = as_file(path)
    if path.suffix.lower() not in _KINDS:
        raise RedactError(
            f"{path}: prompts are read from .txt files, one a line, or .csv files with a column prompt; give one of these."
        )
    unused: dict[str, int] = {}
    if path.suffix.lower() == ".csv":
        columns, rows = read_csv(path)
        if "prompt" not in columns:
            raise RedactError(f"{path}: has no column named prompt; name the column of prompts so.")
        prompts = [row["prompt"].strip() for _, row in rows]
        unused["without a prompt"] = sum(not prompt for prompt in prompts)
    else:
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except FileNotFoundError as error:
            raise RedactError(f"There is no file {path}; check the path.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise RedactError(f"{path}: cannot be read as UTF-8 text ({error}).") from error
        prompts = [text for line in lines if (text := line.strip()) and text != "#" and text[:2] != "# "]
        unused["comments"] = sum(line.strip() == "#" or line.strip()[:2] == "# " for line in lines)
    filled = [prompt for prompt in prompts if prompt]
    found = list(dict.fromkeys(filled))
    if not found:
        raise RedactError(f"{path}: holds no prompts; write one a line.")
    unused["there before"] = len(filled) - len(found)
    parts = [f"{count} {why}" for why, count in unused.items() if count]
    if parts:
        warnings.warn(
            f"{path}: {len(found)} prompts are used; lines that are not: {', '.join(parts)}.", stacklevel=2
        )
    return found
