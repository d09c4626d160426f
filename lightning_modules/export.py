"""At the end of fit: an ordinary folder of the original library, the card, the resolved config."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import lightning as L
import yaml
from lightning.pytorch.utilities import rank_zero_info

from lightning_modules.data import RedactionData
from lightning_modules.module import RedactionModule
from lightning_modules.surroundings import versions
from redact_core import Objective, RedactError, RedactionCard
from redact_core.artefact import check_target, hashes, new_folder, sha256
from redact_core.card import FILE, SCOPE, Disclosure, describe_lessons
from redact_core.cost import Meter

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
        self.folder, self.key_file = Path(folder), key
        self.config: dict[str, Any] = {}
        self._meter, self._earlier = Meter(), 0.0
        self._written = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse now what would fail after training."""
        if trainer.is_global_zero:
            check_target(self.folder)
            self._key()
        self._meter = Meter(trainer.strategy.root_device.type).__enter__()

    def state_dict(self) -> dict[str, Any]:
        """The seconds spent survive an interruption."""
        return {"seconds": self._earlier + self._meter.spent}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._earlier = float(state_dict.get("seconds", 0.0))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero or trainer.interrupted:
            return
        self.write(*_ours(trainer, pl_module), steps=trainer.global_step)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Resumed after its last step, a run has no training that ends, but still its artefact to write."""
        if not self._written:
            self.on_train_end(trainer, pl_module)

    def write(self, module: RedactionModule, data: RedactionData, *, steps: int) -> None:
        """Write the artefact after ``steps`` of training; 0 where the lessons were carried out without."""
        self._meter.__exit__(None, None, None)
        cost = {"seconds": self._earlier + self._meter.seconds}
        if not math.isnan(self._meter.peak_bytes):
            cost["peak_bytes"] = self._meter.peak_bytes
        module.student.float()
        end = data.answer_key(module).measure(module.student)
        measures = {f"{name} before": value for name, value in data.before.items()}
        measures |= {f"{name} after": value for name, value in end.items()}
        write_artefact(
            self.folder,
            module,
            data,
            config=self._disclosed_config(),
            measures=measures,
            request=describe_lessons(data.asked_for(), data.lessons, self.disclosure, self._key()),
            steps=steps,
            cost=cost,
        )
        self._written = True
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

    def _disclosed_config(self) -> dict[str, Any]:
        """The resolved config, without the redacted conditions where the card hides them."""
        config = {name: value for name, value in self.config.items() if name != "config"}
        if self.disclosure != "text" and isinstance(config.get("data"), dict):
            config["data"] = {**config["data"], "redact": "not disclosed", "lessons": None}
        return config


def write_artefact(
    folder: Path,
    module: RedactionModule,
    data: RedactionData,
    *,
    config: Mapping[str, Any],
    measures: dict[str, float],
    request: dict[str, Any],
    steps: int,
    cost: Mapping[str, float] | None = None,
) -> None:
    """Save the adapter's folder with card and config; see :func:`redact_core.artefact.new_folder`."""
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
        RedactionCard(
            base={"source": origin.source, "kind": origin.kind, "revision": origin.revision},
            method={
                "adapter": _name(module.adapter),
                "objective": _name(module.objective),
                "objective_arguments": _plain(vars(module.objective)) | _parts(module.objective),
                "steps": steps,
                "learning_rate": module.lr,
                "batch_size": data.batch_size,
                "seed": data.seed,
            },
            request=request,
            changed=changed,
            files=files,
            measures=measures,
            versions=versions(_LIBRARIES),
            scope=module.objective.scope or SCOPE,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            cost=dict(cost or {}),
            notes=[] if steps else [module.objective.solved],
        ).write(part)


def _ours(trainer: L.Trainer, module: L.LightningModule) -> tuple[RedactionModule, RedactionData]:
    data = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
    if not isinstance(module, RedactionModule) or not isinstance(data, RedactionData):
        raise RedactError("ExportRedacted works with RedactionModule and RedactionData; use these in fit.")
    return module, data


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
