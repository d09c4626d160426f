"""The folder of a class-conditional model.

An autoencoder is ``config.json`` and ``model.safetensors``, in our own format. A diffusion model is
the folders ``unet`` and ``scheduler``, which diffusers loads without us, and a ``config.json`` with
the names of the classes.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from modalities.class_to_image.networks import ClassRows, RowGenerator, Vae
from modalities.hub import locate_here
from modalities.weight_files import CONFIG, WEIGHTS, below, refusing, write_like
from redact_core import RedactError

BUNDLED = Path(__file__).with_name("bundled")
UNET = "unet/diffusion_pytorch_model.safetensors"
KINDS = {"vae": "class-conditional VAE", "unet": "UNet2DModel"}


@dataclass(frozen=True)
class Loaded:
    """A model in float32 and in evaluation mode, and its class names in the order of the rows."""

    kind: str
    names: list[str]
    rows: ClassRows
    generator: RowGenerator


def locate(source: str) -> Path:
    """The folder of ``bundled``, of ``bundled-ddpm``, or of a path; see :func:`modalities.hub.locate_here`."""
    bundled = {"bundled": BUNDLED / "vae", "bundled-ddpm": BUNDLED / "ddpm"}
    return locate_here(source, bundled, "a model folder, bundled or bundled-ddpm")


def load(folder: Path) -> Loaded:
    """Read a model.

    Raises:
        RedactError: A file is missing or damaged, or the weights do not fit the configuration.
    """
    with refusing(folder, "class-conditional model", f"{CONFIG} and weights"):
        config: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        names, kind = list(map(str, config["classes"])), config["architecture"]
        if kind not in KINDS:
            raise RedactError(
                f"{folder} holds a model of the kind {kind!r}; this adapter takes {' and '.join(KINDS)}."
            )
        rows, generator = (_load_vae if kind == "vae" else _load_unet)(folder, config, len(names))
        return Loaded(kind, names, rows.eval(), generator.eval())


def _load_vae(folder: Path, config: Any, classes: int) -> tuple[ClassRows, Vae]:
    generator = Vae(config["latent"], config["embedding"], config["widths"])
    rows = ClassRows(classes, generator.places)
    state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    rows.tables.load_state_dict(below(state, "classes."))
    generator.load_state_dict(below(state, "generator."))
    return rows, generator


def _load_unet(folder: Path, config: Any, classes: int) -> tuple[ClassRows, RowGenerator]:
    from modalities.class_to_image import diffusion  # diffusers takes seconds to import

    unet, scheduler = diffusion.read(folder)
    embedding = unet.class_embedding
    if embedding.num_embeddings != classes:
        raise ValueError(f"{classes} names of classes but {embedding.num_embeddings} rows")
    generator = diffusion.Ddpm(unet, scheduler, config["steps"])
    rows = ClassRows(classes, generator.places)
    rows.tables["embedding"] = embedding
    return rows, generator


def files(folder: Path, kind: str) -> dict[str, Path]:
    """Relative name -> file, for every file that the model is."""
    names = (CONFIG, WEIGHTS)
    if kind == "unet":
        names = (CONFIG, UNET, "unet/config.json", "scheduler/scheduler_config.json")
    return {name: folder / name for name in names}


def write(base: Path, target: Path, kind: str, rows: ClassRows, generator: RowGenerator) -> None:
    """Write the folder under the base's names, dtypes and metadata; what did not move keeps its bits."""
    weights = WEIGHTS if kind == "vae" else UNET
    for name, path in files(base, kind).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if name != weights:
            shutil.copyfile(path, target / name)
    if kind == "vae":
        state = {f"classes.{name}": value for name, value in rows.tables.state_dict().items()}
        state |= {f"generator.{name}": value for name, value in generator.state_dict().items()}
    else:
        state = {f"class_{name}": value for name, value in rows.tables.state_dict().items()}
        state |= {name.removeprefix("unet."): value for name, value in generator.state_dict().items()}
    write_like(base / weights, target / weights, state, KINDS[kind])
