"""Finding a diffusers folder, checking that it is one we can redact, and copying it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modalities import hub
from modalities.stock import find
from modalities.weight_files import SAFE
from modalities.whole_models import check_whole
from redact_core import RedactError
from redact_core.errors import first_line

BUNDLED = Path(__file__).parents[1] / "bundled"
GENERATOR = ("unet", "vae")
"""Parts of diffusers' classes that draw the picture."""
_PARTS: Mapping[str, tuple[str, str]] = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL|AutoencoderTiny|AsymmetricAutoencoderKL"),
    "scheduler": ("diffusers", r"[A-Z]\w*Scheduler"),
    "text_encoder": ("transformers", "CLIPTextModel(WithProjection)?"),
    "text_encoder_2": ("transformers", "CLIPTextModel(WithProjection)?"),
    "tokenizer": ("transformers", "CLIPTokenizer(Fast)?"),
    "tokenizer_2": ("transformers", "CLIPTokenizer(Fast)?"),
    "feature_extractor": ("transformers", "CLIP(ImageProcessor|FeatureExtractor)(Fast|Pil)?"),
    "image_encoder": ("transformers", "CLIPVisionModel(WithProjection)?"),
    "safety_checker": ("stable_diffusion", "StableDiffusionSafetyChecker"),
}
"""Part -> the library and the classes, as a pattern, that an index may name; diffusers looks for whatever stands there."""
_WEIGHTS = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", SAFE, ".onnx", ".h5", ".xml"}


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
            DiffusionPipeline.download(
                source, revision=revision, variant=variant, use_safetensors=True, trust_remote_code=False
            )
        )

    wanted = "a diffusers folder, a hub id (owner/name) or bundled"
    return hub.locate(source, revision, holds="model_index.json", wanted=wanted, fetch=fetch)


def check(
    folder: Path, pipelines: set[str], encoders: dict[str, str], variant: str | None = None
) -> dict[str, Any]:
    """The folder's model index, if it is of a known class and all that training, saving and drawing need is there.

    Args:
        folder: From :func:`locate`.
        pipelines: Class names that are accepted.
        encoders: Component -> class name that it must have.
        variant: Of the weight files, e.g. ``fp16``.

    Raises:
        RedactError: Not a diffusers folder, another class, a part of a foreign class, a missing part, or pickled
            weights.
    """
    problem = f"{folder} is no diffusers folder: it has no readable model_index.json"
    index = _json(folder / "model_index.json", problem)
    if not isinstance(index, dict):
        raise RedactError(f"{problem}; give the folder that from_pretrained reads.")
    found = index.get("_class_name")
    if not isinstance(found, str) or found not in pipelines:
        raise RedactError(f"{folder} holds a {found}; this adapter takes {' or '.join(sorted(pipelines))}.")
    for name, wanted in encoders.items():
        kind = (index.get(name) or [None, None])[1]
        if kind != wanted:
            raise RedactError(f"{folder}: {name} is a {kind}; this adapter needs a {wanted}.")
        find(folder / name, variant=variant)
    for name in GENERATOR:
        if (index.get(name) or [None])[0] is not None:
            find(folder / name, "diffusion_pytorch_model", variant)
    settings = folder / "scheduler" / "scheduler_config.json"
    if not settings.is_file():
        raise RedactError(f"{settings} is missing; the folder is not complete, fetch it again.")
    _check_parts(folder, index)
    if folder != BUNDLED / "pipeline":  # which nobody has changed
        _check_generator(folder, index, variant)
    return index


def _check_generator(folder: Path, index: Mapping[str, Any], variant: str | None) -> None:
    """Refuse now what no picture could be drawn with later: diffusers draws missing weights by chance.

    Raises:
        RedactError: Settings cannot be read, or weights do not fill a part.
    """
    import diffusers  # only here: training itself needs nothing of it

    for name in GENERATOR:
        kind = (index.get(name) or [None, None])[1]
        if kind is not None:
            stored = find(folder / name, "diffusion_pytorch_model", variant).variant
            check_whole(getattr(diffusers, kind), folder / name, variant=stored, use_safetensors=True)
    kind = (index.get("scheduler") or [None, None])[1]
    if kind is not None and not hasattr(diffusers, kind):
        raise RedactError(
            f"{folder}: diffusers {diffusers.__version__} has no scheduler {kind}; give a folder with another."
        )
    if kind is not None:
        try:
            getattr(diffusers, kind).from_pretrained(folder / "scheduler")
        except Exception as error:  # settings that somebody changed lead it anywhere
            reason = first_line(error)
            raise RedactError(
                f"{folder / 'scheduler'} cannot be read as a {kind} ({reason}); fetch it again."
            ) from error


def _check_parts(folder: Path, index: Mapping[str, Any]) -> None:
    """Refuse parts of classes from anywhere but the libraries, and files that would stand in for a library."""
    for name, value in index.items():
        if not isinstance(value, list) or not any(value) or name.startswith("_"):
            continue
        library, kind = (*value, None, None)[:2]
        module, pattern = _PARTS.get(name, ("", ""))
        if len(value) != 2 or library != module or not re.fullmatch(pattern, str(kind)):
            wanted = f"{pattern} of {module}" if module else "no such part"
            raise RedactError(
                f"{folder / 'model_index.json'}: {name} is {kind} of {library}; this adapter takes {wanted}, and "
                "code of models is not run."
            )
        code = folder / name / f"{library}.py"
        if code.exists():
            raise RedactError(
                f"{code} would be run in place of {library}; remove it, or do not use this folder."
            )


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
        if top in redacted and (path.suffix in _WEIGHTS or f"{SAFE}.index" in path.name):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)  # follows the hub cache's links, leaves out its rights


def _json(path: Path, problem: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RedactError(f"{problem}; give the folder that from_pretrained reads.") from error
