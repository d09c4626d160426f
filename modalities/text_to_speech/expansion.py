"""Requests about voices become lessons: clips of the redacted answer as the reference does."""

from __future__ import annotations

import warnings
from pathlib import Path

from modalities.sound.bank import VoiceBank
from modalities.sound.clips import check_clips, identity_of, once
from modalities.sound.sound_folder import SoundFolder
from modalities.text_to_speech.nearness import Embed, unlike
from redact_core import Condition, Lesson, Mean, RedactError, Request
from redact_core.paths import at_home

NAMED_MEANS = ("unlike", "mean")
"""References that are no voice: means over retained ones."""
MEANS = (None, *NAMED_MEANS)


def expand(request: Request, bank: VoiceBank, embed: Embed) -> list[Lesson]:
    """Lessons for ``request``.

    ``redact``: voice ids of the bank, or folders with clips of one person. ``references``: a voice
    id, a folder, a file, ``unlike`` (the default), the mean over the clips of the quarter of retained
    voices that is least like the redacted one (at least three voices), or ``mean``, that of all of
    them. ``retain``: ``bank`` (the default), voice ids, folders of clips, or folders of such folders.
    ``embed`` says who is like whom.

    Raises:
        RedactError: Unknown voices, too few clips, unusable clips (all of them named together),
            nothing retained, a reference that is itself redacted, or the numbers of references and
            redactions do not fit.
    """
    request.check_references()
    redacted = bank.redacted(request.redact)
    gone = {identity_of(clip): clip for clips in redacted for clip in clips}
    stay = _retained(request, bank)
    kept = [clip for clip in stay if identity_of(clip) not in gone]
    paths = {clip for clips in redacted for clip in clips}
    # the bank holds the redacted voice as well, which nobody named to be kept
    both = [c for c in stay if identity_of(c) in gone and (request.retain or c not in paths)]
    if both:
        warnings.warn(
            f"{len(both)} of {len(stay)} retained clips are clips of what is redacted and are left out, the first is "
            f"{both[0]}.",
            stacklevel=2,
        )
    if not kept:
        raise RedactError(
            "No voice is retained; give --data.retain FOLDER with clips of people whose voices must stay."
        )
    named = [request.reference_of(i) for i in range(len(redacted))]
    known = [None if name in MEANS else bank.reference(name, gone, NAMED_MEANS) for name in named]
    check_clips([*gone.values(), *kept])
    answers = [
        _answer(name, clips, found or kept, embed)
        for name, clips, found in zip(named, redacted, known, strict=True)
    ]
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
        path = at_home(what)
        if what == "bank":
            found += [clip for voice in bank.voices.values() for clip in voice]
        elif what not in bank.voices and path.is_dir() and _holds_voices(path):
            found += [clip for voice in VoiceBank(path).voices.values() for clip in voice]
        else:
            found += bank.clips(what)
    clips = once(found)
    copies = len(dict.fromkeys(found)) - len(clips)
    if copies:
        warnings.warn(
            f"{copies} retained clips are copies of other ones, or lie there under another path; each is used once.",
            stacklevel=2,
        )
    return clips


def _holds_voices(folder: Path) -> bool:
    """Is it a folder of folders of clips?

    Raises:
        RedactError: It holds clips as well, so that it is not clear what is meant.
    """
    within = SoundFolder.of(folder)
    if within.clips:
        within.one_person()
    return bool(within.folders) and not within.clips


def _answer(name: str | None, clips: list[Path], found: list[Path], embed: Embed) -> Condition | Mean:
    """What ``clips`` are answered: all that was ``found``, or the part of it that is least like them."""
    members = unlike(clips, found, embed) if name in (None, "unlike") else found
    return members[0] if len(members) == 1 else Mean(tuple(members))
