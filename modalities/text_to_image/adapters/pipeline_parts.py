"""The folder of a pipeline with its own ``encode_prompt``: checking it, loading its encoders, and saving them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from modalities.headers import config
from modalities.stated_dtype import load_in_float32
from modalities.stock import find
from modalities.text_to_image.adapters.folders import copy_except
from modalities.text_to_image.adapters.pipeline_encoder import Shell
from modalities.text_to_image.adapters.prompt_encoder import load_text_model
from modalities.text_to_image.inspection.families import ELSEWHERE, FAMILIES, Family
from modalities.weight_files import names_in
from redact_core import RedactError

_CLASSES: Mapping[str, tuple[str, str]] = {
    r"text_encoder(_\d)?": ("transformers", r"CLIPTextModel(WithProjection)?|U?M?T5EncoderModel|Gemma2Model"),
    r"tokenizer(_\d)?": ("transformers", r"(CLIP|T5|Llama|Gemma)Tokenizer(Fast)?"),
    r"transformer(_2)?": ("diffusers", r"[A-Z]\w*Transformer\w*"),
    "prior": ("diffusers", r"PriorTransformer"),
    "vae": ("diffusers", r"Autoencoder[A-Z]\w*"),
    "scheduler": ("diffusers", r"[A-Z]\w*Scheduler"),
    "image_encoder": ("transformers", r"(CLIP|Siglip)VisionModel(WithProjection)?"),
    r"feature_extractor|image_processor": ("transformers", r"(CLIP|Siglip)ImageProcessor(Fast|Pil)?"),
}
"""Part, as a pattern, -> the library and the classes that an index may name."""


def check(folder: Path) -> tuple[dict[str, Any], Family]:
    """The folder's model index and what is known of its class.

    Raises:
        RedactError: It is no pipeline of a known class, or has a part of a foreign class, or lacks an encoder.
    """
    if not (folder / "model_index.json").is_file():
        raise RedactError(f"{folder} has no model_index.json; give the folder that from_pretrained reads.")
    index = config(folder / "model_index.json")
    kind = str(index.get("_class_name"))
    if kind in ELSEWHERE:
        raise RedactError(f"{folder} holds a {kind}. {ELSEWHERE[kind]}")
    if kind not in FAMILIES:
        raise RedactError(f"{folder} holds a {kind}; this adapter takes {', '.join(sorted(FAMILIES))}.")
    for name, value in index.items():
        if isinstance(value, list) and any(value) and not name.startswith("_"):
            _check_part(folder, name, value)
    family = FAMILIES[kind]
    for part in family.encoders:
        if not _has(index, part) and part not in family.optional:
            raise RedactError(f"{folder} has no {part}; the folder is not complete, fetch it again.")
    return index, family


def _has(index: Mapping[str, Any], part: str) -> bool:
    return (index.get(part) or [None])[0] is not None


def _check_part(folder: Path, name: str, value: list[Any]) -> None:
    library, kind = (*map(str, value), "", "")[:2]
    module, classes = next((known for part, known in _CLASSES.items() if re.fullmatch(part, name)), ("", ""))
    if library != module or not re.fullmatch(classes, kind):
        wanted = f"{classes} of {module}" if module else "no such part"
        raise RedactError(
            f"{folder / 'model_index.json'}: {name} is {kind} of {library}; this adapter takes {wanted}, and code of models "
            "is not run."
        )
    if (folder / name / f"{library}.py").exists():
        raise RedactError(f"{folder / name / library}.py would be run in place of {library}; remove it, or do not use this folder.")  # fmt: skip


def load_encoders(
    folder: Path, index: Mapping[str, Any], family: Family, variant: str | None
) -> dict[str, nn.Module]:
    """The text encoders of a folder in float32, those that it has, in evaluation mode.

    Raises:
        RedactError: Weights are missing, damaged or pickled.
    """
    library: Any = importlib.import_module("transformers")
    return {
        part: load_text_model(getattr(library, index[part][1]), folder / part, variant)
        for part in family.encoders
        if _has(index, part)
    }


def load_shell(folder: Path, index: Mapping[str, Any], family: Family) -> Shell:
    """The pipeline with its tokenizers and without a part that has weights."""
    kind: Any = getattr(importlib.import_module("diffusers"), index["_class_name"])
    without = {
        name: None
        for name, value in index.items()
        if isinstance(value, list)
        and (name in family.encoders or name in family.drawing or name == "image_encoder")
    }
    pipeline = kind.from_pretrained(folder, trust_remote_code=False, **without)
    settings = folder / "transformer" / "config.json"
    if settings.is_file():  # where an encoder is missing, its width is looked up there
        vars(pipeline)["transformer"] = SimpleNamespace(config=SimpleNamespace(**config(settings)))
    return Shell(pipeline, family)


def load_drawing(
    folder: Path, index: Mapping[str, Any], family: Family, variant: str | None, dtype: Any
) -> Any:
    """The pipeline with the parts that draw, and without text encoders."""
    kind: Any = getattr(importlib.import_module("diffusers"), index["_class_name"])
    pipeline = kind.from_pretrained(
        folder,
        variant=variant,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        **dict.fromkeys(family.encoders),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save(source: Path, target: Path, encoders: Mapping[str, nn.Module], variant: str | None) -> None:
    """Copy the folder bit by bit, with the encoders under the names, dtypes and shards of the stock."""
    copy_except(source, target, {*encoders})
    for part, model in encoders.items():
        stock = find(source / part, variant=variant)
        held = {name for path in stock.files for name in names_in(path)}
        stock.write(target / part, _untied(model.state_dict(), held), type(model).__name__, "text_model.")
    for part in target.iterdir():
        load_in_float32(part)


def _untied(state: Mapping[str, Tensor], held: set[str]) -> dict[str, Tensor]:
    """``state`` without second names of tensors that the file holds under one name: T5's token table."""
    known = {value.data_ptr() for name, value in state.items() if name in held}
    return {name: value for name, value in state.items() if name in held or value.data_ptr() not in known}
