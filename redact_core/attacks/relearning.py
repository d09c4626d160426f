"""Fine-tuning a redacted model until the redacted condition works again."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasTrainingLoss, require
from redact_core.attacks.base import Access, Attack, Attempt
from redact_core.attacks.low_rank import add_low_rank, folded
from redact_core.attacks.with_encoder import with_encoder
from redact_core.errors import RedactError
from redact_core.objectives.distances import conditioning_distance
from redact_core.plan import PlanRow
from redact_core.types import Condition, Conditioning, Request

RATE, LOW_RANK_RATE = 1e-5, 1e-4
"""Learning rates that whole diffusion models, and low-rank changes of them, are usually fine-tuned with."""


class Relearning(Attack):
    """Trains one part of the model, or both; the other takes part in the loss and stays as it is.

    Args:
        part: ``encoder``, what distillation changes; ``generator``, what Selective Amnesia changes; ``both``.
        data: ``victim``: the first distinct conditions of the attacked rows, so that the other rows
            show what comes back beyond them. ``benign``: conditions that the base would retain.
        loss: ``samples``: the generator's training loss of the base's own samples, which stand for
            pictures or clips that the attacker has. ``answers``: the distance to the base encoder's
            conditionings, for the encoder alone.
        examples: Conditions that are trained on.
        steps: Optimiser steps.
        lr: Of AdamW; default: see :meth:`rate`.
        batch_size: Examples of a step.
        rank: Of a low-rank change of each layer; 0 trains every weight.

    Raises:
        RedactError: A setting is out of range, or a generator is to be trained by answers.
    """

    needs = (HasTrainingLoss,)
    access: ClassVar[Access] = "weights"
    adaptive = True

    def __init__(
        self,
        data: Literal["victim", "benign"] = "victim",
        loss: Literal["samples", "answers"] = "samples",
        examples: int = 10,
        steps: int = 50,
        lr: float | None = None,
        batch_size: int = 4,
        rank: int = 0,
        part: Literal["encoder", "generator", "both"] = "encoder",
    ):
        for name, value, least in (
            ("examples", examples, 1), ("steps", steps, 1), ("batch_size", batch_size, 1), ("rank", rank, 0),
        ):  # fmt: skip
            if value < least:
                raise RedactError(f"{name} is {value}; give at least {least}.")
        if lr is not None and lr <= 0:
            raise RedactError(f"lr is {lr:g}; give a number above 0, or none for the default.")
        if part != "encoder" and loss != "samples":
            raise RedactError(
                f"loss is {loss} and part {part}; the generator can only be trained by samples."
            )
        self.data, self.loss, self.examples, self.steps = data, loss, examples, steps
        self.lr, self.batch_size, self.rank, self.part = lr, batch_size, rank, part
        self.curve: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        low_rank = f"-rank{self.rank}" if self.rank else ""
        part = "" if self.part == "encoder" else f"-{self.part}"
        return f"Relearning-{self.data}-{self.loss}{part}{low_rank}-{self.steps}"

    def rate(self, model: Adapter) -> float:
        """The learning rate: the one given, else :data:`RATE` or :data:`LOW_RANK_RATE` for samples, and the adapter's for answers.

        What suits an adapter trains an encoder towards embeddings. At that rate a few steps on the loss of samples ruin the
        untouched model, which then draws nothing any more, and a low leak would mean nothing. The same attack on the base is the
        ceiling that tells.
        """
        if self.lr is not None:
            return self.lr
        if self.loss == "answers":
            return model.learning_rate
        return LOW_RANK_RATE if self.rank else RATE

    @property
    def budget(self) -> str:
        return f"{self.steps} steps on {self.examples} {self.data} examples"

    def subvert(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> Adapter:
        """The model after the last step; :attr:`curve` then holds the loss of each step."""
        (result,) = [changed for _, changed in self.trajectory(model, base, rows, seed=seed, at=[self.steps])]
        return result

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del model, base, seed
        spent = len(self.curve) * min(self.batch_size, self.examples)
        return [Attempt(condition=row.condition, queries=spent, losses=self.curve) for row in rows]

    def trajectory(
        self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int, at: Sequence[int]
    ) -> Iterator[tuple[int, Adapter]]:
        """The model after each number of steps in ``at``, for curves of leak against steps; 0 is ``model``."""
        generator = torch.Generator().manual_seed(seed)
        changed, parts = self._attacked(model)
        trained = [p for part in parts for p in self._trained(part, generator)]
        lessons = self._lessons(base, rows, generator)
        optimizer = torch.optim.AdamW(trained, lr=self.rate(model), weight_decay=0.0)
        curve: list[float] = []
        for step in range(max(at) + 1):
            if step in at:
                self.curve = tuple(curve)
                yield step, self._snapshot(changed, model)
            if step == max(at):
                break
            pick = torch.randperm(len(lessons), generator=generator)[: self.batch_size].tolist()
            with torch.enable_grad():
                loss = self._loss(changed, [lessons[i] for i in pick], step).mean()
            # not backward(): it would leave gradients in the other part, which may be shared
            for parameter, gradient in zip(trained, torch.autograd.grad(loss, trained), strict=True):
                parameter.grad = gradient
            optimizer.step()
            curve.append(loss.item())

    def _attacked(self, model: Adapter) -> tuple[Adapter, list[nn.Module]]:
        """A copy that may be trained, and what of it is."""
        if self.part == "encoder":  # the generator, which may be large, is shared
            encoder = copy.deepcopy(model.encoder).eval()
            return with_encoder(model, encoder), [encoder]
        changed = copy.deepcopy(model)
        generator = self._generator(changed).requires_grad_(True)
        return changed, [generator] + ([changed.encoder.eval()] if self.part == "both" else [])

    def check(self, model: Adapter) -> None:
        """Answers of the encoder are to be had of every model."""
        if self.loss == "samples":
            super().check(model)

    def _generator(self, adapter: Adapter) -> nn.Module:
        return require(adapter, HasTrainingLoss, type(self).__name__).generator

    def _trained(self, part: nn.Module, generator: torch.Generator) -> list[nn.Parameter]:
        if self.rank:
            return add_low_rank(part, self.rank, generator)
        return [p for p in part.parameters() if p.requires_grad]

    def _snapshot(self, changed: Adapter, model: Adapter) -> Adapter:
        """A copy of ``changed`` as it is now, with low-rank changes folded in."""
        if self.part == "encoder":
            encoder = changed.encoder
            return with_encoder(
                model, folded(encoder, model.encoder) if self.rank else copy.deepcopy(encoder)
            )
        result = copy.deepcopy(model)
        parts = [(self._generator(changed), self._generator(result))]
        if self.part == "both":
            parts.append((changed.encoder, result.encoder))
        for now, own in parts:
            own.load_state_dict((folded(now, own) if self.rank else now).state_dict())
        return result

    def _lessons(self, base: Adapter, rows: Sequence[PlanRow], generator: torch.Generator) -> list[_Lesson]:
        pool: dict[Condition, int] = {}
        for row in rows:
            pool.setdefault(row.condition, row.seed)
        if self.data == "benign":
            pool = {condition: i for i, condition in enumerate(_benign(base, rows, generator))}
        chosen = list(pool.items())[: self.examples]
        conditions, seeds = [c for c, _ in chosen], [s for _, s in chosen]
        with torch.no_grad():
            if self.loss == "samples":
                samples = base.generate(conditions, seeds=seeds)
                return [_Lesson(c, s, x) for c, s, x in zip(conditions, seeds, samples, strict=True)]
            answers = base.encode(conditions)
        return [_Lesson(c, s, answers[torch.tensor([i])]) for i, (c, s) in enumerate(chosen)]

    def _loss(self, adapter: Adapter, lessons: Sequence[_Lesson], step: int) -> Tensor:
        conditioning = adapter.encode([lesson.condition for lesson in lessons])
        samples = [lesson.wanted for lesson in lessons if isinstance(lesson.wanted, Tensor)]
        if samples:
            trained = require(adapter, HasTrainingLoss, type(self).__name__)
            seeds = [trained.redraw(lesson.seed, step) for lesson in lessons]
            return trained.training_loss(conditioning, samples, seeds=seeds)
        answers = [lesson.wanted for lesson in lessons if isinstance(lesson.wanted, Conditioning)]
        return conditioning_distance(conditioning, Conditioning.cat(answers))


@dataclass(frozen=True)
class _Lesson:
    condition: Condition
    seed: int
    wanted: Tensor | Conditioning
    """The base's sample, or its conditioning as a batch of one."""


def _benign(base: Adapter, rows: Sequence[PlanRow], generator: torch.Generator) -> list[Condition]:
    """Conditions that the base retains when what the rows' labels name is redacted, shuffled."""
    names = {row.labels.get(row.task.partition(" ")[0], ""): row.labels.get("reference", "") for row in rows}
    if not all(names):
        raise RedactError(
            "Benign examples are those that a redaction would retain, but some rows have no label that names "
            "what is redacted; give the plan a column named after its task, or data: victim."
        )
    references = tuple(names.values()) if all(names.values()) else ()
    lessons = base.expand(Request(tuple(names), references))
    kept = dict.fromkeys(lesson.asked for lesson in lessons if not lesson.redacted)
    order = torch.randperm(len(kept), generator=generator).tolist()
    return [list(kept)[i] for i in order]
