"""Voices as folders of clips: a bank of named voices, and what a person points at."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path

from modalities.sound.clips import clips_in, identity_of, once
from modalities.sound.sound_folder import SoundFolder, is_clip
from redact_core import RedactError
from redact_core.support.paths import at_home

FEWEST = 2
"""Clips of a voice from which a redaction can be learnt at all; ten or more are better."""


class VoiceBank:
    """Named voices: the subfolders of ``folder``, each with its clips.

    Args:
        folder: Of the bank; ``None`` for an empty one.

    Raises:
        RedactError: The folder does not exist or has no subfolder with clips, or a voice has subfolders
            with clips itself.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder = None if folder is None else at_home(folder)
        self.voices: dict[str, list[Path]] = {}
        if folder is None:
            return
        if not folder.is_dir():
            raise RedactError(
                f"There is no folder {folder}; give a folder with one subfolder of clips for each voice."
            )
        within = SoundFolder.of(folder)
        unused = [f"{len(within.clips)} clips beside the folders of voices"] if within.clips else []
        empty: list[str] = []
        for voice in within.folders:
            found = SoundFolder.of(voice).one_person()
            if found.clips:
                self.voices[voice.name] = found.clips
            else:
                empty.append(voice.name)
            unused += [f"of {voice.name} {what}" for what in found.unused()]
        if empty and self.voices:
            unused.append(f"{len(empty)} folders without sound files ({', '.join(empty[:3])})")
        if self.voices and unused:
            more = f", and {len(unused) - 5} more" if len(unused) > 5 else ""
            warnings.warn(
                f"{folder}: {len(self.voices)} voices are used; not used: {', '.join(unused[:5])}{more}.",
                stacklevel=2,
            )
        if not self.voices:
            raise RedactError(
                f"{folder} has no subfolder with clips; a voice bank has one such folder for each voice."
            )

    def clips(self, what: str, also: Sequence[str] = ()) -> list[Path]:
        """The clips of a voice id, of a folder, or the one clip of a file.

        Args:
            what: Which of them.
            also: Other words that could have been said here, for the message.

        Raises:
            RedactError: None of the three, or an empty folder.
        """
        if what in self.voices:
            return self.voices[what]
        path = at_home(what)
        if path.is_file():
            if is_clip(path):
                return [path]
            raise RedactError(
                f"{path}: soundfile does not read {path.suffix.lower() or 'files without an ending'}; convert the clip, "
                "e.g. to WAV or FLAC."
            )
        if path.is_dir():
            found = clips_in(path)
            if not found:
                unused = SoundFolder.of(path).unused()
                there = f" ({', '.join(unused)})" if unused else ""
                raise RedactError(
                    f"{path} holds no sound files{there}; give a folder with clips of one person."
                )
            return found
        parts = [part.strip() for part in re.split(r"[;|,\[\]\n]", what) if part.strip()]
        if len(parts) > 1 and all(part in self.voices or at_home(part).exists() for part in parts):
            raise RedactError(
                f'"{what}" would be one voice; give several as a list, "[{", ".join(parts)}]", or the option once for each.'
            )
        close = get_close_matches(what, [*self.voices, *also], 3)
        hint = f"did you mean {' or '.join(close)}?" if close else self._known()
        if also and not close:
            hint += f" A reference can also be {' or '.join(also)}."
        raise RedactError(f'"{what}" is neither a known voice id nor a folder or file of clips; {hint}')

    def redacted(self, names: Sequence[str]) -> list[list[Path]]:
        """:meth:`clips` of each name, if there are enough of them to learn a voice from.

        Raises:
            RedactError: As for :meth:`clips`, there are no ``names``, or fewer clips than :data:`FEWEST`.
        """
        if not names:
            raise RedactError(
                "Nothing to redact was named; give --data.redact, e.g. --data.redact voices/alice."
            )
        found = [once(self.clips(name)) for name in names]
        for name, clips in zip(names, found, strict=True):
            copies = len(self.clips(name)) - len(clips)
            if copies:
                warnings.warn(
                    f"{name}: {copies} of {copies + len(clips)} clips are copies of others; each is used once.",
                    stacklevel=2,
                )
        for name, clips in zip(names, found, strict=True):
            if len(clips) < FEWEST:
                raise RedactError(
                    f"{name}: {len(clips)} clip is too few to learn a voice from; give at least {FEWEST}, better ten."
                )
        return found

    def reference(self, name: str, gone: Collection[str], also: Sequence[str] = ()) -> list[Path]:
        """:meth:`clips` of what is answered instead; ``also``: words that are no voice and could have been said.

        Raises:
            RedactError: As for :meth:`clips`, or one of them is in ``gone``, the identities of the redacted clips.
        """
        found = once(self.clips(name, also))
        if any(identity_of(clip) in gone for clip in found):
            raise RedactError(f'The reference "{name}" is itself redacted; name a voice that stays.')
        return found

    def name_of(self, what: str) -> str:
        """The id of the voice that ``what`` holds clips of, whatever path leads there; ``what`` itself where none is known.

        Raises:
            RedactError: As for :meth:`clips`.
        """
        if what in self.voices:
            return what
        clips = {identity_of(clip) for clip in self.clips(what)}
        owners = [
            name for name, own in self.voices.items() if any(identity_of(clip) in clips for clip in own)
        ]
        return owners[0] if len(owners) == 1 else what

    def without(self, gone: Collection[str]) -> dict[str, list[Path]]:
        """The voices none of whose clips is in ``gone``, identities of clips."""
        return {
            name: clips
            for name, clips in self.voices.items()
            if not any(identity_of(clip) in gone for clip in clips)
        }

    def _known(self) -> str:
        if not self.voices:
            return "no voice bank is loaded, give a folder of clips."
        names = list(self.voices)
        return f"known voices are {names[0]} to {names[-1]}, {len(names)} of them."
