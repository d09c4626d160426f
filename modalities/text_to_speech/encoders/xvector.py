"""X-vector models of transformers, such as WavLM for speaker verification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import UniSpeechSatForXVector, Wav2Vec2ForXVector, WavLMForXVector

from modalities.json_files import read_json
from modalities.text_to_speech.encoders.gate_files import read_gates, write_gates
from modalities.text_to_speech.encoders.stored_encoder import StoredEncoder, behind
from modalities.weight_files import write_like
from modalities.whole_models import whole
from redact_core import Conditioning, RedactError
from redact_core.errors import first_line
from redact_core.gates import Gate

_CLASSES: Mapping[str, type[Any]] = {
    one.__name__: one for one in (WavLMForXVector, Wav2Vec2ForXVector, UniSpeechSatForXVector)
}
_WEIGHTS = "model.safetensors"
_STOCK = {".bin", ".safetensors", ".h5", ".msgpack", ".pt", ".onnx"}
"""Other weights hold the stock encoder."""
_EPS = 1e-7
"""As the feature extractor of these models adds it to the variance."""


class XVector(nn.Module):
    """``waveform (batch, samples)`` at 16 kHz -> ``hidden (batch, 1, dim)``, the ``embeddings`` of the model's output.

    Args:
        model: An x-vector model of transformers.
        normalised: Whether its feature extractor takes the mean out of a clip and divides by its deviation.
    """

    def __init__(self, model: nn.Module, normalised: bool):
        super().__init__()
        self.model, self.normalised = model, normalised

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        wave = inputs["waveform"].to(next(self.model.parameters()).dtype)
        if self.normalised:
            variance = wave.var(1, unbiased=False, keepdim=True)
            wave = (wave - wave.mean(1, keepdim=True)) / (variance + _EPS).sqrt()
        hidden = self.model(wave).embeddings.unsqueeze(1)
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))


class XVectorFolder(StoredEncoder):
    """A folder that ``from_pretrained`` reads; the class has no place for gates, which lie in ``voice_gates.pt``."""

    kind = "x-vector model of transformers"

    @classmethod
    def fits(cls, folder: Path) -> bool:
        return _named(folder) in _CLASSES

    def load(self) -> nn.Module:
        if not (self.folder / _WEIGHTS).is_file():
            raise RedactError(
                f"{self.folder} holds no {_WEIGHTS}; other kinds of weights are not read, convert them or fetch it again."
            )
        try:
            with torch.random.fork_rng([]):
                model = whole(
                    _CLASSES[_named(self.folder)], self.folder, dtype=torch.float32, use_safetensors=True
                )
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            if isinstance(error, RedactError):
                raise
            reason = first_line(error)
            raise RedactError(f"{self.folder} cannot be loaded ({reason}); fetch it again.") from error
        settings = read_json(self.folder / "preprocessor_config.json")
        normalised = bool(settings.get("do_normalize")) if isinstance(settings, dict) else False
        return behind(XVector(model, normalised).eval(), read_gates(self.folder))

    def save(self, bare: nn.Module, gates: Sequence[Gate], target: Path) -> None:
        assert isinstance(bare, XVector)
        self.copy_others(target, lambda path: path.suffix in _STOCK)
        write_like(
            self.folder / _WEIGHTS, target / _WEIGHTS, bare.model.state_dict(), type(bare.model).__name__
        )
        if gates:
            write_gates(gates, target)


def _named(folder: Path) -> str:
    values = read_json(folder / "config.json")
    named = values.get("architectures") if isinstance(values, dict) else None
    return str(named[0]) if isinstance(named, list) and named else ""
