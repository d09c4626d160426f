"""How a speaker encoder lies in a folder: reading it, and writing it with gates behind it. One class a library."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torch import nn

from modalities.sound.clips import RATE
from modalities.text_to_speech.encoders import ge2e
from modalities.text_to_speech.encoders.encoder_settings import HPARAMS
from modalities.text_to_speech.encoders.gate_files import read_gates, write_gates
from modalities.text_to_speech.encoders.voice_encoder import VoiceEncoder, load_encoder, save_encoder
from modalities.text_to_speech.gate_names import PREFIX
from redact_core.artefacts.card import OWN_FILES
from redact_core.gates import Gate, GatedEncoder


class StoredEncoder(ABC):
    """An encoder in a folder.

    Args:
        folder: That its own library reads.
    """

    kind: ClassVar[str]
    """What its own library calls it, for the card."""
    rate: int = RATE
    """Of the samples that the encoder reads, in hertz."""

    def __init__(self, folder: Path):
        self.folder = folder

    @classmethod
    @abstractmethod
    def fits(cls, folder: Path) -> bool:
        """Is the folder of this kind?"""

    @property
    def files(self) -> Mapping[str, Path]:
        """Name -> file, of everything that an embedding depends on."""
        return {path.name: path for path in self.folder.iterdir() if path.is_file()}

    @abstractmethod
    def load(self) -> nn.Module:
        """The encoder, with the gates that the folder holds.

        Raises:
            RedactError: A file is missing, damaged, or could run code.
        """

    @abstractmethod
    def save(self, bare: nn.Module, gates: Sequence[Gate], target: Path) -> None:
        """Write what the library reads: the encoder ``bare`` with ``gates`` behind it."""

    def copy_others(self, target: Path, written: Callable[[Path], bool]) -> None:
        """Copy what lies beside the weights: neither cards and gates of ours, nor what is ``written`` or left out."""
        for path in sorted(self.folder.iterdir()):
            if path.is_file() and not is_ours(path.name) and not written(path):
                shutil.copyfile(path, target / path.name)


class SpeechBrainFolder(StoredEncoder):
    """``hyperparams.yaml``, which names the gates too."""

    kind = "SpeechBrain EncoderClassifier"

    @classmethod
    def fits(cls, folder: Path) -> bool:
        return (folder / HPARAMS).is_file()

    def load(self) -> nn.Module:
        return load_encoder(self.folder)

    def save(self, bare: nn.Module, gates: Sequence[Gate], target: Path) -> None:
        assert isinstance(bare, VoiceEncoder)
        save_encoder(bare, self.folder, target, gates)


class ResemblyzerFile(StoredEncoder):
    """``pretrained.pt`` as it was, and ``voice_gates.pt``: its code has no place for gates."""

    kind = "Resemblyzer VoiceEncoder"
    weights = "pretrained.pt"

    def __init__(self, folder: Path | None = None):
        self.path = ge2e.weights() if folder is None else folder / self.weights
        super().__init__(self.path.parent)

    @classmethod
    def fits(cls, folder: Path) -> bool:
        return (folder / cls.weights).is_file()

    @property
    def files(self) -> Mapping[str, Path]:
        gates = {path.name: path for path in self.folder.glob(f"{PREFIX}*") if path.is_file()}
        return {self.weights: self.path} | gates

    def load(self) -> nn.Module:
        return behind(ge2e.load_ge2e(self.path), read_gates(self.folder))

    def save(self, bare: nn.Module, gates: Sequence[Gate], target: Path) -> None:
        shutil.copyfile(self.path, target / self.weights)
        if gates:
            write_gates(gates, target)


def is_ours(name: str) -> bool:
    """A file called so, without its folder, is one that redact writes beside the weights: a card, or gates."""
    return name in OWN_FILES or name.startswith(PREFIX)


def behind(encoder: nn.Module, gates: Sequence[Gate]) -> nn.Module:
    """``encoder`` with ``gates`` behind it, if there are any."""
    return GatedEncoder(encoder, gates).eval() if gates else encoder
