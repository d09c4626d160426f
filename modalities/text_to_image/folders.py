"""Finding a diffusers folder, checking that it is one we can redact, and copying it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from modalities import hub
from redact_core import RedactError

BUNDLED = Path(__file__).with_name("bundled")
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack"}


def locate(source: str, revision: str | None = None, variant: str | None = None) -> Path:
    """The local folder of ``bundled``, a path, or a hub id (downloaded to the hub's cache).

    Raises:
        RedactError: There is no such folder, or the hub cannot be reached or does not have it.
    """
    if source == "bundled":
        return BUNDLED / "pipeline"

    def fetch() -> str:
        from diffusers.pipelines.pipeline_utils import DiffusionPipeline

        return str(
            DiffusionPipeline.download(source, revision=revision, variant=variant, use_safetensors=True)
        )

    wanted = "a diffusers folder, a hub id (owner/name) or bundled"
    return hub.locate(source, revision, holds="model_index.json", wanted=wanted, fetch=fetch)


def check(
    folder: Path, pipelines: set[str], encoders: dict[str, str], variant: str | None = None
) -> dict[str, Any]:
    """The folder's model index, if it is of a known class and its encoders' weights can be read.

    Args:
        folder: From :func:`locate`.
        pipelines: Class names that are accepted.
        encoders: Component -> class name that it must have.
        variant: Of the weight files, e.g. ``fp16``.

    Raises:
        RedactError: Not a diffusers folder, another class, a missing part, or pickled weights.
    """
    index = _json(
        folder / "model_index.json", f"{folder} is no diffusers folder: it has no readable model_index.json"
    )
    found = index.get("_class_name")
    if found not in pipelines:
        raise RedactError(f"{folder} holds a {found}; this adapter takes {' or '.join(sorted(pipelines))}.")
    for name, wanted in encoders.items():
        kind = (index.get(name) or [None, None])[1]
        if kind != wanted:
            raise RedactError(f"{folder}: {name} is a {kind}; this adapter needs a {wanted}.")
        weights(folder / name, variant)
    return index


def weights(folder: Path, variant: str | None = None, stem: str = "model") -> Path:
    """The one safetensors file of a component, which transformers calls ``model``.

    Raises:
        RedactError: None is there (pickles are named and refused), or it is split or ambiguous.
    """
    if not folder.is_dir():
        raise RedactError(f"{folder} is missing; the folder is not complete, fetch it again.")
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
        if pickles:
            raise RedactError(
                f"{folder / pickles[0]} is a pickled weight file, which can run code when it is loaded; "
                "convert it to safetensors first (from_pretrained and save_pretrained in a sandbox)."
            )
        raise RedactError(
            f"{folder} holds no {stem}.safetensors; the folder is not complete, fetch it again."
        )
    usual = f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors"
    plain = [path for path in found if path.name == usual] or found
    if len(plain) > 1:
        names = ", ".join(path.name for path in plain)
        raise RedactError(
            f"{folder} holds several weight files ({names}); name one with variant or remove the others."
        )
    if plain[0].name != usual:
        raise RedactError(
            f"{folder} holds {plain[0].name} where {usual} was looked for; set variant to match."
        )
    return plain[0]


def copy_except(source: Path, target: Path, redacted: set[str]) -> None:
    """Copy a pipeline folder bit by bit, leaving out every weight file of the ``redacted`` parts.

    Other formats and precisions of a redacted part are left out too: a stock copy would undo it.
    """
    index = json.loads((source / "model_index.json").read_text(encoding="utf-8"))
    parts = {name for name, value in index.items() if isinstance(value, list) and value[0]}
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        top, *below = name.parts
        if not path.is_file() or (not below and top != "model_index.json"):
            continue  # hub extras, such as whole-model checkpoints that hold the stock encoder
        if below and top not in parts:
            continue
        if top in redacted and path.suffix in {*_PICKLES, ".safetensors", ".onnx", ".h5", ".xml"}:
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)  # follows the hub cache's links, leaves out its rights


def _json(path: Path, problem: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RedactError(f"{problem}; give the folder that from_pretrained reads.") from error
