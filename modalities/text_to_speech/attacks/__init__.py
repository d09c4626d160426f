"""Attacks on a redacted speaker encoder, by way of clips and of embeddings."""

from typing import TYPE_CHECKING

from redact_core.support.lazy_names import lazy

if TYPE_CHECKING:
    from modalities.text_to_speech.attacks.channel_change import ChannelChange
    from modalities.text_to_speech.attacks.clip_gradient import ClipGradient
    from modalities.text_to_speech.attacks.clip_square import ClipSquare
    from modalities.text_to_speech.attacks.embedding_inversion import EmbeddingInversion
    from modalities.text_to_speech.attacks.embedding_search import EmbeddingSearch
    from modalities.text_to_speech.attacks.interpolation import Interpolation
    from modalities.text_to_speech.attacks.mixtures import Mixtures
    from modalities.text_to_speech.attacks.original_embedding import OriginalEmbedding
    from modalities.text_to_speech.attacks.pitch_tempo import PitchTempo
    from modalities.text_to_speech.attacks.short_crops import ShortCrops
    from modalities.text_to_speech.attacks.similar_voices import SimilarVoices
    from modalities.text_to_speech.attacks.unseen_clips import UnseenClips
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "ChannelChange",
    "ClipGradient",
    "ClipSquare",
    "EmbeddingInversion",
    "EmbeddingSearch",
    "Interpolation",
    "Mixtures",
    "OriginalEmbedding",
    "PitchTempo",
    "ShortCrops",
    "SimilarVoices",
    "UnseenClips",
]
