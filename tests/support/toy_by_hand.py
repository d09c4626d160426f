"""A toy model that a person can ask, for the page of ``redact app``."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from toy_evaluation import PictureToy

from redact_core import PlanRow, RedactError
from redact_core.adapters.by_hand import Entry, TriedByHand, stated


class ToyByHand(PictureToy, TriedByHand):
    """Asks for a word and for steps."""

    shows = "picture"

    def entries(self) -> list[Entry]:
        return [
            Entry("prompt", "Prompt", "text", "", high=20),
            Entry("steps", "Steps", "whole number", 2, low=1),
        ]

    def row_by_hand(self, values: Mapping[str, Any], seed: int) -> PlanRow:
        prompt, _ = (stated(values, entry) for entry in self.entries())
        if prompt not in self.WORDS:
            raise RedactError(f"“{prompt}” is no word; give one of {', '.join(self.WORDS)}.")
        return PlanRow(prompt, "by hand", "by hand", seed, False)

    def set_by_hand(self, values: Mapping[str, Any]) -> AbstractContextManager[None]:
        return nullcontext()

    def judged_for(self, subject: str, reference: str | None) -> dict[str, str]:
        return {"word": subject} | ({"reference": reference} if reference else {})

    def reopen(self, folder: Path) -> "ToyByHand":
        other = ToyByHand(self.mode)
        other.encoder.load_state_dict(load_file(folder / "encoder.safetensors"))
        return other
