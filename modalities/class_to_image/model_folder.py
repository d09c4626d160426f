"""The folder of a class-conditional model: ``config.json`` and ``model.safetensors``, in our own format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from modalities.class_to_image.networks import ClassRows, Vae
from redact_core import RedactError

BUNDLED = Path(__file__).with_name("bundled")
CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True)
class Loaded:
    """A model in float32 and in evaluation mode, and its class names in the order of the rows."""

    names: list[str]
    rows: ClassRows
    generator: Vae


def locate(source: str) -> Path:
    """The folder of ``bundled`` or of a path.

    Raises:
        RedactError: There is no such folder.
    """
    folder = BUNDLED / "vae" if source == "bundled" else Path(source).expanduser()
    if not folder.is_dir():
        raise RedactError(f"There is no folder {source}; give a model folder or bundled.")
    return folder


def load(folder: Path) -> Loaded:
    """Read a model.

    Raises:
        RedactError: A file is missing or damaged, or the weights do not fit the configuration.
    """
    try:
        config: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        names = list(map(str, config["classes"]))
        kind = config["architecture"]
        if kind != "vae":
            raise RedactError(f"{folder} holds a model of the kind {kind!r}; this adapter takes vae.")
        generator = Vae(config["latent"], config["embedding"], config["widths"])
        rows = ClassRows(len(names), generator.places)
        state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
        rows.tables.load_state_dict(_below(state, "classes."))
        generator.load_state_dict(_below(state, "generator."))
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        if isinstance(error, RedactError):
            raise
        reason = str(error).strip().splitlines()[0]
        raise RedactError(
            f"{folder} holds no class-conditional model ({reason}); give a folder with {CONFIG} and {WEIGHTS}."
        ) from error
    return Loaded(names, rows.eval(), generator.eval())


def write(base: Path, target: Path, rows: ClassRows, generator: Vae) -> None:
    """Write the weights under the base's names, dtypes and metadata; what did not move keeps its bits."""
    state = {f"classes.{name}": value for name, value in rows.tables.state_dict().items()}
    state |= {f"generator.{name}": value for name, value in generator.state_dict().items()}
    with safe_open(base, "pt") as file:
        types = {name: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    tensors = {name: state[name].detach().to("cpu", dtype).contiguous() for name, dtype in types.items()}
    save_file(tensors, target, metadata=metadata)


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
