"""Stage 3b: SpeechT5 learns to go on from its own frames.

    python scripts/recipes/text_to_speech/tts_free.py --out runs/speech

Stage 3 always hears the true frame before the next one; speaking alone it hears its own, blurred
ones, and loses the thread. Here most of what the decoder hears is its own: a first pass predicts
each frame, the second pass hears the predictions in place of a share of the true frames (parallel
scheduled sampling, Duckworth et al. 2019, arXiv:1906.04331). The reader of stage 3a says in the loss
what it cannot read.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import SpeechT5ForTextToSpeech, SpeechT5Processor
from transformers.models.speecht5.modeling_speecht5 import shift_spectrograms_right

from scripts.experiments.stages import Run, finished, set_rate

sys.path.insert(0, str(Path(__file__).parent))
from corpus import read
from pieces import pieces
from reader import SILENCE, Reader
from tts import REDUCTION, Batches, Mixed, blanked


@torch.no_grad()
def predicted(model: SpeechT5ForTextToSpeech, batch: dict, heard: torch.Tensor) -> torch.Tensor:
    """The frames ``(batch, steps, 80)`` that :meth:`generate_speech` would hear after ``heard``."""
    hidden = model.speecht5(
        encoder_outputs=batch["encoder_outputs"], attention_mask=batch["attention_mask"],
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


class Spoken(NamedTuple):
    """What a model says of a batch, beside what is true."""

    loss: Tensor
    mels: Tensor  # (batch, frames, 80)
    labels: Tensor  # the same; -100 is padding
    said: Tensor  # (batch, frames) bool: no padding
    voice: Tensor  # (batch, 192)
    speakers: Tensor  # (batch,) whose voice it is
    letters: list[Tensor]
    error: float  # mean absolute

    def reading(self, reader: Reader) -> Tensor:
        """What the reader cannot read of it."""
        heard = self.mels.masked_fill(~self.said[..., None], SILENCE)
        return reader.loss(heard, self.said.sum(1), self.letters)


def start(
    out: Path, stage: str, more: bool = False, real: float = 0.0
) -> tuple[SpeechT5ForTextToSpeech, SpeechT5Processor, Batches | Mixed, Reader]:
    """The model that ``stage`` left in ``out``, in training; what it learns from, and the frozen reader.

    A share of ``real`` batches are of real speakers; the reader is then the one that learnt from them too.
    """
    model = SpeechT5ForTextToSpeech.from_pretrained(out / stage).train()
    prepare = SpeechT5Processor.from_pretrained(out / stage)
    reader = Reader(len(prepare.tokenizer)).requires_grad_(False).eval()
    reader.load_state_dict(finished(out, "reader_real" if real else "reader"))
    batches = Batches(out, read(out), prepare, more)
    if not real:
        return model, prepare, batches, reader
    return model, prepare, Mixed(batches, Batches(out, pieces(out), prepare, real=True), real), reader


def spoken(
    model: SpeechT5ForTextToSpeech, batches: Batches | Mixed, size: int, rng: np.random.Generator
) -> Spoken:
    """A batch, and what the model says of it when it mostly hears itself."""
    batch = batches(rng, size)
    ids, mask, speakers = batch.pop("input_ids"), batch["attention_mask"], batch.pop("speakers")
    # the text is read once for all passes
    batch["encoder_outputs"] = model.speecht5.encoder(ids, attention_mask=mask, return_dict=True)
    output = model(**batch, decoder_input_values=disturbed(model, batch, batches.blank, rng))
    labels = batch["labels"]
    said = labels[..., 0] != -100
    letters = [i[m.bool()] for i, m in zip(ids, mask, strict=True)]
    with torch.no_grad():
        error = (output.spectrogram - labels)[labels != -100].abs().mean().item()
    voice = batch["speaker_embeddings"]
    return Spoken(output.loss, output.spectrogram.float(), labels, said, voice, speakers, letters, error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--reading", type=float, default=0.1, help="weight of the reader's loss")
    parser.add_argument("--reading_from", type=int, default=0, help="first step that hears the reader")
    args = parser.parse_args()
    torch.manual_seed(0)
    model, prepare, batches, reader = start(args.out, "tts")
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-4, betas=(0.9, 0.98))
    run = Run(args.out, "tts_free", args.steps, {"model": model, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        rng = np.random.default_rng(step)
        torch.manual_seed(step)
        found = spoken(model, batches, args.batch, rng)
        loss, reading = found.loss, torch.zeros(())
        if step >= args.reading_from:
            reading = found.reading(reader)
            loss = loss + args.reading * reading
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        run.log(loss=found.loss.item(), mel=found.error, reading=reading.item())
    model.eval().save_pretrained(args.out / "tts_free")
    prepare.save_pretrained(args.out / "tts_free")
    run.finish()


if __name__ == "__main__":
    main()
