"""A voice cloner of tiny random weights, from the folders that the libraries write."""

from pathlib import Path
from typing import Any

from tiny_speech import tiny_bank, tiny_encoder, tiny_speecht5

from modalities.text_to_speech import SpeechT5


def speech_folders(root: Path) -> Path:
    """``root`` with the folders ``tts``, ``encoder`` and ``bank``; several tests may read them."""
    tiny_speecht5(root / "tts")
    tiny_encoder(root / "encoder")
    tiny_bank(root / "bank")
    return root


def opened(root: Path, frames_per_letter: float | None = None, **settings: Any) -> SpeechT5:
    """The model in folders of :func:`speech_folders`.

    Args:
        root: Where they are.
        frames_per_letter: An untrained model never stops by itself, and Griffin-Lim takes longer than all the rest.
        settings: Of the adapter, beside two sentences.
    """
    settings = {"sentences": ["the fox", "a dog"]} | settings
    model = SpeechT5(str(root / "tts"), str(root / "encoder"), bank=root / "bank", **settings)
    if frames_per_letter:
        model.frames_per_letter = frames_per_letter
    return model


def tiny_cloner(root: Path, frames_per_letter: float | None = None, **settings: Any) -> SpeechT5:
    """A model of folders of its own in ``root``, with the settings of :func:`opened`."""
    return opened(speech_folders(root), frames_per_letter, **settings)
