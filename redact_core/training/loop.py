"""``redact()``: the plain training loop, for scripts and notebooks."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from redact_core.adapters.base import Adapter
from redact_core.errors import RedactError
from redact_core.lessons.rules import check_lessons
from redact_core.objectives.base import Objective, frozen_copy
from redact_core.objectives.distillation import method_of
from redact_core.objectives.targets import LessonLoader
from redact_core.training.soundness import check_rate, check_steps, check_terms, check_weights
from redact_core.types import Lesson, Request


def cosine_decay(steps: int, warmup: int = 10, floor: float = 0.01) -> Callable[[int], float]:
    """Factor of the learning rate at a step: short linear warm-up, then half a cosine to ``floor``."""

    def factor(step: int) -> float:
        progress = min(1.0, step / max(1, steps))
        return min(1.0, (step + 1) / warmup) * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)

    return factor


def adamw(parameters: Sequence[nn.Parameter], lr: float, *, scaled: bool = False) -> torch.optim.AdamW:
    """AdamW without weight decay, as one kernel a step where the parameters are on a GPU.

    Args:
        parameters: At least one.
        lr: Peak learning rate.
        scaled: Whether a loss scaler hands over its gradients. The one kernel would then take the scale out
            itself, which Lightning refuses together with gradient clipping; the usual kernels are taken.
    """
    fused = parameters[0].device.type == "cuda" and not scaled
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0, fused=fused or None)


def redact(
    adapter: Adapter,
    lessons: Sequence[Lesson] | Request,
    *,
    objective: Objective | None = None,
    steps: int = 300,
    batch_size: int = 64,
    lr: float | None = None,
    seed: int = 0,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> dict[str, float]:
    """Redact ``adapter`` in place, like ``list.sort``, on the device where its encoder is.

    Args:
        adapter: The model; its encoder is trained, or what the objective trains.
        lessons: Rows, or a request that the adapter expands.
        objective: Default: :meth:`~redact_core.adapters.base.Adapter.default_objective`.
        steps: Optimiser steps, at least 1.
        batch_size: Rows of a step.
        lr: Peak learning rate of AdamW; default: :meth:`~redact_core.objectives.base.Objective.peak_rate`.
        seed: Of variants and order.
        on_step: Called with the step and its terms, e.g. for a progress bar.

    Returns:
        The terms of the last step; empty where there was nothing to train.

    Raises:
        RedactError: If the lessons contradict one another or a condition cannot be read, if no step would move a
            weight, or if the training diverges; the weights are then of no use; or if
            the encoder's weights are not float32.
    """
    if adapter.dtype != torch.float32:
        raise RedactError(
            f"The encoder's weights are {str(adapter.dtype).removeprefix('torch.')}; training needs float32: call "
            "to(dtype=torch.float32), or load the model anew."
        )
    objective = method_of(adapter, objective)
    rate = objective.peak_rate(adapter) if lr is None else lr
    check_rate(rate)
    rows = adapter.expand(lessons) if isinstance(lessons, Request) else list(lessons)
    check_lessons(rows, adapter.identity)
    if objective.solve(adapter, rows, seed=seed):
        return {}
    check_steps(steps)
    student = objective.prepare(adapter)
    key = objective.rows(adapter, frozen_copy(student), rows, seed=seed)
    loader = LessonLoader(key, batch_size, seed=seed)
    parameters = [p for p in student.parameters() if p.requires_grad]
    device = parameters[0].device
    optimizer = adamw(parameters, rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine_decay(steps))
    student.eval()  # no dropout: the target is a deterministic answer
    terms: dict[str, float] = {}
    step = 0
    while step < steps:
        for batch in loader:
            batch = batch.to(device)
            losses = objective(student, batch)
            terms = {name: value.item() for name, value in losses.items()}
            check_terms(terms, step + 1, rate)
            optimizer.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
            schedule.step()
            if on_step is not None:
                on_step(step, terms)
            step += 1
            if step == steps:
                check_weights(student)
                # the last step may have been the one that went too far
                last = objective(student, batch)
                check_terms({name: value.item() for name, value in last.items()}, step + 1, rate)
                break
    return terms
