"""Random search without gradients, as Square Attack does it: what such attacks on any modality share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from redact_core.errors import RedactError

_HALVED = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""After which parts of the search the share is halved: the released code's steps, of 10,000."""


def check_search(steps: int, share: float) -> None:
    """Raise :class:`RedactError` where one of these settings is out of range."""
    if steps < 1:
        raise RedactError(f"steps is {steps}; give at least 1.")
    if not 0 < share <= 1:
        raise RedactError(f"share is {share}; give a part above 0, at most 1.")


def share_at(step: int, steps: int, first: float) -> float:
    """Which share of what is searched a proposal changes, at ``step`` of ``steps``; ``first`` at first."""
    return first / 2 ** sum(step > part * steps for part in _HALVED)


def random_search(
    start: Tensor,
    loss: Callable[[Tensor], Tensor],
    propose: Callable[[Tensor, float], Tensor],
    steps: int,
    first: float,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Random search (Andriushchenko et al., arXiv 1912.00049, algorithm 1), all rows side by side.

    A proposal is kept in the rows in which the loss falls, and changes less and less. Only values of the
    loss are asked for, one for each row and step, so it works where gradients are masked.

    Args:
        start: ``(batch, ...)`` to begin with.
        loss: Of such a batch, ``(batch,)``; deterministic, each row's its own.
        propose: What is best so far, and which share of it shall change, from 0 to ``first`` ->
            a batch of the same shape.
        steps: Proposals.
        first: Share that is changed at first.

    Yields:
        ``1 + steps`` times the best so far and its loss ``(batch,)``, without gradients.
    """
    with torch.no_grad():
        best, least = start, loss(start)
    yield best, least
    for step in range(steps):
        # not around the yield: whoever reads this may want gradients
        with torch.no_grad():
            tried = propose(best, share_at(step, steps, first))
            found = loss(tried)
            better = found < least
            best = torch.where(better.view(-1, *(1,) * (best.ndim - 1)), tried, best)
            least = torch.where(better, found, least)
        yield best, least


def whole(found: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """A search run to its end: the best of all, and the losses ``(batch, 1 + steps)`` on the way."""
    best, loss = next(found)
    losses = [loss]
    for now, loss in found:
        best = now
        losses.append(loss)
    return best, torch.stack(losses, 1)
