"""A speaker encoder by itself: whatever turns a clip into one vector, without a generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from modalities.hub import locate
from modalities.sound.bank import VoiceBank
from modalities.sound.clips import cut_off, fit_length, read_clip
from modalities.text_to_speech.cloners.chatterbox import ChatterboxFolder
from modalities.text_to_speech.cloners.paths import ParallelPaths, PathView
from modalities.text_to_speech.cloners.styletts2 import StyleTts2Folder
from modalities.text_to_speech.cloners.xtts import XttsFolder
from modalities.text_to_speech.encoders.distortion import distort
from modalities.text_to_speech.encoders.gate_files import bare_and_gates
from modalities.text_to_speech.encoders.onnx_encoder import OnnxFile
from modalities.text_to_speech.encoders.openvoice import OpenVoiceFolder
from modalities.text_to_speech.encoders.stored_encoder import (
    ResemblyzerFile,
    SpeechBrainFolder,
    StoredEncoder,
)
from modalities.text_to_speech.encoders.xvector import XVectorFolder
from modalities.text_to_speech.voices.expansion import expand
from redact_core import Adapter, Condition, Conditioning, Lesson, Objective, Origin, RedactError, Request
from redact_core.adapters.capabilities import HasOneVector, Reopens
from redact_core.gates import Gating

RESEMBLYZER = "resemblyzer"
_KINDS: tuple[type[StoredEncoder], ...] = (
    SpeechBrainFolder, ResemblyzerFile, XVectorFolder, OpenVoiceFolder, XttsFolder, ChatterboxFolder, StyleTts2Folder, OnnxFile,
)  # fmt: skip


class SpeakerEncoder(Adapter, HasOneVector, Reopens):
    """A speaker encoder alone, for verification or in front of a generator that is somebody else's.

    What :meth:`save` writes is what the encoder's own library reads. A SpeechBrain folder holds the gates in
    its ``hyperparams.yaml``, an ONNX file in its graph, under the same names of input and output. Resemblyzer's
    and OpenVoice's code and the classes of transformers have no place for them: their folders hold the weights as they were, and
    ``voice_gates.pt``, TorchScript that an embedding ``(batch, 1, dim)`` is put through.

    A voice enters XTTS, Chatterbox and StyleTTS 2 by two encoders in parallel. Both are one conditioning network here: one
    request redacts both, by weights in the files that the model's own code reads, or by gates behind each,
    ``voice_gates.PATH.pt``.

    Args:
        source: ``resemblyzer`` for the weights in its wheel; a folder with its ``pretrained.pt``; the folder or hub
            id of a SpeechBrain encoder (ECAPA-TDNN, x-vector, ResNet), of an x-vector model of transformers (WavLM,
            Wav2Vec2, UniSpeech-SAT), of OpenVoice's tone colour converter, of an XTTS of version 2, a Chatterbox or a StyleTTS 2, or of
            an ONNX file that reads samples, or filter banks as CAMPPlus does.
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
        self.stored = _stored(self.folder)
        self.encoder: nn.Module = self.stored.load()

    @property
    def origin(self) -> Origin:
        return Origin(self.source, self.stored.kind, None, self.stored.files)

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        samples = int(self.seconds * self.stored.rate)
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
        return {"waveform": distort(inputs["waveform"], generator, self.stored.rate)}

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
        self.stored.save(*bare_and_gates(self.encoder), folder)

    def vectors(self) -> Sequence[Adapter]:
        """Itself; of a voice cloner with several encoders in parallel each of them."""
        if not isinstance(self.encoder, ParallelPaths):
            return [self]
        return [PathView(self, path) for path in self.encoder.parts]

    def _read(self, condition: Condition) -> Tensor:
        if str(condition) in self.bank.voices:
            return torch.cat([read_clip(clip, self.stored.rate) for clip in self.bank.voices[str(condition)]])
        return read_clip(Path(condition), self.stored.rate)


def _stored(folder: Path | None) -> StoredEncoder:
    if folder is None:
        return ResemblyzerFile()
    for kind in _KINDS:
        if kind.fits(folder):
            return kind(folder)
    raise RedactError(
        f"{folder} holds neither hyperparams.yaml of SpeechBrain, pretrained.pt of Resemblyzer, an OpenVoice converter, an "
        "XTTS, a Chatterbox, a StyleTTS 2, an x-vector model of transformers nor an ONNX file; give the folder of a speaker encoder, or resemblyzer."
    )


@torch.no_grad()
def _likeness(adapter: SpeakerEncoder, clips: Sequence[Path]) -> Tensor:
    parts = [adapter.encode(clips[i : i + 32]).hidden[:, 0] for i in range(0, len(clips), 32)]
    return torch.cat(parts).float().cpu()
