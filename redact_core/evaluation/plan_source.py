"""The seam for test beds: files of published prompts become rows of a plan."""

from __future__ import annotations

from abc import ABC, abstractmethod

from redact_core.plan import PlanRow
from redact_core.support.whole_numbers import WholeNumbers


class PlanSource(WholeNumbers, ABC):
    """Where the conditions of an evaluation come from; the files are the user's. Named by class."""

    note: str = ""
    """What whoever reads the figures must know of the rows, once they have been made."""

    @abstractmethod
    def rows(self) -> list[PlanRow]:
        """What every model is asked.

        Raises:
            RedactError: The file cannot be read or has other columns; says which.
        """
