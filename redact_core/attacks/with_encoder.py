"""An adapter with another encoder in it, and the check that two encoders are of one kind."""

from __future__ import annotations

import copy

from torch import nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.compare_modules import first_difference
from redact_core.adapters.guard import Guard
from redact_core.errors import RedactError


def with_encoder(adapter: Adapter, encoder: nn.Module) -> Adapter:
    """A shallow copy of ``adapter`` that encodes by ``encoder``; all else is shared, not copied.

    A guard's copy holds a copy of what it guards, with the same encoder.
    """
    if isinstance(adapter, Guard):  # it has no encoder of its own: setting one would reach the original
        return adapter.around(with_encoder(adapter.inner, encoder))
    other = copy.copy(adapter)
    other.encoder = encoder
    return other


def check_alike(encoder: nn.Module, base: nn.Module) -> None:
    """Refuse to mix weights of encoders that do not have the same names and shapes.

    Raises:
        RedactError: Names the first difference.
    """
    found = first_difference(encoder, base)
    if found is not None:
        raise RedactError(
            f"The encoder is a {type(encoder).__name__} with other weights than the base's "
            f"{type(base).__name__} ({found}); attack a model whose encoder was trained in place."
        )
