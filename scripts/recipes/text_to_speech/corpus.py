"""Stage 1: the corpus. Synthetic voices saying sentences, real voices with their transcripts.

    python scripts/recipes/text_to_speech/corpus.py --out runs/speech

Splits: ``train`` for the text-to-speech model and the encoder that is redacted, ``judge`` for the
verifier, ``test`` for grades; ``more`` for the last stage of the text-to-speech model. All but
``test`` for the recogniser. A synthetic voice has its own sentences in each. A real speaker has
one utterance: its first 55 % train, the next 25 % judge, the last 20 % test.
"""

import argparse
import csv
import random
import re
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from scripts.experiments.development_data import data_folder

sys.path.insert(0, str(Path(__file__).parent))
from voices import RATE, Espeak, cut, voices

_COUNTS = {"train": 110, "judge": 40, "test": 20}
_MORE = {"more": 200, "judge": 120}  # captions only; enough to tell and to read these voices well


@dataclass(frozen=True)
class Corpus:
    """Utterances side by side in one array."""

    samples: np.ndarray  # (all samples,) int16
    start: np.ndarray
    length: np.ndarray
    speaker: np.ndarray  # index into names
    split: np.ndarray
    text: np.ndarray  # "" for parts of a real utterance
    names: np.ndarray
    synthetic: np.ndarray  # of names
    revocoded: np.ndarray | None = None  # (all samples,) int16, see revocode.py; zeros where it was not

    def wave(self, i: int, revocoded: bool = False) -> np.ndarray:
        """``(samples,)`` float32 in [-1, 1], maybe after a vocoder."""
        source = self.samples if not revocoded or self.revocoded is None else self.revocoded
        return source[self.start[i] : self.start[i] + self.length[i]].astype(np.float32) / 32768

    def where(self, *splits: str, synthetic: bool | None = None) -> np.ndarray:
        """Indices of splits, maybe of one kind of speaker."""
        chosen = np.isin(self.split, splits)
        if synthetic is not None:
            chosen &= self.synthetic[self.speaker] == synthetic
        return np.flatnonzero(chosen)

    def every_other(self, *splits: str) -> np.ndarray:
        """Half of the synthetic utterances of splits: the recogniser hears them through the vocoder."""
        return self.where(*splits, synthetic=True)[::2]


def read(out: Path) -> Corpus:
    """The corpus of :func:`main`."""
    vocoded = out / "revocoded.npy"
    extra = np.load(vocoded, mmap_mode="r") if vocoded.exists() else None
    with np.load(out / "corpus.npz") as archive:
        return Corpus(np.load(out / "corpus.npy", mmap_mode="r"), **archive, revocoded=extra)


def plain(text: str) -> str:
    """Lower-case letters, apostrophes and single spaces: what model and recogniser read."""
    return re.sub(r"[^a-z' ]+", " ", text.lower().replace("-", " ")).strip()


def sentences() -> tuple[list[str], list[str]]:
    """Short stretches of English, 12 to 40 letters: picture captions and pieces of novels; more captions."""
    found: list[str] = []
    with (data_folder("prompts") / "prompts" / "coco_30k.csv").open(encoding="utf-8") as file:
        found += [row["prompt"] for row in csv.DictReader(file)]
    with (data_folder("librispeech251") / "librispeech251" / "transcripts.csv").open(
        encoding="utf-8"
    ) as file:
        novels = [row["text"].lower().split() for row in csv.DictReader(file)]
    rng = random.Random(0)
    pieces = []
    for words in novels * 12:
        first, count = rng.randrange(max(1, len(words) - 6)), rng.randint(3, 7)
        pieces.append(" ".join(words[first : first + count]))
    rng.shuffle(found)
    few = 3 * len(pieces)

    def beginnings(captions: list[str]) -> list[str]:
        return [" ".join(plain(line).split()[: rng.randint(3, 8)]) for line in captions]

    def chosen(lines: list[str]) -> list[str]:
        kept = sorted({line for line in lines if 12 <= len(line) <= 40})
        rng.shuffle(kept)
        return kept

    lines = chosen(beginnings(found[:few]) + [plain(piece) for piece in pieces])
    told = set(lines)
    return lines, [line for line in chosen(beginnings(found[few:])) if line not in told]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    lines, more = map(iter, sentences())
    espeak, people = Espeak(), voices()
    names, synthetic = [voice.name for voice in people], [True] * len(people)
    rows: list[tuple[np.ndarray, int, str, str]] = []
    for speaker, voice in enumerate(tqdm(people, desc="synthetic voices")):
        for split, count in _COUNTS.items():
            for _ in range(count):
                text = next(lines)
                rows.append((espeak(voice, text), speaker, split, text))
    real = sorted((data_folder("librispeech251") / "librispeech251").glob("*.flac"))
    for path in tqdm(real, desc="real voices"):
        wave, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE, path
        wave = cut(wave)
        a, b = int(0.55 * len(wave)), int(0.8 * len(wave))
        names.append(path.stem.split("-")[0])
        synthetic.append(False)
        rows += [
            (part, len(names) - 1, split, "")
            for part, split in ((wave[:a], "train"), (wave[a:b], "judge"), (wave[b:], "test"))
        ]
    for split, count in _MORE.items():
        for speaker, voice in enumerate(tqdm(people, desc=f"synthetic voices, {split}")):
            rows += [(espeak(voice, text), speaker, split, text) for text in islice(more, count)]
    length = np.array([len(row[0]) for row in rows])
    samples = np.concatenate([np.round(row[0] * 32767).astype(np.int16) for row in rows])
    np.save(args.out / "corpus.npy", samples)
    np.savez(
        args.out / "corpus.npz", start=np.cumsum(length) - length, length=length,
        speaker=np.array([row[1] for row in rows]), split=np.array([row[2] for row in rows]),
        text=np.array([row[3] for row in rows]), names=np.array(names), synthetic=np.array(synthetic),
    )  # fmt: skip
    print(f"{len(rows)} utterances of {len(names)} speakers, {len(samples) / RATE / 3600:.2f} h")


if __name__ == "__main__":
    main()
