"""Stage 3d: a listener to spectrograms, whose opinion teaches SpeechT5 whose voice it is.

    python scripts/recipes/text_to_speech/listener.py --out runs/speech

Tells 299 speakers by the log-mels that SpeechT5 writes. It is no judge: the verifier is another
network, on other features, and learnt from other utterances.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from speechbrain.nnet.losses import AdditiveAngularMargin
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import SpeechT5Processor

from scripts.experiments.stages import Run, set_rate

sys.path.insert(0, str(Path(__file__).parent))
from corpus import read
from tts import spectrograms


class Listener(nn.Module):
    """``(batch, frames, 80)`` log-mels to ``(batch, 128)`` of length one; 64 frames are a second."""

    def __init__(self, speakers: int, width: int = 192):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(80, width, 5, padding=2), nn.GELU(), nn.GroupNorm(8, width),
            nn.Conv1d(width, width, 3, padding=2, dilation=2), nn.GELU(), nn.GroupNorm(8, width),
            nn.Conv1d(width, width, 3, padding=3, dilation=3), nn.GELU(), nn.GroupNorm(8, width),
            nn.Conv1d(width, 2 * width, 1), nn.GELU(),
        )  # fmt: skip
        self.last = nn.Linear(4 * width, 128)
        self.speakers = nn.Parameter(torch.randn(speakers, 128))
        self.margin = AdditiveAngularMargin(margin=0.2, scale=20)

    def forward(self, mels: Tensor) -> Tensor:
        x = self.net(mels.transpose(1, 2) / 2 + 1)
        pooled = torch.cat([x.mean(2), (x.var(2) + 1e-4).sqrt()], 1)
        return normalize(self.last(pooled))

    def scores(self, heard: Tensor) -> Tensor:
        """Cosines ``(batch, speakers)`` of :meth:`forward`'s answer with every speaker."""
        return heard @ normalize(self.speakers).T

    def loss(self, heard: Tensor, speaker: Tensor) -> Tensor:
        """Cross entropy with an angular margin of :meth:`forward`'s answer."""
        truth = nn.functional.one_hot(speaker, len(self.speakers)).to(heard.dtype)
        return cross_entropy(self.margin(self.scores(heard), truth), speaker)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    args = parser.parse_args()
    torch.manual_seed(7)
    corpus, prepare = read(args.out), SpeechT5Processor.from_pretrained(args.out / "tts")
    rows = corpus.where("train")
    mels = spectrograms(args.out, corpus, rows, prepare.feature_extractor, "mels_of_all")
    own = [np.flatnonzero(corpus.speaker[rows] == s) for s in range(len(corpus.names))]
    of_kind = [np.flatnonzero(corpus.synthetic), np.flatnonzero(~corpus.synthetic)]
    model = Listener(len(corpus.names)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-2)
    run = Run(args.out, "listener", args.steps, {"model": model, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        rng = np.random.default_rng(step)
        torch.manual_seed(step)
        pick = np.concatenate([rng.choice(kind, args.batch // 2) for kind in of_kind])
        frames, windows = int(rng.integers(48, 128)), []
        for speaker in pick:
            mel = mels[rng.choice(own[speaker])].float()
            first = rng.integers(max(1, len(mel) - frames))
            windows.append(mel[(first + torch.arange(frames)) % len(mel)])
        x, speaker = torch.stack(windows), torch.from_numpy(pick)
        x = x + 0.2 * float(rng.random()) * torch.randn(x.shape) + 0.3 * torch.randn(len(x), 1, 1)
        heard = model(x)
        loss = model.loss(heard, speaker)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        right = model.scores(heard).argmax(1) == speaker
        half = args.batch // 2
        run.log(loss=loss.item(), synthetic=right[:half].float().mean().item(),
                real=right[half:].float().mean().item())  # fmt: skip
    run.finish()


if __name__ == "__main__":
    main()
