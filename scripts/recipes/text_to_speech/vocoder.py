"""Stage 3e: the vocoder, a small SpeechT5HifiGan.

    python scripts/recipes/text_to_speech/vocoder.py --out runs/speech

Log-mels to waveforms, against critics of periods (Kong et al. 2020, arXiv:2010.05646) and of spectra
at three resolutions (Jang et al. 2021, arXiv:2106.07889); before they come in, spectra alone teach.
Synthetic and real speakers, split ``train``, and the additional sentences.
"""

import argparse
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, leaky_relu, pad
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from scripts.experiments.stages import Run, set_rate

sys.path.insert(0, str(Path(__file__).parent))
from corpus import RATE, Corpus, read
from revocode import HOP, mel_spectrogram

FRAMES, MARGIN = 32, 2
FFTS = (2048, 1024, 512, 256)


def build(mean: Tensor, scale: Tensor) -> SpeechT5HifiGan:
    config = SpeechT5HifiGanConfig(
        sampling_rate=RATE, upsample_initial_channel=128, upsample_rates=[8, 8, 2, 2],
        upsample_kernel_sizes=[16, 16, 4, 4], resblock_kernel_sizes=[3, 7, 11],
        resblock_dilation_sizes=[[1, 3, 5]] * 3,
    )  # fmt: skip
    model = SpeechT5HifiGan(config)
    model.mean.copy_(mean)
    model.scale.copy_(scale)
    return model


class Mel(nn.Module):
    """What ``SpeechT5FeatureExtractor`` computes, for batches: ``(batch, samples)`` to ``(batch, frames, 80)``."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = mel_spectrogram()

    def forward(self, wave: Tensor) -> Tensor:
        return self.mel(wave).clamp(min=1e-10).log10().transpose(1, 2)


def magnitude(wave: Tensor, fft: int) -> Tensor:
    """``(batch, fft / 2 + 1, frames)`` of ``(batch, samples)``."""
    window = torch.hann_window(fft)
    found = torch.stft(wave, fft, fft // 4, window=window, return_complex=True)
    return (found.real.square() + found.imag.square() + 1e-7).sqrt()


class Critic(nn.Module):
    """Features of what it sees of a waveform ``(batch, samples)``, its scores last."""

    layers: nn.ModuleList
    last: nn.Module

    def see(self, wave: Tensor) -> Tensor:
        """``(batch, 1, height, width)``."""
        raise NotImplementedError

    def forward(self, wave: Tensor) -> list[Tensor]:
        x, features = self.see(wave), []
        for layer in self.layers:
            x = leaky_relu(layer(x), 0.1)
            features.append(x)
        return [*features, self.last(x)]


class Period(Critic):
    """The waveform, folded every ``period`` samples."""

    def __init__(self, period: int, widths: tuple[int, ...] = (1, 16, 32, 64, 96)):
        super().__init__()
        self.period = period
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0))) for a, b in pairwise(widths)
        )
        self.last = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def see(self, wave: Tensor) -> Tensor:
        return pad(wave, (0, -wave.shape[1] % self.period)).unflatten(1, (-1, self.period))[:, None]


class Spectrum(Critic):
    """The logarithm of the spectrogram."""

    def __init__(self, fft: int, width: int = 16):
        super().__init__()
        self.fft = fft
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(1 if i == 0 else width, width, (9, 3), (1 if i == 0 else 2, 1), (4, 1)))
            for i in range(4)
        )
        self.last = weight_norm(nn.Conv2d(width, 1, 3, padding=1))

    def see(self, wave: Tensor) -> Tensor:
        return magnitude(wave.float(), self.fft).log10()[:, None]


class Critics(nn.ModuleList):
    """All of them; each answers with its features, the scores last."""

    def __init__(self) -> None:
        super().__init__([*map(Period, (2, 3, 5, 7, 11)), *map(Spectrum, (1024, 512, 256))])

    def forward(self, wave: Tensor) -> list[list[Tensor]]:
        return [critic(wave) for critic in self]


class Waves:
    """Batches of pieces of the training utterances; one in four is a real person's."""

    def __init__(self, corpus: Corpus):
        self.corpus = corpus
        self.synthetic = corpus.where("train", "more", synthetic=True)
        self.real = corpus.where("train", synthetic=False)

    def __call__(self, rng: np.random.Generator, size: int) -> Tensor:
        """``(size, samples)``: ``FRAMES`` frames, and a margin for the spectrogram on either side."""
        samples = (FRAMES + 2 * MARGIN) * HOP
        out = np.zeros((size, samples), np.float32)
        for i, row in enumerate(out):
            wave = self.corpus.wave(rng.choice(self.real if i % 4 == 0 else self.synthetic))
            first = rng.integers(max(1, len(wave) - samples))
            part = wave[first : first + samples]
            row[: len(part)] = part * 10 ** rng.uniform(-0.3, 0.2)
        return torch.from_numpy(out)


def spectral(told: Tensor, true: Tensor, mel: Mel) -> Tensor:
    """How far spectra are apart: logarithms and magnitudes at four resolutions, and log-mels."""
    loss = 2 * l1_loss(mel(told), mel(true))
    for fft in FFTS:
        a, b = magnitude(told, fft), magnitude(true, fft)
        loss = loss + (l1_loss(a.log10(), b.log10()) + (a - b).norm() / b.norm()) / len(FFTS)
    return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--alone", type=int, default=1500, help="steps without the critics")
    args = parser.parse_args()
    torch.manual_seed(9)
    corpus = read(args.out)
    waves, mel = Waves(corpus), Mel()
    known = mel(waves(np.random.default_rng(0), 400)).flatten(0, 1)
    model = build(known.mean(0), known.std(0))
    model.apply_weight_norm()
    critics = Critics()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.8, 0.99), weight_decay=1e-3)
    learning = torch.optim.AdamW(critics.parameters(), lr=args.lr / 2, betas=(0.8, 0.99), weight_decay=1e-3)
    parts = {"model": model, "critics": critics, "optimizer": optimizer, "learning": learning}
    run = Run(args.out, "vocoder", args.steps, parts)
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100, 0.05)
        set_rate(learning, args.lr / 2, step, args.steps, 100, 0.05)
        rng = np.random.default_rng(step)
        true = waves(rng, args.batch)
        heard = mel(true)[:, MARGIN : MARGIN + FRAMES]
        true = true[:, MARGIN * HOP : (MARGIN + FRAMES) * HOP]
        with torch.autocast("cpu", torch.bfloat16):
            told = model(heard)
        told = told.float()
        loss = spectral(told, true, mel)
        values = {"spectral": loss.item()}
        if step >= args.alone:
            with torch.autocast("cpu", torch.bfloat16):
                good, bad = critics(true), critics(told.detach())
            telling = sum(
                (1 - g[-1].float()).square().mean() + b[-1].float().square().mean()
                for g, b in zip(good, bad, strict=True)
            )
            learning.zero_grad()
            telling.backward()
            learning.step()
            critics.requires_grad_(False)
            with torch.autocast("cpu", torch.bfloat16):
                bad = critics(told)
            critics.requires_grad_(True)
            passing = sum((1 - b[-1].float()).square().mean() for b in bad)
            matching = sum(
                l1_loss(b.float(), g.detach().float())
                for good_, bad_ in zip(good, bad, strict=True)
                for g, b in zip(good_[:-1], bad_[:-1], strict=True)
            )
            loss = 10 * loss + passing + 2 * matching
            values |= {"telling": telling.item(), "passing": passing.item(), "matching": matching.item()}
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0 if step < args.alone else 50.0)
        optimizer.step()
        run.log(**values)
    for module in model.modules():  # the model's own method looks for the old kind
        if is_parametrized(module):
            remove_parametrizations(module, "weight")
    model.eval().save_pretrained(args.out / "vocoder")
    run.finish()


if __name__ == "__main__":
    main()
