"""CMU PocketSphinx, a recogniser that had no part in training anything here; it works offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from modalities.sound.clips import RATE
from redact_core import RedactError

if TYPE_CHECKING:
    from pocketsphinx import Decoder


def decoder(**options: object) -> Decoder:
    """An English decoder of waveforms at 16 kHz, silent; ``options`` are those of its ``Config``."""
    try:
        from pocketsphinx import Config, Decoder
    except ImportError:
        raise RedactError(
            "pocketsphinx is not installed; install it (the extra recipes): pip install -e '.[recipes]'"
        ) from None
    return Decoder(Config(samprate=RATE, loglevel="FATAL", **options))


def heard(by: Decoder, wave: Tensor) -> str:
    """What is said in ``wave (samples,)``, in small letters; empty if nothing is heard."""
    # its end of speech is found by silence, which cut and joined recordings do not have
    sound = pad(wave / (2 * wave.abs().max().clamp(min=1e-4)), (RATE // 4, RATE // 4))
    by.start_utt()
    by.process_raw((sound * 32767).to(torch.int16).numpy().tobytes(), full_utt=True)
    by.end_utt()
    found = by.hyp()
    return found.hypstr.lower() if found else ""
