"""The folder of a staged generator: ``config.json`` and ``model.safetensors``, in our own format.

``config.json``: ``architecture`` (``staged-vae``), ``classes`` (name -> another name for the same),
``words`` (the vocabulary, in the order of the embedding's rows from 1), ``dim``, ``extra``, ``latent``,
``width``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from modalities.staged_to_image.conditioner import StagedConditioner
from modalities.staged_to_image.generator import StagedGenerator
from modalities.weight_files import below, refusing
from redact_core import RedactError

BUNDLED = Path(__file__).with_name("bundled")
CONFIG, WEIGHTS = "config.json", "model.safetensors"
KIND = "staged-vae"


@dataclass(frozen=True)
class Loaded:
    """A model in float32 and in evaluation mode."""

    config: dict[str, Any]
    conditioner: StagedConditioner
    generator: StagedGenerator


def build(config: Mapping[str, Any]) -> tuple[StagedConditioner, StagedGenerator]:
    """An untrained model of this configuration."""
    conditioner = StagedConditioner(len(config["words"]), config["dim"], config["extra"])
    generator = StagedGenerator(config["dim"], config["latent"], config["width"])
    return conditioner, generator


def locate(source: str) -> Path:
    """The folder of ``bundled`` or of a path.

    Raises:
        RedactError: There is no such folder.
    """
    folder = BUNDLED if source == "bundled" else Path(source).expanduser()
    if not folder.is_dir():
        raise RedactError(f"There is no folder {source}; give a staged model's folder or bundled.")
    return folder


def load(folder: Path) -> Loaded:
    """Read a model.

    Raises:
        RedactError: A file is missing or damaged, or the weights do not fit the configuration.
    """
    with refusing(folder, "staged model", f"{CONFIG} and {WEIGHTS}"):
        config: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config["architecture"] != KIND:
            raise RedactError(
                f"{folder} holds a model of the kind {config['architecture']!r}; this adapter takes {KIND!r}."
            )
        conditioner, generator = build(config)
        state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
        conditioner.load_state_dict(below(state, "conditioner."))
        generator.load_state_dict(below(state, "generator."))
        return Loaded(config, conditioner.eval(), generator.eval())


def write(
    folder: Path,
    config: Mapping[str, Any],
    conditioner: nn.Module,
    generator: nn.Module,
    base: Path | None = None,
) -> None:
    """Write a model into the existing ``folder``, in the number format of ``base``, else in float16.

    What did not move keeps its bits; the configuration is copied where it is the base's.
    """
    if base is not None and json.loads((base / CONFIG).read_text(encoding="utf-8")) == config:
        shutil.copyfile(base / CONFIG, folder / CONFIG)
    else:
        (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    state = {f"conditioner.{name}": value for name, value in conditioner.state_dict().items()}
    state |= {f"generator.{name}": value for name, value in generator.state_dict().items()}
    dtype = torch.float16 if base is None else _dtype(base / WEIGHTS)
    tensors = {name: value.detach().to("cpu", dtype).contiguous() for name, value in state.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def _dtype(path: Path) -> torch.dtype:
    with safe_open(path, "pt") as file:
        return file.get_tensor(next(iter(file.keys()))).dtype
