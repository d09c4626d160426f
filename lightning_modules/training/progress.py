"""One progress bar for the whole run, with a rate, instead of one for each pass over the data."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm.auto import tqdm


class StepProgress(ProgressBar):
    """Optimiser steps done and left, steps a second, and the loss terms."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._enabled = True

    def disable(self) -> None:
        """Called by the trainer on processes other than the first."""
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        total = trainer.max_steps if trainer.max_steps > 0 else int(trainer.estimated_stepping_batches)
        self._bar = tqdm(
            total=total,
            initial=trainer.global_step,
            desc="redact",
            unit="step",
            dynamic_ncols=True,
            disable=not self._enabled,
        )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._bar.disable:
            self._bar.update(trainer.global_step - self._bar.n)
            metrics = {k: f"{float(v):.2e}" for k, v in trainer.progress_bar_metrics.items() if k != "v_num"}
            self._bar.set_postfix(metrics, refresh=False)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._bar.close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """End the bar's line, so that the reason stands on its own."""
        if self._bar is not None:
            self._bar.close()
