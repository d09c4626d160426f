"""Speaker encoders as ONNX graphs (CAMPPlus of CosyVoice, WeSpeaker, 3D-Speaker), with gates inside the graph."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchaudio.compliance.kaldi import fbank

from modalities.sound.clips import RATE
from modalities.text_to_speech.encoders.gate_files import read_gates
from modalities.text_to_speech.encoders.onnx_files import onnx_session, read_graph, write_graph
from modalities.text_to_speech.encoders.onnx_gates import with_gates, without_gates
from modalities.text_to_speech.encoders.stored_encoder import StoredEncoder, behind
from modalities.text_to_speech.gate_names import TENSORS
from redact_core import Conditioning, RedactError
from redact_core.artefacts.card import OWN_FILES
from redact_core.gates import Gate
from redact_core.support.folders import files_below

_MELS = 80


class OnnxEncoder(nn.Module):
    """``waveform (batch, samples)`` at 16 kHz -> ``hidden (batch, 1, dim)``, by ONNX Runtime on the CPU; without gradients.

    A graph whose input has two dimensions reads samples. One whose input has three reads filter banks ``(1, frames, 80)``
    of Kaldi without dither and without their mean over time, as CosyVoice, WeSpeaker and 3D-Speaker compute them.

    Args:
        model: The ``ModelProto``.
        name: Of its file, for messages.
    """

    def __init__(self, model: Any, name: str):
        super().__init__()
        self.graph = model
        self.session = onnx_session(model.SerializeToString(), name, "run")
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) not in (2, 3):
            raise RedactError(
                f"{name} has {len(inputs)} inputs, the first of {len(inputs[0].shape)} dimensions; wanted is one of samples "
                "(batch, samples) or of filter banks (batch, frames, 80)."
            )
        self.reads_samples = len(inputs[0].shape) == 2

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: there is nothing in it that could change."""
        return self

    @torch.no_grad()
    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        waves = inputs["waveform"]
        hidden = (
            torch.stack([self._embed(wave.float().cpu()) for wave in waves]).unsqueeze(1).to(waves.device)
        )
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))

    def _embed(self, wave: Tensor) -> Tensor:
        values = wave[None] if self.reads_samples else banks(wave)[None]
        name = self.session.get_inputs()[0].name
        return (
            torch.from_numpy(np.asarray(self.session.run(None, {name: values.numpy()})[0])).float().flatten()
        )


def banks(wave: Tensor) -> Tensor:
    """``(frames, 80)`` of ``wave (samples,)``."""
    found = fbank(wave[None], num_mel_bins=_MELS, dither=0.0, sample_frequency=RATE)
    return found - found.mean(0, keepdim=True)


class OnnxFile(StoredEncoder):
    """One ``*.onnx``: same names of input and output with gates as without."""

    kind = "ONNX speaker encoder"

    @classmethod
    def fits(cls, folder: Path) -> bool:
        return any(folder.glob("*.onnx"))

    @property
    def path(self) -> Path:
        found = sorted(self.folder.glob("*.onnx"))
        known = [path for path in found if path.name == "campplus.onnx"] or found
        if len(known) != 1:
            raise RedactError(
                f"{self.folder} holds {len(found)} ONNX files and none is called campplus.onnx; give a folder with the "
                "speaker encoder alone."
            )
        return known[0]

    @property
    def files(self) -> Mapping[str, Path]:
        """With everything beside and below it: the models around an encoder need it in its place."""
        return files_below(self.folder)

    def load(self) -> nn.Module:
        return behind(
            OnnxEncoder(without_gates(read_graph(self.path)), str(self.path)), read_gates(self.folder)
        )

    def save(self, bare: nn.Module, gates: Sequence[Gate], target: Path) -> None:
        assert isinstance(bare, OnnxEncoder)
        for name, path in self.files.items():
            if path != self.path and name not in {*OWN_FILES, TENSORS}:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / name)
        if not gates:
            shutil.copyfile(self.path, target / self.path.name)
            return
        write_graph(with_gates(bare.graph, gates), target / self.path.name)
        tensors = {
            f"{number}.{name}": value.detach().cpu().contiguous()
            for number, gate in enumerate(gates)
            for name, value in gate.state_dict().items()
        }
        save_file(tensors, target / TENSORS, metadata={"format": "pt"})  # to add further gates later
