"""Requests about voices become lessons: windows of a redacted voice, as the reference would say them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from modalities.mel_to_speech.likeness import warp_between
from modalities.mel_to_speech.networks import MARGIN
from modalities.mel_to_speech.utterance import Utterance, Warp, mel_of
from modalities.sound.bank import VoiceBank
from modalities.sound.clips import check_clips, identity_of, once
from redact_core import Lesson, RedactError, Request


def retained(request: Request, bank: VoiceBank, gone: Sequence[Path]) -> dict[str, list[Path]]:
    """Voices that stay, without the clips of the redacted ones.

    Raises:
        RedactError: Unknown voices, or none stays.
    """
    names = list(bank.voices) if request.retain in ((), ("bank",)) else list(request.retain)
    ids = {identity_of(clip) for clip in gone}
    found = {name: [c for c in once(bank.clips(name)) if identity_of(c) not in ids] for name in names}
    found = {name: clips for name, clips in found.items() if clips}
    if not found:
        raise RedactError(
            "No voice is retained; give --data.retain with voices of the bank or folders of clips."
        )
    return found


def warps(request: Request, bank: VoiceBank) -> list[Warp]:
    """For each redacted voice, the warp into its reference.

    Raises:
        RedactError: A reference is unknown or itself redacted, a voice has too few clips, or the
            numbers of references and redactions do not fit.
    """
    request.check_references()
    redacted = bank.redacted(request.redact)
    gone = {clip for clips in redacted for clip in clips}
    ids = {identity_of(clip) for clip in gone}
    found = []
    for i, clips in enumerate(redacted):
        reference = request.reference_of(i)
        if reference in (None, "mean"):
            target = [kept[0] for kept in retained(request, bank, list(gone)).values()]
        else:
            target = bank.reference(reference, ids)
        found.append(warp_between(clips, target))
    return found


def expand(request: Request, bank: VoiceBank, bands: int, window: int, windows: int) -> list[Lesson]:
    """``windows`` stretches of every retained clip, and half as many in all of the redacted ones.

    ``redact``: voice ids of the bank, or folders with clips of one person. ``references``: the
    same, or ``mean`` (the default), the middle of the retained voices. ``retain``: ``bank`` (the
    default), voice ids or folders.

    Raises:
        RedactError: Unknown voices, too few or unusable clips, nothing retained, or a reference
            that is itself redacted.
    """
    gone = [clip for clips in bank.redacted(request.redact) for clip in clips]
    kept = [clip for clips in retained(request, bank, gone).values() for clip in clips]
    check_clips([*gone, *kept])
    generator = torch.Generator().manual_seed(request.seed)

    def starts(clip: Path, count: int) -> list[int]:
        last = mel_of(clip, Warp(), bands).shape[1] - window - MARGIN
        return torch.randint(MARGIN, last + 1, (count,), generator=generator).unique().tolist()

    share = max(windows, windows * len(kept) // (2 * len(gone)))
    rows = []
    for what, warp in zip(request.redact, warps(request, bank), strict=True):
        for clip in once(bank.clips(what)):
            rows += [
                Lesson.redact(str(Utterance(clip, start)), str(Utterance(clip, start, warp)))
                for start in starts(clip, share)
            ]
    return rows + [
        Lesson.retain(str(Utterance(clip, start))) for clip in kept for start in starts(clip, windows)
    ]
