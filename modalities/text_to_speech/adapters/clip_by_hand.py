"""A voice by hand, on the page of ``redact app``: a clip or a voice of the bank, and what is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal

from modalities.sound.bank import VoiceBank
from redact_core import PlanRow, RedactError
from redact_core.adapters.by_hand import Entry, TriedByHand, replaced, stated

_LETTERS = 200


class ClipByHand(TriedByHand):
    """For adapters that say a sentence in the voice of a clip."""

    shows: ClassVar[Literal["picture", "sound"]] = "sound"
    bank: VoiceBank
    sentences: tuple[str, ...]

    def entries(self) -> Sequence[Entry]:
        voices = tuple(self.bank.voices)
        known = (
            [Entry("voice", "Voice", "choice", voices[0], voices, hint="Used where no clip is given.")]
            if voices
            else []
        )
        return (
            Entry("text", "Text", "text", self.sentences[0], high=_LETTERS),
            Entry("clip", "Clip of a voice", "sound"),
            *known,
        )

    def row_by_hand(self, values: Mapping[str, Any], seed: int) -> PlanRow:
        found = {entry.name: stated(values, entry) for entry in self.entries()}
        condition = found.get("clip") or found.get("voice")
        if not condition:
            raise RedactError("No voice is given; give a clip.")
        return PlanRow(str(condition), "by hand", "by hand", seed, False, {"sentence": found["text"]})

    def set_by_hand(self, values: Mapping[str, Any]) -> AbstractContextManager[None]:
        text, *_ = (stated(values, entry) for entry in self.entries())
        # the seed chooses among the sentences; of one, it seeds the rest
        return replaced(self, sentences=(text,))

    def judged_for(self, subject: str, reference: str | None) -> Mapping[str, str]:
        labels = {"voice": subject, "redacted voices": subject}
        return labels | ({"reference": reference} if reference else {})
