"""Lessons with the frozen teacher's answers, computed once, and a resumable walk over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter, to_device_of
from redact_core.errors import RedactError
from redact_core.objectives._parts.spread_rows import spread_rows
from redact_core.objectives.distances import conditioning_distance, group_mean
from redact_core.objectives.target_store import TargetStore
from redact_core.support.devices import device_of
from redact_core.types import Batch, Conditioning, Lesson, Mean

if TYPE_CHECKING:
    from redact_core.objectives.base import BatchLike, Objective, Rows


MEASURED = 512
"""Rows at most that :meth:`Targets.measure` reads, evenly from the first to the last."""


class Targets:
    """Every lesson in every variant, as tensors: what is asked, and what the teacher answers.

    The teacher runs here and never again. A retained variant is answered by the teacher's answer to
    that same variant; every other row by the answer to its reference, computed once however many
    rows share it.

    Args:
        adapter: Collates, and augments when it has more than one variant.
        objective: Its :meth:`~redact_core.objectives.base.Objective.targets` asks the teacher.
        teacher: Frozen copy of what ``objective.prepare`` returned, before any training.
        lessons: At least one.
        seed: Fixes the variants.
        chunk: Conditions given to the teacher at a time.
        memory_limit: Bytes of answers beyond which they lie in a temporary memory-mapped file.
        measured_only: Hold only the rows that :meth:`measure` reads, for lessons that were carried out without training:
            the teacher need not answer any other.
    """

    def __init__(
        self,
        adapter: Adapter,
        objective: Objective,
        teacher: nn.Module,
        lessons: Sequence[Lesson],
        *,
        seed: int = 0,
        chunk: int = 128,
        memory_limit: int = 2 << 30,
        measured_only: bool = False,
    ):
        if not lessons:
            raise RedactError("There are no lessons; give at least one condition to redact.")
        self._objective, self._teacher = objective, teacher
        self._adapter, self._chunk, self._limit = adapter, chunk, memory_limit
        generator = torch.Generator().manual_seed(seed)
        kept = [
            i for i, lesson in enumerate(lessons) if not lesson.redacted and lesson.asked == lesson.answer
        ]
        others = sorted(set(range(len(lessons))) - set(kept))
        order = kept + others  # kept rows first: their targets are one to one
        asked = adapter.collate([lessons[i].asked for i in order])
        variants = [asked]
        for _ in range(1, adapter.variants):
            variants.append(adapter.augment(asked, generator))
        total = len(order) * len(variants)
        numbers = spread_rows(total, MEASURED) if measured_only else torch.arange(total)
        places = numbers % len(order)
        self.asked = {key: torch.cat([variant[key] for variant in variants])[numbers] for key in asked}
        self.redacted = torch.tensor([lessons[i].redacted for i in order])[places]
        self.weight = torch.tensor([float(lessons[i].weight) for i in order])[places]
        with torch.no_grad():
            self._answer([lessons[order[i]] for i in places.tolist()], places < len(kept))
        del self._teacher  # its answers are all that is needed

    def __len__(self) -> int:
        return len(self.redacted)

    def batch(self, rows: Tensor, weight: Tensor | None = None, *, turn: int = 0) -> Batch:
        """The rows ``rows`` (int64), the same in every pass; ``weight`` replaces their own."""
        del turn
        asked = {key: value[rows] for key, value in self.asked.items()}
        target = self._answers[self._target_of[rows]]
        return Batch(asked, target, self.redacted[rows], self.weight[rows] if weight is None else weight)

    @torch.no_grad()
    def measure(self, student: nn.Module, limit: int = MEASURED) -> dict[str, float]:
        """Mean distance to the targets, redacted and retained, over at most ``limit`` rows."""
        device = device_of(student)
        rows = spread_rows(len(self), limit)
        found, redacted = [], []
        for part in rows.split(64):
            batch = self.batch(part).to(device)
            found.append(conditioning_distance(student(batch.asked), batch.target).cpu())
            redacted.append(batch.redacted.cpu())
        distance, group = torch.cat(found), torch.cat(redacted)
        return {
            "redact distance": group_mean(distance, group).item(),
            "retain distance": group_mean(distance, ~group).item(),
        }

    def _ask(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        return self._objective.targets(self._teacher, to_device_of(self._teacher, inputs)).to("cpu")

    def _answer(self, rows: Sequence[Lesson], own: Tensor) -> None:
        """Ask the teacher, and note for every row which answer is its own.

        Args:
            rows: The lesson of each row.
            own: ``(rows,)`` bool: it is answered by the teacher's answer to that very row.
        """
        references = [row.answer for row, alone in zip(rows, own.tolist(), strict=True) if not alone]
        single = [answer for answer in dict.fromkeys(references) if not isinstance(answer, Mean)]
        means = [answer for answer in dict.fromkeys(references) if isinstance(answer, Mean)]
        n = int(own.sum())
        shared = {answer: n + k for k, answer in enumerate([*single, *means])}
        self._target_of = torch.empty(len(rows), dtype=torch.int64)
        self._target_of[own] = torch.arange(n)
        self._target_of[~own] = torch.tensor([shared[answer] for answer in references], dtype=torch.int64)
        store = TargetStore(n + len(shared), self._limit)
        for part in (part for part in own.nonzero()[:, 0].split(self._chunk) if len(part)):
            store.append(self._ask({key: value[part] for key, value in self.asked.items()}))
        for start in range(0, len(single), self._chunk):
            store.append(self._ask(self._adapter.collate(single[start : start + self._chunk])))
        for answer in means:
            store.append(self._ask(self._adapter.collate(answer.conditions)).mean())
        self._answers = store.gathered()


class LessonLoader:
    """Shuffled batches of targets or other rows; one pass gives every row once over all processes.

    The order depends on the seed and the number of the pass alone, and :meth:`state_dict` holds the
    position, so an interrupted run goes on with exactly the batch that it would have had.

    Args:
        key: The rows.
        batch_size: Rows of a batch on each process.
        seed: Of the order.
        rank: Number of this process.
        world: Number of processes; all of them see equally many batches, filled up with rows of
            weight 0.
    """

    def __init__(self, key: Rows, batch_size: int, *, seed: int = 0, rank: int = 0, world: int = 1):
        if batch_size < 1:
            raise RedactError(f"batch_size is {batch_size}; give at least 1.")
        self.key, self.batch_size, self.seed, self.rank, self.world = key, batch_size, seed, rank, world
        self.epoch = self.position = 0
        self._rest = False

    def __len__(self) -> int:
        share = (len(self.key) + self.world - 1) // self.world
        return (share + self.batch_size - 1) // self.batch_size

    def __iter__(self) -> Iterator[BatchLike]:
        start, turn = self.position if self._rest else 0, self.epoch
        self._rest = False
        rows, weight = self._share()
        for number in range(start, len(self)):
            part = slice(number * self.batch_size, (number + 1) * self.batch_size)
            # before the last batch is given away: who knows the length does not come back for the end
            last = number + 1 == len(self)
            self.epoch, self.position = (self.epoch + 1, 0) if last else (self.epoch, number + 1)
            yield self.key.batch(rows[part], weight[part], turn=turn)

    def state_dict(self) -> dict[str, int]:
        """Pass and position; what comes next follows from them."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from ``state``."""
        self.epoch, self.position = state["epoch"], state["position"]
        self._rest = True

    def _share(self) -> tuple[Tensor, Tensor]:
        """This process's rows of the current pass, and their weights."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.key), generator=generator)
        weight = self.key.weight[order]
        missing = -len(order) % self.world
        order = torch.cat([order, order[:missing]])
        weight = torch.cat([weight, weight.new_zeros(missing)])
        return order[self.rank :: self.world], weight[self.rank :: self.world]
