"""What ``redact demo`` counts and lets one listen to of a redacted voice."""

from __future__ import annotations

import io

import soundfile
from torch import Tensor

from modalities.sound.clips import RATE
from modalities.text_to_speech.adapters.speecht5 import SpeechT5
from modalities.text_to_speech.judges.grading import grade_voice
from modalities.text_to_speech.metrics.voice_scorer import VoiceScorer
from redact_core.reporting.exhibit import Exhibit, Graded

SHOWN = 3


def grade(voice: str, reference: str, folder: str, n: int, device: str) -> Graded:
    """Rows of a redacted voice, and samples of two groups.

    Args:
        voice: That was redacted.
        reference: The voice that answers in its place.
        folder: Of the redacted encoder.
        n: Utterances of each group.
        device: That the models speak on.
    """
    base, redacted = (x.to(device) for x in (SpeechT5("bundled"), SpeechT5("bundled", encoder=folder)))
    rows, spoken = grade_voice(base, redacted, voice, reference, n, n)
    notes = {
        "paraphrased": f"The redacted encoder answers clips of {voice} as if {reference} spoke.",
        "neighbours": "The redacted encoder answers clips of other voices as the base does.",
    }
    exhibits: list[Exhibit] = []
    for group, note in notes.items():
        before, after = spoken[group]
        captions = (f"clip of {case.voice}: “{base.sentence(case.seed)}”" for case in before.cases[:SHOWN])
        exhibits.append(
            Exhibit(
                f"{voice} redacted: {group}", tuple(captions), tuple(map(_ogg, before.samples[:SHOWN])),
                tuple(map(_ogg, after.samples[:SHOWN])), sounds=True, note=note,
            )
        )  # fmt: skip
    return Graded(rows, exhibits, {"identified": VoiceScorer.about})


def _ogg(wave: Tensor) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave.numpy(), RATE, format="OGG", subtype="VORBIS")
    return buffer.getvalue()
