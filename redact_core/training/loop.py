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
from redact_core.adapters.fingerprint import weights_digest
from redact_core.artefacts.work import Done, Work, asked_for
from redact_core.errors import RedactError
from redact_core.lessons.rules import check_lessons
from redact_core.objectives.base import Objective, frozen_copy
from redact_core.objectives.distillation import method_of
from redact_core.objectives.targets import LessonLoader
from redact_core.support.meter import Meter
from redact_core.training.result import Redaction
from redact_core.training.soundness import (
    check_base,
    check_rate,
    check_steps,
    check_terms,
    check_weights,
    shortfalls,
)
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
        RedactError: If the lessons contradict one another or a condition cannot be read, if no step would move a
            weight, or if the training diverges; the weights are then of no use; or if
            the encoder's weights are not float32.
    """
    if adapter.dtype != torch.float32:
        raise RedactError(
            f"The encoder's weights are {str(adapter.dtype).removeprefix('torch.')}; training needs float32: call "
            "to(dtype=torch.float32), or load the model anew."
        )
    with Meter(adapter.device.type) as meter:
        objective = method_of(adapter, objective)
        objective.check(adapter)
        rate = objective.peak_rate(adapter) if lr is None else lr
        check_rate(rate)
        check_base(adapter.encoder)
        wanted = _wanted(what, reference, retain, seed)
        rows = adapter.expand(wanted) if isinstance(wanted, Request) else wanted
        check_lessons(rows, adapter.identity)
        student = objective.prepare(adapter)
        teacher = frozen_copy(student)
        check_base(teacher)
        base = weights_digest(teacher)
        losses: dict[str, float] = {}
        done: Done | None = None
        solved = objective.solve(adapter, rows, seed=seed)
        count = objective.default_steps(adapter) if steps is None else steps
        if not solved:
            check_steps(count)
        key = objective.rows(adapter, teacher, rows, seed=seed)
        before = key.measure(teacher)
        del teacher  # its answers are all that is needed
        if not solved:
            loader = LessonLoader(key, batch_size, seed=seed)
            with adapter.progress(count) if progress else nullcontext(_unseen) as watch:

                def told(step: int, terms: dict[str, float]) -> None:
                    watch(step, terms)
                    if on_step is not None:
                        on_step(step, terms)

                losses = _train(student, objective, loader, count, rate, told)
            settings = {"precision": "32-true", "optimizer": "AdamW"}
            done = Done(count, count, min(len(key), count * batch_size), len(key), settings)
        after = key.measure(student)
        if not solved:
            check_terms(after, count, rate)  # the last step may have been the one that went too far
    measures = {f"{name} before": value for name, value in before.items()}
    measures |= {f"{name} after": value for name, value in after.items()}
    cost = {"seconds": meter.seconds}
    if not math.isnan(meter.peak_bytes):
        cost["peak_bytes"] = meter.peak_bytes
    asked = asked_for(wanted, adapter.chosen_references) if isinstance(wanted, Request) else [_listed(rows)]
    fell_short = shortfalls(before, after)
    for sentence in fell_short:
        warnings.warn(sentence, stacklevel=2)
    work = Work(objective, rows, asked, rate, batch_size, seed, measures, cost, done, fell_short)
    remarks = adapter.remarks if isinstance(wanted, Request) else ()
    result = Redaction(adapter, student, base, _after(adapter, work), losses, remarks)
    adapter.redaction = result
    return result


def _wanted(
    what: str | Path | Request | Sequence[str | Path | Lesson],
    reference: str | Sequence[str] | None,
    retain: str | Sequence[str] | None,
    seed: int,
) -> Request | list[Lesson]:
    """A request, or ready rows.

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
        return request
    if reference is not None or retain is not None:
        raise RedactError(
            "reference and retain belong to names; a request and rows say for themselves what is answered and kept."
        )
    return what if isinstance(what, Request) else [row for row in what if isinstance(row, Lesson)]


def _names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if given is None else (given,) if isinstance(given, str | Path) else tuple(given)


def _listed(rows: Sequence[Lesson]) -> str:
    return f"{sum(row.redacted for row in rows)} rows that were given one by one"


def _after(adapter: Adapter, work: Work) -> Work:
    """``work``, with what the model in memory was redacted for before."""
    before = adapter.redaction
    if not isinstance(before, Redaction):
        return work
    sentence = (
        "The model was redacted more than once, one redaction after the other; method and measures are those of "
        "the last."
    )
    notes = list(dict.fromkeys((sentence, *before.work.shortfalls, *work.shortfalls)))
    asked, lessons = [*before.work.asked, *work.asked], [*before.work.lessons, *work.lessons]
    return replace(work, asked=asked, lessons=lessons, shortfalls=notes)


def _unseen(step: int, terms: Mapping[str, float]) -> None:
    """Nobody looks on."""


def _train(
    student: nn.Module,
    objective: Objective,
    loader: LessonLoader,
    steps: int,
    rate: float,
    on_step: Callable[[int, dict[str, float]], None],
) -> dict[str, float]:
    """The terms of the last of ``steps`` optimiser steps.

    Raises:
        RedactError: The training diverges.
    """
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
            on_step(step, terms)
            step += 1
            if step == steps:
                check_weights(student)
                break
    return terms
