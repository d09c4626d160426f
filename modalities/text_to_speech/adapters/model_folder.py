"""The folder of a ``SpeechT5ForTextToSpeech``: checking it, and writing one whose weights have changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from modalities.stated_dtype import load_in_float32
from modalities.stock import Stock, find
from modalities.text_to_speech.tables.row_files import copy, files
from modalities.weight_files import SAFE, check_plain, write_like
from redact_core import RedactError
from redact_core.artefacts.card import OWN_FILES

KIND = "SpeechT5ForTextToSpeech"
WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
PICKLED = "pytorch_model.bin"
"""Read as plain tensors or not at all: Microsoft's own repositories have no other weights."""


def check(folder: Path) -> dict[str, Any]:
    """``config.json``, if it is that of a SpeechT5 whose weights can be read.

    Raises:
        RedactError: No transformers folder, another class, or weights that are no plain tensors.
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
    check_weights(folder)
    return config


def check_weights(folder: Path) -> None:
    """Refuse a folder without :func:`weights`, or whose weights are no plain tensors."""
    check_plain(weights(folder).files[0])


def weights(folder: Path) -> Stock:
    """The weights that ``from_pretrained`` reads in a folder of one of the library's models.

    Raises:
        RedactError: There are none, or a file is missing or damaged.
    """
    if (folder / WEIGHTS).is_file() or (folder / _INDEX).is_file():
        return find(folder)
    if (folder / PICKLED).is_file():
        return Stock((folder / PICKLED,))
    raise RedactError(
        f"{folder} holds neither {WEIGHTS} nor {PICKLED}; other kinds of weights are not read, "
        "convert them or fetch it again."
    )


def parts(folder: Path) -> dict[str, Path]:
    """Relative name -> file of everything that a folder with a changed generator holds.

    Other formats and precisions of the weights are left out: a stock copy would undo a redaction.
    """
    found = files(folder, list(weights(folder).files))
    return {name: path for name, path in found.items() if name not in OWN_FILES}


def changed(model: nn.Module, folder: Path) -> bool:
    """Are the weights of ``model`` other ones than those in ``folder``, in the file's own types?"""
    return weights(folder).differs(model.state_dict())


def write(model: nn.Module, base: Path, target: Path) -> None:
    """Copy the folder ``base`` bit by bit, with the weights of ``model`` under the base's names and types.

    They are written as safetensors, whatever the base's are. The configuration states float32: a speaker's
    embedding is float32, and a model that is loaded in half precision cannot read it.
    """
    stock = weights(base)
    for name, path in parts(base).items():
        if path not in (*stock.files, stock.index):
            copy(path, target / name)
    if stock.files[0].suffix == SAFE:
        stock.write(target, model.state_dict(), KIND)
    else:
        write_like(stock.files[0], target / WEIGHTS, model.state_dict(), KIND)
    load_in_float32(target)
