"""Weights on the straight line from the redacted encoder to the base's."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar

import torch

from redact_core.adapters.base import Adapter
from redact_core.attacks.base import Access, Attack
from redact_core.attacks.with_encoder import check_alike, with_encoder
from redact_core.errors import RedactError
from redact_core.plan import PlanRow


class WeightInterpolation(Attack):
    """``(1 - alpha) * redacted + alpha * base`` for every weight (Wortsman et al. 2022, WiSE-FT).

    Asks how far from the base's weights the redaction has moved, and whether it comes back before
    the rest does.

    Args:
        alpha: 0 leaves the encoder as it is, 1 gives the base's, both exactly.

    Raises:
        RedactError: ``alpha`` is out of range.
    """

    access: ClassVar[Access] = "weights"
    adaptive = False

    def __init__(self, alpha: float = 0.5):
        if not 0 <= alpha <= 1:
            raise RedactError(f"alpha is {alpha}; give 0 (redacted) to 1 (the base).")
        self.alpha = alpha

    @property
    def name(self) -> str:
        return f"WeightInterpolation-{self.alpha:g}"

    @property
    def budget(self) -> str:
        return f"{self.alpha:.0%} of the way to the base"

    def subvert(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> Adapter:
        """The model with the mixed encoder; counters and other whole numbers are taken from the nearer one.

        Raises:
            RedactError: The encoders do not have the same weights.
        """
        del rows, seed
        check_alike(model.encoder, base.encoder)
        encoder = copy.deepcopy(model.encoder)
        stock = base.encoder.state_dict()
        with torch.no_grad():
            for name, value in encoder.state_dict().items():
                other = stock[name].to(value)
                if value.is_floating_point():
                    value.copy_(torch.lerp(value, other, self.alpha))  # exact at both ends
                elif self.alpha > 0.5:
                    value.copy_(other)
        return with_encoder(model, encoder)
