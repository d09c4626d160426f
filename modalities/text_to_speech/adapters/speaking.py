"""Letters and voices to spectrograms, as SpeechT5 generates them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers import SpeechT5ForTextToSpeech, SpeechT5Processor

from redact_core.support.devices import seeded


def spectrograms(
    model: SpeechT5ForTextToSpeech,
    processor: SpeechT5Processor,
    sentences: Sequence[str],
    voices: Tensor,
    *,
    frames_per_letter: float,
    noise: int,
) -> list[Tensor]:
    """``(frames, 80)`` log mel amplitudes on the CPU, one for each sentence.

    Args:
        model: The generator.
        processor: Its own.
        sentences: What is said.
        voices: ``(sentences, dim)``.
        frames_per_letter: Where speech that does not end is cut off.
        noise: Seed of the dropout that SpeechT5 keeps at inference.
    """
    inputs: Any = processor(text=list(sentences), padding=True, return_tensors="pt")
    device = model.device
    with seeded(noise, device):  # the prenet's dropout takes no generator
        speaker: Any = model
        mels, lengths = speaker.generate_speech(
            inputs["input_ids"].to(device),
            voices.to(device),
            attention_mask=inputs["attention_mask"].to(device),
            maxlenratio=frames_per_letter,
            return_output_lengths=True,
        )
    # a short sentence beside a long one may go on for as long as that one; alone it may not
    step = model.config.reduction_factor
    longest = [int(n * frames_per_letter / step) * step for n in inputs["attention_mask"].sum(1).tolist()]
    return [mel[: min(ends)].cpu() for mel, *ends in zip(mels, lengths, longest, strict=True)]
