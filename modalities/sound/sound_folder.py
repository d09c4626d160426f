"""Which files of a folder are clips, and what of the folder is not used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import soundfile

from redact_core import RedactError

_ALSO = {
    ".aif": "AIFF", ".aifc": "AIFF", ".wave": "WAV", ".bwf": "WAV", ".oga": "OGG", ".opus": "OGG", ".snd": "AU",
    ".sph": "NIST", ".sf": "IRCAM", ".iff": "SVX", ".8svx": "SVX", ".mat": "MAT5",
}  # fmt: skip
"""Other endings of names -> soundfile's name of the format."""


def suffixes() -> frozenset[str]:
    """Endings of names, in small letters, of the formats that soundfile reads here, by its own list.

    ``RAW`` is not among them: it has no header, so that its rate is not known.
    """
    formats = {name for name in soundfile.available_formats() if name != "RAW"}
    own = {f".{name.lower()}" for name in formats}
    return frozenset(own | {ending for ending, name in _ALSO.items() if name in formats})


SUFFIXES = suffixes()
TEXTS = "texts.json"
"""What the clips of a bundled voice say, for people who read the folder."""


def is_clip(path: Path) -> bool:
    """Does the name look like that of a sound file? Hidden files (``._clip.wav``) are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


@dataclass
class SoundFolder:
    """What lies in a folder, sorted by name; hidden files and folders, and :data:`TEXTS`, are not looked at."""

    folder: Path
    clips: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    """Subfolders."""
    broken: list[Path] = field(default_factory=list)
    """Links that lead nowhere, and what else is no file."""
    others: list[Path] = field(default_factory=list)
    """Files that soundfile does not read."""

    @classmethod
    def of(cls, folder: Path) -> SoundFolder:
        """Look into ``folder``; what is in subfolders is not looked at."""
        found = cls(folder)
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.name == TEXTS:
                continue
            if path.is_dir():
                found.folders.append(path)
            elif not path.is_file():
                found.broken.append(path)
            else:
                (found.clips if is_clip(path) else found.others).append(path)
        return found

    def with_clips(self) -> list[Path]:
        """Subfolders with clips in them or below them."""
        return [
            folder
            for folder in self.folders
            if any(_shown(path, folder) and is_clip(path) and path.is_file() for path in folder.rglob("*"))
        ]

    def unused(self) -> list[str]:
        """What is no clip, in words and numbers."""
        kinds = Counter(path.suffix.lower() or "no ending" for path in self.others)
        found = [f"{count} {kind} ({_why(kind)})" for kind, count in sorted(kinds.items())]
        return found + ([f"{len(self.broken)} broken links"] if self.broken else [])

    def one_person(self) -> SoundFolder:
        """The folder itself, if it can be the folder of one person.

        Raises:
            RedactError: There are subfolders with clips, so that it is not clear whose clips are meant.
        """
        below = self.with_clips()
        if not below:
            return self
        names = ", ".join(path.name for path in below[:3]) + (", ..." if len(below) > 3 else "")
        here = f"{len(self.clips)} clips and " if self.clips else "no clips itself, but "
        raise RedactError(
            f"{self.folder} holds {here}{len(below)} subfolder{'s' * (len(below) > 1)} with clips ({names}); it is not "
            "clear who is meant. Give a folder with the clips of one person, or several of these."
        )


def _shown(path: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _why(kind: str) -> str:
    return "raw samples have no rate" if kind == ".raw" else "soundfile does not read it"
