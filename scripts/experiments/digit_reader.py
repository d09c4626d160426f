"""Spoken digits as text, by PocketSphinx."""

from sphinx import decoder, heard
from torch import Tensor

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
GRAMMAR = (
    f"#JSGF V1.0; grammar digits; <digit> = {' | '.join(WORDS)}; public <said> = <digit> <digit> <digit>;"
)


class DigitReader:
    """Waveforms ``(samples,)`` at 16 kHz -> the three digits that are said, as words; empty if none are heard."""

    def __init__(self) -> None:
        self._decoder = decoder()
        self._decoder.add_jsgf_string("digits", GRAMMAR)
        self._decoder.activate_search("digits")

    def __call__(self, wave: Tensor) -> str:
        return heard(self._decoder, wave)


def digits_right(said: str, heard: str) -> int:
    """How many of the three digits are heard at their place."""
    return sum(a == b for a, b in zip(said.split(), heard.split(), strict=False))
