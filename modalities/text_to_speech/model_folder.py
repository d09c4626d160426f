"""The folder of a ``SpeechT5ForTextToSpeech``: checking it, and writing one whose weights have changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from modalities.text_to_speech.table_files import copy, files
from modalities.weight_files import differs, write_like
from redact_core import RedactError
from redact_core.card import OWN_FILES

KIND = "SpeechT5ForTextToSpeech"
WEIGHTS = "model.safetensors"


def check(folder: Path) -> dict[str, Any]:
    """``config.json``, if it is that of a SpeechT5 whose weights can be read.

    Raises:
        RedactError: No transformers folder, another class, or pickled weights.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RedactError(
            f"{folder} is no transformers folder: it has no readable config.json; give a SpeechT5 checkpoint."
        ) from error
    kind = (config.get("architectures") or [config.get("model_type")])[0]
    if kind != KIND:
        raise RedactError(f"{folder} holds a {kind}; this adapter takes a {KIND}.")
    if not (folder / WEIGHTS).is_file():
        raise RedactError(f"{folder} holds no {WEIGHTS}; pickled weights are refused, convert them first.")
    return config


def parts(folder: Path) -> dict[str, Path]:
    """Relative name -> file of everything that a folder with a changed generator holds.

    Other formats and precisions of the weights are left out: a stock copy would undo a redaction.
    """
    found = files(folder, [folder / WEIGHTS])
    return {name: path for name, path in found.items() if name not in OWN_FILES}


def changed(model: nn.Module, folder: Path) -> bool:
    """Are the weights of ``model`` other ones than those in ``folder``, in the file's own types?"""
    return differs(folder / WEIGHTS, model.state_dict())


def write(model: nn.Module, base: Path, target: Path) -> None:
    """Copy the folder ``base`` bit by bit, with the weights of ``model`` under the base's names and types."""
    for name, path in parts(base).items():
        if name != WEIGHTS:
            copy(path, target / name)
    write_like(base / WEIGHTS, target / WEIGHTS, model.state_dict(), KIND)
