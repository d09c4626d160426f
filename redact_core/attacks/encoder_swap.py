"""The stock encoder put back in, whole or in part: what a redaction of the encoder alone cannot prevent."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import nn

from redact_core.adapters.base import Adapter
from redact_core.attacks.base import Access, Attack
from redact_core.attacks.with_encoder import check_alike, with_encoder
from redact_core.errors import RedactError
from redact_core.plan import PlanRow


class EncoderSwap(Attack):
    """Layers of the redacted encoder get the base's weights back.

    A layer is a module that holds weights or running statistics itself; layers stand in the order in
    which the encoder registers them, which is from input to output in the usual networks.

    Args:
        fraction: Of the layers, in (0, 1]; 1 gives the base's encoder.
        end: Which end of the encoder is swapped.

    Raises:
        RedactError: A setting is out of range.
    """

    access: ClassVar[Access] = "weights"
    adaptive = False

    def __init__(self, fraction: float = 1.0, end: Literal["first", "last"] = "last"):
        if not 0 < fraction <= 1:
            raise RedactError(f"fraction is {fraction}; give a part of the layers, above 0 and at most 1.")
        self.fraction, self.end = fraction, end

    @property
    def name(self) -> str:
        return f"EncoderSwap-{self.end}-{self.fraction:g}"

    @property
    def budget(self) -> str:
        return (
            "the base's encoder"
            if self.fraction == 1
            else f"the {self.end} {self.fraction:.0%} of the layers"
        )

    def subvert(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> Adapter:
        """The model with the base's weights in its ``end`` layers; at least one layer is swapped.

        Raises:
            RedactError: Part of an encoder of another kind was asked for.
        """
        del rows, seed
        if self.fraction == 1:
            return with_encoder(model, copy.deepcopy(base.encoder))
        check_alike(model.encoder, base.encoder)
        encoder = copy.deepcopy(model.encoder)
        ours, theirs = _layers(encoder), _layers(base.encoder)
        count = max(1, round(self.fraction * len(ours)))
        where = slice(0, count) if self.end == "first" else slice(len(ours) - count, None)
        with torch.no_grad():
            for layer, stock in zip(ours[where], theirs[where], strict=True):
                for name, value in _own(layer).items():
                    value.copy_(_own(stock)[name])
        return with_encoder(model, encoder)


def _own(module: nn.Module) -> dict[str, torch.Tensor]:
    return dict([*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)])


def _layers(encoder: nn.Module) -> list[nn.Module]:
    return [module for module in encoder.modules() if _own(module)]
