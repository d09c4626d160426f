"""Stage 1c: short pieces of the real speakers' utterances, with what is said in them.

    python scripts/recipes/text_to_speech/pieces.py --out runs/speech

The utterances are far longer than what the text-to-speech model has learnt to say. PocketSphinx aligns
their transcripts; they are cut where somebody pauses, and longer stretches between words. Words that its
dictionary lacks are left out, with their neighbours. Splits are those of ``corpus.py``, by time: what begins in
one and ends in another is left out as well.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from scripts.experiments.development_data import data_folder
from scripts.experiments.sphinx import decoder

sys.path.insert(0, str(Path(__file__).parent))
from corpus import Corpus, plain, read
from voices import RATE, cut

_FRAME = RATE // 100  # the aligner's
_PAUSE = 12  # frames
_LETTERS = (8, 48)
_ENDS = {"train": 0.55, "judge": 0.8, "test": 1.0}

Word = tuple[str, int, int]


class Aligner:
    """Waveforms and what is said in them -> words with their first and last frame of 10 ms; "" is silence."""

    def __init__(self) -> None:
        self._decoder = decoder(lm=None)

    def __call__(self, wave: np.ndarray, text: str) -> list[Word]:
        """An unknown word is ``?`` without frames, between its neighbours. Empty where nothing was aligned."""
        said = text.split()
        known = [word for word in said if self._decoder.lookup_word(word) is not None]
        if not known:
            return []
        self._decoder.set_align_text(" ".join(known))
        self._decoder.start_utt()
        self._decoder.process_raw(np.round(wave * 32767).astype(np.int16).tobytes(), full_utt=True)
        self._decoder.end_utt()
        found, rest = list[Word](), iter(said)
        for segment in self._decoder.seg() or ():
            if segment.word[0] in "<[":
                found.append(("", segment.start_frame, segment.end_frame))
                continue
            word = segment.word.split("(")[0]
            while next(rest, word) != word:
                found.append(("?", segment.start_frame, segment.start_frame))
            found.append((word, segment.start_frame, segment.end_frame))
        return found + [("?", 0, 0) for _ in rest]


def stretches(words: list[Word]) -> Iterator[list[Word]]:
    """Words between pauses. An unknown word ends a stretch too, and its neighbours, which took its frames, go with it."""
    run: list[Word] = []
    after_unknown = False
    for word in [*words, ("", 0, _PAUSE)]:
        unknown, pause = word[0] == "?", word[0] == "" and word[2] - word[1] >= _PAUSE
        if unknown or pause:
            yield run[:-1] if unknown else run
            run = []
        elif word[0] and not after_unknown:
            run.append(word)
        after_unknown = unknown


def short(run: list[Word]) -> Iterator[list[Word]]:
    """A stretch in parts of about equal numbers of words, none with too many letters."""
    count = 1
    while count < len(run):
        parts = np.array_split(np.arange(len(run)), count)
        if all(sum(len(run[i][0]) + 1 for i in part) <= _LETTERS[1] for part in parts):
            break
        count += 1
    for part in np.array_split(np.arange(len(run)), count):
        piece = [run[i] for i in part]
        if _LETTERS[0] <= sum(len(word) + 1 for word, _, _ in piece) <= _LETTERS[1]:
            yield piece


def split_of(first: float, last: float) -> str | None:
    """The split in which a piece lies, ``first`` to ``last`` in shares of the utterance."""
    begin = 0.0
    for split, end in _ENDS.items():
        if begin <= first and last <= end:
            return split
        begin = end
    return None


def pieces(out: Path) -> Corpus:
    """The pieces of :func:`main`, with the speakers of the corpus."""
    whole = read(out)
    with np.load(out / "pieces.npz") as archive:
        return Corpus(**archive, names=whole.names, synthetic=whole.synthetic)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    folder, speakers = data_folder("librispeech251") / "librispeech251", read(args.out).names.tolist()
    with (folder / "transcripts.csv").open(encoding="utf-8") as file:
        said = {row["utterance_id"]: plain(row["text"]) for row in csv.DictReader(file)}
    align, rows = Aligner(), list[tuple[np.ndarray, int, str, str]]()
    for path in tqdm(sorted(folder.glob("*.flac")), desc="alignment"):
        wave = cut(soundfile.read(path, dtype="float32")[0])
        for run in stretches(align(wave, said[path.stem])):
            for piece in short(run):
                first, last = max(0, piece[0][1] * _FRAME), min(len(wave), (piece[-1][2] + 1) * _FRAME)
                split = split_of(first / len(wave), last / len(wave))
                if split is not None:
                    speaker = speakers.index(path.stem.split("-")[0])
                    rows.append((wave[first:last], speaker, split, " ".join(word for word, _, _ in piece)))
    length = np.array([len(row[0]) for row in rows])
    np.savez(
        args.out / "pieces.npz", samples=np.concatenate([np.round(row[0] * 32767).astype(np.int16) for row in rows]),
        start=np.cumsum(length) - length, length=length, speaker=np.array([row[1] for row in rows]),
        split=np.array([row[2] for row in rows]), text=np.array([row[3] for row in rows]),
    )  # fmt: skip
    minutes = {s: sum(len(r[0]) for r in rows if r[2] == s) / RATE / 60 for s in _ENDS}
    print(f"{len(rows)} pieces of {len({row[1] for row in rows})} speakers; minutes: "
          + ", ".join(f"{split} {value:.1f}" for split, value in minutes.items()))  # fmt: skip


if __name__ == "__main__":
    main()
