"""A tiny random vocoder written to disk, and a bank of voices that differ in pitch."""

from pathlib import Path

import soundfile
import torch
from tiny_speech import voice

from modalities.mel_to_speech import model_folder

CONFIG = {
    "architecture": "diffwave", "rate": 8000, "hop": 128, "bands": 12, "layers": 3, "channels": 4,
    "cycle": 2, "fold": 4, "factors": [4, 4], "window": 6, "noise_schedule": [0.01, 0.1, 0.5], "gain": 2.0,
}  # fmt: skip
PITCHES = {"amy": 220.0, "ben": 110.0, "cat": 185.0, "dan": 130.0}


def tiny_vocoder(folder: Path) -> Path:
    torch.manual_seed(0)
    conditioner, generator = model_folder.build(CONFIG)
    torch.nn.init.normal_(generator.last.weight, std=0.1)
    folder.mkdir(parents=True)
    model_folder.write(folder, CONFIG, conditioner, generator)
    return folder


def pitched_bank(folder: Path, clips: int = 3) -> Path:
    for s, (name, pitch) in enumerate(PITCHES.items()):
        (folder / name).mkdir(parents=True)
        for i in range(clips):
            wave = voice(pitch * (1 + 0.02 * i), 0.9 + 0.1 * i, 10 * s + i)
            soundfile.write(folder / name / f"{i}.wav", wave, 16_000)
    return folder
