"""The folder of a vocoder: ``config.json`` and ``model.safetensors``, in our own format."""

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

from modalities.hub import locate_here
from modalities.mel_to_speech.gated import GatedConditioner
from modalities.mel_to_speech.mel import HOP, RATE
from modalities.mel_to_speech.networks import DiffWave, MelConditioner
from modalities.weight_files import below, refusing
from redact_core import RedactError

BUNDLED = Path(__file__).with_name("bundled")
CONFIG, WEIGHTS = "config.json", "model.safetensors"
KIND = "diffwave"


@dataclass(frozen=True)
class Loaded:
    """A vocoder in float32 and in evaluation mode."""

    config: dict[str, Any]
    conditioner: MelConditioner | GatedConditioner
    generator: DiffWave


def build(config: Mapping[str, Any]) -> tuple[MelConditioner | GatedConditioner, DiffWave]:
    """An untrained vocoder of this configuration."""
    layers, channels = config["layers"], config["channels"]
    conditioner = MelConditioner(layers, config["bands"], 2 * channels, config["factors"], config["window"])
    generator = DiffWave(
        layers, channels, config["cycle"], config["fold"], config["noise_schedule"], config["gain"]
    )
    if config.get("gated", False):
        return GatedConditioner(conditioner, config["bands"]), generator
    return conditioner, generator


def locate(source: str) -> Path:
    """The folder of ``bundled`` or of a path; see :func:`modalities.hub.locate_here`."""
    return locate_here(source, {"bundled": BUNDLED}, "a vocoder's folder or bundled")


def load(folder: Path) -> Loaded:
    """Read a vocoder.

    Raises:
        RedactError: A file is missing or damaged, or the weights do not fit the configuration.
    """
    with refusing(folder, "vocoder", f"{CONFIG} and {WEIGHTS}"):
        config: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        told = {"architecture": config["architecture"], "rate": config["rate"], "hop": config["hop"]}
        wanted = {"architecture": KIND, "rate": RATE, "hop": HOP}
        if told != wanted:
            raise RedactError(f"{folder} holds a model of the kind {told}; this adapter takes {wanted}.")
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
    """Write a vocoder into the existing ``folder``, in the number format of ``base``, else in float16.

    What did not move keeps its bits.
    """
    gated = isinstance(conditioner, GatedConditioner)
    if base is not None and gated == config.get("gated", False):
        shutil.copyfile(base / CONFIG, folder / CONFIG)
    else:
        told = {**config, "gated": gated}
        (folder / CONFIG).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    state = {f"conditioner.{name}": value for name, value in conditioner.state_dict().items()}
    state |= {f"generator.{name}": value for name, value in generator.state_dict().items()}
    dtype = torch.float16 if base is None else _dtype(base / WEIGHTS)
    tensors = {name: value.detach().to("cpu", dtype).contiguous() for name, value in state.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def _dtype(path: Path) -> torch.dtype:
    with safe_open(path, "pt") as file:
        return file.get_tensor(next(iter(file.keys()))).dtype
