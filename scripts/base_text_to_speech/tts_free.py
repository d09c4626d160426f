"""Stage 3b: SpeechT5 learns to go on from its own frames.

    python scripts/base_text_to_speech/tts_free.py --out runs/speech

Stage 3 always hears the true frame before the next one; speaking alone it hears its own, blurred
ones, and loses the thread. Here most of what the decoder hears is its own: a first pass predicts
each frame, the second pass hears the predictions in place of a share of the true frames (parallel
scheduled sampling, Duckworth et al. 2019, arXiv:1906.04331).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import SpeechT5ForTextToSpeech, SpeechT5Processor
from transformers.models.speecht5.modeling_speecht5 import shift_spectrograms_right

from scripts.stages import Run, set_rate

sys.path.insert(0, str(Path(__file__).parent))
from corpus import read
from tts import REDUCTION, Batches, blanked


@torch.no_grad()
def predicted(model: SpeechT5ForTextToSpeech, batch: dict, heard: torch.Tensor) -> torch.Tensor:
    """The frames ``(batch, steps, 80)`` that :meth:`generate_speech` would hear after ``heard``."""
    hidden = model.speecht5(
        input_values=batch["input_ids"], attention_mask=batch["attention_mask"],
        speaker_embeddings=batch["speaker_embeddings"], decoder_input_values=heard, return_dict=True,
    )[0]  # fmt: skip
    last = model.speech_decoder_postnet.feat_out(hidden)[..., -model.config.num_mel_bins :]
    shifted, _ = shift_spectrograms_right(last)
    return shifted


def disturbed(
    model: SpeechT5ForTextToSpeech, batch: dict, blank: torch.Tensor, rng: np.random.Generator
) -> torch.Tensor:
    """What the decoder hears in training: true frames, its own frames, noise and blanks mixed."""
    true, _ = shift_spectrograms_right(batch["labels"], REDUCTION)
    rows, steps, _ = true.shape

    def chosen(rate: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(rng.random((rows, steps)) < rate[:, None])[..., None]

    heard = true
    rate = rng.random(rows) ** 0.5  # most utterances mostly from their own frames
    for _ in range(1 + int(rng.random() < 0.5)):
        heard = torch.where(chosen(rate), predicted(model, batch, heard), true)
    return blanked(heard, blank, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--lr", type=float, default=1e-3)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = SpeechT5ForTextToSpeech.from_pretrained(args.out / "tts").train()
    batches = Batches(args.out, read(args.out), SpeechT5Processor.from_pretrained(args.out / "tts"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-4, betas=(0.9, 0.98))
    run = Run(args.out, "tts_free", args.steps, {"model": model, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        rng = np.random.default_rng(step)
        torch.manual_seed(step)
        batch = batches(rng, args.batch)
        output = model(**batch, decoder_input_values=disturbed(model, batch, batches.blank, rng))
        optimizer.zero_grad()
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        labels = batch["labels"]
        with torch.no_grad():
            error = (output.spectrogram - labels)[labels != -100].abs().mean()
        run.log(loss=output.loss.item(), mel=error.item())
    model.eval().save_pretrained(args.out / "tts_free")
    run.finish()


if __name__ == "__main__":
    main()
