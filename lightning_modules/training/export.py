"""At the end of fit: an ordinary folder of the original library, the card, the resolved config."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import lightning as L
import yaml
from lightning.pytorch.utilities import rank_zero_info

from lightning_modules.support.environment import versions
from lightning_modules.support.output import say
from lightning_modules.training.data import RedactionData
from lightning_modules.training.disclosure import disclosed_config, disclosed_source
from lightning_modules.training.done import Done, done, tries_only
from lightning_modules.training.module import RedactionModule
from redact_core import Objective, RedactError, RedactionCard
from redact_core.artefacts.card import FILE, OWN_FILES, SCOPE, Disclosure, describe_lessons
from redact_core.artefacts.fingerprint import weights_digest
from redact_core.artefacts.folders import check_space, check_target, hashes, new_folder, sha256
from redact_core.evaluation.cost import Meter
from redact_core.support.paths import at_home
from redact_core.training.soundness import check_measures, check_weights, shortfalls

_UNCHANGED = (
    "Every weight is still the base's, in the base's number format: nothing was redacted and nothing was exported. "
    "Train for more steps, or with a higher learning rate or redact_weight."
)
_LIBRARIES = ("torch", "lightning", "transformers", "diffusers", "speechbrain", "safetensors")


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
            _ = module.base  # of the untouched weights; the teacher goes later
        self._meter = Meter(trainer.strategy.root_device.type).__enter__()

    def state_dict(self) -> dict[str, Any]:
        """The seconds spent survive an interruption."""
        return {"seconds": self._earlier + self._meter.spent}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._earlier = float(state_dict.get("seconds", 0.0))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
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
            self.on_train_end(trainer, pl_module)

    def write(self, module: RedactionModule, data: RedactionData, did: Done | None = None) -> None:
        """Write the artefact of a training, or, without ``did``, of lessons that were carried out without one.

        Raises:
            RedactError: Weights or measures are not finite, or no weight differs from the base's.
        """
        self._meter.__exit__(None, None, None)
        cost = {"seconds": self._earlier + self._meter.seconds}
        if not math.isnan(self._meter.peak_bytes):
            cost["peak_bytes"] = self._meter.peak_bytes
        module.student.float()
        check_weights(module.student)
        end = data.answer_key(module).measure(module.student)
        measures = {f"{name} before": value for name, value in data.before.items()}
        measures |= {f"{name} after": value for name, value in end.items()}
        check_measures(measures)
        if weights_digest(module.student) == module.base:
            raise RedactError(_UNCHANGED)
        did_not = shortfalls(data.before, end)
        write_artefact(
            self.folder,
            module,
            data,
            config=disclosed_config(self.config, self.disclosure),
            measures=measures,
            request=describe_lessons(data.asked_for(), data.lessons, self.disclosure, self._key()),
            did=did,
            notes=did_not,
            cost=cost,
            disclosure=self.disclosure,
        )
        self._written = True
        for sentence in (*did_not, *(did.notes() if did else ())):
            say(sentence)
        rank_zero_info(f"Wrote {self.folder}; 'redact card {self.folder}' shows what was done.")

    def _key(self) -> bytes | None:
        if self.disclosure != "digest":
            return None
        if self.key_file is None:
            raise RedactError("Digests need a key; give --export.key FILE with at least 16 random bytes.")
        try:
            key = self.key_file.read_bytes()
        except OSError as error:
            raise RedactError(
                f"{self.key_file}: the key cannot be read ({error.strerror}); give a readable file."
            ) from error
        if len(key) < 16:
            raise RedactError(f"{self.key_file}: the key has {len(key)} bytes; give at least 16 random ones.")
        return key


def write_artefact(
    folder: Path,
    module: RedactionModule,
    data: RedactionData,
    *,
    config: Mapping[str, Any],
    measures: dict[str, float],
    request: dict[str, Any],
    did: Done | None = None,
    notes: Sequence[str] = (),
    cost: Mapping[str, float] | None = None,
    disclosure: Disclosure = "text",
) -> None:
    """Save the adapter's folder with card and config; see :func:`redact_core.artefacts.folders.new_folder`.

    Args:
        folder: To be made.
        module: With the redacted model.
        data: With the lessons.
        config: What ``config.yaml`` shall hold; empty for none.
        measures: Of the card.
        request: Of the card.
        did: What the training did; ``None`` where the lessons were carried out without one.
        notes: More sentences for the card.
        cost: Of the card.
        disclosure: What may be said about the redacted conditions.

    Raises:
        RedactError: The folder exists or cannot be written, or every file of the model is the base's.
    """
    origin = module.adapter.origin
    with new_folder(folder) as part:
        module.adapter.save(part)
        if config:
            (part / "config.yaml").write_text(yaml.safe_dump(dict(config), sort_keys=False), encoding="utf-8")
        files = {name: value for name, value in hashes(part).items() if name not in (FILE, "README.md")}
        changed: dict[str, dict[str, str | None]] = {}
        for name, after in files.items():
            before = sha256(origin.files[name]) if name in origin.files else None
            if before != after:
                changed[name] = {"before": before, "after": after}
        # a configuration that was adapted redacts nothing
        if not {name for name in set(changed) - OWN_FILES if not name.endswith(".json")}:
            raise RedactError(_UNCHANGED)
        settings = did.settings if did else {}
        RedactionCard(
            base={
                "source": disclosed_source(origin.source, disclosure),
                "kind": origin.kind,
                "revision": origin.revision,
            },
            method={
                "adapter": _name(module.adapter),
                "objective": _name(module.objective),
                "objective_arguments": disclosed_config(_plain(vars(module.objective)), disclosure)
                | _parts(module.objective),
                "steps": did.steps if did else 0,
                "learning_rate": module.lr,
                "batch_size": data.batch_size,
                "seed": data.seed,
            }
            | settings,
            request=request,
            changed=changed,
            files=files,
            measures=measures,
            versions=versions(_LIBRARIES),
            scope=module.objective.scope or SCOPE,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            cost=dict(cost or {}),
            notes=[*notes, *(did.notes() if did else [module.objective.solved])],
        ).write(part)


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


def _name(part: object) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def _parts(objective: Objective) -> dict[str, str]:
    """The methods that a method is made of."""
    return {name: _name(part) for name, part in objective.named_children() if isinstance(part, Objective)}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = (bool, int, float, str)
    return {
        k: v for k, v in values.items() if isinstance(v, plain) and not k.startswith("_") and k != "training"
    }
