"""What several processes that train together share; with one process nothing happens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import distributed, nn

from redact_core.errors import RedactError


def process_count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def refuse_several(method: str, processes: int) -> None:
    """Raise :class:`RedactError` where ``method``, which trains in one process only, runs in several."""
    if processes > 1:
        raise RedactError(
            f"{method} trains in one process only, and {processes} were started; give --trainer.devices 1."
        )


def on_first(change: Callable[[], object], module: nn.Module) -> None:
    """Run ``change``, which changes ``module`` in place, in the first process; the others get its result.

    Args:
        change: Called in the first process alone.
        module: On the device that the processes communicate by.

    Raises:
        RedactError: In the other processes, where ``change`` failed in the first; there its own error is raised.
    """
    if process_count() == 1:
        change()
        return
    state = [*module.parameters(), *module.buffers()]
    done = torch.zeros((), dtype=torch.int64, device=state[0].device)
    try:
        if distributed.get_rank() == 0:
            change()
            done.fill_(1)
    finally:  # the others wait for this, whatever happens
        distributed.broadcast(done, 0)
    if not done:
        raise RedactError("The start failed in the first process; look at what it says.")
    with torch.no_grad():
        for value in state:
            distributed.broadcast(value.data, 0)
