"""A diffusers pipeline that the caller has in memory, with whatever was set on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from transformers import CLIPTokenizer

from modalities.stated_dtype import load_in_float32
from modalities.text_to_image.adapters.folders import BUNDLED
from redact_core import Origin, RedactError

_LORA = ".lora_"


def check_pipeline(
    pipeline: Any, kinds: set[str], text_models: Mapping[str, str], tokenizers: Iterable[str]
) -> None:
    """Refuse what is no pipeline that an adapter can redact.

    Args:
        pipeline: What the caller gave.
        kinds: Class names of pipelines that are accepted.
        text_models: Part -> class name that it must have.
        tokenizers: Parts that must be CLIP tokenizers.

    Raises:
        RedactError: It is of another class, or a part is missing or of another class.
    """
    kind, wanted = type(pipeline).__name__, " or ".join(sorted(kinds))
    if kind not in kinds:
        raise RedactError(f"This is a {kind}; give the name of a model, a folder, or a {wanted}.")
    for part, name in text_models.items():
        found = type(getattr(pipeline, part, None)).__name__
        if found != name:
            raise RedactError(f"The {part} of the pipeline is a {found}; this adapter needs a {name}.")
    for part in tokenizers:
        if not isinstance(getattr(pipeline, part, None), CLIPTokenizer):
            raise RedactError(f"The {part} of the pipeline is no CLIPTokenizer; this adapter needs one.")


def source_of(pipeline: Any) -> str:
    """What the pipeline was loaded from, ``bundled`` for the bundled base."""
    name = str(getattr(pipeline, "name_or_path", "") or "")
    if name and Path(name).resolve() == (BUNDLED / "pipeline").resolve():
        return "bundled"
    return name or "a pipeline in memory"


def trainable(module: nn.Module) -> None:
    """Let all weights of a text model be trained but those of a LoRA on it, which stays as it is."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(_LORA not in name)


def origin_of(pipeline: Any, source: str, text_models: Iterable[str]) -> Origin:
    """Where the pipeline came from; of its files only those of the text models, for the others are left alone."""
    base = BUNDLED / "pipeline" if source == "bundled" else Path(source)
    parts = [base / part for part in text_models if (base / part).is_dir()]
    files = {path.relative_to(base).as_posix(): path for part in parts for path in sorted(part.iterdir())}
    kept = tuple(name for name in pipeline.components if name not in text_models)
    return Origin(source, type(pipeline).__name__, None, files, (*kept, "model_index.json"))


def save_pipeline(pipeline: Any, folder: Path) -> None:
    """Write the pipeline as it is, with the scheduler and the tokens that were set on it.

    Raises:
        RedactError: A part carries a LoRA, which a folder cannot hold beside the weights.
    """
    for name, part in pipeline.components.items():
        if isinstance(part, nn.Module) and any(_LORA in key for key, _ in part.named_parameters()):
            raise RedactError(
                f"The {name} carries a LoRA, which a pipeline's folder cannot hold beside the weights; call "
                "fuse_lora() and unload_lora_weights() of the pipeline, then save again."
            )
    pipeline.save_pretrained(folder, safe_serialization=True)
    for part in folder.iterdir():
        if part.is_dir():
            load_in_float32(part)
