"""Where the teacher's answers are kept: in memory, or in a mapped file when they are many."""

from __future__ import annotations

import tempfile

import torch
from torch import Tensor

from redact_core.types import Conditioning


class TargetStore:
    """Conditionings gathered part by part.

    Every value is copied, so that no part is kept alive by what was taken from it.

    Args:
        count: Rows there will be.
        limit: Bytes of ``hidden`` beyond which it lies in a temporary memory-mapped file, which is
            gone with the store.
    """

    def __init__(self, count: int, limit: int):
        self._count, self._limit, self._filled = count, limit, 0
        self._rows: Conditioning | None = None

    def append(self, part: Conditioning) -> None:
        """Add the rows of ``part``, on the CPU."""
        if self._rows is None:
            pooled = None if part.pooled is None else self._empty(part.pooled)
            self._rows = Conditioning(self._allocate(part.hidden), self._empty(part.mask), pooled)
        place = slice(self._filled, self._filled + len(part))
        self._rows.hidden[place] = part.hidden
        self._rows.mask[place] = part.mask
        if self._rows.pooled is not None and part.pooled is not None:
            self._rows.pooled[place] = part.pooled
        self._filled += len(part)

    def gathered(self) -> Conditioning:
        """All rows in the order in which they came."""
        assert self._rows is not None
        assert self._filled == self._count
        return self._rows

    def _empty(self, like: Tensor) -> Tensor:
        return torch.empty((self._count, *like.shape[1:]), dtype=like.dtype)

    def _allocate(self, like: Tensor) -> Tensor:
        size = self._count * like[0].numel()
        if size * like.element_size() <= self._limit:
            return self._empty(like)
        self._file = tempfile.NamedTemporaryFile(prefix="redact-answers-")  # noqa: SIM115
        shape = (self._count, *like.shape[1:])
        return torch.from_file(self._file.name, shared=True, size=size, dtype=like.dtype).view(shape)
