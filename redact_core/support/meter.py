"""Seconds and peak memory of a stretch of work."""

from __future__ import annotations

import math
import time
from pathlib import Path
from types import TracebackType

import torch

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class Meter:
    """Seconds and peak memory of a block.

    Peak memory is what the accelerator's allocator gave out at most where ``device`` is one, else
    the largest resident size of the process (on Linux since the block began, else ``nan``).

    Args:
        device: ``cpu`` or ``cuda``.
    """

    seconds: float = math.nan
    peak_bytes: float = math.nan

    def __init__(self, device: str = "cpu"):
        self._cuda = device == "cuda" and torch.cuda.is_available()

    def __enter__(self) -> Meter:
        self._fresh = True
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
        else:
            self._fresh = _forget_peak()
        self._began = time.perf_counter()
        return self

    @property
    def spent(self) -> float:
        """Seconds so far; 0 before the block."""
        return time.perf_counter() - self._began if hasattr(self, "_began") else 0.0

    def cost(self, earlier: float = 0.0) -> dict[str, float]:
        """``seconds`` and, where it is known, ``peak_bytes`` of the block, for a card.

        Args:
            earlier: Seconds that were spent before, in a run that was interrupted.
        """
        found = {"seconds": earlier + self.seconds}
        return found if math.isnan(self.peak_bytes) else found | {"peak_bytes": self.peak_bytes}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cuda:
            torch.cuda.synchronize()
            self.peak_bytes = float(torch.cuda.max_memory_allocated())
        elif self._fresh:
            self.peak_bytes = _peak()
        self.seconds = time.perf_counter() - self._began


def _forget_peak() -> bool:
    """Let the kernel count the peak of the resident size anew; whether it does."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _peak() -> float:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError):
        return math.nan
