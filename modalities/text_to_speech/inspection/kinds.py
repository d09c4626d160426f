"""Paths of a voice that several models share, with what to do about each."""

from __future__ import annotations

from pathlib import Path

from modalities.headers import Header, header
from redact_core.adapters.condition_paths import ConditionPath

GUARDS = (
    "There is no encoder that could be redacted: the recording itself is the condition. Screen the speech with the "
    "guard VoiceFilter, and the reference clips, before the model gets them, by a verifier as the guard ClipFilter does."
)
BESIDE = (
    "It goes past every encoder, so a redaction of the encoders does not reach it. Screen the speech with the guard "
    "VoiceFilter, and the reference clips, before the model gets them, by a verifier as the guard ClipFilter does."
)
ENCODER = "speaker encoder"
STORED = "The model still speaks in any voice whose values it is given."
OUTSIDE = "An embedding of the stock encoder goes around a redacted one; do not take embeddings from callers."


def in_context(name: str, what: str, advice: str = GUARDS) -> ConditionPath:
    """Reference audio that enters the main network as it is."""
    return ConditionPath(name, "in-context audio", what, advice=advice)


def given(name: str, what: str) -> ConditionPath:
    """An argument by which the caller hands over an embedding."""
    return ConditionPath(name, "embeddings", what, optional=True, advice=OUTSIDE)


def table(name: str, speakers: object, width: object, by: str | None) -> ConditionPath:
    """A table with a row for each speaker."""
    advice = (
        ""
        if by
        else "A row can be overwritten exactly with that of another speaker; no adapter does it for this model."
    )
    said = f"{speakers} rows" + (f" of width {width}" if width else "")
    return ConditionPath(name, "speaker table", said, by, advice=advice)


def encoder(name: str, what: str, by: str | None = None) -> ConditionPath:
    """A network that turns a clip into a vector."""
    advice = (
        "" if by else "It can be distilled like the encoders of SpeakerEncoder; no adapter loads this class."
    )
    return ConditionPath(name, ENCODER, what, by, advice=advice)


def files(folder: Path, name: str, pattern: str, what: str, by: str | None = None) -> ConditionPath | None:
    """Stored voices; ``None`` where there is none."""
    found = (
        sorted(path.name for path in (folder / name).glob(pattern)) if name else sorted(folder.glob(pattern))
    )
    if not found:
        return None
    return ConditionPath(
        name or pattern,
        "voice files",
        f"{len(found)} {what}",
        by,
        advice=STORED
        if by
        else "Remove the file of a person, or put another voice's values in it. " + STORED,
    )


def weights(folder: Path) -> Header | None:
    """Headers of the safetensors files beside the configuration; ``None`` without any."""
    found = sorted(folder.glob("*.safetensors"))
    return header(found) if found else None
