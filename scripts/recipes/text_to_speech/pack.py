"""Half-precision folders for the package: text-to-speech model, encoder, judges, clips of voices.

    python scripts/recipes/text_to_speech/pack.py --runs runs/speech --out modalities/text_to_speech/bundled

Voices of the bank are the synthetic ones, three clips each, and real strangers (LibriSpeech, CC BY
4.0), one each. ``unseen`` holds clips that no stage learnt from. One voice has more clips: the one
that the demonstration redacts.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch
from safetensors.torch import load_file, save_file
from transformers import SpeechT5ForTextToSpeech, SpeechT5HifiGan

sys.path.insert(0, str(Path(__file__).parent))
from corpus import RATE, Corpus, read

from lightning_modules.support.one_line import one_line
from modalities.stated_dtype import load_in_float32

DEMO = "voice21"
STRANGERS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    for name in ("tts", "encoder", "verifier", "recogniser", "vocoder", "voices", "unseen"):
        shutil.rmtree(args.out / name, ignore_errors=True)
    corpus = read(args.runs)
    speech(args.runs / "tts_voice", args.out / "tts")
    for name in ("encoder", "verifier"):
        speaker(args.runs / name, args.out / name)
    (args.out / "recogniser").mkdir(parents=True)
    state = load_file(args.runs / "recogniser" / "model.safetensors")
    save_file({k: half(v) for k, v in state.items()}, args.out / "recogniser" / "model.safetensors")
    if (args.runs / "vocoder").is_dir():
        SpeechT5HifiGan.from_pretrained(args.runs / "vocoder").half().save_pretrained(args.out / "vocoder")
    clips(corpus, args.out)
    shutil.copy(args.runs / "times.json", args.out / "recipe.json")
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {size / 1e6:.1f} MB")


def half(value: torch.Tensor) -> torch.Tensor:
    return value.half().contiguous() if value.is_floating_point() else value.contiguous()


def speech(source: Path, target: Path) -> None:
    SpeechT5ForTextToSpeech.from_pretrained(source).half().save_pretrained(target)
    for path in source.iterdir():
        if path.is_file() and not (target / path.name).exists():
            shutil.copy(path, target / path.name)
    load_in_float32(target)


def speaker(source: Path, target: Path) -> None:
    """SpeechBrain's own format, in single precision: an artefact keeps the number format of its base."""
    target.mkdir(parents=True)
    for name in ("hyperparams.yaml", "embedding_model.ckpt"):
        shutil.copyfile(source / name, target / name)


def clips(corpus: Corpus, out: Path) -> None:
    rng = np.random.default_rng(5)
    for s, name in enumerate(corpus.names):
        own = np.flatnonzero(corpus.speaker == s)
        train, test = own[corpus.split[own] == "train"], own[corpus.split[own] == "test"]
        if corpus.synthetic[s]:
            many = str(name) == DEMO
            write(corpus, rng.choice(train, 10 if many else 3, replace=False), out / "voices" / name)
            write(corpus, rng.choice(test, 10 if many else 1, replace=False), out / "unseen" / name)
    real = corpus.where("test", synthetic=False)
    long = real[corpus.length[real] > 1.5 * RATE]
    for i in rng.choice(long, STRANGERS, replace=False):
        write(corpus, np.array([i]), out / "voices" / f"stranger{corpus.names[corpus.speaker[i]]}")


def write(corpus: Corpus, rows: np.ndarray, folder: Path) -> None:
    """Opus, whose headers are small; real clips are cut to two seconds."""
    folder.mkdir(parents=True)
    for number, i in enumerate(rows):
        wave = corpus.wave(i)[: 2 * RATE]
        soundfile.write(
            folder / f"{number}.ogg", wave, RATE, format="OGG", subtype="OPUS", compression_level=0.9
        )
    if any(corpus.text[i] for i in rows):
        texts = {f"{number}.ogg": str(corpus.text[i]) for number, i in enumerate(rows)}
        (folder / "texts.json").write_text(json.dumps(texts, indent=1, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    with one_line():
        main()
