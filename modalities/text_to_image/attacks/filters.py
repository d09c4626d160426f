"""The filter of finished pictures that an attack has to get past."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from modalities.text_to_image.espresso import Espresso
from redact_core import Adapter, Guard, RedactError


def filter_of(model: Adapter) -> Espresso | None:
    """The Espresso around ``model``, or ``None`` where there is none.

    Raises:
        RedactError: There is one, but another guard stands around it.
    """
    if isinstance(model, Espresso):
        return model
    inner = model
    while isinstance(inner, Guard):
        inner = inner.inner
        if isinstance(inner, Espresso):
            raise RedactError(
                f"This attack changes pictures between the model and Espresso, and a {type(model).__name__} "
                "stands around that; put Espresso outermost."
            )
    return None


def excess(guard: Espresso, pictures: Sequence[Tensor]) -> Tensor:
    """``(pictures,)`` log-odds above the filter's threshold; above 0 a picture is blocked. Differentiable."""
    anchors = guard.anchors
    level = math.log(max(anchors.threshold, 1e-12)) - math.log1p(-anchors.threshold)
    return anchors.margin(guard.clip.pictures(pictures)) - level


@torch.no_grad()
def given_out(guard: Espresso | None, pictures: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
    """What a service with this filter gives out if the model has drawn ``pictures``."""
    found = list(pictures)
    if guard is None:
        return found
    blocked = guard.anchors.blocked(guard.embed(found)).nonzero().flatten().tolist()
    if blocked:
        others = guard.stand_in([found[i] for i in blocked], [seeds[i] for i in blocked])
        for i, other in zip(blocked, others, strict=True):
            found[i] = other
    return found
