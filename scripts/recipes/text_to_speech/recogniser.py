"""Stage 4: the recogniser that grades intelligibility: a small Conformer with CTC over letters.

    python scripts/recipes/text_to_speech/recogniser.py --out runs/speech

It learns from the synthetic voices' own audio, never from generated speech.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn.functional import ctc_loss
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from lightning_modules.support.one_line import one_line
from modalities.text_to_speech.judges.recogniser import LETTERS, Recogniser, error_rate, log_mels
from scripts.experiments.stages import Run, set_rate

sys.path.insert(0, str(Path(__file__).parent))
from corpus import read


def corrupt(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """SpecAugment, noise and blur over time: generated speech is smoother than recordings."""
    x = x + 0.3 * rng.random() * torch.from_numpy(rng.standard_normal(x.shape).astype(np.float32))
    if rng.random() < 0.4:
        width = int(rng.choice([3, 5]))
        x = torch.nn.functional.avg_pool1d(x.transpose(1, 2), width, 1, width // 2).transpose(1, 2)
    low = rng.integers(0, 70)
    x[:, :, low : low + rng.integers(0, 12)] = x.mean()
    start = rng.integers(0, max(1, x.shape[1] - 12))
    x[:, start : start + rng.integers(0, 8)] = x.mean()
    return x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    args = parser.parse_args()
    torch.manual_seed(3)
    corpus = read(args.out)
    rows = corpus.where("train", "more", "judge", synthetic=True)
    # every other utterance comes out of the vocoder, as generated speech does
    vocoded = {*corpus.every_other("judge"), *corpus.every_other("train", "more")}
    mels = [
        log_mels(torch.from_numpy(corpus.wave(i, i in vocoded)))
        for i in tqdm(rows, desc="spectrograms", mininterval=5)
    ]
    target = [torch.tensor([1 + LETTERS.index(c) for c in str(corpus.text[i])]) for i in rows]
    model = Recogniser().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-3, betas=(0.9, 0.98))
    run = Run(args.out, "recogniser", args.steps, {"model": model, "optimizer": optimizer})
    order = np.argsort([len(mel) for mel in mels])
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 200)
        rng = np.random.default_rng(step)
        torch.manual_seed(step)
        first = rng.integers(len(order) - 6 * args.batch)
        pick = rng.choice(order[first : first + 6 * args.batch], args.batch, replace=False)
        lengths = torch.tensor([len(mels[i]) for i in pick])
        x = corrupt(pad_sequence([mels[i] for i in pick], batch_first=True), rng)
        scores, frames = model(x, lengths)
        said = [target[i] for i in pick]
        loss = ctc_loss(
            scores.transpose(0, 1),
            torch.cat(said),
            frames,
            torch.tensor([len(t) for t in said]),
            zero_infinity=True,
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        run.log(loss=loss.item())
    folder = args.out / "recogniser"
    folder.mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.eval().state_dict().items()}, folder / "model.safetensors")
    run.finish()
    test = corpus.where("test", synthetic=True)
    heard = [model.read(torch.from_numpy(corpus.wave(i))) for i in test]
    rate = error_rate(heard, [str(corpus.text[i]) for i in test])
    print(f"character error rate on {len(test)} unseen clips: {rate:.3f}")


if __name__ == "__main__":
    with one_line():
        main()
