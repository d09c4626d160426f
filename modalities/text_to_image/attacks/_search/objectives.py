"""What token searches minimise: each depends on the conditioning that the searched tokens give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from modalities.text_to_image.attacks._search.reading import Reader, Slots, opened
from redact_core import Adapter, Conditioning, PlanRow, conditioning_distance
from redact_core.adapters.capabilities import HasTrainingLoss, require

SearchObjective = Callable[[Conditioning, int], Tensor]
"""Conditioning of a batch and number of the step -> ``(batch,)`` what shall fall."""


def towards_hidden(
    base: Adapter, asked: Slots, rows: Sequence[PlanRow] | None = None, *, summary: bool = False
) -> SearchObjective:
    """Distance to the base's answer to the same prompts, with fillers at the free places.

    The free places themselves do not count: what stands there differs by design.

    Args:
        base: The untouched model.
        asked: What is searched.
        rows: Given where the free places took the subject's: the target is then the base's answer to
            the rows' own conditions, and only positions after the end of both prompts count; before
            them, words stand at other positions.
        summary: Whether only the end of the prompts and what follows count, which hold the whole prompt.
            The words before the end are hard to move with a few others in front of them: a search
            that tries spends itself there.
    """
    if rows is None:
        with torch.no_grad():
            target = Reader(base).words(asked, asked.ids.gather(1, asked.free))
        last = asked.mask.sum(1, keepdim=True).to(target.mask.device) - 1
        after = torch.arange(asked.mask.shape[1], device=last.device) >= last
        mask = after if summary else target.mask.scatter(1, asked.free.to(target.mask.device), False)
    else:
        inputs = base.collated([row.condition for row in rows])
        with torch.no_grad():
            target = base.encoder(inputs)
        mask = (inputs["attention_mask"] == 0) & (asked.mask.to(target.mask.device) == 0)
    target = replace(target, mask=mask)

    def distance(conditioning: Conditioning, step: int) -> Tensor:
        del step
        times = len(conditioning) // len(target)  # candidates of one prompt stand next to one another
        rows = torch.arange(len(target), device=target.hidden.device).repeat_interleave(times)
        return conditioning_distance(conditioning, target[rows])

    return distance


def towards_pictures(
    model: Adapter, pictures: Sequence[Tensor], rows: Sequence[PlanRow], seed: int, time: float | None = None
) -> SearchObjective:
    """The denoiser's loss of the base's pictures.

    Zhang et al., "To Generate or Not?" (arXiv 2310.11868), eq. 5.

    Args:
        model: Under attack.
        pictures: One for each row.
        rows: What is asked.
        seed: Of times and noise.
        time: Where the noise is added, as a share of all times, with one noise for each row; losses of two
            steps can then be compared. ``None``: another time and noise at every step.
    """
    times = _times(model, rows, time)
    trained = require(model, HasTrainingLoss, "The search against a denoiser")

    def loss(conditioning: Conditioning, step: int) -> Tensor:
        draws = _draws(rows, seed, 0 if times else step)
        return trained.training_loss(conditioning, pictures, seeds=draws, times=times)

    return loss


def towards_prediction(
    model: Adapter, base: Adapter, pictures: Sequence[Tensor], rows: Sequence[PlanRow], seed: int,
    time: float | None = None,
) -> SearchObjective:  # fmt: skip
    """Squared difference of the attacked denoiser's prediction and the base's under the plain prompt.

    Chin et al., "Prompting4Debugging" (arXiv 2309.06135), eq. 4; the base keeps its own encoder. ``time``
    as in :func:`towards_pictures`.
    """
    own, teacher, times = opened(model), opened(base), _times(model, rows, time)
    with torch.no_grad():
        wanted = base.encode([row.condition for row in rows])

    def drawn(step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy latents, their times, and the base's prediction."""
        noisy, when = own.noised(pictures, seeds=_draws(rows, seed, step), times=times)
        with torch.no_grad():
            return noisy, when, teacher.predict(noisy, when, wanted)

    kept = drawn(0) if times else None

    def distance(conditioning: Conditioning, step: int) -> Tensor:
        noisy, when, target = kept or drawn(step)
        found = own.predict(noisy, when, conditioning)
        return (found - target).square().flatten(1).mean(1)

    return distance


def _times(model: Adapter, rows: Sequence[PlanRow], time: float | None) -> list[int] | None:
    return None if time is None else [int(time * (opened(model).time_steps - 1))] * len(rows)


def _draws(rows: Sequence[PlanRow], seed: int, step: int) -> list[int]:
    return [(seed * 1_000_003 + step * 7_919 + row.seed) % 2**31 for row in rows]
