"""Voices as folders of clips: see :mod:`modalities.sound.bank`, which other modalities read too."""

from modalities.sound.bank import FEWEST, VoiceBank

__all__ = ["FEWEST", "VoiceBank"]
