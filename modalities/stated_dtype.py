"""What the configuration of a transformers model says its weights are loaded as.

transformers 5 loads a model whose caller names no dtype as its ``config.json`` states, or as its weights are
where that states none; transformers 4 and diffusers load float32. A pipeline, or a caller with float32 inputs,
then meets one part in half precision and ends in "mat1 and mat2 must have the same dtype". A configuration
that states float32 is right for every version: it holds only where no dtype is named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

_KEYS = ("dtype", "torch_dtype")  # now, and before transformers 4.56
_WHOLE = "float32"
_NAMES = {"F16": "float16", "BF16": "bfloat16", "F32": _WHOLE, "F64": "float64"}


def loaded_as(folder: Path) -> str | None:
    """The dtype that transformers 5 gives the model of ``folder`` where its caller names none.

    ``None``: the folder holds no transformers model, or the configuration and the safetensors files do not say.
    """
    config = _config(folder)
    if config is None:
        return None
    stated = next((str(config[key]) for key in _KEYS if config.get(key) is not None), None)
    return stated.removeprefix("torch.") if stated else _of_weights(sorted(folder.glob("*.safetensors")))


def half_parts(folders: Sequence[Path]) -> dict[str, str]:
    """Name -> dtype of the transformers models among ``folders`` that are not loaded in float32."""
    found = {folder.name: loaded_as(folder) for folder in folders}
    return {name: dtype for name, dtype in found.items() if dtype not in (None, _WHOLE)}


def load_in_float32(folder: Path) -> None:
    """Let the configuration of the transformers model in ``folder`` state float32, if it is loaded otherwise.

    Weights keep their number format: they are cast while they are loaded, and whoever names a dtype gets that.
    """
    config = _config(folder)
    if config is None or loaded_as(folder) in (None, _WHOLE):
        return
    stated = [key for key in _KEYS if key in config] or [_KEYS[0]]
    config |= dict.fromkeys(stated, _WHOLE)
    text = json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")


def _config(folder: Path) -> dict[str, Any] | None:
    """``config.json`` of a transformers model; diffusers' own classes always load float32."""
    try:
        values: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) and "model_type" in values else None


def _of_weights(files: Sequence[Path]) -> str | None:
    """Of the first tensor of real numbers, as transformers looks it up."""
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                kinds = (file.get_slice(name).get_dtype() for name in file.keys())  # noqa: SIM118
                found = next((_NAMES[kind] for kind in kinds if kind in _NAMES), None)
        except (OSError, SafetensorError):
            continue
        if found:
            return found
    return None
