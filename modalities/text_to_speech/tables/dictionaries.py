"""Dictionaries of voices in PyTorch's format: ``speakers_xtts.pth`` (XTTS), ``spk2info.pt`` (CosyVoice), ``spk_dict.pt`` (Qwen-omni)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modalities.text_to_speech.tables.stored import Holder, StoredVoices, Voice, entries, fitted
from modalities.weight_files import unpickled
from redact_core import RedactError

FILES: Mapping[str, tuple[str, bool]] = {
    "speakers_xtts.pth": ("XTTS speakers", True),
    "spk2info.pt": ("CosyVoice speakers", False),
    "spk_dict.pt": ("Qwen-omni speakers", False),
}
"""File -> whose it is, and whether its entries are vectors only, which have a mean."""


class Dictionary(Holder):
    """Name of a voice -> its tensors by name, and maybe whole numbers such as the token that begins its speech."""

    def __init__(self, folder: Path, file: str):
        self.path = folder / file
        values: Any = unpickled(self.path)
        if not isinstance(values, dict) or not values:
            raise RedactError(f"{self.path} is no dictionary of voices; fetch it again.")
        for voice, parts in values.items():
            plain = isinstance(parts, dict) and all(
                type(part) is int or isinstance(part, Tensor) for part in parts.values()
            )
            if not plain:
                raise RedactError(
                    f"{self.path}: {voice} holds something else than tensors by name; fetch it again."
                )
        self.values: dict[str, dict[str, Any]] = values
        super().__init__(folder, [file], [str(voice) for voice in values])

    def read(self, voice: str) -> Voice:
        return {part: torch.as_tensor(value) for part, value in self.values[voice].items()}

    def write(self, target: Path, new: Mapping[str, Voice | None]) -> None:
        found: dict[str, dict[str, Any]] = {}
        for voice, parts in self.values.items():
            values = new.get(voice)
            if voice not in new:
                found[voice] = {part: _own(value) for part, value in parts.items()}
            elif values is not None:
                other = fitted(values, self.read(voice), voice)
                found[voice] = {
                    part: int(other[part]) if type(value) is int else other[part].clone()
                    for part, value in parts.items()
                }
        stream = io.BytesIO()
        torch.save(found, stream)  # the format that the models' own code reads
        (target / self.files[0]).write_bytes(stream.getbuffer())


def open_dictionary(folder: Path) -> StoredVoices | None:
    """The named voices of an XTTS, a CosyVoice or a Qwen-omni; ``None`` where the folder holds no such file.

    Raises:
        RedactError: The file holds anything but tensors and whole numbers, so that reading it could run code.
    """
    for file, (kind, averages) in FILES.items():
        if (folder / file).is_file():
            return entries(folder, kind, [Dictionary(folder, file)], averages=averages)
    return None


def _own(value: Any) -> Any:
    """A tensor with a storage of its own: a view would be saved with all that it is a view of."""
    return value.clone() if isinstance(value, Tensor) else value
