"""Lessons on disk, and what makes a set of lessons sound. Every problem is reported, together."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from redact_core.errors import RedactError, raise_together
from redact_core.types import Condition, Lesson, Mean

_YES, _NO = {"1", "true", "yes"}, {"0", "false", "no"}
_MEAN = "mean:"


def check_lessons(lessons: Sequence[Lesson]) -> None:
    """Raise if the lessons contradict one another or leave nothing to learn.

    Raises:
        RedactError: A condition is both redacted and retained, answers itself though redacted, has
            two answers, or is the reference of another while redacted itself; nothing is redacted.
    """
    answers: dict[Condition, Condition | Mean] = {}
    problems: list[str] = []
    for lesson in lessons:
        if not lesson.redacted:
            continue
        if lesson.asked == lesson.answer:
            problems.append(
                f"{_quote(lesson.asked)} is redacted but is its own reference; name another reference"
            )
        elif answers.setdefault(lesson.asked, lesson.answer) != lesson.answer:
            problems.append(
                f"{_quote(lesson.asked)} has two references, {_quote(answers[lesson.asked])} and "
                f"{_quote(lesson.answer)}; keep one"
            )
        if not 0 < lesson.weight < float("inf"):
            problems.append(f"{_quote(lesson.asked)} has weight {lesson.weight}; give a positive number")
    kept = {lesson.asked for lesson in lessons if not lesson.redacted}
    problems += [f"{_quote(c)} is both redacted and retained; remove one line" for c in answers if c in kept]
    for answer in dict.fromkeys(answers.values()):
        members = answer.conditions if isinstance(answer, Mean) else (answer,)
        problems += [
            f"the reference {_quote(c)} is itself redacted; name a reference that stays"
            for c in members
            if c in answers
        ]
    if not answers and not problems:
        problems.append("nothing is redacted; add at least one redacted line")
    raise_together("The lessons cannot be used", problems)


def read_lessons(path: Path) -> list[Lesson]:
    """Read lessons from a CSV file with the columns ``asked, answer`` and maybe ``redacted, weight``.

    Without ``redacted`` a row is redacted where the two differ; an empty ``answer`` retains. An
    answer ``mean: a | b | c`` is the mean of several conditions.

    Raises:
        RedactError: Lists every faulty line with its number and what to do about it.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or "asked" not in reader.fieldnames:
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                raise RedactError(
                    f"{path}: the first line must name the columns asked, answer; found {found}."
                )
            numbered = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RedactError(f"{path}: cannot be read as a CSV file in UTF-8 ({error}).") from error
    return parse_rows(numbered, str(path), "line")


def parse_rows(numbered: Iterable[tuple[int, Mapping[str, object]]], source: str, unit: str) -> list[Lesson]:
    """Lessons from rows of strings; ``source`` and ``unit`` say in messages where a row stands."""
    lessons: list[Lesson] = []
    problems: list[str] = []
    for number, row in numbered:
        try:
            lessons.append(
                _lesson({key: "" if value is None else str(value).strip() for key, value in row.items()})
            )
        except ValueError as error:
            problems.append(f"{unit} {number}: {error}")
    raise_together(source, problems)
    return lessons


def _lesson(row: Mapping[str, str]) -> Lesson:
    asked, answer = row.get("asked", ""), row.get("answer", "")
    unknown = sorted(set(row) - {"asked", "answer", "redacted", "weight"})
    if unknown:
        raise ValueError(
            f"unknown column {', '.join(map(repr, unknown))}; use asked, answer, redacted, weight"
        )
    if not asked:
        raise ValueError("asked is empty; give a condition or delete the line")
    flag = row.get("redacted", "").lower()
    if flag and flag not in _YES | _NO:
        raise ValueError(f"redacted is {flag!r}; write yes or no")
    redacted = flag in _YES if flag else answer not in ("", asked)
    if redacted and not answer:
        raise ValueError(f"{asked!r} is redacted but its answer, the reference, is missing; add it")
    try:
        weight = float(row.get("weight") or 1.0)
    except ValueError:
        weight = float("nan")
    if not 0 < weight < float("inf"):
        raise ValueError(f"weight is {row['weight']!r}; give a positive number")
    if answer.startswith(_MEAN):
        members = tuple(part.strip() for part in answer.removeprefix(_MEAN).split("|") if part.strip())
        if not members:
            raise ValueError("the mean has no members; write mean: a | b")
        return Lesson(asked, Mean(members), redacted, weight)
    return Lesson(asked, answer or asked, redacted, weight)


def _quote(condition: Condition | Mean) -> str:
    if isinstance(condition, Mean):
        return f"the mean of {len(condition.conditions)} conditions"
    return f'"{condition}"'
