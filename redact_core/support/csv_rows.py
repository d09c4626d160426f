"""CSV files of a user's: rows by column, and no cell that is lost in silence."""

from __future__ import annotations

import csv
from pathlib import Path

from redact_core.errors import RedactError, raise_together
from redact_core.support.paths import as_file


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns that the first line names; line number and cells of every row below it, missing cells empty.

    Args:
        path: UTF-8, with or without a byte order mark.

    Raises:
        RedactError: The file cannot be read, names a column twice, or a row has more cells than there are columns
            (a prompt with a comma that is not quoted); every such row is named.
    """
    try:
        with as_file(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        raise RedactError(f"There is no file {path}; check the path.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RedactError(f"{path}: cannot be read as a CSV file in UTF-8 ({error}).") from error
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise RedactError(f"{path}: the first line names {', '.join(map(repr, twice))} twice; keep one.")
    problems = [
        f"line {number}: has {len(columns) + len(row[None])} cells for {len(columns)} columns; put a text with a comma "
        'into double quotes ("a cat, asleep")'
        for number, row in rows
        if None in row
    ]
    raise_together(str(path), problems)
    return columns, [(number, {key: value or "" for key, value in row.items()}) for number, row in rows]
