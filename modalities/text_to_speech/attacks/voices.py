"""What attacks on voices ask of an adapter: whose voice a row is, its clips, its embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalities.sound.bank import VoiceBank
from modalities.sound.clips import identity_of
from modalities.text_to_speech.adapters.speecht5 import BUNDLED, SpeechT5
from redact_core import Adapter, Conditioning, PlanRow, RedactError
from redact_core.adapters.guard import model_of
from redact_core.types import Condition


def cloner(adapter: Adapter) -> SpeechT5:
    """The voice cloner in ``adapter``, whatever guards stand around it.

    Raises:
        RedactError: It is none.
    """
    adapter = model_of(adapter)
    if not isinstance(adapter, SpeechT5):
        raise RedactError(
            f"{type(adapter).__name__} clones no voices from clips; attack a SpeechT5 with this."
        )
    return adapter


def voice_of(adapter: Adapter, row: PlanRow) -> str:
    """The id of the voice that ``row`` asks for; empty where it is not known."""
    known = cloner(adapter).bank.voices
    if row.labels.get("voice", row.condition) in known:
        return row.labels.get("voice", row.condition)
    here = identity_of(Path(row.condition))
    return next(
        (voice for voice, clips in known.items() if here in map(identity_of, clips)),
        row.labels.get("voice", ""),
    )


def clips_of(adapter: Adapter, row: PlanRow) -> list[Condition]:
    """The clips of the row's voice in the bank, which may have taught the redaction; else its condition."""
    return list(cloner(adapter).bank.voices.get(voice_of(adapter, row), [])) or [row.condition]


def unseen_clips(adapter: Adapter, row: PlanRow, folder: Path | None) -> list[Path]:
    """Clips of the row's voice in ``folder`` (default: beside the bundled base) that the bank has not.

    Raises:
        RedactError: There is no folder with one subfolder of clips for each voice.
    """
    model = cloner(adapter)
    if folder is None and model.source != "bundled":
        raise RedactError(
            "Unseen clips are known for the bundled voices only; give the attack clips: FOLDER, with one "
            "subfolder of clips for each voice."
        )
    known = {identity_of(clip) for clips in model.bank.voices.values() for clip in clips}
    found = VoiceBank(folder or BUNDLED / "unseen").voices.get(voice_of(model, row), [])
    return [clip for clip in found if identity_of(clip) not in known]


def encode(adapter: Adapter, conditions: Sequence[Condition]) -> Conditioning:
    """Embeddings of clips or voices, without gradients."""
    with torch.no_grad():
        parts = [
            embed(adapter, adapter.collate(conditions[i : i + 16])["waveform"])
            for i in range(0, len(conditions), 16)
        ]
    return Conditioning.cat(parts)


def embed(adapter: Adapter, waves: Tensor) -> Conditioning:
    """Embeddings of waveforms ``(batch, samples)``; differentiable."""
    return adapter.encoder({"waveform": waves.to(next(adapter.encoder.parameters()).device)})


def as_conditioning(voice: Tensor) -> Conditioning:
    """``(dim,)`` as a batch of one."""
    return Conditioning(voice[None, None], torch.ones(1, 1, dtype=torch.bool, device=voice.device))


def prototypes(adapter: Adapter, voices: Sequence[str]) -> Tensor:
    """``(voices, dim)`` of length 1: the mean direction of each voice's clips in the bank."""
    bank = cloner(adapter).bank
    clips = {voice: bank.clips(voice) for voice in voices}
    heard = normalize(
        encode(adapter, [clip for found in clips.values() for clip in found]).hidden[:, 0], dim=1
    )
    parts = heard.split([len(found) for found in clips.values()])
    return normalize(torch.stack([part.mean(0) for part in parts]), dim=1)


def targets(base: Adapter, rows: Sequence[PlanRow]) -> Tensor:
    """``(rows, dim)`` of length 1: the base's embedding of each row's voice, the mean over its clips."""
    found: dict[tuple[Condition, ...], Tensor] = {}
    for row in rows:
        clips = tuple(clips_of(base, row))
        if clips not in found:
            heard = normalize(encode(base, clips).hidden[:, 0], dim=1)
            found[clips] = normalize(heard.mean(0), dim=0)
    return torch.stack([found[tuple(clips_of(base, row))] for row in rows])


def others(adapter: Adapter, rows: Sequence[PlanRow]) -> list[str]:
    """Voices of the bank that no row asks for; their references count among them.

    Raises:
        RedactError: There are none.
    """
    gone = {voice_of(adapter, row) for row in rows}
    found = [voice for voice in cloner(adapter).bank.voices if voice not in gone]
    if not found:
        raise RedactError("The bank holds no other voice than the redacted ones; give a larger one.")
    return found
