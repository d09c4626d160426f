"""``redact fit``: LightningCLI over our module and data, with one adapter for both."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_info

from lightning_modules.cli.hints import with_hint
from lightning_modules.cli.short_forms import SHORT, expanded, in_short, usage
from lightning_modules.support import mishaps
from lightning_modules.support.arguments import at_home_everywhere, gathered
from lightning_modules.support.devices import checked_precision
from lightning_modules.support.environment import quiet
from lightning_modules.support.names import import_named
from lightning_modules.training.checkpoints import (
    LastCheckpoint,
    WholeFiles,
    check_checkpoint,
    own_folder,
    resuming,
)
from lightning_modules.training.data import RedactionData
from lightning_modules.training.done import check_plan, check_processes, tries_only
from lightning_modules.training.export import ExportRedacted
from lightning_modules.training.module import RedactionModule
from lightning_modules.training.progress import StepProgress
from redact_core.support.folders import check_target, check_writable
from redact_core.support.processes import refuse_several

_built: list[LightningArgumentParser] = []
"""The parser of the options, once it is built; it raises its errors before anybody else holds it."""
_NO_MODEL = "the following arguments are required: fit.model.adapter"
"""What the parser says where nothing was given."""
SWITCHES = {"progress": "enable_progress_bar", "checkpoint": "enable_checkpointing"}
"""Our callback -> the trainer's argument that turns it off."""


class RedactCLI(LightningCLI):
    """The verb ``fit``; logs and checkpoints go to ``<export.folder>.run`` beside the artefact, or where one says."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("model.adapter", "data.adapter", apply_on="instantiate")
        parser.add_lightning_class_args(ExportRedacted, "export")
        parser.add_lightning_class_args(LastCheckpoint, "checkpoint")
        parser.add_lightning_class_args(StepProgress, "progress")
        # ours first: of the trainer's hundred options most people need none
        first = ("model", "data", "export", "progress")
        groups: Any = getattr(parser, "_action_groups")  # noqa: B009 argparse keeps them there, and offers no other way
        ours = [getattr(parser, "groups", {}).get(name) for name in first]
        groups.sort(key=lambda group: ours.index(group) if group in ours else len(ours))
        parser.usage = usage("redact")
        _built.append(parser)
        parser.set_defaults(
            {
                "trainer.max_steps": -1,  # as many as suit the model
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

    def _set_seed(self) -> None:
        """Refuse in one line a seed that NumPy cannot take."""
        with mishaps.building("--seed_everything: "):
            super()._set_seed()

    def before_instantiate_classes(self) -> None:
        """Fill in the home folder, and put the run's folders where nothing was said of them: no links, for those refuse the options themselves."""
        at_home_everywhere(self.config)
        config = self.config["fit"]
        checked_precision(config["trainer"]["precision"])  # others fail late
        said = {key: config[key] for key in ("trainer.default_root_dir", "checkpoint.dirpath")}
        config["trainer.default_root_dir"] = (
            said["trainer.default_root_dir"] or f"{config['export.folder']}.run"
        )
        config["checkpoint.dirpath"] = said["checkpoint.dirpath"] or str(
            Path(config["trainer.default_root_dir"]) / "checkpoints"
        )
        self._unsaid = [key for key, value in said.items() if not value]

    def instantiate_classes(self) -> None:
        """Say in one line which package or option of another library stands in the way."""
        with mishaps.building():
            super().instantiate_classes()

    def instantiate_trainer(self, **options: Any) -> Trainer:
        """Leave out what the trainer's switches turn off; it refuses callbacks that contradict them."""
        parser, trainer = self._parser("fit"), self.config_init["fit"]["trainer"]
        off = {key for key, switch in SWITCHES.items() if trainer.get(switch) is False}
        off |= {"checkpoint"} if trainer.get("fast_dev_run") else set()  # a try is nothing to go on from
        parser.callback_keys = [key for key in parser.callback_keys if key not in off]
        if trainer.max_steps == -1 and trainer.max_epochs in (None, -1):
            steps = self.model.run.steps()
            trainer.max_steps = self.config["fit"]["trainer"]["max_steps"] = steps
        with mishaps.building("The trainer cannot be made: "):
            made = super().instantiate_trainer(**options)
        check_processes(made)
        if type(made.strategy.checkpoint_io) is TorchCheckpointIO:  # nobody has asked for another
            made.strategy.checkpoint_io = WholeFiles()
        return made

    def _parse_ckpt_path(self) -> None:
        """Refuse here a checkpoint that cannot be read; ours hold no options of the command line."""
        at_home_everywhere(self.config)  # the checkpoint is looked for before anything is built
        check_checkpoint(self.config["fit"].get("ckpt_path"))

    def before_fit(self) -> None:
        """Give the export the resolved config, and say once where things go."""
        config = self.config["fit"].clone()
        for key in self._unsaid:  # follows from the artefact's own folder
            config[key] = None
        dumped = self._parser("fit").dump(config, skip_link_targets=True)
        self._export().config = yaml.safe_load(dumped)

    def fit(self, model: RedactionModule, datamodule: RedactionData, **options: Any) -> None:
        """Train; where the lessons are carried out without it, export at once instead."""
        if options.get("weights_only", False) is None:
            options["weights_only"] = True  # Lightning's default takes whatever an address of the web gives
        export = self._export()
        self._check_targets(export)
        with ExitStack() as own:
            if self.trainer.is_global_zero:
                # the first says who writes the artefact, wherever logs and checkpoints go
                for place in dict.fromkeys(
                    map(_absolute, (f"{export.folder}.run", self.trainer.default_root_dir))
                ):
                    own.enter_context(own_folder(place))
            self._carry_out(model, datamodule, export, **options)

    def _carry_out(
        self, model: RedactionModule, datamodule: RedactionData, export: ExportRedacted, **options: Any
    ) -> None:
        if model.objective.one_process:
            refuse_several(type(model.objective).__name__, self.trainer.world_size)
        if not _multiplies(self.trainer):
            # lessons are made with the encoder, too: prompts that are read as the concept, nearest voices
            model.adapter.to(self.trainer.strategy.root_device)
        _ = model.run.base  # of the weights as they are before anything is read with them or solved
        datamodule.setup("fit")
        # a method that runs rows through the encoder solves them all: one process is enough, and writes
        idle = model.objective.solve_runs_encoder and not self.trainer.is_global_zero
        if not idle and not model.run.solve(datamodule.lessons, seed=datamodule.seed):
            check_plan(self.trainer)
            with mishaps.training(), resuming():
                self.trainer.fit(model, datamodule=datamodule, **options)
            return
        export.setup(self.trainer, model, "fit")
        rank_zero_info(f"There is nothing to train. {model.objective.solved}")
        if tries_only(self.trainer):
            export.on_train_end(self.trainer, model)
        elif self.trainer.is_global_zero:
            export.write(model, datamodule)

    def _check_targets(self, export: ExportRedacted) -> None:
        """Refuse now what cannot be written later: artefact, logs and checkpoints."""
        if not self.trainer.is_global_zero:
            return
        check_target(export.folder)
        places = [Path(self.trainer.default_root_dir)]
        places += [Path(c.dirpath) for c in self.trainer.checkpoint_callbacks if getattr(c, "dirpath", None)]  # pyright: ignore
        for place in places:
            check_writable(place)

    def _export(self) -> ExportRedacted:
        return next(c for c in self.trainer.callbacks if isinstance(c, ExportRedacted))  # pyright: ignore


def _absolute(place: str | Path) -> Path:
    return Path(place).resolve()


def _multiplies(trainer: Trainer) -> bool:
    """Whether training copies this process into others, which must not have touched CUDA before."""
    return hasattr(trainer.strategy.launcher, "_start_method")


def fit_with(arguments: Sequence[str], whole: Sequence[str] | None = None) -> None:
    """``redact`` with ``arguments``, of which the first is ``fit``; short forms are allowed.

    Args:
        arguments: As they were typed.
        whole: Their :func:`~lightning_modules.cli.short_forms.expanded` form, with the classes in it imported, from whoever has it.
    """
    if whole is None:
        whole = expanded(arguments)
        import_named(whole)
    # the parser reads them there, and so do processes that are started beside this one
    sys.argv[1:] = gathered(whole)
    run(arguments)


def run(typed: Sequence[str] = ()) -> None:
    """Parse ``sys.argv`` (with the verb first) and fit; of what was ``typed`` in short, messages speak in short."""
    quiet()

    def hint(message: str) -> str:
        short = (f"--{name}" for name in SHORT)
        if message == _NO_MODEL:
            return "No model is named; give one, as in redact fit bundled --redact WHAT --out FOLDER, or a config (-c FILE)"
        return in_short(with_hint(message, {*_built[-1]._option_string_actions, *short}), typed)

    with mishaps.parsing(hint):
        _cli(RedactCLI)


def fit_parser() -> LightningArgumentParser:
    """The options of ``redact fit``, short forms among them, for completion; nothing is parsed."""

    class Built(RedactCLI):
        def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
            raise _Built

    with suppress(_Built):
        _cli(Built)
    for name, (whole, text) in SHORT.items():
        _built[-1].add_argument(f"--{name}", help=f"{text} (--{whole})")
    return _built[-1]


class _Built(Exception):  # noqa: N818 nothing has gone wrong
    """The parser is there."""


def _cli(kind: type[RedactCLI]) -> None:
    kind(
        RedactionModule,
        RedactionData,
        save_config_callback=None,
        seed_everything_default=0,
        parser_kwargs={"exit_on_error": False, "fit": {"exit_on_error": False}},
    )
