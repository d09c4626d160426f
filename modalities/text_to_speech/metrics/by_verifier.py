"""What scorers by the independent verifier share: its networks, its files, and how a sample is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from modalities.sound.bank import VoiceBank
from modalities.text_to_speech.judges.gallery import gallery_files
from modalities.text_to_speech.judges.judge import BUNDLED, VoiceJudge
from modalities.text_to_speech.judges.sound_files import read_sound
from redact_core import Scorer
from redact_core.metrics.judge import Judge
from redact_core.support.paths import at_home


class ByVerifier(Judge):
    """A judge that asks :class:`~modalities.text_to_speech.judges.judge.VoiceJudge`."""

    judge: VoiceJudge

    @property
    def networks(self) -> Sequence[nn.Module]:
        return self.judge.networks


class BankScorer(ByVerifier, Scorer):
    """Scores samples beside the enrolled voices of a bank.

    Args:
        bank: Folder with one subfolder of clips for each enrolled voice; default: the bundled one.
        folder: With the judges' weights; default: the bundled ones.
    """

    def __init__(self, bank: Path | None = None, folder: Path | None = None):
        self.folder = at_home(folder or BUNDLED)
        self.bank = VoiceBank(bank or BUNDLED / "voices")
        self.judge = VoiceJudge(self.bank.voices, folder)

    @property
    def files(self) -> Mapping[str, Path]:
        return gallery_files(self.folder, self.bank)

    def read(self, path: Path) -> Tensor:
        return read_sound(path)
