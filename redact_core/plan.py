"""What an evaluation asks the models: rows of conditions with what is expected of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redact_core.errors import RedactError, raise_together
from redact_core.support.csv_rows import read_csv
from redact_core.support.folders import sha256
from redact_core.support.jsonl import line
from redact_core.support.paths import as_file
from redact_core.support.seeds import LARGEST

ASKED, NEAR, FAR = "redacted", "neighbours", "retained"
"""Groups that mean the same in every plan: what was redacted, asked by its own name; what stays near it; what stays
elsewhere. Other redacted groups ask for it in other ways."""
SUBJECT = "subject"
"""Label of a row: what was redacted, in a word or two, on rows that shall stay too."""

_COLUMNS = ("condition", "group", "task", "seed", "redacted")
_YES, _NO = {"1", "true", "yes"}, {"0", "false", "no"}


@dataclass(frozen=True)
class PlanRow:
    """One sample that every model shall make."""

    condition: str
    """A prompt, a voice id, or the path of a reference clip."""
    group: str
    """Rows that are counted together, e.g. ``redacted``, ``neighbours``, ``retained``."""
    task: str
    """What kind of thing was redacted, e.g. ``concept``, ``style``, ``voice``."""
    seed: int
    redacted: bool
    """Whether the condition shall no longer work."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What scorers expect, e.g. ``subject``, ``concept``, ``voice``, ``reference``, ``sentence``."""


def as_json(row: PlanRow, index: int) -> dict[str, Any]:
    """The row as it stands in ``plan.jsonl``."""
    return {"index": index, **vars(row), "labels": dict(row.labels)}


def plan_bytes(rows: Sequence[PlanRow]) -> bytes:
    """The content of ``plan.jsonl``."""
    return b"".join(line(as_json(row, i)) for i, row in enumerate(rows))


def plan_digest(rows: Sequence[PlanRow]) -> str:
    """SHA-256 of the rows and of the files that are conditions."""
    digest = hashlib.sha256(plan_bytes(rows))
    for condition in dict.fromkeys(row.condition for row in rows):
        try:
            if Path(condition).is_file():
                digest.update(sha256(Path(condition)).encode())
        except (OSError, ValueError):  # a prompt longer than a path may be, or unreadable
            continue
    return digest.hexdigest()


def read_plan(path: Path) -> list[PlanRow]:
    """Read a plan from ``.csv`` or ``.jsonl``.

    Columns or keys are ``condition``, ``group`` and maybe ``task``, ``seed`` (default: the row's
    number), ``redacted`` (default: whether the group is called redacted). Every other column is an
    expected label; a JSON line may also hold them under ``labels``.

    Raises:
        RedactError: The file is unreadable or of another kind; or every faulty row, together.
    """
    if path.suffix.lower() not in {".csv", ".jsonl"}:
        raise RedactError(f"{path}: plans are read from .csv or .jsonl files; give one of these.")
    if path.suffix.lower() == ".csv":
        return parse_plan(read_csv(path)[1], str(path))
    try:
        with as_file(path).open(encoding="utf-8-sig") as file:
            numbered = [(i, json.loads(text)) for i, text in enumerate(file, 1) if text.strip()]
    except FileNotFoundError as error:
        raise RedactError(f"There is no file {path}; check the path.") from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RedactError(f"{path}: cannot be read as a plan in UTF-8 ({reason}).") from error
    return parse_plan(numbered, str(path))


def contradictions(rows: Sequence[PlanRow], identity: Callable[[str], Hashable]) -> list[str]:
    """Conditions that a plan wants both gone and kept, in words; ``identity`` says which are the same."""
    known = {condition: identity(condition) for condition in dict.fromkeys(row.condition for row in rows)}
    gone = {known[row.condition]: row.condition for row in reversed(rows) if row.redacted}
    kept = dict.fromkeys(row.condition for row in rows if not row.redacted and known[row.condition] in gone)
    found: list[str] = []
    for condition in kept:
        other = gone[known[condition]]
        written = "" if other == condition else f', there written "{other}"'
        found.append(f'"{condition}" is both redacted{written} and retained; remove one row')
    return found


def parse_plan(numbered: Iterable[tuple[int, Any]], source: str) -> list[PlanRow]:
    """Rows from mappings; ``source`` and the numbers say in messages where a row stands."""
    rows: list[PlanRow] = []
    problems: list[str] = []
    for number, entry in numbered:
        try:
            rows.append(_row(entry, len(rows)))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if not rows and not problems:
        problems.append("it holds no rows; give at least one condition")
    raise_together(source, problems)
    return rows


def _row(entry: Any, index: int) -> PlanRow:
    if not isinstance(entry, Mapping):
        raise ValueError("is no JSON object; give condition, group and labels")
    values = {str(key): value for key, value in entry.items() if value not in (None, "")}
    labels = values.pop("labels", {})
    values.pop("index", None)
    if not isinstance(labels, Mapping):
        raise ValueError(f"labels is {labels!r:.40}; give an object of texts")
    for key in ("condition", "group"):
        if not isinstance(values.get(key), str):
            raise ValueError(f"{key} is missing; give a text")
    try:
        seed = int(values.get("seed", index))
    except (TypeError, ValueError):
        raise ValueError(f"seed is {values['seed']!r:.40}; give a whole number") from None
    if abs(seed) > LARGEST:
        raise ValueError(f"seed is {seed}; give a whole number of at most {LARGEST}")
    flag = str(values.get("redacted", values["group"] == "redacted")).lower()
    if flag not in _YES | _NO:
        raise ValueError(f"redacted is {flag!r:.40}; write yes or no")
    rest = {key: str(value) for key, value in values.items() if key not in _COLUMNS}
    rest |= {str(key): str(value) for key, value in labels.items() if value not in (None, "")}
    task = str(values.get("task", "redaction"))
    return PlanRow(values["condition"], values["group"], task, seed, flag in _YES, rest)
