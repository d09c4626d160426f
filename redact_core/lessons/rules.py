"""Lessons on disk, and what makes a set of lessons sound. Every problem is reported, together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path

from redact_core.errors import RedactError, raise_together
from redact_core.support.csv_rows import read_csv
from redact_core.types import Condition, Lesson, Mean

_YES, _NO = {"1", "true", "yes"}, {"0", "false", "no"}
_MEAN = "mean:"


def _as_written(condition: Condition) -> Hashable:
    return condition


def check_lessons(lessons: Sequence[Lesson], identity: Callable[[Condition], Hashable] = _as_written) -> None:
    """Raise if the lessons contradict one another or leave nothing to learn.

    Args:
        lessons: All that a model shall learn.
        identity: Says which conditions are the same, :meth:`redact_core.Adapter.identity`; default: those that are
            written alike.

    Raises:
        RedactError: A condition is both redacted and retained, answers itself though redacted, has
            two answers, or is the reference of another while redacted itself; nothing is redacted.
    """
    known: dict[Condition, Hashable] = {}

    def same(condition: Condition) -> Hashable:
        if condition not in known:
            known[condition] = identity(condition)
        return known[condition]

    def meant(answer: Condition | Mean) -> Hashable:
        return tuple(map(same, answer.conditions)) if isinstance(answer, Mean) else same(answer)

    answers: dict[Hashable, Lesson] = {}
    problems: list[str] = []
    for lesson in lessons:
        if not lesson.redacted:
            continue
        asked = same(lesson.asked)
        if not isinstance(lesson.answer, Mean) and asked == same(lesson.answer):
            problems.append(
                f"{_quote(lesson.asked)} is redacted but is its own reference; name another reference"
            )
        elif meant((first := answers.setdefault(asked, lesson)).answer) != meant(lesson.answer):
            problems.append(
                f"{_both(lesson.asked, first.asked)} has two references, {_quote(first.answer)} and "
                f"{_quote(lesson.answer)}; keep one"
            )
        if not 0 < lesson.weight < float("inf"):
            problems.append(f"{_quote(lesson.asked)} has weight {lesson.weight}; give a positive number")
    kept = {same(lesson.asked): lesson.asked for lesson in reversed(lessons) if not lesson.redacted}
    problems += [
        f"{_both(lesson.asked, kept[asked])} is both redacted and retained; remove one line"
        for asked, lesson in answers.items()
        if asked in kept
    ]
    for answer in dict.fromkeys(lesson.answer for lesson in answers.values()):
        members = answer.conditions if isinstance(answer, Mean) else (answer,)
        problems += [
            f"the reference {_both(c, answers[same(c)].asked)} is itself redacted; name a reference that stays"
            for c in members
            if same(c) in answers
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
    columns, numbered = read_csv(path)
    if "asked" not in columns:
        found = ", ".join(columns) or "nothing"
        raise RedactError(f"{path}: the first line must name the columns asked, answer; found {found}.")
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


def _both(condition: Condition, other: Condition) -> str:
    """The condition, and how else it is written."""
    if str(condition) == str(other):
        return _quote(condition)
    return f"{_quote(condition)}, which is the same to the model as {_quote(other)},"


def _quote(condition: Condition | Mean) -> str:
    if isinstance(condition, Mean):
        return f"the mean of {len(condition.conditions)} conditions"
    return f'"{condition}"'
