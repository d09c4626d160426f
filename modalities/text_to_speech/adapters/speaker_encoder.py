"""A speaker encoder by itself: whatever turns a clip into one vector, without a generator."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from modalities.hub import locate
from modalities.sound.bank import VoiceBank
from modalities.sound.clips import RATE, cut_off, fit_length, read_clip
from modalities.text_to_speech.encoders import ge2e
from modalities.text_to_speech.encoders.distortion import distort
from modalities.text_to_speech.encoders.encoder_settings import HPARAMS
from modalities.text_to_speech.encoders.gate_files import bare_and_gates, read_gates, write_gates
from modalities.text_to_speech.encoders.voice_encoder import VoiceEncoder, load_encoder, save_encoder
from modalities.text_to_speech.voices.expansion import expand
from redact_core import Adapter, Condition, Conditioning, Lesson, Objective, Origin, RedactError, Request
from redact_core.adapters.capabilities import HasOneVector, Reopens
from redact_core.gates import GatedEncoder, Gating

RESEMBLYZER = "resemblyzer"
_GE2E_WEIGHTS = "pretrained.pt"


class SpeakerEncoder(Adapter, HasOneVector, Reopens):
    """A speaker encoder alone, for verification or in front of a generator that is somebody else's.

    What :meth:`save` writes is what the encoder's own library reads. A SpeechBrain folder holds the gates in
    its ``hyperparams.yaml``. Resemblyzer's code has no place for them: its folder holds ``pretrained.pt`` as
    it was, and ``voice_gates.pt``, TorchScript that the embedding of ``embed_utterance`` is put through.

    Args:
        source: ``resemblyzer`` for the weights in its wheel, a folder with its ``pretrained.pt``, or the folder
            or hub id of a SpeechBrain encoder (ECAPA-TDNN, x-vector, ResNet).
        bank: Folder with one subfolder of clips for each known voice.
        seconds: Of a clip that training takes; evaluations take whole clips. Shorter ones are repeated.
        variants: Crops and distortions of each clip that training sees.

    Raises:
        RedactError: A folder of another kind, or Resemblyzer is not installed.
    """

    def __init__(
        self, source: str = RESEMBLYZER, bank: Path | None = None, seconds: float = 6.0, variants: int = 4
    ):
        if seconds < 0.5 or variants < 1:
            raise RedactError(f"seconds is {seconds} and variants {variants}; give at least 0.5 and 1.")
        self.source, self.seconds, self.variants = source, seconds, variants
        self.bank = VoiceBank(bank)
        self.folder = None if source == RESEMBLYZER else locate(source)
        self.encoder: nn.Module = _load(self.folder)

    @property
    def origin(self) -> Origin:
        if self.folder is None:
            return Origin(self.source, "Resemblyzer VoiceEncoder", None, {_GE2E_WEIGHTS: ge2e.weights()})
        kind = "SpeechBrain EncoderClassifier" if _is_speechbrain(self.folder) else "Resemblyzer VoiceEncoder"
        return Origin(self.source, kind, None, {p.name: p for p in self.folder.iterdir() if p.is_file()})

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        samples = int(self.seconds * RATE)
        return {"waveform": torch.stack([fit_length(self._read(c), samples) for c in conditions])}

    def expand(self, request: Request) -> list[Lesson]:
        """Clips of the redacted voices, and of those that stay; see :mod:`.expansion`."""
        expanded = expand(request, self.bank, partial(_likeness, self))
        self.chosen_references = expanded.chosen_references
        used = [row.asked for row in expanded.lessons if isinstance(row.asked, Path)]
        self.remarks = expanded.remarks + cut_off(used, self.seconds, "--model.adapter.seconds")
        return expanded.lessons

    def augment(self, inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Other stretches of each clip, distorted: see :mod:`.distortion`."""
        return {"waveform": distort(inputs["waveform"], generator)}

    def default_objective(self) -> Objective:
        """A gate for each voice."""
        return Gating()

    def reopen(self, folder: Path) -> SpeakerEncoder:
        """The encoder of ``folder`` with this one's settings."""
        return SpeakerEncoder(str(folder), self.bank.folder, self.seconds, self.variants)

    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        """Always refused: there is no generator."""
        raise RedactError(
            "A speaker encoder by itself makes no samples; evaluate it with scripts/experiments/real_people.py, or "
            "redact it within SpeechT5."
        )

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        """Always refused, as :meth:`generate` is."""
        raise RedactError("A speaker encoder by itself makes no samples to write.")

    def save(self, folder: Path) -> None:
        """The folder of the encoder's own library, with the gates that stand behind it."""
        bare, gates = bare_and_gates(self.encoder)
        if isinstance(bare, VoiceEncoder):
            assert self.folder is not None
            save_encoder(bare, self.folder, folder, gates)
            return
        stock = ge2e.weights() if self.folder is None else self.folder / _GE2E_WEIGHTS
        shutil.copyfile(stock, folder / _GE2E_WEIGHTS)
        if gates:
            write_gates(gates, folder)

    def _read(self, condition: Condition) -> Tensor:
        if str(condition) in self.bank.voices:
            return torch.cat([read_clip(clip) for clip in self.bank.voices[str(condition)]])
        return read_clip(Path(condition))


def _is_speechbrain(folder: Path) -> bool:
    return (folder / HPARAMS).is_file()


def _load(folder: Path | None) -> nn.Module:
    if folder is None:
        return ge2e.load_ge2e()
    if _is_speechbrain(folder):
        return load_encoder(folder)
    if not (folder / _GE2E_WEIGHTS).is_file():
        raise RedactError(
            f"{folder} holds neither hyperparams.yaml of SpeechBrain nor pretrained.pt of Resemblyzer; give the "
            "folder of a speaker encoder, or resemblyzer."
        )
    encoder, gates = ge2e.load_ge2e(folder / _GE2E_WEIGHTS), read_gates(folder)
    return GatedEncoder(encoder, gates) if gates else encoder


@torch.no_grad()
def _likeness(adapter: SpeakerEncoder, clips: Sequence[Path]) -> Tensor:
    parts = [adapter.encode(clips[i : i + 32]).hidden[:, 0] for i in range(0, len(clips), 32)]
    return torch.cat(parts).float().cpu()
