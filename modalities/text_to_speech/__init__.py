"""Text-to-speech models: voices."""

from typing import TYPE_CHECKING

from redact_core.support.lazy_names import lazy

if TYPE_CHECKING:
    from modalities.text_to_speech.adapters.kokoro_voices import KokoroVoices
    from modalities.text_to_speech.adapters.speaker_encoder import SpeakerEncoder
    from modalities.text_to_speech.adapters.speaker_table import SpeakerTable
    from modalities.text_to_speech.adapters.speecht5 import SpeechT5
    from modalities.text_to_speech.adapters.voice_table import VoiceTable
    from modalities.text_to_speech.guards.voice_filter import VoiceFilter
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["KokoroVoices", "SpeakerEncoder", "SpeakerTable", "SpeechT5", "VoiceFilter", "VoiceTable"]
