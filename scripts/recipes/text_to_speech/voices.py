"""Synthetic voices: eSpeak NG variants, accents, pitches and rates, through its C interface.

Development only (``espeakng-loader``); nothing of it is shipped but what models learnt from it.
"""

import ctypes
import random
from dataclasses import dataclass

import espeakng_loader
import numpy as np
import torch
from torchaudio.functional import resample

RATE = 16_000
_VARIANTS = [
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "m1",
    "m2",
    "m3",
    "m4",
    "m5",
    "m6",
    "m7",
    "m8",
    "klatt",
    "klatt2",
    "klatt3",
    "klatt4",
    "Annie",
    "Andy",
    "Alex",
    "belinda",
    "linda",
    "steph",
    "Michael",
    "Mike",
    "Reed",
    "victor",
    "Alicia",
    "Andrea",
    "Denis",
    "Gene",
    "Hugo",
    "Jacky",
    "Lee",
    "Marco",
    "adam",
    "anika",
    "antonio",
    "aunty",
    "benjamin",
    "boris",
    "david",
    "ed",
    "edward",
    "grandma",
    "grandpa",
    "john",
    "max",
]
_ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-us-nyc")
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER


@dataclass(frozen=True)
class Voice:
    """One synthetic person."""

    name: str
    espeak: str
    pitch: int
    range: int
    speed: int


def voices() -> list[Voice]:
    """48 voices, all different in variant; two accents in three are American."""
    rng = random.Random(0)
    out = []
    for i, variant in enumerate(_VARIANTS):
        accent = _ACCENTS[(0, 1, 0, 2, 0, 3)[i % 6]]
        out.append(
            Voice(
                f"voice{i:02d}",
                f"{accent}+{variant}",
                rng.randint(25, 75),
                rng.randint(30, 70),
                rng.randint(140, 175),
            )
        )
    return out


class Espeak:
    """eSpeak NG in this process: text to float waveforms at 16 kHz."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.rate = self.library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0)
        if self.rate <= 0:
            raise RuntimeError("eSpeak NG does not start")
        self.chunks: list[np.ndarray] = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self.callback = kind(self._take)  # kept: the library holds a bare pointer
        self.library.espeak_SetSynthCallback(self.callback)

    def _take(self, wave, samples: int, _events) -> int:
        if wave and samples > 0:
            self.chunks.append(np.ctypeslib.as_array(wave, (samples,)).copy())
        return 0

    def __call__(self, voice: Voice, text: str) -> np.ndarray:
        """``(samples,)`` float32 in [-1, 1], silence cut at both ends, peak at a half."""
        if self.library.espeak_SetVoiceByName(voice.espeak.encode()) != 0:
            raise RuntimeError(f"eSpeak NG has no voice {voice.espeak}")
        for parameter, value in ((_RATE, voice.speed), (_PITCH, voice.pitch), (_RANGE, voice.range)):
            self.library.espeak_SetParameter(parameter, value, 0)
        self.chunks = []
        data = text.encode() + b"\0"
        self.library.espeak_Synth(data, len(data), 0, 1, 0, 1, None, None)
        self.library.espeak_Synchronize()
        wave = torch.from_numpy(np.concatenate(self.chunks).astype(np.float32) / 32768)
        return cut(resample(wave, self.rate, RATE).numpy())


def cut(wave: np.ndarray, margin: int = RATE // 25) -> np.ndarray:
    """Without the silence around it, save 40 ms; scaled to a peak of a half."""
    loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max())
    wave = wave[max(0, loud[0] - margin) : loud[-1] + margin]
    return wave / (2 * np.abs(wave).max())
