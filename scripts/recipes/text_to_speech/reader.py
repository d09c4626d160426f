"""Stage 3a: a reader of spectrograms, whose opinion teaches SpeechT5 to speak clearly.

    python scripts/recipes/text_to_speech/reader.py --out runs/speech
    python scripts/recipes/text_to_speech/reader.py --out runs/speech --real --steps 600

Letters by CTC from the log-mels that SpeechT5 writes. A mean of spectrograms is near to all of them
and reads as none: the reader's loss tells stage 3b what the ear needs. It is no judge; the
recogniser of stage 4 is another network on other features.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss, log_softmax
from torch.nn.utils.rnn import pad_sequence
from transformers import SpeechT5Processor

from scripts.experiments.stages import Run, finished, set_rate

sys.path.insert(0, str(Path(__file__).parent))
from corpus import read
from pieces import pieces
from tts import spectrograms

SILENCE = -4.0
"""What follows a shorter utterance in a batch."""


class Reader(nn.Module):
    """``(batch, frames, 80)`` log-mels to ``(batch, frames / 2, letters)`` log-probabilities; 0 is blank."""

    def __init__(self, letters: int, width: int = 192, layers: int = 5):
        super().__init__()
        self.first = nn.Conv1d(80, width, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, width), nn.Conv1d(width, width, 5, padding=2), nn.GELU(),
                nn.Dropout(0.1), nn.Conv1d(width, width, 1),
            )
            for _ in range(layers)
        )  # fmt: skip
        self.last = nn.Conv1d(width, letters, 1)

    def forward(self, mels: Tensor) -> Tensor:
        x = self.first(mels.transpose(1, 2))
        for block in self.blocks:
            x = x + block(x)
        return log_softmax(self.last(x).transpose(1, 2), 2)

    def loss(self, mels: Tensor, frames: Tensor, ids: list[Tensor]) -> Tensor:
        """CTC of the token ``ids`` (end mark left out); padding of ``mels`` is to be finite."""
        said = [i[:-1] for i in ids]
        lengths = torch.tensor([len(s) for s in said])
        scores = self(mels).transpose(0, 1)
        return ctc_loss(scores, torch.cat(said), (frames + 1) // 2, lengths, zero_infinity=True)


def disturbed(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Noise, and now and then a blur over time and pitch: what is to be read will not be sharp."""
    x = x + 0.3 * float(rng.random()) * torch.randn(x.shape)
    if rng.random() < 0.5:
        x = nn.functional.avg_pool2d(x[:, None], (3, 3), 1, 1, count_include_pad=False)[:, 0]
    low, start = int(rng.integers(0, 68)), int(rng.integers(0, max(1, x.shape[1] - 10)))
    x[:, :, low : low + int(rng.integers(0, 12))] = x.mean()
    x[:, start : start + int(rng.integers(0, 6))] = x.mean()
    return x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--real", action="store_true", help="go on, with every other batch of real speakers")
    args = parser.parse_args()
    torch.manual_seed(5)
    corpus, prepare = read(args.out), SpeechT5Processor.from_pretrained(args.out / "tts")
    rows = corpus.where("train", synthetic=True)
    mels = spectrograms(args.out, corpus, rows, prepare.feature_extractor)
    said = [str(corpus.text[i]) for i in rows]
    groups = [np.arange(len(rows))]
    model = Reader(len(prepare.tokenizer)).train()
    if args.real:
        model.load_state_dict(finished(args.out, "reader"))
        real = pieces(args.out)
        rows = real.where("train")
        mels += spectrograms(args.out, real, rows, prepare.feature_extractor, "mels_of_pieces")
        groups.append(np.arange(len(said), len(mels)))
        said += [str(real.text[i]) for i in rows]
    ids = [torch.tensor(prepare.tokenizer(text).input_ids) for text in said]
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-2, betas=(0.9, 0.98))
    name = "reader_real" if args.real else "reader"
    run = Run(args.out, name, args.steps, {"model": model, "optimizer": optimizer})
    orders = [group[np.argsort([len(mels[i]) for i in group])] for group in groups]
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        rng = np.random.default_rng(step)
        torch.manual_seed(step)
        order = orders[step % len(orders)]
        first = rng.integers(len(order) - 6 * args.batch)
        pick = rng.choice(order[first : first + 6 * args.batch], args.batch, replace=False)
        x = pad_sequence([mels[i].float() for i in pick], batch_first=True, padding_value=SILENCE)
        loss = model.loss(
            disturbed(x, rng), torch.tensor([len(mels[i]) for i in pick]), [ids[i] for i in pick]
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        run.log(loss=loss.item())
    run.finish()


if __name__ == "__main__":
    main()
