"""Where the development data lie, and its speakers' clips. Nothing of it belongs to the project."""

import io
import os
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from redact_core import RedactError

DIGITS = 5
"""Of an FSDD speaker that make one clip."""


def interleaved(pieces: int) -> tuple[int, ...]:
    """Every second one of so many stretches of a recording, then the others: what is learnt lies between what is unseen."""
    return *range(0, pieces, 2), *range(1, pieces, 2)


def fsdd_clips(count: int) -> Iterator[tuple[str, list[NDArray[np.float32]], int]]:
    """Each of the six speakers of FSDD, with ``count`` clips ``(samples,)`` of five digits and their rate."""
    rng, speakers = random.Random(0), dict[str, list[str]]()
    with zipfile.ZipFile(data_folder("fsdd") / "fsdd" / "fsdd_wav.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".wav"):
                speakers.setdefault(Path(name).stem.split("_")[1], []).append(name)
        for speaker, names in speakers.items():
            rng.shuffle(names)
            digits = [
                soundfile.read(io.BytesIO(archive.read(name)), dtype="float32")
                for name in names[: count * DIGITS]
            ]
            clips = [
                np.concatenate([wave for wave, _ in digits[start : start + DIGITS]])
                for start in range(0, len(digits), DIGITS)
            ]
            yield speaker, clips, digits[0][1]


def data_folder(*parts: str) -> Path:
    """The folder that ``REDACT_DATA`` names.

    Raises:
        RedactError: It is not set, or ``parts`` are not in it.
    """
    named = os.environ.get("REDACT_DATA")
    if not named or not all((Path(named) / part).is_dir() for part in parts):
        raise RedactError(
            f"Set REDACT_DATA to the folder that holds {' and '.join(f'{part}/' for part in parts)}."
        )
    return Path(named)
