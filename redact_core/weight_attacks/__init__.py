"""Attacks by people who have the weights of the redacted encoder, and those of the base: any modality."""

from redact_core.weight_attacks.encoder_swap import EncoderSwap
from redact_core.weight_attacks.relearning import Relearning
from redact_core.weight_attacks.weight_interpolation import WeightInterpolation

__all__ = ["EncoderSwap", "Relearning", "WeightInterpolation"]
