"""What a gated encoder makes of given conditions: which are changed, and which keep their bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from redact_core.adapters.base import Adapter, to_device_of
from redact_core.gates.gated import around_gates
from redact_core.types import Condition

_CHUNK = 32


@torch.no_grad()
def changed(adapter: Adapter, conditions: Sequence[Condition]) -> int:
    """How many of ``conditions`` come out of the gates with other bits than they go in."""
    count = 0
    for start in range(0, len(conditions), _CHUNK):
        inputs = adapter.collate(conditions[start : start + _CHUNK])
        before, behind, *_ = around_gates(adapter.encoder, to_device_of(adapter.encoder, inputs))
        count += int((before != behind).any(1).sum())
    return count


def withdrawal_measures(
    adapter: Adapter, gone: Mapping[str, Sequence[Condition]], kept: Sequence[Condition]
) -> dict[str, object]:
    """For a receipt: of each id the clips that are changed, and the kept clips that are."""
    return {
        "clips changed": {name: changed(adapter, clips) for name, clips in gone.items()},
        "kept clips": len(kept),
        "kept clips changed": changed(adapter, kept),
    }
