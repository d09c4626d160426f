"""``redact fit``: LightningCLI over our module and data, with one adapter for both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_info

from lightning_modules.data import RedactionData
from lightning_modules.devices import checked_precision
from lightning_modules.export import ExportRedacted
from lightning_modules.module import RedactionModule
from lightning_modules.progress import StepProgress
from lightning_modules.surroundings import quiet
from redact_core.processes import refuse_several

SWITCHES = {"progress": "enable_progress_bar", "checkpoint": "enable_checkpointing"}
"""Our callback -> the trainer's argument that turns it off."""


def _run_folder(folder: Path | str) -> str:
    return f"{folder}.run"


class RedactCLI(LightningCLI):
    """The verb ``fit``; logs and checkpoints go to ``<export.folder>.run`` beside the artefact."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("model.adapter", "data.adapter", apply_on="instantiate")
        parser.add_lightning_class_args(ExportRedacted, "export")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(StepProgress, "progress")
        parser.link_arguments("export.folder", "trainer.default_root_dir", compute_fn=_run_folder)
        parser.link_arguments(
            "export.folder",
            "checkpoint.dirpath",
            compute_fn=lambda folder: f"{_run_folder(folder)}/checkpoints",
        )
        parser.set_defaults(
            {
                "trainer.max_steps": 300,
                "trainer.max_epochs": -1,
                "trainer.log_every_n_steps": 10,
                "trainer.enable_model_summary": False,
                "checkpoint.every_n_train_steps": 50,
                "checkpoint.save_last": True,
                "checkpoint.save_top_k": 1,
            }
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"}}

    def before_instantiate_classes(self) -> None:
        """Refuse a precision that would fail late."""
        checked_precision(self.config["fit"]["trainer"]["precision"])

    def instantiate_trainer(self, **options: Any) -> Trainer:
        """Leave out what the trainer's switches turn off; it refuses callbacks that contradict them."""
        parser, trainer = self._parser("fit"), self.config_init["fit"]["trainer"]
        off = {key for key, switch in SWITCHES.items() if trainer.get(switch) is False}
        parser.callback_keys = [key for key in parser.callback_keys if key not in off]
        return super().instantiate_trainer(**options)

    def before_fit(self) -> None:
        """Give the export the resolved config, and say once where things go."""
        parser = self._parser("fit")
        self._export().config = yaml.safe_load(parser.dump(self.config["fit"], skip_link_targets=True))

    def fit(self, model: RedactionModule, datamodule: RedactionData, **options: Any) -> None:
        """Train; where the lessons are carried out without it, export at once instead."""
        if model.objective.one_process:
            refuse_several(type(model.objective).__name__, self.trainer.world_size)
        if not _multiplies(self.trainer):
            # lessons are made with the encoder, too: prompts that are read as the concept, nearest voices
            model.adapter.to(self.trainer.strategy.root_device)
        datamodule.setup("fit")
        # a method that runs rows through the encoder solves them all: one process is enough, and writes
        idle = model.objective.solve_runs_encoder and not self.trainer.is_global_zero
        if not idle and not model.objective.solve(model.adapter, datamodule.lessons, seed=datamodule.seed):
            self.trainer.fit(model, datamodule=datamodule, **options)
            return
        export = self._export()
        export.setup(self.trainer, model, "fit")
        rank_zero_info(f"There is nothing to train. {model.objective.solved}")
        if self.trainer.is_global_zero:
            export.write(model, datamodule, steps=0)

    def _export(self) -> ExportRedacted:
        return next(c for c in self.trainer.callbacks if isinstance(c, ExportRedacted))  # pyright: ignore


def _multiplies(trainer: Trainer) -> bool:
    """Whether training copies this process into others, which must not have touched CUDA before."""
    return hasattr(trainer.strategy.launcher, "_start_method")


def run() -> None:
    """Parse ``sys.argv`` (with the verb first) and fit."""
    quiet()
    RedactCLI(RedactionModule, RedactionData, save_config_callback=None, seed_everything_default=0)
