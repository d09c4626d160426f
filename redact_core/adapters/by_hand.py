"""A capability: an adapter that says what a person states to try the model by hand."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import Capability, require
from redact_core.errors import RedactError
from redact_core.plan import PlanRow


@dataclass(frozen=True)
class Entry:
    """One thing that is stated: a field of a form."""

    name: str
    label: str
    kind: Literal["text", "whole number", "number", "choice", "sound"]
    """A ``sound`` is the path of a clip, or ``None``."""
    value: Any = None
    """At first."""
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 100.0
    hint: str = ""


class TriedByHand(Capability):
    """A form can ask the model, beside ``redact evaluate``, which asks it by a plan."""

    needed_for = "a model that says what a person asks of it"
    instead = "use redact evaluate"
    shows: ClassVar[Literal["picture", "sound"]]
    """What comes out."""

    @abstractmethod
    def entries(self) -> Sequence[Entry]:
        """What is stated, beside the seed, with the model's own settings as first values."""

    @abstractmethod
    def row_by_hand(self, values: Mapping[str, Any], seed: int) -> PlanRow:
        """The row that the values ask for.

        Args:
            values: By the entries' names.
            seed: From 0.

        Raises:
            RedactError: A value is empty or of another kind; or the condition cannot be read.
        """

    @abstractmethod
    def set_by_hand(self, values: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Around the sampling of such a row: the values that are settings of the model take the place of its own.

        Raises:
            RedactError: As :meth:`row_by_hand`.
        """

    @abstractmethod
    def judged_for(self, subject: str, reference: str | None) -> Mapping[str, str]:
        """The labels with which scorers look for ``subject`` and, where it is known, for ``reference``."""


def try_by_hand(model: Adapter, values: Mapping[str, Any], seed: int) -> tuple[PlanRow, Tensor]:
    """The row that was asked, for scorers, and its sample; guards around the model act on it as on any other.

    Args:
        model: Offers :class:`TriedByHand`.
        values: By the entries' names.
        seed: From 0.

    Raises:
        RedactError: As :meth:`TriedByHand.row_by_hand`, or the model cannot be asked by hand.
    """
    form = require(model, TriedByHand, "The page")
    row = form.row_by_hand(values, seed)
    with form.set_by_hand(values):
        (sample,) = model.generate_rows([row])
    return row, sample


@contextmanager
def replaced(part: Any, **values: Any) -> Generator[None]:
    """Attributes of ``part``, replaced inside the block."""
    own = {name: getattr(part, name) for name in values}
    for name, value in values.items():
        setattr(part, name, value)
    try:
        yield
    finally:
        for name, value in own.items():
            setattr(part, name, value)


def stated(values: Mapping[str, Any], entry: Entry) -> Any:
    """The value of ``entry``, of its kind and between its ends.

    Raises:
        RedactError: It is not.
    """
    value = values.get(entry.name, entry.value)
    if entry.kind == "text":
        text = str(value or "").strip()
        if not text or len(text) > entry.high:
            found = f"has {len(text)} characters" if text else "is empty"
            raise RedactError(f"{entry.label} {found}; give 1 to {entry.high:g} characters.")
        return text
    if entry.kind in ("number", "whole number"):
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise RedactError(f"{entry.label} is {value!r:.40}; give a number.") from None
        whole = entry.kind == "whole number"
        if not entry.low <= number <= entry.high or (whole and number != int(number)):
            kind = "a whole number" if whole else "a number"
            raise RedactError(
                f"{entry.label} is {number:g}; give {kind} from {entry.low:g} to {entry.high:g}."
            )
        return int(number) if whole else number
    if entry.kind == "choice" and value is not None and value not in entry.choices:
        raise RedactError(f"{entry.label} is {value!r:.40}; choose one that is offered.")
    return value
