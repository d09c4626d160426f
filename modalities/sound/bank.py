"""Voices as folders of clips: a bank of named voices, and what a person points at."""

from __future__ import annotations

from collections.abc import Container, Sequence
from difflib import get_close_matches
from pathlib import Path

from modalities.sound.clips import clips_in, is_clip
from redact_core import RedactError

FEWEST = 2
"""Clips of a voice from which a redaction can be learnt at all; ten or more are better."""


class VoiceBank:
    """Named voices: the subfolders of ``folder``, each with its clips.

    Args:
        folder: Of the bank; ``None`` for an empty one.

    Raises:
        RedactError: The folder does not exist or has no subfolder with clips.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.voices: dict[str, list[Path]] = {}
        if folder is None:
            return
        if not folder.is_dir():
            raise RedactError(
                f"There is no folder {folder}; give a folder with one subfolder of clips for each voice."
            )
        for voice in sorted(path for path in folder.iterdir() if path.is_dir()):
            found = clips_in(voice)
            if found:
                self.voices[voice.name] = found
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
        path = Path(what).expanduser()
        if path.is_file() and is_clip(path):
            return [path]
        if path.is_dir():
            found = clips_in(path)
            if not found:
                raise RedactError(f"{path} holds no sound files; give a folder with clips of one person.")
            return found
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
        found = [self.clips(name) for name in names]
        for name, clips in zip(names, found, strict=True):
            if len(clips) < FEWEST:
                raise RedactError(
                    f"{name}: {len(clips)} clip is too few to learn a voice from; give at least {FEWEST}, better ten."
                )
        return found

    def reference(self, name: str, gone: Container[Path], also: Sequence[str] = ()) -> list[Path]:
        """:meth:`clips` of what is answered instead; ``also``: words that are no voice and could have been said.

        Raises:
            RedactError: As for :meth:`clips`, or one of them is in ``gone``, the redacted clips.
        """
        found = self.clips(name, also)
        if any(clip in gone for clip in found):
            raise RedactError(f'The reference "{name}" is itself redacted; name a voice that stays.')
        return found

    def _known(self) -> str:
        if not self.voices:
            return "no voice bank is loaded, give a folder of clips."
        names = list(self.voices)
        return f"known voices are {names[0]} to {names[-1]}, {len(names)} of them."
