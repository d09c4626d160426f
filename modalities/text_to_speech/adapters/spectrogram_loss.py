"""SpeechT5's own training loss of one waveform: its spectrogram, frame after true frame, and its end."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from transformers import SpeechT5ForTextToSpeech, SpeechT5Processor
from transformers.models.speecht5.modeling_speecht5 import SpeechT5SpectrogramLoss, shift_spectrograms_right

from modalities.sound.clips import RATE
from redact_core import RedactError
from redact_core.support.devices import seeded


def log_mel(processor: SpeechT5Processor, wave: Tensor, reduction: int) -> Tensor:
    """``(frames, 80)`` log10 mel amplitudes of ``wave (samples,)`` at 16 kHz, whole decoder steps of them.

    Raises:
        RedactError: The wave is shorter than one decoder step.
    """
    extractor: Any = processor.feature_extractor  # type: ignore[attr-defined]
    found = extractor(audio_target=wave.detach().float().cpu().numpy(), sampling_rate=RATE).input_values[0]
    frames = len(found) // reduction * reduction
    if not frames:
        raise RedactError(
            f"A sample of {len(wave)} samples holds no frame of a spectrogram; give a longer one."
        )
    return torch.as_tensor(found[:frames], dtype=torch.float32)


def spectrogram_loss(
    model: SpeechT5ForTextToSpeech, ids: Tensor, voice: Tensor, mel: Tensor, noise: int
) -> Tensor:
    """``()`` L1 before and after the postnet, plus cross-entropy of the stop token (Ao et al. 2021, 3.1).

    The guided attention loss of early training is left out: it says nothing of the sample.

    Args:
        model: The generator; as it is, in training or evaluation mode.
        ids: ``(letters,)`` int64.
        voice: ``(dim,)``.
        mel: ``(frames, 80)``, as :func:`log_mel` gives it.
        noise: Seed of the prenet's dropout, which SpeechT5 keeps at inference.

    Raises:
        RedactError: The spectrogram is longer than any that the model can speak.
    """
    config = copy.copy(model.config)
    config.use_guided_attention_loss = False
    most = config.max_speech_positions * config.reduction_factor
    if len(mel) > most:
        raise RedactError(f"A sample lasts {len(mel)} frames, the model speaks at most {most}; cut it.")
    core: Any = model.speecht5
    labels = mel[None].to(voice.device)
    before, _ = shift_spectrograms_right(labels, config.reduction_factor)
    with seeded(noise, voice.device):  # the prenet's dropout takes no generator
        decoded = core(input_values=ids[None], decoder_input_values=before, speaker_embeddings=voice[None])
    rough, fine, stop = model.speech_decoder_postnet(decoded[0])
    ones = torch.ones_like(ids[None])
    return SpeechT5SpectrogramLoss(config)(ones, rough, fine, stop, labels)
