"""The Lightning module: one objective, one student, targets from the data. No modality."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightning_modules.training.checkpoints import KEPT
from redact_core import Adapter, Objective, RedactError
from redact_core.training.identity import check_same, run_identity
from redact_core.training.loop import adamw, cosine_decay
from redact_core.training.run import TrainingRun
from redact_core.training.soundness import check_terms, check_weights, losses_of

_LOOK = 10
"""Every so many batches an accelerator is asked whether the loss is finite."""


class RedactionModule(L.LightningModule):
    """Trains ``objective.prepare(adapter)`` in place; the adapter then is the redacted model.

    Args:
        adapter: The model to redact.
        objective: The method; default: what suits the adapter, :meth:`redact_core.Adapter.default_objective`.
        lr: Peak learning rate of AdamW, decayed over the run; default: what the method or the adapter recommends.
            ``--optimizer`` on the command line replaces both.
    """

    identity: dict[str, Any] | None = None
    """What this training depends on; known once it is set up."""
    _resumed_with: list[str] | None = None
    resumed: tuple[int, int] | None = None
    """After how many steps of how many planned ones the training was taken up again."""

    def __init__(self, adapter: Adapter, objective: Objective | None = None, lr: float | None = None):
        super().__init__()
        self.adapter = adapter
        # copies the teacher now: on resuming, the student's weights are restored before the data are prepared
        self.run = TrainingRun(adapter, objective, lr)
        self.objective, self.student, self.lr = self.run.objective, self.run.student, self.run.rate

    def setup(self, stage: str) -> None:
        """Note what this training depends on, before a checkpoint is read and before the method changes."""
        data = getattr(self.trainer, "datamodule", None)
        trained = [name for name, value in self.student.named_parameters() if value.requires_grad]
        settings = {"learning rate": self.lr} | getattr(data, "settings", {})
        lessons = getattr(data, "lessons", ())
        self.identity = run_identity(
            self.adapter, self.objective, self.run.base, trained, lessons, **settings
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        check_weights(self.student)
        optimizers = self._optimizers()
        checkpoint[KEPT] = {"identity": self.identity, "planned": self._planned(), "optimizers": optimizers}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another training.

        Raises:
            RedactError: It is none of ours, or something differs that the result depends on.
        """
        kept = checkpoint.get(KEPT, {})
        check_same(kept.get("identity"), self.identity or {}, "The checkpoint")
        self.resumed = int(checkpoint.get("global_step", 0)), int(kept["planned"])
        self._resumed_with = kept["optimizers"]

    def on_fit_start(self) -> None:
        """Initialise the student, once a checkpoint has been read."""
        data = getattr(self.trainer, "datamodule", None)
        lessons, seed = getattr(data, "lessons", ()), getattr(data, "seed", 0)
        self.run.initialise(lessons, seed=seed)

    def on_train_start(self) -> None:
        """Refuse an optimiser that cannot go on where another one was; it is made after the checkpoint is read."""
        then = self._optimizers() if self._resumed_with is None else self._resumed_with
        if then != self._optimizers():
            raise RedactError(
                f"The checkpoint belongs to a training with {' and '.join(then)} in place of "
                f"{' and '.join(self._optimizers())}; give that one, or start anew without the checkpoint."
            )

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        terms = losses_of(self.objective, self.student, batch)
        # an accelerator would have to wait for the number
        if batch_idx % _LOOK == 0 or self.device.type == "cpu":
            check_terms({k: v.item() for k, v in terms.items()}, self.global_step + 1, self.lr)
        self.log_dict(terms, prog_bar=True, batch_size=len(batch))
        return torch.stack(list(terms.values())).sum()

    def on_train_epoch_start(self) -> None:
        self.student.eval()  # no dropout: the target is a deterministic answer

    def configure_optimizers(self) -> Any:
        parameters = [p for p in self.student.parameters() if p.requires_grad]
        optimizer = adamw(parameters, self.lr, scaled=self.trainer.precision == "16-mixed")
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine_decay(self._planned()))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _planned(self) -> int:
        """Steps of the whole training.

        Raises:
            RedactError: It has no end.
        """
        steps = float(self.trainer.estimated_stepping_batches)
        if math.isinf(steps):
            raise RedactError(
                "The training has no end, but the learning rate falls over its whole length; "
                "give --trainer.max_steps or --trainer.max_epochs."
            )
        return int(steps)

    def _optimizers(self) -> list[str]:
        return [type(optimizer).__name__ for optimizer in self.trainer.optimizers]
