"""The Lightning module: one objective, one student, targets from the data. No modality."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from redact_core import Adapter, Objective
from redact_core.loop import adamw, cosine_decay, frozen_copy


class RedactionModule(L.LightningModule):
    """Trains ``objective.prepare(adapter)`` in place; the adapter then is the redacted model.

    Args:
        adapter: The model to redact.
        objective: The method; default: what suits the adapter, :meth:`redact_core.Adapter.default_objective`.
        lr: Peak learning rate of AdamW, decayed over the run; default: what the method or the adapter recommends.
            ``--optimizer`` on the command line replaces both.
    """

    adapter: Adapter
    teacher: nn.Module

    def __init__(self, adapter: Adapter, objective: Objective | None = None, lr: float | None = None):
        super().__init__()
        # not registered as modules: the checkpoint holds the student and nothing else
        self.__dict__["adapter"] = adapter
        self.objective = objective or adapter.default_objective()
        self.student: nn.Module = self.objective.prepare(adapter)
        # copied now: on resuming, the student's weights are restored before the data are prepared
        self.__dict__["teacher"] = frozen_copy(self.student)
        self.lr = lr or self.objective.peak_rate(adapter)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        del batch_idx
        terms = self.objective(self.student, batch)
        self.log_dict(terms, prog_bar=True, batch_size=len(batch))
        return torch.stack(list(terms.values())).sum()

    def on_train_epoch_start(self) -> None:
        self.student.eval()  # no dropout: the target is a deterministic answer

    def configure_optimizers(self) -> Any:
        parameters = [p for p in self.student.parameters() if p.requires_grad]
        optimizer = adamw(parameters, self.lr, scaled=self.trainer.precision == "16-mixed")
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine_decay(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
