"""The files that a judge of voices depends on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modalities.sound.bank import VoiceBank


def gallery_files(folder: Path, bank: VoiceBank) -> Mapping[str, Path]:
    """Name -> file: the verifier of ``folder``, and every clip of the enrolled voices."""
    weights = {f"verifier/{p.name}": p for p in sorted((folder / "verifier").iterdir()) if p.is_file()}
    clips = {f"{voice}/{p.name}": p for voice, paths in bank.voices.items() for p in paths}
    return weights | clips
