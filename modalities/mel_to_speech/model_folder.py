"""The folder of a vocoder: ``config.json`` and ``model.safetensors``, in our own format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from modalities.hub import locate_here
from modalities.mel_to_speech.gated import GatedConditioner
from modalities.mel_to_speech.mel import HOP, RATE
from modalities.mel_to_speech.networks import DiffWave, MelConditioner
from modalities.weight_files import CONFIG, WEIGHTS, load_parts, refusing, write_parts
from redact_core import RedactError

BUNDLED = Path(__file__).with_name("bundled")
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
        load_parts(folder, conditioner=conditioner, generator=generator)
        return Loaded(config, conditioner, generator)


def write(
    folder: Path,
    config: Mapping[str, Any],
    conditioner: nn.Module,
    generator: nn.Module,
    base: Path | None = None,
) -> None:
    """Write a vocoder into the existing ``folder``; see :func:`modalities.weight_files.write_parts`."""
    gated = isinstance(conditioner, GatedConditioner)
    told = config if gated == config.get("gated", False) else {**config, "gated": gated}
    write_parts(folder, told, base, conditioner=conditioner, generator=generator)
