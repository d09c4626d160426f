"""Vocoders: a clip's log-mel spectrogram in, speech out."""

from modalities.mel_to_speech.vocoder import MelVocoder

__all__ = ["MelVocoder"]
