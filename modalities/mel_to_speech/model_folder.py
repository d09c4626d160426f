"""The folder of a vocoder: ``config.json`` and ``model.safetensors``, in our own format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from modalities.hub import locate_here
from modalities.mel_to_speech.gated import GatedConditioner
from modalities.mel_to_speech.mel import HOP, RATE
from modalities.mel_to_speech.networks import DiffWave, MelConditioner
from modalities.weight_files import Loaded, load_model, write_parts
from redact_core import RedactError

BUNDLED = Path(__file__).with_name("bundled")
KIND = "diffwave"


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


def load(folder: Path) -> Loaded[MelConditioner | GatedConditioner, DiffWave]:
    """Read a vocoder; see :func:`modalities.weight_files.load_model`."""
    return load_model(folder, "vocoder", _check, build)


def _check(folder: Path, config: Mapping[str, Any]) -> None:
    told = {"architecture": config["architecture"], "rate": config["rate"], "hop": config["hop"]}
    wanted = {"architecture": KIND, "rate": RATE, "hop": HOP}
    if told != wanted:
        raise RedactError(f"{folder} holds a model of the kind {told}; this adapter takes {wanted}.")


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
