"""Training that goes on from an earlier redaction, with the answers of the untouched teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import Reopens, require
from redact_core.adapters.compare_modules import first_difference
from redact_core.errors import RedactError
from redact_core.objectives.base import Objective
from redact_core.support.paths import at_home
from redact_core.types import Lesson


class FromFolder(Objective):
    """The ``start`` of another method: the student gets the weights of an earlier redaction.

    For one more redaction later. The base and so the teacher are the untouched model, and the lessons
    are those of all redactions, old and new; what stays is then answered as the untouched model answers
    it, where a redaction of a redacted model would add damage to damage.

    Args:
        folder: What an earlier redaction of the same base has written.

    Raises:
        RedactError: On starting, the folder holds no such model, or one with an encoder of another
            shape; on preparing, it is used as a method of its own.
    """

    needs = (Reopens,)

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = at_home(folder)

    @property
    def begins_with(self) -> Path:
        return self.folder

    def solve(self, adapter: Adapter, lessons: Sequence[Lesson], *, seed: int = 0) -> bool:
        """Change ``adapter.encoder`` in place; False, for it carries out no lessons by itself."""
        del lessons, seed
        earlier = require(adapter, Reopens, "FromFolder").reopen(self.folder).encoder
        found = first_difference(earlier, adapter.encoder)
        if found is not None:
            raise RedactError(
                f"The encoder of {self.folder} has other weights than that of {adapter.origin.source} ({found}); "
                "give a redaction of the same model."
            )
        adapter.encoder.load_state_dict(earlier.state_dict())
        return False

    def prepare(self, adapter: Adapter) -> nn.Module:
        """Always refused."""
        raise RedactError(
            "FromFolder trains nothing; give it as the start of a method that does, such as "
            "--model.objective Distillation --model.objective.start redact_core.FromFolder."
        )

    def forward(self, student: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Always refused."""
        raise RedactError("FromFolder has no loss; give it as the start of a method that has one.")
