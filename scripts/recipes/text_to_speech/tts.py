"""Stage 3: SpeechT5, listening to the encoder of stage 2.

    python scripts/recipes/text_to_speech/tts.py --out runs/speech

Letters in, log-mel spectrograms out, four frames a decoder step, guided attention. The model hears
the embedding of *another* utterance of the same voice, so that it learns the voice, not the words.
Some of the frames that the decoder hears are blanked (Liu et al. 2020, arXiv:1909.01145): it would
rather go on from the last frame than read the text.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from safetensors.torch import load_file
from speechbrain.inference.classifiers import EncoderClassifier
from speechbrain.utils.fetching import LocalStrategy
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import (
    SpeechT5Config,
    SpeechT5FeatureExtractor,
    SpeechT5ForTextToSpeech,
    SpeechT5Processor,
    SpeechT5Tokenizer,
)
from transformers.models.speecht5.modeling_speecht5 import shift_spectrograms_right

from scripts.experiments.stages import Run, set_rate

sys.path.insert(0, str(Path(__file__).parent))
from corpus import RATE, Corpus, read

REDUCTION = 4  # with two, going on from the last frame is so easy that the text is hardly read


def processor(out: Path, corpus: Corpus) -> SpeechT5Processor:
    """The usual feature extractor, and a sentencepiece vocabulary of single letters."""
    folder = out / "tts"
    folder.mkdir(exist_ok=True)
    lines = sorted({str(text) for text in corpus.text if text})
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(folder / "spm_char"), model_type="char",
        vocab_size=32, character_coverage=1.0, hard_vocab_limit=False, num_threads=1, minloglevel=2,
        bos_id=0, pad_id=1, eos_id=2, unk_id=3,
    )  # fmt: skip
    (folder / "spm_char.vocab").unlink()
    tokenizer = SpeechT5Tokenizer(str(folder / "spm_char.model"))
    result = SpeechT5Processor(SpeechT5FeatureExtractor(), tokenizer)
    result.save_pretrained(folder)
    return SpeechT5Processor.from_pretrained(folder)


def build(vocabulary: int) -> SpeechT5ForTextToSpeech:
    model = SpeechT5ForTextToSpeech(
        SpeechT5Config(
            vocab_size=vocabulary, hidden_size=192, encoder_layers=4, encoder_attention_heads=4,
            encoder_ffn_dim=768, decoder_layers=4, decoder_attention_heads=4, decoder_ffn_dim=768,
            encoder_layerdrop=0.0, decoder_layerdrop=0.0, hidden_dropout=0.05, attention_dropout=0.05,
            activation_dropout=0.0, positional_dropout=0.05, speech_decoder_prenet_units=128,
            speech_decoder_postnet_units=128, speech_decoder_postnet_layers=3,
            speech_decoder_postnet_dropout=0.1, speaker_embedding_dim=192, reduction_factor=REDUCTION,
            max_speech_positions=800, max_text_positions=160, use_guided_attention_loss=True,
            guided_attention_loss_num_heads=2, mask_time_prob=0.0, mask_feature_prob=0.0,
            bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
            initializer_range=0.05,
        )
    )  # fmt: skip
    # with the library's 0.02 the letters drown in the encoding of their positions: attention finds
    # its way along the text, and the text is never read
    torch.nn.init.normal_(model.speecht5.encoder.prenet.embed_tokens.weight)
    return model


def spectrograms(
    out: Path, corpus: Corpus, rows: np.ndarray, extractor, name: str = "mels"
) -> list[torch.Tensor]:
    """Log-mels ``(frames, 80)`` float16 of ``rows``, whole decoder steps; computed once, kept by ``name``."""
    path = out / f"{name}.npz"
    if not path.exists():
        mels = []
        for i in tqdm(rows, desc="spectrograms", mininterval=5):
            mel = extractor(audio_target=corpus.wave(i), sampling_rate=RATE).input_values[0]
            mels.append(np.asarray(mel, np.float16)[: len(mel) // REDUCTION * REDUCTION])
        np.savez(path, mels=np.concatenate(mels), length=[len(mel) for mel in mels], rows=rows)
    with np.load(path) as archive:
        assert (archive["rows"] == rows).all(), f"{path} belongs to another corpus; remove it"
        mels = torch.from_numpy(archive["mels"])
        return [mel[: len(mel) // REDUCTION * REDUCTION] for mel in mels.split(archive["length"].tolist())]


@torch.no_grad()
def embeddings(out: Path, corpus: Corpus, rows: np.ndarray) -> torch.Tensor:
    """``(rows, 192)`` of the encoder of stage 2; the model divides by the norm itself."""
    folder = str(out / "encoder")
    encoder = EncoderClassifier.from_hparams(folder, savedir=folder, local_strategy=LocalStrategy.NO_LINK)
    found = []
    for i in tqdm(rows, desc="embeddings", mininterval=5):
        found.append(encoder.encode_batch(torch.from_numpy(corpus.wave(i))[None])[0, 0])
    return torch.stack(found)


class Batches:
    """The model's inputs, from synthetic training utterances: the voice comes from *another* one.

    With ``more`` also from the corpus's additional sentences; with ``real`` from real speakers' alone.
    """

    def __init__(
        self, out: Path, corpus: Corpus, prepare: SpeechT5Processor, more: bool = False, real: bool = False
    ):
        splits = ("train", "more") if more else ("train",)
        name = "mels_of_pieces" if real else "mels_more" if more else "mels"
        rows = corpus.where(*splits, synthetic=not real)
        self.mels = spectrograms(out, corpus, rows, prepare.feature_extractor, name)
        self.blank = torch.cat([mel[::50].float() for mel in self.mels]).mean(0)
        self.voice = embeddings(out, corpus, rows)
        self.speaker = corpus.speaker[rows]
        self.mates = {s: np.flatnonzero(self.speaker == s) for s in np.unique(self.speaker)}
        self.ids = [torch.tensor(prepare.tokenizer(str(corpus.text[i])).input_ids) for i in rows]
        self.order = np.argsort([len(mel) for mel in self.mels])  # like lengths waste less padding

    def __call__(self, rng: np.random.Generator, size: int) -> dict[str, torch.Tensor]:
        first = rng.integers(len(self.order) - 6 * size)
        pick = rng.choice(self.order[first : first + 6 * size], size, replace=False)
        other = [rng.choice(self.mates[self.speaker[i]]) for i in pick]
        text = pad_sequence([self.ids[i] for i in pick], batch_first=True, padding_value=1)
        return {
            "input_ids": text,
            "attention_mask": (text != 1).long(),
            "speaker_embeddings": self.voice[other],
            "labels": pad_sequence(
                [self.mels[i].float() for i in pick], batch_first=True, padding_value=-100.0
            ),
            "speakers": torch.from_numpy(self.speaker[pick]),
        }


class Mixed:
    """Batches of one kind or of another, with a ``share`` of the second."""

    def __init__(self, first: Batches, second: Batches, share: float):
        self.kinds, self.share, self.blank = (first, second), share, first.blank

    def __call__(self, rng: np.random.Generator, size: int) -> dict[str, torch.Tensor]:
        return self.kinds[int(rng.random() < self.share)](rng, size)


def blanked(heard: torch.Tensor, blank: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """``heard (batch, steps, 80)`` with a share of the frames replaced by ``blank (80,)``, and with noise."""
    rows, steps, _ = heard.shape
    gone = rng.random((rows, steps)) < rng.uniform(0.0, 0.5, rows)[:, None]
    heard = heard + 0.15 * float(rng.random()) * torch.randn(heard.shape)
    heard = torch.where(torch.from_numpy(gone)[..., None], blank, heard)
    return torch.cat([torch.zeros_like(heard[:, :1]), heard[:, 1:]], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--init", type=Path, help="weights of an earlier SpeechT5; those that fit are taken")
    args = parser.parse_args()
    torch.manual_seed(0)
    corpus = read(args.out)
    prepare = processor(args.out, corpus)
    batches = Batches(args.out, corpus, prepare)
    model = build(len(prepare.tokenizer)).train()
    if args.init:
        own = model.state_dict()
        state = load_file(args.init)
        model.load_state_dict(
            {k: state[k] if k in state and state[k].shape == v.shape else v for k, v in own.items()}
        )
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-4, betas=(0.9, 0.98))
    run = Run(args.out, "tts", args.steps, {"model": model, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 300)
        rng = np.random.default_rng(step)
        torch.manual_seed(step)  # dropout
        batch = batches(rng, args.batch)
        batch.pop("speakers")
        labels = batch["labels"]
        true, _ = shift_spectrograms_right(labels, REDUCTION)
        output = model(**batch, decoder_input_values=blanked(true, batches.blank, rng))
        optimizer.zero_grad()
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            error = (output.spectrogram - labels)[labels != -100].abs().mean()
        run.log(loss=output.loss.item(), mel=error.item())
    model.eval().save_pretrained(args.out / "tts")
    run.finish()


if __name__ == "__main__":
    main()
