"""A prompt by hand, on the page of ``redact app``: prompt, steps and guidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal

from modalities.text_to_image.prompts.expansion import reference_of, understand
from modalities.text_to_image.prompts.vocabulary import Vocabulary
from redact_core import PlanRow, RedactError
from redact_core.adapters.by_hand import Entry, TriedByHand, replaced, stated


class PromptByHand(TriedByHand):
    """For adapters whose samples follow from a prompt, denoising steps and guidance."""

    shows: ClassVar[Literal["picture", "sound"]] = "picture"
    steps: int
    guidance: float
    vocabulary: Vocabulary

    def entries(self) -> Sequence[Entry]:
        return (
            Entry("prompt", "Prompt", "text", "", high=1000),
            Entry("steps", "Steps", "whole number", self.steps, low=1, high=max(100, self.steps)),
            Entry("guidance", "Guidance", "number", self.guidance, low=0, high=max(20.0, self.guidance)),
        )

    def row_by_hand(self, values: Mapping[str, Any], seed: int) -> PlanRow:
        prompt, *_ = (stated(values, entry) for entry in self.entries())
        return PlanRow(prompt, "by hand", "by hand", seed, False)

    def set_by_hand(self, values: Mapping[str, Any]) -> AbstractContextManager[None]:
        _, steps, guidance = (stated(values, entry) for entry in self.entries())
        return replaced(self, steps=steps, guidance=guidance)

    def judged_for(self, subject: str, reference: str | None) -> Mapping[str, str]:
        kind, name = "concept", subject
        try:
            known = understand(subject, self.vocabulary)
            if known.kind != "prompts":
                # as scorers know it: "style: noto" is called noto
                kind, name = known.kind, known.names[0]
            if reference:
                reference = reference_of(known, reference, self.vocabulary)
        except RedactError:
            pass  # judges will not know it either
        return {"kind": kind, kind: name} | ({"reference": reference} if reference else {})
