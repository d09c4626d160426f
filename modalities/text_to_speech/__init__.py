"""Text-to-speech models: voices."""

from typing import TYPE_CHECKING

from redact_core.lazy_names import lazy

if TYPE_CHECKING:
    from modalities.text_to_speech.speaker_table import SpeakerTable
    from modalities.text_to_speech.speecht5 import SpeechT5
    from modalities.text_to_speech.voice_filter import VoiceFilter
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["SpeakerTable", "SpeechT5", "VoiceFilter"]
