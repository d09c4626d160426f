"""Where the teacher's answers are kept: in memory, or in a mapped file when they are many."""

from __future__ import annotations

import tempfile

import torch
from torch import Tensor

from redact_core.types import Conditioning


class AnswerStore:
    """Conditionings gathered part by part.

    Args:
        count: Rows there will be.
        limit: Bytes of ``hidden`` beyond which it lies in a temporary memory-mapped file, which is
            gone with the store.
    """

    def __init__(self, count: int, limit: int):
        self._count, self._limit, self._filled = count, limit, 0
        self._hidden: Tensor | None = None
        self._rest: list[Conditioning] = []

    def append(self, part: Conditioning) -> None:
        """Add the rows of ``part``, on the CPU."""
        if self._hidden is None:
            self._hidden = self._allocate(part.hidden)
        self._hidden[self._filled : self._filled + len(part)] = part.hidden
        self._filled += len(part)
        self._rest.append(Conditioning(part.hidden[:, :0], part.mask, part.pooled))

    def gathered(self) -> Conditioning:
        """All rows in the order in which they came."""
        assert self._hidden is not None
        assert self._filled == self._count
        rest = Conditioning.cat(self._rest)
        return Conditioning(self._hidden, rest.mask, rest.pooled)

    def _allocate(self, like: Tensor) -> Tensor:
        shape = (self._count, *like.shape[1:])
        size = self._count * like[0].numel()
        if size * like.element_size() <= self._limit:
            return torch.empty(shape, dtype=like.dtype)
        self._file = tempfile.NamedTemporaryFile(prefix="redact-answers-")  # noqa: SIM115
        return torch.from_file(self._file.name, shared=True, size=size, dtype=like.dtype).view(shape)
