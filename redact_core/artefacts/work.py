"""What was done to a model, as its card tells it; whoever did it, the plain loop or a trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redact_core.objectives.base import Objective
from redact_core.types import Lesson, Request


@dataclass(frozen=True)
class Done:
    """Steps taken and rows seen, beside those that there should be."""

    steps: int = 0
    planned: int = 0
    seen: int = 0
    rows: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    """For the card's method."""
    resumed: tuple[int, int] | None = None
    """After how many steps of how many planned ones the training was taken up again."""

    def notes(self) -> list[str]:
        """Sentences for the card about all that falls short of what was asked for."""
        found: list[str] = []
        if self.steps < self.planned:
            found.append(
                f"The training was ended after {self.steps} of {self.planned} steps, so the learning rate had not "
                "fallen to its end."
            )
        if self.seen < self.rows:
            found.append(f"The training saw {self.seen} of the {self.rows} rows.")
        if self.resumed is not None and self.resumed[1] != self.planned:
            found.append(
                f"The training was taken up again after {self.resumed[0]} steps that were planned as a part of "
                f"{self.resumed[1]}, not of {self.planned}."
            )
        return found


@dataclass(frozen=True)
class Work:
    """A redaction that has been carried out on a model in memory."""

    objective: Objective
    lessons: Sequence[Lesson]
    """All rows."""
    asked: Sequence[str]
    """What the person asked for, in words; see :func:`asked_for`."""
    learning_rate: float
    batch_size: int
    seed: int
    measures: Mapping[str, float] = field(default_factory=dict)
    """What the rows measure before and after."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """``seconds`` and, where it is known, ``peak_bytes``."""
    done: Done | None = None
    """What the training did; ``None`` where the lessons were carried out without one."""
    shortfalls: Sequence[str] = ()
    """Sentences about what was wanted and not reached; see :func:`redact_core.training.soundness.shortfalls`."""
    earlier: Sequence[Mapping[str, Any]] = ()
    """Redactions of the same model in memory before this one, in order; see :attr:`.RedactionCard.earlier`."""

    def notes(self) -> list[str]:
        """Sentences for the card."""
        return [*self.shortfalls, *(self.done.notes() if self.done else [self.objective.solved])]


def asked_for(request: Request, chosen_references: Sequence[str] = ()) -> list[str]:
    """What the person asked for, in words.

    Args:
        request: With at least as many redactions as there are entries in ``chosen_references``.
        chosen_references: The references that the adapter took; see
            :attr:`redact_core.adapters.base.Adapter.chosen_references`.
    """
    named = [request.reference_of(i) or "default reference" for i in range(len(request.redact))]
    return [f"{what} -> {to}" for what, to in zip(request.redact, chosen_references or named, strict=True)]
