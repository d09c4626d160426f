"""Text-to-speech models: voices."""

from modalities.text_to_speech.speaker_table import SpeakerTable
from modalities.text_to_speech.speecht5 import SpeechT5
from modalities.text_to_speech.voice_filter import VoiceFilter

__all__ = ["SpeakerTable", "SpeechT5", "VoiceFilter"]
