"""Names of the rows of a speaker table: reading them, understanding a person, leaving some out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from modalities.json_files import read_json
from redact_core import RedactError
from redact_core.errors import raise_together
from redact_core.support.paths import at_home

FILE = "speaker_ids.json"
_CONFIG, _KEYS = "config.json", ("speaker_ids", "speaker_map")


class SpeakerNames:
    """Which name or id means which row.

    Args:
        rows: Name -> row; empty where ids are the names.
        count: Rows of the table.
    """

    def __init__(self, rows: Mapping[str, int], count: int):
        self.rows, self.count = dict(rows), count
        self._name_of: dict[int, str] = {}
        for name, row in (self.rows or {str(row): row for row in range(count)}).items():
            self._name_of.setdefault(row, name)

    def find(self, conditions: Iterable[object]) -> list[int]:
        """Rows of names or ids; a name comes before an id that reads the same.

        Raises:
            RedactError: Lists every unknown one, with names that are close.
        """
        texts = [str(condition) for condition in conditions]
        found = [self._find(text) for text in texts]
        unknown = dict.fromkeys(t for t, row in zip(texts, found, strict=True) if row is None)
        raise_together("There is no such speaker", [self._explain(text) for text in unknown])
        return [row for row in found if row is not None]

    def name(self, row: int) -> str:
        """The row's first name, or its id."""
        return self._name_of.get(row, str(row))

    def others(self, rows: Iterable[int]) -> list[str]:
        """One name for each named row that is not among ``rows``."""
        gone = set(rows)
        return [name for row, name in self._name_of.items() if row not in gone]

    def _find(self, text: str) -> int | None:
        if text in self.rows:
            return self.rows[text]
        row = int(text) if text.isascii() and text.isdigit() else self.count
        return row if row < self.count else None

    def _explain(self, text: str) -> str:
        folded = {name.casefold(): name for name in reversed(list(self._name_of.values()))}
        close = [folded[match] for match in get_close_matches(text.casefold(), folded, cutoff=0.5)]
        some = ", ".join(list(self._name_of.values())[:3])
        hint = f"did you mean {' or '.join(close)}?" if close else f"the first ones are {some};"
        return f'"{text}" ({hint} ids go from 0 to {self.count - 1})'


def load_names(
    folder: Path, config: Mapping[str, Any], file: Path | None
) -> tuple[SpeakerNames, Path | None]:
    """The names in ``file``, in the folder's ``speaker_ids.json`` or in ``config``, and where they stand.

    Args:
        folder: Of the model.
        config: Its ``config.json``.
        file: Absolute, or relative to the folder or to the working folder; ``None`` to look.

    Raises:
        RedactError: The file is missing, or is no mapping of names to rows of the table.
    """
    count = int(config["num_speakers"])
    if file is not None:
        path = folder / file if (folder / file).is_file() else at_home(file)
        if not path.is_file():
            raise RedactError(f"There is no file {file}; give a JSON file that maps names to ids.")
        return SpeakerNames(checked_names(read_json(path), str(path), count), count), path
    if (folder / FILE).is_file():
        path = folder / FILE
        return SpeakerNames(checked_names(read_json(path), str(path), count), count), path
    for key in _KEYS:
        if isinstance(config.get(key), dict) and config[key]:
            where = f"{folder / _CONFIG} ({key})"
            return SpeakerNames(checked_names(config[key], where, count), count), folder / _CONFIG
    return SpeakerNames({}, count), None


def forget(folder: Path, file: str | None, rows: set[int]) -> None:
    """Leave the names of ``rows`` out of every map of names in ``folder``.

    Args:
        folder: The redacted copy; a file without such names is not touched.
        file: Name in ``folder`` of a map in use that is none of the usual ones.
        rows: The redacted ones.
    """
    for name in {FILE, file or FILE} - {_CONFIG}:
        values = read_json(folder / name)
        if isinstance(values, dict) and (kept := _without(values, rows)) != values:
            write_json(folder / name, kept)
    config = read_json(folder / _CONFIG)
    found = {key: config[key] for key in _KEYS if isinstance(config.get(key), dict)}
    kept = {key: _without(values, rows) for key, values in found.items()}
    if kept != found:
        write_json(folder / _CONFIG, config | kept)


def keep_names(target: Path, base: Path, names: SpeakerNames, file: Path | None, gone: set[int]) -> None:
    """Leave the names of redacted rows out of a copy, which shall know its speakers without files elsewhere.

    Args:
        target: The redacted copy.
        base: The folder that it was made of.
        names: In use.
        file: Where they stand; see :func:`load_names`.
        gone: The redacted rows.
    """
    within = None
    if file is not None and file.is_relative_to(base):
        within = file.relative_to(base).as_posix()
    elif file is not None:
        write_json(target / FILE, names.rows)
    forget(target, within, gone)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Indented as the original library writes it."""
    path.write_text(
        json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def _without(values: Mapping[str, Any], rows: set[int]) -> dict[str, Any]:
    return {name: row for name, row in values.items() if not (type(row) is int and row in rows)}


def checked_names(values: object, where: str, count: int) -> dict[str, int]:
    """``values`` as a map of names to rows of a table of ``count``.

    Raises:
        RedactError: It is none, or leads out of the table; ``where`` says where it stands.
    """
    if not isinstance(values, dict) or not values:
        raise RedactError(f'{where} is no map of names; write it as {{"alice": 0, "bob": 1}}.')
    wrong = [
        f'"{name}" has the id {row!r}'
        for name, row in values.items()
        if type(row) is not int or not 0 <= row < count
    ]
    raise_together(f"{where}: the table has {count} rows, ids go from 0 to {count - 1}", wrong)
    return values
