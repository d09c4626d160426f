"""Requests about voices become lessons: clips of the redacted answer as the reference does."""

from __future__ import annotations

from pathlib import Path

from modalities.sound.bank import VoiceBank
from modalities.sound.clips import check_clips, clips_in
from redact_core import Condition, Lesson, Mean, RedactError, Request


def expand(request: Request, bank: VoiceBank) -> list[Lesson]:
    """Lessons for ``request``.

    ``redact``: voice ids of the bank, or folders with clips of one person. ``references``: a voice
    id, a folder, a file, or ``mean`` (the default), the mean over the clips of all retained voices.
    ``retain``: ``bank`` (the default), voice ids, folders of clips, or folders of such folders.

    Raises:
        RedactError: Unknown voices, too few clips, unusable clips (all of them named together),
            nothing retained, a reference that is itself redacted, or the numbers of references and
            redactions do not fit.
    """
    request.check_references()
    redacted = bank.redacted(request.redact)
    gone = {clip for clips in redacted for clip in clips}
    kept = [clip for clip in _retained(request, bank) if clip not in gone]
    if not kept:
        raise RedactError(
            "No voice is retained; give --data.retain FOLDER with clips of people whose voices must stay."
        )
    answers = [_answer(request.reference_of(i), kept, gone, bank) for i in range(len(redacted))]
    check_clips([*gone, *kept])
    # as many redacted rows as half of the retained ones: with few clips a batch would hold none
    repeats = max(1, len(kept) // (2 * len(gone)))
    rows = [
        Lesson.redact(clip, answer)
        for clips, answer in zip(redacted, answers, strict=True)
        for clip in clips
        for _ in range(repeats)
    ]
    return rows + [Lesson.retain(clip) for clip in kept]


def _retained(request: Request, bank: VoiceBank) -> list[Path]:
    found: list[Path] = []
    for what in request.retain or (("bank",) if bank.voices else ()):
        path = Path(what).expanduser()
        if what == "bank":
            found += [clip for voice in bank.voices.values() for clip in voice]
        elif what not in bank.voices and path.is_dir() and not clips_in(path):
            found += [clip for voice in VoiceBank(path).voices.values() for clip in voice]
        else:
            found += bank.clips(what)
    return list(dict.fromkeys(found))


def _answer(reference: str | None, kept: list[Path], gone: set[Path], bank: VoiceBank) -> Condition | Mean:
    if reference in (None, "mean"):
        return Mean(tuple(kept))
    clips = bank.reference(reference, gone)
    return clips[0] if len(clips) == 1 else Mean(tuple(clips))
