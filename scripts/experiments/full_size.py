"""An ECAPA-TDNN of the published size with random weights, for scripts that measure cost."""

import torch
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.encoders.voice_encoder import VoiceEncoder

CHANNELS = [1024, 1024, 1024, 1024, 3072]
"""Of the published ECAPA-TDNN (Desplanques et al. 2020); SpeechBrain's default is half of it."""


def full_size_voices() -> SpeechT5:
    """The bundled model with such an encoder; its sentences mean nothing."""
    model = SpeechT5("bundled")
    features, normalise = model.encoder.features, model.encoder.normalise
    torch.manual_seed(0)
    model.encoder = VoiceEncoder(
        features, normalise, ECAPA_TDNN(80, channels=CHANNELS, lin_neurons=192)
    ).eval()
    model.variants = 1  # random weights: only the cost is of interest
    return model
