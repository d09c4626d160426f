"""Requests about voices become lessons: clips of the redacted answer as the reference does."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modalities.sound.bank import VoiceBank
from modalities.sound.clips import check_clips, identity_of, once
from modalities.sound.sound_folder import SoundFolder
from modalities.text_to_speech.voices.neighbours import Embed, standing, stranger, unlike
from redact_core import Condition, Lesson, Mean, RedactError, Request
from redact_core.support.paths import at_home

NAMED_MEANS = ("stranger", "unlike", "mean")
"""References that are no voice: means over retained ones; the first is the default."""
MEANS = (None, *NAMED_MEANS)
_NAMED = 5
"""Voices that a remark names."""


@dataclass(frozen=True)
class Expanded:
    """The lessons of a request, and what a person should know of its references."""

    lessons: list[Lesson]
    chosen_references: tuple[str, ...]
    """For the card: the reference of each redacted voice."""
    remarks: tuple[str, ...]
    """What was chosen, in sentences."""


def expand(request: Request, bank: VoiceBank, embed: Embed) -> Expanded:
    """Lessons for ``request``.

    ``redact``: voice ids of the bank, or folders with clips of one person. ``references``: a voice
    id, a folder, a file; ``stranger`` (the default), the mean of as many of the least similar retained voices as
    leave it a stranger to the redacted one; ``unlike``, the mean over the clips of the quarter of retained
    voices that is least like the redacted one (at least three voices); or ``mean``, that of all of
    them. ``retain``: ``bank`` (the default), voice ids, folders of clips, or folders of such folders.
    ``embed`` says who is like whom. Warns of a named reference that is more like the redacted voice than like a stranger.

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
    found = [
        _answer(what, name, clips, [other for other in redacted if other is not clips], some, kept, embed)
        for what, name, clips, some in zip(request.redact, named, redacted, known, strict=True)
    ]
    answers = [answer for answer, _, _ in found]
    # as many redacted rows as half of the retained ones: with few clips a batch would hold none
    repeats = max(1, len(kept) // (2 * len(gone)))
    rows = [
        Lesson.redact(clip, answer)
        for clips, answer in zip(redacted, answers, strict=True)
        for clip in clips
        for _ in range(repeats)
    ]
    rows += [Lesson.retain(clip) for clip in kept]
    return Expanded(rows, tuple(shown for _, shown, _ in found), tuple(said for *_, said in found if said))


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


def _answer(
    what: str,
    name: str | None,
    clips: list[Path],
    others: Sequence[list[Path]],
    found: list[Path] | None,
    kept: list[Path],
    embed: Embed,
) -> tuple[Condition | Mean, str, str]:
    """What ``clips`` are answered, how the card names it, and a remark about what was chosen.

    Args:
        what: The redacted voice, as it was named.
        name: Of the reference.
        clips: Of the redacted voice.
        others: Of each other redacted voice.
        found: Of the reference, if it is a voice.
        kept: Of those that stay.
        embed: Says who is like whom.
    """
    if name in (None, NAMED_MEANS[0]):
        chosen = stranger(clips, others, kept, embed)
        many = len(chosen.voices)
        which = "one retained voice" if many == 1 else f"the mean of {many} retained voices"
        names = ", ".join(chosen.voices[:_NAMED]) + (f" and {many - _NAMED} more" if many > _NAMED else "")
        remark = f'No reference was named for "{Path(what).name}"; {which} was chosen ({names}): {chosen.standing}.'
        return _mean(chosen.clips), f"{which} (chosen, {chosen.standing})", remark
    members = found or (unlike(clips, kept, embed) if name == "unlike" else kept)
    how = standing(clips, members, kept, embed)
    if not how.near:
        return _mean(members), str(name), ""
    concern = f"it has {how}, and the voice's own clips {how.own:.2f}"
    warnings.warn(
        f'The reference "{name}" is much like "{Path(what).name}": {concern}. The model may answer in the redacted voice; '
        "name another reference, or none and a stranger is chosen.",
        stacklevel=3,
    )
    return _mean(members), f"{name} (warned: {concern})", ""


def _mean(members: list[Path]) -> Condition | Mean:
    return members[0] if len(members) == 1 else Mean(tuple(members))
