"""Folders of people for scripts/experiments/real_people.py, from the development data.

    REDACT_DATA=/path/to/data python scripts/experiments/development_people.py --out OUT

OUT/people holds ten LibriSpeech speakers with eight clips each, eighths of one recording, and the six speakers of FSDD with
twelve clips of five digits. OUT/others holds the other LibriSpeech speakers, a recording each.
"""

import argparse
import io
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import soundfile
from development_data import data_folder
from tqdm import tqdm

PIECES, LONG_S, CLIPS, DIGITS = 8, 14.5, 12, 5


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
        for i, k in enumerate((*range(0, PIECES, 2), *range(1, PIECES, 2))):
            soundfile.write(folder / f"{i}.flac", wave[k * n : (k + 1) * n], rate)
    rng, speakers = random.Random(0), dict[str, list[str]]()
    with zipfile.ZipFile(data_folder("fsdd") / "fsdd" / "fsdd_wav.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".wav"):
                speakers.setdefault(Path(name).stem.split("_")[1], []).append(name)
        for speaker, names in speakers.items():
            rng.shuffle(names)
            folder = out / "people" / f"fsdd_{speaker}"
            folder.mkdir(parents=True, exist_ok=True)
            for c in range(CLIPS):
                some = names[c * DIGITS : (c + 1) * DIGITS]
                sounds = [soundfile.read(io.BytesIO(archive.read(x))) for x in some]
                soundfile.write(folder / f"{c:02d}.wav", np.concatenate([x for x, _ in sounds]), sounds[0][1])


if __name__ == "__main__":
    main()
