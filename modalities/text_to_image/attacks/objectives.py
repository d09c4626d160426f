"""What token searches minimise: each depends on the conditioning that the searched tokens give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from modalities.text_to_image.attacks.reading import Reader, Slots, opened
from redact_core import Adapter, Conditioning, PlanRow, conditioning_distance

SearchObjective = Callable[[Conditioning, int], Tensor]
"""Conditioning of a batch and number of the step -> ``(batch,)`` what shall fall."""


def towards_hidden(base: Adapter, asked: Slots, rows: Sequence[PlanRow] | None = None) -> SearchObjective:
    """Distance to the base's answer to the same prompts, with fillers at the free places.

    The free places themselves do not count: what stands there differs by design.

    Args:
        base: The untouched model.
        asked: What is searched.
        rows: Given where the free places took the subject's: the target is then the base's answer to
            the rows' own conditions, and only positions after the end of both prompts count, which
            hold the whole prompt in summary; before them, words stand at other positions.
    """
    if rows is None:
        with torch.no_grad():
            target = Reader(base).words(asked, asked.ids.gather(1, asked.free))
        mask = target.mask.scatter(1, asked.free.to(target.mask.device), False)
    else:
        inputs = _on(base, [row.condition for row in rows])
        with torch.no_grad():
            target = base.encoder(inputs)
        mask = (inputs["attention_mask"] == 0) & (asked.mask.to(target.mask.device) == 0)
    target = replace(target, mask=mask)

    def distance(said: Conditioning, step: int) -> Tensor:
        del step
        times = len(said) // len(target)  # candidates of one prompt stand next to one another
        rows = torch.arange(len(target), device=target.hidden.device).repeat_interleave(times)
        return conditioning_distance(said, target[rows])

    return distance


def towards_pictures(
    model: Adapter, pictures: Sequence[Tensor], rows: Sequence[PlanRow], seed: int
) -> SearchObjective:
    """The denoiser's loss of the base's pictures, with another time and noise at every step.

    Zhang et al., "To Generate or Not?" (arXiv 2310.11868), eq. 5.
    """
    return lambda said, step: model.training_loss(said, pictures, seeds=_draws(rows, seed, step))


def towards_prediction(
    model: Adapter, base: Adapter, pictures: Sequence[Tensor], rows: Sequence[PlanRow], seed: int
) -> SearchObjective:
    """Squared difference of the attacked denoiser's prediction and the base's under the plain prompt.

    Chin et al., "Prompting4Debugging" (arXiv 2309.06135), eq. 4; the base keeps its own encoder.
    """
    own, teacher = opened(model), opened(base)
    with torch.no_grad():
        wanted = base.encoder(_on(base, [row.condition for row in rows]))

    def distance(said: Conditioning, step: int) -> Tensor:
        noisy, times = own.noised(pictures, seeds=_draws(rows, seed, step))
        with torch.no_grad():
            target = teacher.generator(noisy, times, encoder_hidden_states=wanted.hidden).sample
        found = own.generator(noisy, times, encoder_hidden_states=said.hidden).sample
        return (found - target).square().flatten(1).mean(1)

    return distance


def _draws(rows: Sequence[PlanRow], seed: int, step: int) -> list[int]:
    return [(seed * 1_000_003 + step * 7_919 + row.seed) % 2**31 for row in rows]


def _on(model: Adapter, prompts: Sequence[str]) -> dict[str, Tensor]:
    device = next(model.encoder.parameters()).device
    return {key: value.to(device) for key, value in model.collate(list(prompts)).items()}
