"""Train the bundled vocoder on the synthetic voices of the speech base's corpus.

    python scripts/recipes/mel_to_speech/train.py --corpus runs/speech --out runs/vocoder

``--clips FOLDER`` trains on a folder of clips instead (subfolders are entered), such as the Free
Spoken Digit Dataset; what is learnt from share-alike recordings is not shipped. Goes on from its
last checkpoint when it is called again; with another ``--steps`` too, while the learning rate has not
begun to fall.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch

from lightning_modules.support.one_line import one_line
from modalities.mel_to_speech.mel import HOP, RATE, log_mel, to_band
from modalities.mel_to_speech.model_folder import build
from modalities.mel_to_speech.networks import MARGIN
from redact_core import RedactError
from scripts.experiments.stages import Run, set_rate

sys.path.insert(0, str(Path(__file__).parents[1] / "text_to_speech"))
from corpus import RATE as CORPUS_RATE
from corpus import read

CONFIG = {
    "architecture": "diffwave", "rate": RATE, "hop": HOP, "bands": 64, "layers": 10, "channels": 32,
    "cycle": 6, "fold": 4, "factors": [4, 4], "window": 8, "noise_schedule": [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5], "gain": 2.0,
}  # fmt: skip
"""The noise schedule is the paper's fast one, of six steps."""


class Utterances:
    """Waveforms at 8 kHz, from the corpus or from a folder of clips."""

    def __init__(self, corpus: Path | None, clips: Path | None):
        self.corpus = read(corpus) if corpus else None
        if self.corpus:
            self.rows: list = self.corpus.where("train", synthetic=True).tolist()
        else:
            self.rows = sorted(
                p for p in (clips or Path()).rglob("*") if p.suffix in (".wav", ".flac", ".ogg")
            )
        if not self.rows:
            raise RedactError("There is nothing to train on; give --corpus or --clips.")

    def __call__(self, i: int) -> torch.Tensor:
        """``(samples,)``, at least two thirds of a second."""
        row = self.rows[i]
        if self.corpus:
            wave, rate = torch.from_numpy(self.corpus.wave(row)), CORPUS_RATE
        else:
            samples, rate = soundfile.read(row, dtype="float32", always_2d=True)
            wave = torch.from_numpy(samples.mean(1))
            wave = wave / (2 * wave.abs().max().clamp(min=1e-4))  # as the corpus has it
        wave = to_band(wave, rate)
        return torch.nn.functional.pad(wave, (0, max(0, 2 * RATE // 3 - len(wave))))


def batch(data: Utterances, rng: np.random.Generator, size: int, frames: int, margin: int) -> tuple:
    """``mel (size, bands, frames + 2 margin)`` and ``wave (size, 128 frames)`` of random stretches."""
    mels, waves = [], []
    for _ in range(size):
        wave = data(int(rng.integers(len(data.rows))))
        mel = log_mel(wave, CONFIG["bands"])
        start = int(rng.integers(margin, mel.shape[1] - frames - margin))
        mels.append(mel[:, start - margin : start + frames + margin])
        waves.append(wave[start * HOP : (start + frames) * HOP])
    return torch.stack(mels), torch.stack(waves)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--lr", type=float, default=2e-3)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    data = Utterances(args.corpus, args.clips)
    conditioner, generator = build(CONFIG)
    conditioner.window = args.frames
    parameters = [*conditioner.parameters(), *generator.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=args.lr, betas=(0.9, 0.98))
    parts = {"conditioner": conditioner, "generator": generator, "optimizer": optimizer}
    run = Run(args.out, "vocoder", args.steps, parts)
    for step in run:
        # constant until the last third: a run may be made longer or shorter up to there
        cool = 2 * args.steps // 3
        set_rate(optimizer, args.lr, max(0, step - cool), args.steps - cool, 1)
        rng, draw = np.random.default_rng(step), torch.Generator().manual_seed(step)
        mel, wave = batch(data, rng, args.batch, args.frames, MARGIN)
        hidden = conditioner.stretch(mel, torch.full((len(mel),), MARGIN))
        when = torch.from_numpy(rng.permutation(6)[: args.batch])  # no level twice in a step
        losses = generator.loss(wave, hidden, when, torch.randn(wave.shape, generator=draw))
        optimizer.zero_grad()
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        levels = {f"level {t}": loss.item() for t, loss in zip(when.tolist(), losses, strict=True)}
        run.log(loss=losses.mean().item(), **levels)
    run.finish()


if __name__ == "__main__":
    with one_line():
        main()
