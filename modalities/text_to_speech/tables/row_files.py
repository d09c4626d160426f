"""Folders of transformers with a table of speakers: finding a ``VitsModel``, its weights and table, and copying them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from modalities import hub
from modalities.json_files import read_json
from modalities.weight_files import in_dtype, save_safe
from redact_core import RedactError
from redact_core.support.folders import files_below
from redact_core.support.inside import inside

TABLE = "embed_speaker.weight"
_MODEL, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
_WEIGHTS = {*_PICKLES, ".safetensors", ".msgpack", ".h5", ".onnx", ".onnx_data", ".ot", ".tflite", ".gguf"}


def locate(source: str, revision: str | None = None) -> Path:
    """The folder of a ``VitsModel``, without the weight files that are never read; see :mod:`.hub`."""
    ignored = [f"*{suffix}" for suffix in sorted(_WEIGHTS - {".safetensors"})]
    wanted = "the folder of a VitsModel or a hub id (owner/name)"

    def fetch() -> str:
        from huggingface_hub import snapshot_download

        return snapshot_download(source, revision=revision, ignore_patterns=ignored)

    return hub.locate(source, revision, holds="config.json", wanted=wanted, fetch=fetch)


def check(folder: Path) -> dict[str, Any]:
    """``config.json``, if it is that of a ``VitsModel`` with several speakers.

    Raises:
        RedactError: No transformers folder, another class, or one speaker only.
    """
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise RedactError(
            f"{folder} is no transformers folder: it has no readable config.json; "
            "give the folder that from_pretrained reads."
        )
    kind = (config.get("architectures") or [config.get("model_type")])[0]
    if kind not in {"VitsModel", "vits"}:
        raise RedactError(f"{folder} holds a {kind}; this adapter takes a VitsModel.")
    speakers = config.get("num_speakers", 1)
    if not isinstance(speakers, int) or speakers < 2:
        raise RedactError(
            f"{folder} has no table of speakers (num_speakers is {speakers}); "
            "give a VitsModel with several speakers."
        )
    return config


def weights(folder: Path, table: str = TABLE, kind: str = "multi-speaker VitsModel") -> list[Path]:
    """The safetensors files that ``from_pretrained`` reads; the first one holds the table.

    Args:
        folder: Of the model.
        table: How the name of the table ends.
        kind: What the folder should hold, for the message.

    Raises:
        RedactError: None is there (pickles are named and refused), one is missing, damaged or elsewhere, or
            none of them holds the table.
    """
    if (folder / _MODEL).is_file():
        names = {_MODEL}
    else:
        index = read_json(folder / _INDEX)
        parts = index.get("weight_map") if isinstance(index, dict) else None
        names = set(map(str, parts.values())) if isinstance(parts, dict) else set[str]()
    if not names:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
        if pickles:
            raise RedactError(
                f"{folder / pickles[0]} is a pickled weight file, which can run code when it is loaded; "
                "convert it to safetensors first (from_pretrained and save_pretrained in a sandbox)."
            )
        raise RedactError(
            f"{folder} holds no {_MODEL}; other kinds of weights are not read, convert them or fetch it again."
        )
    paths = [inside(folder, name, str(folder / _INDEX)) for name in sorted(names)]
    held = {path: _tables(path, table) for path in paths}
    paths.sort(key=lambda path: len(held[path]), reverse=True)
    if not held[paths[0]]:
        raise RedactError(f"{paths[0]} holds no {table}; it is no {kind}, fetch it again.")
    return paths


def table_name(path: Path, table: str) -> str:
    """The tensor of a file whose name ends in ``table``.

    Raises:
        RedactError: There are several.
    """
    found = _tables(path, table)
    if len(found) != 1:
        raise RedactError(f"{path} holds {len(found)} tensors {table}, wanted is one; fetch it again.")
    return found[0]


def read_table(path: Path, table: str = TABLE) -> Tensor:
    """The table ``(speakers, dim)`` in the file's own dtype."""
    with safe_open(path, "pt") as file:
        return file.get_tensor(table)


def moved_rows(table: Tensor, stock: Tensor) -> tuple[Tensor, set[int]]:
    """``stock`` with the rows of ``table`` that differ from it, and which these are.

    Args:
        table: ``(speakers, dim)`` float32.
        stock: The same shape in the file's dtype; a row that did not move keeps its bits.
    """
    moved = (table != stock.float()).any(1)
    return torch.where(moved[:, None], table.to(stock.dtype), stock), set(moved.nonzero()[:, 0].tolist())


def write_table(base: Path, target: Path, table: Tensor, name: str = TABLE) -> None:
    """Write ``base`` anew with another table of this ``name``: the same key names, dtypes and metadata."""
    with safe_open(base, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    target.parent.mkdir(parents=True, exist_ok=True)
    save_safe({**tensors, name: in_dtype(name, table, table.dtype).contiguous()}, target, metadata)


def files(folder: Path, read: list[Path]) -> dict[str, Path]:
    """Relative name -> file of everything that belongs into a redacted copy.

    Weights that ``from_pretrained`` does not ``read`` are left out, whatever their format: a stock
    table would undo the redaction. So are hidden folders, such as a clone's history.
    """
    return {
        name: path
        for name, path in files_below(folder).items()
        if path in read or path.suffix not in _WEIGHTS
    }


def copy(source: Path, target: Path) -> None:
    """Copy one file bit by bit, with its folders; follows the hub cache's links, leaves out its rights."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _tables(path: Path, table: str) -> list[str]:
    """Names of the tensors of a file that end in ``table``."""
    if not path.is_file():
        raise RedactError(f"{path} is missing; the folder is not complete, fetch it again.")
    try:
        with safe_open(path, "pt") as file:
            return [key for key in file.keys() if key == table or key.endswith(f".{table}")]  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RedactError(f"{path} is no readable safetensors file ({error}); fetch it again.") from error
