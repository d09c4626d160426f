"""What an evaluation of voices asks: clips of the redacted voice, its neighbours, and the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from modalities.sound.clips import identity_of
from modalities.text_to_speech.judges.grading import cases
from modalities.text_to_speech.voices.expansion import MEANS
from redact_core import PlanRow, Request
from redact_core.plan import SUBJECT

Voices = Mapping[str, Sequence[Path]]
SEPARATOR = "|"
"""Between the redacted voices, in the label that names them all."""
NEIGHBOURS = 3
"""Voices in the group of the nearest ones."""


def plan(
    request: Request,
    known: Voices,
    unseen: Voices,
    nearest: Callable[[str], Sequence[str]],
    sentence: Callable[[int], str],
    clips: Callable[[str], Sequence[Path]],
    n: int,
) -> list[PlanRow]:
    """Groups ``redacted``, ``paraphrased`` (clips that taught nothing), ``neighbours``, ``retained``.

    Args:
        request: Voice ids, folders or files.
        known: Voice id -> clips that may have taught the redaction.
        unseen: Voice id -> clips that have not; where there are any, all other groups use them too.
        nearest: The most similar voices first.
        sentence: What a seed lets a sample say.
        clips: The clips of a voice id, a folder or a file.
        n: Rows of a group.
    """
    pool = unseen or known
    rows: list[PlanRow] = []
    gone_clips = {identity_of(clip) for voice in request.redact for clip in clips(voice)}
    for i, voice in enumerate(request.redact):
        named = request.reference_of(i)
        reference = None if named in MEANS else named
        away = {*gone_clips, *map(identity_of, clips(reference) if reference else ())}
        stay = {
            name: found
            for name, found in pool.items()
            if name not in (*request.redact, reference)
            and not any(identity_of(clip) in away for clip in found)
        }
        near = [name for name in nearest(voice) if name in stay][:NEIGHBOURS]
        groups: dict[str, Voices] = {"redacted": {voice: clips(voice)}}
        if voice in unseen:
            groups["paraphrased"] = {voice: unseen[voice]}
        groups["neighbours"] = {name: stay[name] for name in near}
        groups["retained"] = {name: found for name, found in stay.items() if name not in near}
        task = "voice" if len(request.redact) == 1 else f"voice {voice}"
        for k, (group, voices) in enumerate(groups.items()):
            gone = group in ("redacted", "paraphrased")
            for case in cases(voices, n, request.seed + 1000 * k) if voices else []:
                labels = {
                    "voice": case.voice,
                    "sentence": sentence(case.seed),
                    "redacted voices": SEPARATOR.join(request.redact),
                    SUBJECT: voice,
                }
                if gone and reference:
                    labels["reference"] = reference
                rows.append(PlanRow(str(case.clip), group, task, case.seed, gone, labels))
    return rows
