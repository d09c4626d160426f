"""Folders of people for scripts/experiments/real_people.py, from the development data.

    REDACT_DATA=/path/to/data python scripts/experiments/development_people.py --out OUT

OUT/people holds ten LibriSpeech speakers with eight clips each, eighths of one recording, and the six speakers of FSDD with
twelve clips of five digits. OUT/others holds the other LibriSpeech speakers, a recording each.
"""

import argparse
import shutil
from pathlib import Path

import soundfile
from development_data import data_folder, fsdd_clips, interleaved
from tqdm import tqdm

PIECES, LONG_S, CLIPS = 8, 14.5, 12


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    files = sorted((data_folder("librispeech251") / "librispeech251").glob("*.flac"))
    chosen = [path for path in files if soundfile.info(path).duration > LONG_S][:40:4]
    (out / "others").mkdir(parents=True, exist_ok=True)
    for path in tqdm(files, desc="LibriSpeech", unit="speaker"):
        if path not in chosen:
            shutil.copyfile(path, out / "others" / path.name)
            continue
        wave, rate = soundfile.read(path)
        folder = out / "people" / f"ls{path.stem.partition('-')[0]}"
        folder.mkdir(parents=True, exist_ok=True)
        n = len(wave) // PIECES
        for i, k in enumerate(interleaved(PIECES)):
            soundfile.write(folder / f"{i}.flac", wave[k * n : (k + 1) * n], rate)
    for speaker, clips, rate in fsdd_clips(CLIPS):
        folder = out / "people" / f"fsdd_{speaker}"
        folder.mkdir(parents=True, exist_ok=True)
        for c, wave in enumerate(clips):
            soundfile.write(folder / f"{c:02d}.wav", wave, rate)


if __name__ == "__main__":
    main()
