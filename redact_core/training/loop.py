"""``redact()``: the plain training loop, for scripts and notebooks."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from redact_core.adapters.base import Adapter
from redact_core.artefacts.work import Done, Work, asked_for
from redact_core.errors import RedactError
from redact_core.objectives.base import Objective
from redact_core.objectives.targets import LessonLoader
from redact_core.support.meter import Meter
from redact_core.support.whole_numbers import check_whole
from redact_core.training.result import Redaction
from redact_core.training.run import TrainingRun, lessons_of
from redact_core.training.soundness import check_terms, check_weights, losses_of
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
    what: str | Path | Request | Sequence[str | Path | Lesson],
    *,
    reference: str | Sequence[str] | None = None,
    retain: str | Sequence[str] | None = None,
    objective: Objective | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    lr: float | None = None,
    seed: int = 0,
    progress: bool = True,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> Redaction:
    """Redact ``adapter`` in place, like ``list.sort``, on the device where its encoder is.

    Args:
        adapter: The model; its encoder is trained, or what the objective trains.
        what: What shall no longer work: a name, several names, a request, or ready rows.
        reference: What is answered instead of a name: one for all or one for each; default: the adapter's choice.
        retain: Where retained conditions come from, in words that the adapter knows; default: the adapter's choice.
        objective: The method; default: :meth:`~redact_core.adapters.base.Adapter.default_objective`.
        steps: Optimiser steps, at least 1; default: what suits the method and the adapter.
        batch_size: Rows of a step.
        lr: Peak learning rate of AdamW; default: :meth:`~redact_core.objectives.base.Objective.peak_rate`.
        seed: Of wordings, variants and order.
        progress: Show the adapter's progress bar, if it has one.
        on_step: Called with the step and its terms.

    Returns:
        Losses, seconds, remarks and the card; as a mapping the terms of the last step, empty where there was
        nothing to train. The adapter keeps it, so that ``save_pretrained`` writes the same card.

    Raises:
        RedactError: If ``steps``, ``batch_size`` or ``seed`` is no whole number, if the lessons contradict one another or
            a condition cannot be read, if no step would move a weight, if the training diverges (the weights are then of no
            use), or if the encoder's weights are not float32.
    """
    check_whole(steps=steps, batch_size=batch_size, seed=seed)
    with Meter(adapter.device.type) as meter:
        run = TrainingRun(adapter, objective, lr)
        _ = run.base  # of the weights as they are before anything is read with them or solved
        request, rows = _wanted(what, reference, retain, seed)
        lessons = lessons_of(adapter, request, rows)
        losses: dict[str, float] = {}
        done: Done | None = None
        if run.solve(lessons, seed=seed):
            run.targets(lessons, seed=seed)
        else:
            count = run.steps(steps)
            run.initialise(lessons, seed=seed)
            targets = run.targets(lessons, seed=seed)
            loader = LessonLoader(targets, batch_size, seed=seed)
            with adapter.progress(count) if progress else nullcontext(_unseen) as watch:

                def told(step: int, terms: dict[str, float]) -> None:
                    watch(step, terms)
                    if on_step is not None:
                        on_step(step, terms)

                losses = _train(run, loader, count, told)
            settings = {"precision": "32-true", "optimizer": "AdamW"}
            done = Done(count, count, min(len(targets), count * batch_size), len(targets), settings)
    asked = [_listed(rows)] if request is None else asked_for(request, adapter.chosen_references)
    remarks = () if request is None else adapter.remarks
    result = run.finish(
        lessons,
        asked,
        batch_size=batch_size,
        seed=seed,
        cost=meter.cost(),
        done=done,
        losses=losses,
        remarks=remarks,
    )
    for sentence in result.shortfalls:
        warnings.warn(sentence, stacklevel=2)
    result.work = _after(adapter, result.work)
    adapter.redaction = result
    return result


def _wanted(
    what: str | Path | Request | Sequence[str | Path | Lesson],
    reference: str | Sequence[str] | None,
    retain: str | Sequence[str] | None,
    seed: int,
) -> tuple[Request | None, list[Lesson]]:
    """A request, or ready rows without one.

    Raises:
        RedactError: Nothing is named, names and rows are mixed, or rows or a request come with a reference.
    """
    if isinstance(what, str | Path):
        what = [what]
    names = (
        () if isinstance(what, Request) else tuple(str(one) for one in what if not isinstance(one, Lesson))
    )
    if names:
        if len(names) < len(what):  # pyright: ignore[reportArgumentType]
            raise RedactError("Names and rows stand in one list; give names, or rows.")
        request = Request(names, _names(reference), _names(retain), seed)
        request.check_references()
        return request, []
    if reference is not None or retain is not None:
        raise RedactError(
            "reference and retain belong to names; a request and rows say for themselves what is answered and kept."
        )
    if isinstance(what, Request):
        return what, []
    return None, [row for row in what if isinstance(row, Lesson)]


def _names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if given is None else (given,) if isinstance(given, str | Path) else tuple(given)


def _listed(rows: Sequence[Lesson]) -> str:
    return f"{sum(row.redacted for row in rows)} rows that were given one by one"


def _after(adapter: Adapter, work: Work) -> Work:
    """``work``, with the redactions of the model in memory before it."""
    before = adapter.redaction
    return replace(work, earlier=before.records()) if isinstance(before, Redaction) else work


def _unseen(step: int, terms: Mapping[str, float]) -> None:
    """Nobody looks on."""


def _train(
    run: TrainingRun,
    loader: LessonLoader,
    steps: int,
    on_step: Callable[[int, dict[str, float]], None],
) -> dict[str, float]:
    """The terms of the last of ``steps`` optimiser steps.

    Raises:
        RedactError: The training diverges.
    """
    student = run.student
    parameters = [p for p in student.parameters() if p.requires_grad]
    device = parameters[0].device
    optimizer = adamw(parameters, run.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine_decay(steps))
    student.eval()  # no dropout: the target is a deterministic answer
    terms: dict[str, float] = {}
    step = 0
    while step < steps:
        for batch in loader:
            batch = batch.to(device)
            losses = losses_of(run.objective, student, batch)
            terms = {name: value.item() for name, value in losses.items()}
            check_terms(terms, step + 1, run.rate)
            optimizer.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
            schedule.step()
            on_step(step, terms)
            step += 1
            if step == steps:
                check_weights(student)
                break
    return terms
