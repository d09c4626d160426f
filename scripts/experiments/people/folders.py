"""Folders of people and their clips, as they come: nested, flat, in any sound format, with broken files among them."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch

from modalities.sound.clips import RATE, read_clip
from redact_core import RedactError

_LIBRISPEECH = re.compile(r"(\d+)-\d+-\d+")
LONGEST_S = 15
SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64"}


def is_clip(path: Path) -> bool:
    """Does the name look like that of a sound file?"""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def people_in(folder: Path) -> dict[str, list[Path]]:
    """Person -> clips: a subfolder is a person, with all that lies below it; a file beside them is a person too.

    Files named as in LibriSpeech, ``speaker-chapter-utterance``, are grouped by their speaker. Folders without sound files
    are named.

    Raises:
        RedactError: There is no such folder, or it holds no sound files.
    """
    if not folder.is_dir():
        raise RedactError(f"There is no folder {folder}; give one with a subfolder of clips for each person.")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            clips = sorted(p for p in path.rglob("*") if p.is_file() and is_clip(p))
            if clips:
                found[path.name] = clips
            else:
                print(f"left out: {path.name} holds no sound files.", flush=True)
        elif is_clip(path):
            match = _LIBRISPEECH.fullmatch(path.stem)
            found.setdefault(match.group(1) if match else path.stem, []).append(path)
    if not found:
        raise RedactError(f"{folder} holds no sound files; WAV, FLAC, OGG, MP3 and AIFF are read.")
    return found


def readable(clips: Iterable[Path]) -> list[Path]:
    """Those of ``clips`` that can be used; the others are named."""
    good = []
    for clip in clips:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_clip(clip)
            good.append(clip)
        except RedactError as error:
            print(f"left out: {error}", flush=True)
    return good


def wave_of(clip: Path) -> torch.Tensor:
    """``(samples,)`` at 16 kHz; of long clips the first :data:`LONGEST_S` seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_clip(clip)[: LONGEST_S * RATE]
