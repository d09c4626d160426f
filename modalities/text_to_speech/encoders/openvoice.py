"""The tone colour encoder of OpenVoice: ``ref_enc`` in ``checkpoint.pth``, built here by the sizes of its own tensors."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from modalities.json_files import read_json
from modalities.recurrent import GRU
from modalities.sound.clips import RATE
from modalities.text_to_speech.encoders.gate_files import read_gates, write_gates
from modalities.text_to_speech.encoders.stored_encoder import StoredEncoder, behind
from modalities.weight_files import below, in_dtype, unpickled
from redact_core import Conditioning, RedactError
from redact_core.errors import first_line
from redact_core.gates import Gate

_CHECKPOINT, _CONFIG, _PREFIX = "checkpoint.pth", "config.json", "ref_enc."
_NORMED = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
"""Weight normalisation as OpenVoice's files name it -> as PyTorch does now."""
_FLOOR = 1e-6
"""Added to the power of a spectrogram before its root is taken."""


class ToneColour(nn.Module):
    """``waveform (batch, samples)`` at the rate of ``sound`` -> ``hidden (batch, 1, dim)``, as ``ToneColorConverter.extract_se`` does it.

    Spectrogram, layer norm over its bins (where the checkpoint has one), convolutions with a stride of 2 in both
    directions, a GRU, and a linear map of its last state.

    Args:
        state: Tensors of ``ref_enc``, by OpenVoice's names.
        sound: ``sampling_rate``, ``filter_length``, ``hop_length`` and ``win_length`` of ``config.json``.

    Raises:
        KeyError: A tensor or a setting is missing.
    """

    window: Tensor

    def __init__(self, state: Mapping[str, Tensor], sound: Mapping[str, int]):
        super().__init__()
        self.size, self.hop = sound["filter_length"], sound["hop_length"]
        layers = sum(name.endswith("weight_v") for name in state)
        widths = [1, *(len(state[f"convs.{i}.weight_v"]) for i in range(layers))]
        bins = self.size // 2 + 1
        self.layernorm = nn.LayerNorm(bins) if "layernorm.weight" in state else None
        self.convs = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(nn.Conv2d(widths[i], widths[i + 1], 3, 2, 1))
            for i in range(layers)
        )
        for _ in range(layers):
            bins = (bins + 1) // 2
        self.gru = GRU(widths[-1] * bins, state["gru.weight_hh_l0"].shape[1], batch_first=True)
        self.proj = nn.Linear(state["proj.weight"].shape[1], len(state["proj.weight"]))
        self.register_buffer("window", torch.hann_window(sound["win_length"]), persistent=False)
        self.load_state_dict({_ours(name): value.float() for name, value in state.items()})

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        seen = self.spectrogram(inputs["waveform"].float()).transpose(1, 2)
        if self.layernorm is not None:
            seen = self.layernorm(seen)
        seen = seen.unsqueeze(1)
        for conv in self.convs:
            seen = torch.relu(conv(seen))
        _, last = self.gru(seen.transpose(1, 2).flatten(2))
        hidden = self.proj(last[0]).unsqueeze(1)
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))

    def spectrogram(self, waves: Tensor) -> Tensor:
        """``(batch, bins, frames)`` magnitudes of ``waves (batch, samples)``."""
        edge = (self.size - self.hop) // 2
        found = torch.stft(
            pad(waves, (edge, edge), mode="reflect"), self.size, self.hop, len(self.window), self.window, center=False,
            return_complex=True,
        )  # fmt: skip
        return (torch.view_as_real(found).square().sum(-1) + _FLOOR).sqrt()

    def named(self) -> dict[str, Tensor]:
        """The tensors by OpenVoice's names."""
        theirs = {ours: name for name, ours in _NORMED.items()}
        return {
            next((name.replace(o, t) for o, t in theirs.items() if name.endswith(o)), name): value
            for name, value in self.state_dict().items()
        }


class OpenVoiceFolder(StoredEncoder):
    """``config.json`` and ``checkpoint.pth`` of the tone colour converter.

    Weights that were trained go into the checkpoint, which OpenVoice's own code reads. It has no place for gates, which lie
    in ``voice_gates.pt``, for what ``extract_se`` gives.
    """

    kind = "OpenVoice ToneColorConverter"

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.rate = _rate(folder)

    @classmethod
    def fits(cls, folder: Path) -> bool:
        values = read_json(folder / _CONFIG)
        model = values.get("model") if isinstance(values, dict) else None
        return isinstance(model, dict) and {"gin_channels", "zero_g"} <= set(model)

    def load(self) -> nn.Module:
        state = below(self._values()["model"], _PREFIX)
        try:
            sound = read_json(self.folder / _CONFIG)["data"]
            if not isinstance(sound["sampling_rate"], int) or sound["sampling_rate"] < 1:
                raise KeyError("sampling_rate")
            encoder = ToneColour(state, sound)
        except (KeyError, TypeError, RuntimeError, IndexError) as error:
            reason = first_line(error)
            raise RedactError(
                f"{self.folder / _CHECKPOINT} holds no ref_enc of OpenVoice that config.json describes ({reason}); fetch it "
                "again."
            ) from error
        return behind(encoder.eval(), read_gates(self.folder))

    def save(self, bare: nn.Module, gates: Sequence[Gate], target: Path) -> None:
        assert isinstance(bare, ToneColour)
        self.copy_others(target, lambda path: path.name == _CHECKPOINT)
        values = self._values()
        stock: Mapping[str, Tensor] = values["model"]
        new = {
            _PREFIX + name: in_dtype(name, value, stock[_PREFIX + name].dtype)
            for name, value in bare.named().items()
        }
        if all(torch.equal(value, stock[name]) for name, value in new.items()):
            shutil.copyfile(self.folder / _CHECKPOINT, target / _CHECKPOINT)
        else:
            stream = io.BytesIO()
            torch.save({**values, "model": {**stock, **new}}, stream)  # the format that OpenVoice reads
            (target / _CHECKPOINT).write_bytes(stream.getbuffer())
        if gates:
            write_gates(gates, target)

    def _values(self) -> dict[str, Any]:
        if not (self.folder / _CHECKPOINT).is_file():
            raise RedactError(
                f"{self.folder / _CHECKPOINT} is missing; the folder is not complete, fetch it again."
            )
        values = unpickled(self.folder / _CHECKPOINT)
        if not isinstance(values, dict) or not isinstance(values.get("model"), dict):
            raise RedactError(f"{self.folder / _CHECKPOINT} holds no model of OpenVoice; fetch it again.")
        return values


def _rate(folder: Path) -> int:
    """Hertz of the samples that the encoder was trained on; where ``config.json`` names none, loading says so."""
    values = read_json(folder / _CONFIG)
    sound = values.get("data") if isinstance(values, dict) else None
    found = sound.get("sampling_rate") if isinstance(sound, dict) else None
    return found if isinstance(found, int) and found > 0 else RATE


def _ours(name: str) -> str:
    return next(
        (name.replace(theirs, ours) for theirs, ours in _NORMED.items() if name.endswith(theirs)), name
    )
