"""What an untouched speaker encoder makes of people's clips, each embedded once."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from modalities.sound.clips import RATE, fit_length
from modalities.text_to_speech.encoders.distortion import distort
from people.folders import wave_of


@dataclass
class Clip:
    """What the untouched encoder makes of a clip."""

    path: Path
    embedding: Tensor  # (dim,)
    variants: Tensor  # (n, dim) the clip as it is, then crops and distortions


class Listener:
    """The untouched encoder, which embeds every clip once; OUT/cache keeps what it found."""

    def __init__(self, encoder: nn.Module, name: str, folder: Path):
        self.encoder, self.folder = encoder, folder
        self.key = hashlib.sha256(name.encode()).hexdigest()[:8]
        folder.mkdir(parents=True, exist_ok=True)

    @torch.no_grad()
    def embed(self, waves: Tensor) -> Tensor:
        return self.encoder({"waveform": waves}).hidden[:, 0]

    def __call__(self, path: Path, variants: int) -> Clip:
        stat = path.stat()
        text = f"{self.key} {path.resolve()} {stat.st_size} {stat.st_mtime_ns} {variants}"
        kept = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.pt"
        if kept.is_file():
            found = torch.load(kept, weights_only=True)
        else:
            wave = wave_of(path)
            generator = torch.Generator().manual_seed(
                int(hashlib.sha256(path.name.encode()).hexdigest()[:8], 16)
            )
            short = fit_length(wave, min(max(len(wave), RATE), 6 * RATE))[None]
            rows = [self.embed(wave[None])] + [
                self.embed(distort(short, generator)) for _ in range(variants - 1)
            ]
            found = torch.cat(rows)
            torch.save(found, kept)
        return Clip(path, found[0], found)


def middle(rows: Tensor) -> Tensor:
    """``(dim,)`` of length 1."""
    return normalize(normalize(rows, dim=-1).mean(0), dim=0)


def crop(wave: Tensor, seconds: float) -> Tensor:
    """The middle of a clip; shorter ones are repeated."""
    samples = int(seconds * RATE)
    first = max(0, (len(wave) - samples) // 2)
    return fit_length(wave[first:], samples)
