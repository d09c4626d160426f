"""An interrupted training that goes on against one that ran through."""

import copy
from collections.abc import Callable
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_modules import RedactionData, RedactionModule
from redact_core import Adapter, Objective


def assert_generator_resumes(
    build: Callable[[], Adapter],
    objective: Callable[[], Objective],
    data: Callable[[Adapter], RedactionData],
    folder: Path,
    *,
    steps: int,
    stop: int,
) -> None:
    """Resumed after ``stop`` of ``steps``, the generator's weights are those of an uninterrupted run, bit by bit."""

    def run(checkpoints: Path, ckpt: Path | None = None) -> dict[str, torch.Tensor]:
        model = build()
        keep = ModelCheckpoint(checkpoints, filename="{step}", every_n_train_steps=1, save_top_k=-1)
        trainer = L.Trainer(
            max_steps=steps, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[keep],
        )  # fmt: skip
        trainer.fit(RedactionModule(model, objective()), data(model), ckpt_path=ckpt)
        return copy.deepcopy(model.generator.state_dict())

    whole = run(folder / "whole")
    resumed = run(folder / "resumed", folder / "whole" / f"step={stop}.ckpt")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert len(list((folder / "resumed").iterdir())) == steps - stop
