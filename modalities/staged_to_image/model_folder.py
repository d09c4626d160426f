"""The folder of a staged generator: ``config.json`` and ``model.safetensors``, in our own format.

``config.json``: ``architecture`` (``staged-vae``), ``classes`` (name -> another name for the same),
``words`` (the vocabulary, in the order of the embedding's rows from 1), ``dim``, ``extra``, ``latent``,
``width``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from modalities.hub import locate_here
from modalities.staged_to_image.conditioner import StagedConditioner
from modalities.staged_to_image.generator import StagedGenerator
from modalities.weight_files import Loaded, load_model, write_parts
from redact_core import RedactError

BUNDLED = Path(__file__).with_name("bundled")
KIND = "staged-vae"


def build(config: Mapping[str, Any]) -> tuple[StagedConditioner, StagedGenerator]:
    """An untrained model of this configuration."""
    conditioner = StagedConditioner(len(config["words"]), config["dim"], config["extra"])
    generator = StagedGenerator(config["dim"], config["latent"], config["width"])
    return conditioner, generator


def locate(source: str) -> Path:
    """The folder of ``bundled`` or of a path; see :func:`modalities.hub.locate_here`."""
    return locate_here(source, {"bundled": BUNDLED}, "a staged model's folder or bundled")


def load(folder: Path) -> Loaded[StagedConditioner, StagedGenerator]:
    """Read a staged model; see :func:`modalities.weight_files.load_model`."""
    return load_model(folder, "staged model", _check, build)


def _check(folder: Path, config: Mapping[str, Any]) -> None:
    if config["architecture"] != KIND:
        raise RedactError(
            f"{folder} holds a model of the kind {config['architecture']!r}; this adapter takes {KIND!r}."
        )


def write(
    folder: Path,
    config: Mapping[str, Any],
    conditioner: nn.Module,
    generator: nn.Module,
    base: Path | None = None,
) -> None:
    """Write a model into the existing ``folder``; see :func:`modalities.weight_files.write_parts`."""
    write_parts(folder, config, base, conditioner=conditioner, generator=generator)
