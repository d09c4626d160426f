"""The same clip over another channel: noise, a telephone, a room, an overdriven microphone, a codec."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import soundfile
import torch
from torch import Tensor
from torchaudio.functional import (
    fftconvolve,
    highpass_biquad,
    lowpass_biquad,
    mu_law_decoding,
    mu_law_encoding,
    resample,
)

from modalities.sound.clips import RATE
from modalities.text_to_speech.attacks.clip_attack import ClipAttack, known_changes
from modalities.text_to_speech.attacks.voices import cloner
from redact_core import Access, Adapter, Attempt, PlanRow

Change = Callable[[Tensor, torch.Generator], Tensor]
"""``(samples,)`` at 16 kHz to as many."""


def noise(snr: float) -> Change:
    """White noise, ``snr`` dB below the mean power of the clip."""

    def change(wave: Tensor, generator: torch.Generator) -> Tensor:
        level = wave.square().mean().sqrt() * 10 ** (-snr / 20)
        return wave + level * torch.randn(len(wave), generator=generator)

    return change


def telephone(wave: Tensor, generator: torch.Generator) -> Tensor:
    """300 to 3400 Hz at 8 kHz, as a telephone line passes on."""
    del generator
    narrow = resample(wave, RATE, RATE // 2)
    narrow = lowpass_biquad(highpass_biquad(narrow, RATE // 2, 300), RATE // 2, 3400)
    return resample(narrow, RATE // 2, RATE)[: len(wave)]


def room(seconds: float) -> Change:
    """Reverberation: noise that has decayed by 60 dB after ``seconds`` (Polack's model), as loud as before."""

    def change(wave: Tensor, generator: torch.Generator) -> Tensor:
        time = torch.arange(int(seconds * RATE)) / RATE
        response = torch.randn(len(time), generator=generator) * 10 ** (-3 * time / seconds)
        response = 0.3 * response / response.norm()
        response[0] = 1.0  # the direct sound
        wet = fftconvolve(wave, response)[: len(wave)]
        return wet * (wave.norm() / wet.norm())

    return change


def overdriven(wave: Tensor, generator: torch.Generator) -> Tensor:
    """Clipped at a fifth of its peak, then as loud as before: a recording that was turned up too far."""
    del generator
    limit = 0.2 * wave.abs().max()
    cut = wave.clamp(-limit, limit)
    return cut * (wave.norm() / cut.norm())


def mu_law(wave: Tensor, generator: torch.Generator) -> Tensor:
    """Eight bits a sample on the logarithmic scale of ITU-T G.711."""
    del generator
    return mu_law_decoding(mu_law_encoding(wave.clamp(-1, 1), 256), 256)


def codec(kind: str, subtype: str) -> Change:
    """Through a lossy codec of libsndfile at about its lowest quality."""

    def change(wave: Tensor, generator: torch.Generator) -> Tensor:
        del generator
        file = io.BytesIO()
        soundfile.write(
            file, wave.numpy(), RATE, format=kind, subtype=subtype, compression_level=0.99
        )  # MP3 refuses 1
        file.seek(0)
        samples, rate = soundfile.read(file, dtype="float32")
        heard = resample(torch.from_numpy(samples), rate, RATE)[: len(wave)]
        return torch.nn.functional.pad(heard, (0, len(wave) - len(heard)))

    return change


CHANGES: Mapping[str, Change] = {
    "noise 20 dB": noise(20),
    "noise 10 dB": noise(10),
    "noise 5 dB": noise(5),
    "telephone": telephone,
    "room 0.3 s": room(0.3),
    "room 0.8 s": room(0.8),
    "overdriven": overdriven,
    "mu-law": mu_law,
    "opus": codec("OGG", "OPUS"),
    "vorbis": codec("OGG", "VORBIS"),
    "mp3": codec("MP3", "MPEG_LAYER_III"),
}
"""What may happen to a clip on its way."""


class ChannelChange(ClipAttack):
    """Each row's clip over another channel, in turn.

    Args:
        changes: Names of :data:`CHANGES`; default: all that this build of libsndfile can do.
        folder: Where the clips are written.

    Raises:
        RedactError: An unknown change was named.
    """

    access: ClassVar[Access] = "prompt"
    adaptive = False

    def __init__(self, changes: tuple[str, ...] = (), folder: Path | None = None):
        super().__init__(folder)
        known_changes(changes, CHANGES)
        self.changes = changes or tuple(name for name in CHANGES if _available(name))

    @property
    def budget(self) -> str:
        return f"1 of {len(self.changes)} channels"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del model
        generator = torch.Generator().manual_seed(seed)
        found: list[Attempt] = []
        for i, row in enumerate(rows):
            name = self.changes[i % len(self.changes)]
            wave = CHANGES[name](cloner(base).waveform(row.condition), generator)
            # a clip that leaves the range would be refused as clipped
            wave = wave * (0.95 / wave.abs().max().clamp(min=0.95))
            found.append(Attempt(condition=self.write(i, name, wave), queries=1))
        return found


def _available(name: str) -> bool:
    formats = soundfile.available_formats()
    if name == "mp3":
        return "MP3" in formats
    if name in ("opus", "vorbis"):
        return name.upper() in soundfile.available_subtypes("OGG")
    return True
