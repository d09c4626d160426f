"""The discrete case: where a condition is a row of a table, a redaction is a copy of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from redact_core.errors import RedactError
from redact_core.lessons.rules import check_lessons
from redact_core.types import Condition, Lesson, Mean, Request


def label_lessons(
    request: Request, redacted: Sequence[str], kept: Sequence[str], name: Callable[[str], str], *, what: str
) -> list[Lesson]:
    """One row for each redacted label, and one for every other.

    Args:
        request: A reference is ``mean`` (the default), the mean of the retained rows, or a label.
        redacted: The labels of ``request.redact``, as the table calls them.
        kept: All others.
        name: What the table calls a label, which may also be given as a number; raises for unknown ones.
        what: A label is, e.g. ``speaker``; for messages.

    Raises:
        RedactError: Nothing is retained, ``retain`` is given, or the numbers of references and
            redactions do not fit.
    """
    if request.retain:
        raise RedactError(f"Every {what} that is not redacted is kept; leave out --data.retain.")
    request.check_references()
    if not kept:
        raise RedactError(f"Every {what} of the model is redacted; leave at least one.")
    rows: list[Lesson] = []
    for i, label in enumerate(redacted):
        reference = request.reference_of(i) or "mean"
        rows.append(Lesson.redact(label, Mean(tuple(kept)) if reference == "mean" else name(reference)))
    return rows + [Lesson.retain(label) for label in kept]


def row_copies(
    lessons: Sequence[Lesson], name: Callable[[Condition], str]
) -> list[tuple[str, tuple[str, ...]]] | None:
    """Label -> labels whose mean it gets, for every redacted one; ``None`` if that is not the whole story.

    Raises:
        RedactError: Unknown labels, or lessons that contradict one another, also where one gives a
            label's name and another one its number.
    """

    def named(lesson: Lesson) -> Lesson:
        mean = isinstance(lesson.answer, Mean)
        members = tuple(
            map(name, lesson.answer.conditions if isinstance(lesson.answer, Mean) else (lesson.answer,))
        )
        return Lesson(
            name(lesson.asked), Mean(members) if mean else members[0], lesson.redacted, lesson.weight
        )

    rows = [named(lesson) for lesson in lessons]
    check_lessons(rows)
    if any(row.asked != row.answer and not row.redacted for row in rows):
        return None  # a retained row with another answer is a compromise, not a copy
    return [
        (
            str(row.asked),
            tuple(map(str, row.answer.conditions if isinstance(row.answer, Mean) else (row.answer,))),
        )
        for row in rows
        if row.redacted
    ]
