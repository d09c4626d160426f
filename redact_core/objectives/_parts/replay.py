"""Generative replay: samples of the generator itself, with the conditions that they shall be drawn for."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasTrainingLoss
from redact_core.objectives._parts.spread_rows import spread_rows
from redact_core.objectives.distances import group_mean
from redact_core.types import Condition, Conditioning, Lesson, Mean


@dataclass(frozen=True)
class ReplayBatch:
    """Rows for one step of a generator's own training loss."""

    conditioning: Conditioning
    samples: list[Tensor]
    seeds: list[int]
    redacted: Tensor  # (batch,) bool: the sample is a surrogate, to be drawn where it was not
    weight: Tensor  # (batch,) float

    def to(self, device: torch.device | str) -> ReplayBatch:
        """The same rows on ``device``."""
        samples = [sample.to(device) for sample in self.samples]
        redacted, weight = self.redacted.to(device), self.weight.to(device)
        return ReplayBatch(self.conditioning.to(device), samples, self.seeds, redacted, weight)

    def __len__(self) -> int:
        return len(self.samples)


class ReplayRows:
    """Surrogates and replays, as :class:`redact_core.objectives.targets.LessonLoader` walks over them.

    Times and noise of a row are drawn anew in every pass, from the row and the number of the pass;
    what the sample's own seed chose (a sentence) stays.

    Args:
        adapter: Whose training loss it is.
        conditioning: ``rows`` conditionings.
        samples: As many.
        redacted: ``(rows,)`` bool, the surrogates.
        made: The seeds that the samples were generated with.
    """

    def __init__(
        self,
        adapter: HasTrainingLoss,
        conditioning: Conditioning,
        samples: Sequence[Tensor],
        redacted: Tensor,
        made: Sequence[int],
    ):
        self._adapter, self.conditioning, self.samples, self.made = (
            adapter,
            conditioning,
            list(samples),
            list(made),
        )
        self.redacted, self.weight = redacted, torch.ones(len(redacted))

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, rows: Tensor, weight: Tensor | None = None, *, turn: int = 0) -> ReplayBatch:
        """The rows ``rows`` (int64) as pass ``turn`` sees them; ``weight`` replaces their own."""
        chosen = rows.tolist()
        seeds = [self._adapter.choosing(turn * len(self) + i, self.made[i]) for i in chosen]
        own = self.weight[rows] if weight is None else weight
        return ReplayBatch(
            self.conditioning[rows], [self.samples[i] for i in chosen], seeds, self.redacted[rows], own
        )

    @torch.no_grad()
    def measure(self, student: nn.Module, limit: int = 256) -> dict[str, float]:
        """Mean training loss of surrogates and of replays, over at most ``limit`` rows."""
        device = next(student.parameters()).device
        rows = spread_rows(len(self), limit)
        found: list[Tensor] = []
        for part in rows.split(32):
            batch = self.batch(part).to(device)
            found.append(
                self._adapter.training_loss(batch.conditioning, batch.samples, seeds=batch.seeds).cpu()
            )
        loss, group = torch.cat(found), self.redacted[rows]
        return {
            "surrogate loss": group_mean(loss, group).item(),
            "replay loss": group_mean(loss, ~group).item(),
        }


@contextmanager
def swapped_weights(module: nn.Module, weights: nn.Module) -> Generator[None]:
    """``module`` with the state of ``weights`` inside the block, and its own again afterwards.

    What both hold together is neither copied nor written.
    """
    other = weights.state_dict()
    own = {name: value for name, value in module.state_dict().items() if not _same_memory(value, other[name])}
    kept = {name: value.clone() for name, value in own.items()}
    try:
        _write(own, other)
        yield
    finally:
        _write(own, kept)


def _same_memory(a: Tensor, b: Tensor) -> bool:
    # tensors of other libraries may say 0, which tells nothing
    return a.device == b.device and a.data_ptr() == b.data_ptr() != 0


@torch.no_grad()
def _write(to: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, tensor in to.items():
        tensor.copy_(values[name])


@torch.no_grad()
def encode(adapter: Adapter, conditions: Sequence[Condition | Mean]) -> Conditioning:
    """``(conditions,)`` what the generator is given for each, on the encoder's device."""
    distinct = list(dict.fromkeys(conditions))
    single = [c for c in distinct if not isinstance(c, Mean)]
    parts = [adapter.encode(single[i : i + 128]) for i in range(0, len(single), 128)]
    parts += [adapter.encode(c.conditions).mean() for c in distinct if isinstance(c, Mean)]
    order = {c: i for i, c in enumerate([*single, *(c for c in distinct if isinstance(c, Mean))])}
    found = Conditioning.cat(parts)
    return found[torch.tensor([order[c] for c in conditions], device=found.hidden.device)]


def own_samples(
    adapter: Adapter, rows: Sequence[Lesson], seed: int
) -> tuple[Conditioning, list[Tensor], range]:
    """The generator's samples of what ``rows`` ask, on the CPU: their conditioning, they themselves, their seeds."""
    conditioning = encode(adapter, [row.asked for row in rows])
    made = range(seed * 1_000_003, seed * 1_000_003 + len(rows))
    samples = [sample.cpu() for sample in adapter.generate(conditioning, seeds=made)]
    return conditioning.to("cpu"), samples, made


def draw(lessons: Sequence[Lesson], count: int, seed: int) -> list[Lesson]:
    """``count`` of ``lessons`` with replacement, by their weights."""
    weight = torch.tensor([float(lesson.weight) for lesson in lessons])
    generator = torch.Generator().manual_seed(seed)
    rows = torch.multinomial(weight, count, replacement=True, generator=generator)
    return [lessons[i] for i in rows.tolist()]


def noise_like(sample: Tensor, seed: int) -> Tensor:
    """Uniform noise over the range that samples have: [0, 1] for pictures, [-1, 1] for sound."""
    noise = torch.rand(sample.shape, generator=torch.Generator().manual_seed(seed))
    return 2 * noise - 1 if sample.ndim == 1 else noise
