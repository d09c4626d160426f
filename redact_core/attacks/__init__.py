"""Attacks that any adapter can be put to; one class in one file."""

from typing import TYPE_CHECKING

from redact_core.support.lazy_names import lazy

if TYPE_CHECKING:
    from redact_core.attacks.chain import Chain
    from redact_core.attacks.encoder_swap import EncoderSwap
    from redact_core.attacks.hidden_state import HiddenState
    from redact_core.attacks.relearning import Relearning
    from redact_core.attacks.seed_search import SeedSearch
    from redact_core.attacks.weight_interpolation import WeightInterpolation
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["Chain", "EncoderSwap", "HiddenState", "Relearning", "SeedSearch", "WeightInterpolation"]
