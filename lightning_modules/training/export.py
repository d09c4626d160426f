"""At the end of fit: an ordinary folder of the original library, the card, the resolved config."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import lightning as L
import yaml
from lightning.pytorch.utilities import rank_zero_info

from lightning_modules.support.output import say
from lightning_modules.training.checkpoints import LastCheckpoint
from lightning_modules.training.data import RedactionData
from lightning_modules.training.done import Done, done, tries_only
from lightning_modules.training.module import RedactionModule
from redact_core import RedactError
from redact_core.artefacts.card import Disclosure
from redact_core.artefacts.disclosure import disclosed_config, read_key
from redact_core.support.folders import check_space, check_target
from redact_core.support.meter import Meter
from redact_core.support.paths import at_home


class ExportRedacted(L.Callback):
    """Writes the redacted model when training has ended; whole, or not at all.

    Args:
        folder: The artefact; must not exist.
        disclosure: What the card says about the redacted conditions: their ``text``, keyed
            ``digest`` values, or only their ``count``.
        key: File with the secret key of the digests, at least 16 bytes; keep it to yourself.
    """

    def __init__(
        self,
        folder: Path = Path("out/redacted"),
        disclosure: Literal["text", "digest", "count"] = "text",
        key: Path | None = None,
    ):
        self.disclosure: Disclosure = disclosure
        self.folder, self.key_file = at_home(folder), None if key is None else at_home(key)
        self.config: dict[str, Any] = {}
        self._meter, self._earlier = Meter(), 0.0
        self._written = False
        """Nothing more is to be written."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse now what would fail after training."""
        if trainer.is_global_zero:
            check_target(self.folder)
            self._key()
            module = _our_module(pl_module)
            check_space(self.folder, module.adapter.origin.files.values())
            _ = module.run.base  # of the untouched weights; the teacher goes later
        self._meter = Meter(trainer.strategy.root_device.type).__enter__()

    def state_dict(self) -> dict[str, Any]:
        """The seconds spent survive an interruption."""
        return {"seconds": self._earlier + self._meter.spent}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._earlier = float(state_dict.get("seconds", 0.0))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if isinstance(pl_module, RedactionModule) and trainer.is_global_zero and trainer.global_step:
            pl_module.run.check_changed()  # before a checkpoint is kept of nothing
        for checkpoint in trainer.checkpoint_callbacks:
            if isinstance(checkpoint, LastCheckpoint) and not trainer.interrupted:
                checkpoint.keep(trainer)
        self._export(trainer, pl_module)

    def _export(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero or trainer.interrupted:
            return
        if tries_only(trainer):
            say("fast_dev_run only tries whether a redaction runs; nothing was exported.")
            self._written = True
            return
        module, data = _ours(trainer, pl_module)
        did = done(trainer, module, data)
        if did.steps < 1:
            raise RedactError(
                "The training ended before its first step (see --trainer.max_time), so nothing was redacted "
                "and nothing was exported."
            )
        self.write(module, data, did)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Resumed after its last step, a run has no training that ends, but still its artefact to write."""
        if not self._written:
            self._export(trainer, pl_module)

    def write(self, module: RedactionModule, data: RedactionData, did: Done | None = None) -> None:
        """Write the artefact of a training, or, without ``did``, of lessons that were carried out without one.

        Raises:
            RedactError: Weights or measures are not finite, or no weight differs from the base's.
        """
        self._meter.__exit__(None, None, None)
        module.student.float()
        data.targets(module)  # which says that it prepares them
        redaction = module.run.finish(
            data.lessons,
            data.asked_for(),
            batch_size=data.batch_size,
            seed=data.seed,
            cost=self._meter.cost(self._earlier),
            done=did,
        )
        config = disclosed_config(self.config, self.disclosure)
        text = yaml.safe_dump(config, sort_keys=False) if config else ""
        redaction.save(
            self.folder, disclosure=self.disclosure, key=self.key_file, config=text, advice=_RESUME
        )
        self._written = True
        for sentence in (*redaction.shortfalls, *(did.notes() if did else ())):
            say(sentence)
        rank_zero_info(f"Wrote {self.folder}; 'redact card {self.folder}' shows what was done.")
        settings = ", ".join(f"{k}={v}" for k, v in module.adapter.call_settings().items())
        if settings:
            rank_zero_info(
                f"No folder keeps the settings of the call; call it with {settings}, as its README.md does."
            )

    def _key(self) -> bytes | None:
        if self.disclosure != "digest":
            return None
        return read_key(self.key_file)


_RESUME = "then run again from the last checkpoint (--ckpt_path last)"
_STRANGERS = "ExportRedacted works with RedactionModule and RedactionData; use these in fit."


def _our_module(module: L.LightningModule) -> RedactionModule:
    if not isinstance(module, RedactionModule):
        raise RedactError(_STRANGERS)
    return module


def _ours(trainer: L.Trainer, module: L.LightningModule) -> tuple[RedactionModule, RedactionData]:
    data = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
    if not isinstance(data, RedactionData):
        raise RedactError(_STRANGERS)
    return _our_module(module), data
