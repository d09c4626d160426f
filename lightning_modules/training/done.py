"""What a training really did, asked of the trainer; and options that allow none."""

from __future__ import annotations

import math
import os
from typing import Any

import lightning as L

from lightning_modules.training.data import RedactionData
from lightning_modules.training.module import RedactionModule
from redact_core import RedactError
from redact_core.artefacts.work import Done

_DEFAULTS = {"accumulate_grad_batches": 1, "gradient_clip_val": None, "gradient_clip_algorithm": None}
"""Settings of the trainer that change what a step is, and their usual values."""


def done(trainer: L.Trainer, module: RedactionModule, data: RedactionData) -> Done:
    """Ask the trainer at its end."""
    # a pass that is cut short begins again with the same rows
    batches = min(trainer.fit_loop.epoch_loop.batch_progress.total.completed, trainer.num_training_batches)
    rows = len(data.targets(module))
    seen = min(rows, int(batches) * data.batch_size * trainer.world_size)
    settings: dict[str, Any] = {"precision": trainer.precision}
    settings |= {k: v for k, usual in _DEFAULTS.items() if (v := getattr(trainer, k)) != usual}
    for optimizer in trainer.optimizers:
        group = optimizer.param_groups[0]
        settings |= {"optimizer": type(optimizer).__name__}
        settings |= {"learning_rate": float(group.get("initial_lr", group["lr"]))}
    planned = float(trainer.estimated_stepping_batches)
    planned = trainer.global_step if math.isinf(planned) else int(planned)
    return Done(trainer.global_step, planned, seen, rows, settings, module.resumed)


def tries_only(trainer: L.Trainer) -> bool:
    """Whether a step or a few are taken to see whether all runs (``fast_dev_run``), for no result."""
    return bool(getattr(trainer, "fast_dev_run", False))


def check_plan(trainer: L.Trainer) -> None:
    """Refuse a training that cannot take a step.

    Raises:
        RedactError: An option allows no step; the message names it.
    """
    limits = {
        "max_steps": trainer.max_steps, "max_epochs": trainer.max_epochs,
        "limit_train_batches": trainer.limit_train_batches,
    }  # fmt: skip
    for name, value in limits.items():
        if value is not None and value == 0:
            raise RedactError(
                f"--trainer.{name} is 0, so nothing would be trained and nothing redacted; give at least 1."
            )


def check_processes(trainer: L.Trainer) -> None:
    """Refuse more processes on the CPU than it has cores: each is a copy of the model.

    Raises:
        RedactError: See above.
    """
    cores = os.cpu_count() or 1
    if trainer.strategy.root_device.type == "cpu" and trainer.num_devices > max(cores, 2):
        raise RedactError(
            f"--trainer.devices is {trainer.num_devices}, but this machine has {cores} cores and no device of "
            f"another kind is used; give at most {cores}."
        )
