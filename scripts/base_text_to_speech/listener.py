"""Stage 3c: a listener that tells voices apart by spectrograms; the reader's counterpart.

    python scripts/base_text_to_speech/listener.py --out runs/speech

A mean over voices is near to all of them and is nobody's: the listener's loss tells the last steps of
SpeechT5 whose voice was asked for. It is no judge; the verifier is another network, on other features
and other utterances.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import SpeechT5Processor

from scripts.stages import Run, set_rate

sys.path.insert(0, str(Path(__file__).parent))
from corpus import read
from reader import SILENCE, disturbed
from tts import spectrograms


class Listener(nn.Module):
    """``(batch, frames, 80)`` log-mels to ``(batch, voices)`` scores, by mean and deviation over time."""

    def __init__(self, voices: int, width: int = 128):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(80, width, 5, padding=2), nn.GELU(), nn.GroupNorm(1, width),
            nn.Conv1d(width, width, 5, padding=2), nn.GELU(), nn.GroupNorm(1, width),
            nn.Conv1d(width, width, 3, padding=1), nn.GELU(),
        )  # fmt: skip
        self.last = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * width, voices))

    def forward(self, mels: Tensor, frames: Tensor) -> Tensor:
        x = self.body(mels.transpose(1, 2))
        there = (torch.arange(x.shape[2]) < frames[:, None])[:, None]
        count = there.sum(2)
        mean = (x * there).sum(2) / count
        spread = (((x - mean[..., None]).square() * there).sum(2) / count + 1e-6).sqrt()
        return self.last(torch.cat([mean, spread], 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--lr", type=float, default=2e-3)
    args = parser.parse_args()
    torch.manual_seed(6)
    corpus, prepare = read(args.out), SpeechT5Processor.from_pretrained(args.out / "tts")
    rows = corpus.where("train", synthetic=True)
    mels = spectrograms(args.out, corpus, rows, prepare.feature_extractor)
    voice = torch.from_numpy(corpus.speaker[rows]).long()
    model = Listener(int(voice.max()) + 1).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-2)
    run = Run(args.out, "listener", args.steps, {"model": model, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 50)
        rng = np.random.default_rng(step)
        torch.manual_seed(step)
        pick = rng.choice(len(mels), args.batch, replace=False)
        x = pad_sequence([mels[i].float() for i in pick], batch_first=True, padding_value=SILENCE)
        scores = model(disturbed(x, rng), torch.tensor([len(mels[i]) for i in pick]))
        loss = cross_entropy(scores, voice[pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(loss=loss.item(), right=(scores.argmax(1) == voice[pick]).float().mean().item())
    run.finish()


if __name__ == "__main__":
    main()
