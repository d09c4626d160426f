"""Vocoders: a clip's log-mel spectrogram in, speech out."""

from typing import TYPE_CHECKING

from redact_core.support.lazy_names import lazy

if TYPE_CHECKING:
    from modalities.mel_to_speech.vocoder import MelVocoder
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["MelVocoder"]
