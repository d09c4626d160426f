"""What travels between the parts: conditions, lessons, conditionings, batches. No behaviour of theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from redact_core.errors import RedactError
from redact_core.support.seeds import checked_seed
from redact_core.support.whole_numbers import WholeNumbers

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Condition = str | Path
"""What a user hands to a generator: a prompt, a voice id, or the path of a reference clip."""


@dataclass(frozen=True)
class Mean:
    """An answer that is the mean of several conditions' conditionings ("the mean of the voices")."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Lesson:
    """One row to learn: the student is asked ``asked``, the frozen teacher ``answer``.

    ``redacted`` says which of the two loss terms the line belongs to; a retained line normally has
    ``asked == answer``. ``weight`` multiplies its distance in that term.
    """

    asked: Condition
    answer: Condition | Mean
    redacted: bool
    weight: float = 1.0

    @classmethod
    def redact(cls, asked: Condition, answer: Condition | Mean, weight: float = 1.0) -> Lesson:
        """A condition that shall be answered as another one is."""
        return cls(asked, answer, True, weight)

    @classmethod
    def retain(cls, asked: Condition, weight: float = 1.0) -> Lesson:
        """A condition that shall be answered as before."""
        return cls(asked, asked, False, weight)


@dataclass(frozen=True)
class Request(WholeNumbers):
    """What a person asks for, before the adapter turns it into lessons.

    ``references`` holds one reference for each entry of ``redact``, one for all of them, or none
    (the adapter then chooses a sensible default). ``retain`` names where retained conditions come
    from; the adapter documents the words it knows. ``seed`` fixes everything drawn at random.
    A single text stands for a tuple of one.

    Raises:
        RedactError: ``seed`` is larger than generators take.
    """

    redact: tuple[str, ...]
    references: tuple[str, ...] = ()
    retain: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        # a text is a sequence, too: ("cigarette") would be nine requests of a letter each
        for name in ("redact", "references", "retain"):
            given: object = getattr(self, name)
            alone = isinstance(given, str | Path)
            object.__setattr__(self, name, (str(given),) if alone else tuple(map(str, getattr(self, name))))
        checked_seed(self.seed)

    def reference_of(self, index: int) -> str | None:
        """The reference for ``redact[index]``, or ``None`` where the default is wanted."""
        if not self.references:
            return None
        return self.references[index if len(self.references) > 1 else 0]

    def check_references(self, *, default: bool = True) -> None:
        """Raise where the references do not fit.

        Args:
            default: The adapter chooses one where none is given.

        Raises:
            RedactError: Their number is neither one nor that of the redactions, nor none with a default.
        """
        if len(self.references) in {1, len(self.redact)} or (default and not self.references):
            return
        wanted = "one for all, one for each, or none" if default else "one for all or one for each"
        raise RedactError(
            f"{len(self.redact)} redactions but {len(self.references)} references; give {wanted}."
        )


@dataclass(frozen=True)
class Conditioning:
    """What the generator is given of a condition."""

    hidden: Tensor  # (batch, length, dim) float; a voice has length 1
    mask: Tensor  # (batch, length) bool; positions the generator READS, padding included if it does
    pooled: Tensor | None = None  # (batch, pooled_dim) float

    def to(self, device: torch.device | str) -> Conditioning:
        """The same values on ``device``."""
        return self._map(lambda x: x.to(device))

    def detach(self) -> Conditioning:
        """The same values, cut from the graph."""
        return self._map(lambda x: x.detach())

    def __getitem__(self, index: Tensor | slice) -> Conditioning:
        """The rows ``index`` (a slice, int64 or bool)."""
        return self._map(lambda x: x[index])

    def __len__(self) -> int:
        return len(self.hidden)

    def mean(self) -> Conditioning:
        """The mean over the batch, as a batch of one; a position is read if any row reads it."""
        pooled = None if self.pooled is None else self.pooled.mean(0, keepdim=True)
        return Conditioning(self.hidden.mean(0, keepdim=True), self.mask.any(0, keepdim=True), pooled)

    @staticmethod
    def cat(parts: Sequence[Conditioning]) -> Conditioning:
        """Concatenate along the batch; lengths and dims must agree."""
        import torch  # here, because cards and lists of lessons are read without it

        pooled = [part.pooled for part in parts if part.pooled is not None]
        return Conditioning(
            torch.cat([part.hidden for part in parts]),
            torch.cat([part.mask for part in parts]),
            torch.cat(pooled) if pooled else None,
        )

    def _map(self, function: Callable[[Tensor], Tensor]) -> Conditioning:
        pooled = None if self.pooled is None else function(self.pooled)
        return Conditioning(function(self.hidden), function(self.mask), pooled)


@dataclass(frozen=True)
class Batch:
    """Rows of targets: what the student is asked, and what the teacher answered."""

    asked: Mapping[str, Tensor]  # e.g. input_ids (batch, 77) int64, or waveform (batch, samples) float
    target: Conditioning
    redacted: Tensor  # (batch,) bool
    weight: Tensor  # (batch,) float; 0 fills up the last batch of a process

    # Lightning moves anything that has .to; frozen dataclasses need it
    def to(self, device: torch.device | str) -> Batch:
        """The same rows on ``device``."""
        asked = {key: value.to(device) for key, value in self.asked.items()}
        return Batch(asked, self.target.to(device), self.redacted.to(device), self.weight.to(device))

    def __len__(self) -> int:
        return len(self.redacted)
