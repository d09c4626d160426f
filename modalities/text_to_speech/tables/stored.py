"""The voices that a model keeps as values, whatever its format: reading them, and writing others in their place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from modalities.text_to_speech.tables.row_files import copy
from modalities.text_to_speech.voices.speaker_names import SpeakerNames
from redact_core import RedactError
from redact_core.support.folders import files_below

Voice = Mapping[str, Tensor]
"""What is stored of one voice: name of an array -> its values, as the file holds them."""
_ROW = "row"


class Holder(ABC):
    """Where voices lie: a file with many of them, or files of one kind with one each.

    Args:
        folder: Of the model.
        files: Names below ``folder`` that this holder reads and writes.
        voices: What it holds, in its own order.
    """

    single: ClassVar[bool] = False
    """Each file belongs to one voice, or names several: one that is missing is a voice that was left out."""

    def __init__(self, folder: Path, files: Sequence[str], voices: Sequence[str]):
        self.folder, self.files, self.voices = folder, tuple(files), tuple(voices)

    @abstractmethod
    def read(self, voice: str) -> Voice:
        """One of :attr:`voices`.

        Raises:
            RedactError: The file holds something else than plain values.
        """

    @abstractmethod
    def write(self, target: Path, new: Mapping[str, Voice | None]) -> None:
        """Write :attr:`files` into ``target``; voices that are not ``new`` keep their bits.

        Args:
            target: Folder of the redacted copy.
            new: Voice -> what it becomes; ``None`` leaves it out.
        """


class OneFileEach(Holder):
    """A file for each voice.

    Args:
        folder: Of the model.
        file: Voice -> name of its file below ``folder``.
    """

    single = True

    def __init__(self, folder: Path, file: Mapping[str, str]):
        self.file = dict(file)
        super().__init__(folder, list(file.values()), list(file))

    @abstractmethod
    def content(self, voice: str, values: Voice) -> bytes:
        """The file of ``voice``, with other ``values`` in the number formats of its own."""

    def write(self, target: Path, new: Mapping[str, Voice | None]) -> None:
        for voice, name in self.file.items():
            values = new.get(voice)
            if voice not in new:
                copy(self.folder / name, target / name)
            elif values is not None:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(self.content(voice, fitted(values, self.read(voice), voice)))


class VoiceRows(Holder):
    """A table with a row for each voice; voices are called by their numbers.

    Args:
        folder: Of the model.
        file: Name of the table's file below ``folder``.
        table: ``(voices, dim)`` in the file's number format.
    """

    def __init__(self, folder: Path, file: str, table: Tensor):
        self.table = table
        super().__init__(folder, [file], [str(row) for row in range(len(table))])

    @abstractmethod
    def put(self, table: Tensor, path: Path) -> None:
        """Write the file anew with another ``table``."""

    def read(self, voice: str) -> Voice:
        return {_ROW: self.table[int(voice)]}

    def write(self, target: Path, new: Mapping[str, Voice | None]) -> None:
        table = self.table.clone()
        for voice, values in new.items():
            if values is not None:
                table[int(voice)] = values[_ROW].to(table.dtype)
        self.put(table, target / self.files[0])


@dataclass(frozen=True)
class StoredVoices:
    """All voices of a model's folder."""

    folder: Path
    kind: str
    """Whose format it is, for the card."""
    holders: Sequence[Holder]
    """Everything that holds voices; several may hold the same one."""
    names: SpeakerNames
    voices: Sequence[str]
    """Row of :attr:`names` -> the voice as the holders call it."""
    files: Mapping[str, Path]
    """Relative name -> file of all that belongs into a redacted copy."""
    entries: bool
    """Each voice is an entry of its own, which can be left out; else it is the row of a table."""
    averages: bool = True
    """Voices are vectors, whose mean is a voice; codes have none."""
    forget: Callable[[Path, set[int]], None] = field(default=lambda folder, rows: None)
    """Takes the names of rows out of every map of names in a redacted copy."""

    @property
    def single(self) -> frozenset[str]:
        """Files without which a voice is left out."""
        return frozenset(name for holder in self.holders if holder.single for name in holder.files)

    def read(self, row: int) -> Voice:
        """The stored values of a row of :attr:`names`, from the first holder that has them."""
        voice = self.voices[row]
        return next(holder for holder in self.holders if voice in holder.voices).read(voice)

    def write(self, target: Path, new: Mapping[int, Voice | None]) -> None:
        """Write a copy of the folder with other voices in place of some; without any, bit by bit.

        Args:
            target: An empty folder.
            new: Row -> what it becomes; ``None`` leaves the entry out.

        Raises:
            RedactError: A row of a table shall be left out.
        """
        if not self.entries and any(voice is None for voice in new.values()):
            raise RedactError(
                f"A voice of {self.kind} is the row of a table, which cannot be left out; leave removed out, then the row "
                "is overwritten and its name forgotten."
            )
        named = {self.voices[row]: voice for row, voice in new.items()}
        held: set[str] = set()
        for holder in self.holders:
            mine = {voice: values for voice, values in named.items() if voice in holder.voices}
            if mine:
                holder.write(target, mine)
                held |= set(holder.files)
        for name, path in self.files.items():
            if name not in held:
                copy(path, target / name)
        if new:
            self.forget(target, set(new))


def entries(folder: Path, kind: str, holders: Sequence[Holder], *, averages: bool = True) -> StoredVoices:
    """Voices that are entries of their own and have no ids but their order; see :class:`StoredVoices`."""
    voices = list(dict.fromkeys(voice for holder in holders for voice in holder.voices))
    names = SpeakerNames({voice: i for i, voice in enumerate(voices)}, len(voices))
    return StoredVoices(
        folder, kind, holders, names, voices, files_below(folder), entries=True, averages=averages
    )


def fitted(new: Voice, old: Voice, voice: str) -> dict[str, Tensor]:
    """``new`` in the number formats of ``old``.

    Raises:
        RedactError: It consists of other arrays.
    """
    if set(new) != set(old):
        raise RedactError(
            f"The voice {voice} consists of {', '.join(sorted(old))}, its replacement of {', '.join(sorted(new))}; name "
            "a reference of the same kind."
        )
    return {name: new[name].to(old[name].dtype) for name in old}
