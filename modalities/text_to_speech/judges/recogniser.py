"""The bundled recogniser: reads short English sentences letter by letter, to grade intelligibility.

A small Conformer with connectionist temporal classification (Graves et al. 2006). It reads the
bundled base's synthetic voices well and other speech badly: always print its error on real clips
of the same voices beside its error on generated ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchaudio.functional import edit_distance
from torchaudio.models import Conformer
from torchaudio.transforms import MelSpectrogram

from redact_core.support.paths import at_home

LETTERS = "abcdefghijklmnopqrstuvwxyz' "
RATE = 16_000
_MELS, _WIDTH = 64, 144
_spectrogram = MelSpectrogram(RATE, n_fft=1024, hop_length=256, f_min=60, f_max=7600, n_mels=_MELS)


def log_mels(wave: Tensor) -> Tensor:
    """``(samples,)`` at 16 kHz -> ``(frames, 64)``, mean 0 and variance 1 over the utterance."""
    mels = (_spectrogram(wave.float()).clamp(min=1e-6)).log().T
    return (mels - mels.mean()) / (mels.std() + 1e-5)


class Recogniser(nn.Module):
    """``(batch, frames, 64)`` and lengths -> log-probabilities of blank and :data:`LETTERS`, 32 ms each."""

    def __init__(self, layers: int = 4):
        super().__init__()
        self.front = nn.Sequential(
            nn.Conv1d(_MELS, _WIDTH, 5, stride=2, padding=2),
            nn.GELU(),
            nn.Conv1d(_WIDTH, _WIDTH, 3, padding=1),
            nn.GELU(),
        )
        self.body = Conformer(_WIDTH, 4, 2 * _WIDTH, layers, 15, dropout=0.1, use_group_norm=True)
        self.out = nn.Linear(_WIDTH, len(LETTERS) + 1)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, steps, 29)`` log-probabilities and the number of steps of each row."""
        steps = (lengths + 1) // 2
        hidden = self.front(x.transpose(1, 2)).transpose(1, 2)
        hidden, _ = self.body(hidden, steps)
        return self.out(hidden).log_softmax(-1), steps

    @torch.no_grad()
    def read(self, wave: Tensor) -> str:
        """What is said in ``wave (samples,)`` at 16 kHz; the best path, repeats and blanks removed."""
        if len(wave) < RATE // 10:
            return ""
        mels = log_mels(wave.cpu()).to(self.out.weight.device)
        scores, _ = self(mels[None], torch.tensor([len(mels)], device=mels.device))
        path = torch.unique_consecutive(scores[0].argmax(-1)).tolist()
        return "".join(LETTERS[i - 1] for i in path if i).strip()


def load_recogniser(folder: Path | None = None) -> Recogniser:
    """The recogniser of ``folder`` (default: the bundled one), in evaluation mode and float32."""
    folder = at_home(folder or Path(__file__).parents[1] / "bundled" / "recogniser")
    model = Recogniser()
    model.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    return model.eval().requires_grad_(False)


def error_rate(heard: Sequence[str], said: Sequence[str]) -> float:
    """Character error rate: edits over letters, all clips together; it may exceed 1."""
    edits = sum(edit_distance(list(h), list(s)) for h, s in zip(heard, said, strict=True))
    return edits / max(1, sum(map(len, said)))
