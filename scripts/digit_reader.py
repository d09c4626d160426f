"""Spoken digits as text, by a recogniser that had no part in training anything here: CMU PocketSphinx."""

import sys

import torch
from torch import Tensor
from torch.nn.functional import pad

from modalities.sound.clips import RATE

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
GRAMMAR = (
    f"#JSGF V1.0; grammar digits; <digit> = {' | '.join(WORDS)}; public <said> = <digit> <digit> <digit>;"
)


class DigitReader:
    """Waveforms ``(samples,)`` at 16 kHz -> the three digits that are said, as words; empty if none are heard."""

    def __init__(self) -> None:
        try:
            from pocketsphinx import Config, Decoder
        except ImportError:
            sys.exit("Install pocketsphinx (it is in the extra recipes): pip install -e '.[recipes]'")
        self._decoder = Decoder(Config(samprate=RATE, loglevel="FATAL"))
        self._decoder.add_jsgf_string("digits", GRAMMAR)
        self._decoder.activate_search("digits")

    def __call__(self, wave: Tensor) -> str:
        # its end of speech is found by silence, which joined recordings do not have
        sound = pad(wave / (2 * wave.abs().max().clamp(min=1e-4)), (RATE // 4, RATE // 4))
        self._decoder.start_utt()
        self._decoder.process_raw((sound * 32767).to(torch.int16).numpy().tobytes(), full_utt=True)
        self._decoder.end_utt()
        heard = self._decoder.hyp()
        return heard.hypstr if heard else ""


def digits_right(said: str, heard: str) -> int:
    """How many of the three digits are heard at their place."""
    return sum(a == b for a, b in zip(said.split(), heard.split(), strict=False))
