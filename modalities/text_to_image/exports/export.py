"""``redact export``: a redacted pipeline as a LoRA, as encoders alone, or as a single-file checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from modalities.headers import config
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.adapters.stable_diffusion_xl import StableDiffusionXL
from modalities.text_to_image.exports import single_file
from modalities.text_to_image.exports.encoders import CLIP, PREFIX, Encoder, encoders
from modalities.text_to_image.exports.fidelity import Fidelity, fidelity
from modalities.text_to_image.exports.lora import Lora
from modalities.text_to_image.inspection.library import pipeline_class
from modalities.weight_files import entries, metadata_in, save_safe
from redact_core import RedactError, RedactionCard
from redact_core.artefacts.card import FILE
from redact_core.support.folders import hashes, new_folder
from redact_core.support.paths import at_home
from redact_core.support.strict_json import strict_json
from redact_core.support.whole_numbers import WholeNumbers

Kind = Literal["lora", "encoder", "single_file"]
REPORT = "export.json"
_ADAPTERS = {"StableDiffusionPipeline": StableDiffusion, "StableDiffusionXLPipeline": StableDiffusionXL}
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
LARGE = 0.05
"""A LoRA that misses more of the redaction than this is warned of."""


@dataclass(frozen=True)
class LoraSettings(WholeNumbers):
    """How a LoRA is made."""

    rank: int | None = None
    """At most so much for each map; ``None``: as the tolerance needs."""
    tolerance: float = 0.01
    """Share of a map's change that may be lost, in Frobenius norm."""
    dtype: str | None = None
    """``float32``, ``float16`` or ``bfloat16``; ``None``: that of the redacted encoder's files."""


def export(
    folder: str,
    kind: Kind,
    out: str,
    *,
    base: str | None = None,
    checkpoint: str | None = None,
    variant: str | None = None,
    lora: LoraSettings = LoraSettings(),
) -> list[str]:
    """Write a redacted pipeline in another form, into a new folder.

    Args:
        folder: The redacted pipeline.
        kind: ``lora``, ``encoder`` or ``single_file``.
        out: The folder to be made.
        base: The untouched pipeline, which a LoRA is the difference to; default: what the card names.
        checkpoint: The stock single file.
        variant: Of the weight files.
        lora: Of a LoRA.

    Returns:
        Sentences that say what was written, and how much of the redaction it holds.

    Raises:
        RedactError: An option is missing or does not fit, or a file cannot be read or written.
    """
    place, target = at_home(folder), at_home(out)
    if not place.is_dir():
        raise RedactError(f"There is no folder {folder}; give the folder of a redacted pipeline.")
    said: dict[str, Any] = {"folder": place.name, "as": kind}
    with new_folder(target) as part:
        if kind == "lora":
            report = _lora(place, base, part, variant, lora)
        elif kind == "encoder":
            report = _encoders(place, part, variant)
        else:
            report = _single_file(place, checkpoint, part, variant)
        said |= report.pop("values")
        report["sentences"] += _called(place)
        said["files"] = hashes(part)
        (part / REPORT).write_text(strict_json(said, REPORT) + "\n", encoding="utf-8")
    return [sentence.replace("{out}", str(target)) for sentence in report["sentences"]]


def _lora(
    folder: Path, base: str | None, part: Path, variant: str | None, settings: LoraSettings
) -> dict[str, Any]:
    if settings.rank is not None and settings.rank < 1:
        raise RedactError(f"The rank is {settings.rank}; give at least 1.")
    if not 0 <= settings.tolerance < 1:
        raise RedactError(f"The tolerance is {settings.tolerance}; give a share of at least 0 and below 1.")
    stock = _base(folder, base)
    kind = str(config(folder / "model_index.json").get("_class_name"))
    known = pipeline_class(kind)
    if known is not None and not any("text_encoder" in one for one in known.lora_parts):
        raise RedactError(
            f"The redaction changed the text encoder of a {kind}, for which no tool reads a LoRA; export the encoders instead: "
            "--as encoder."
        )
    found = encoders(folder, stock, variant)
    made = Lora(found, settings.rank, settings.tolerance)
    dtype = _DTYPES[settings.dtype] if settings.dtype else _dtype(found)
    metadata = {"redact": "the difference of a redacted text encoder to its base", "base": stock.name}
    made.write(part, dtype, metadata)
    ranks = made.ranks
    readers = ("diffusers and ComfyUI", "Stable Diffusion web UI, which takes no biases")
    measured = dict(zip(readers, _fidelity(folder, stock, made, variant) or (None, None), strict=True))
    sentences = [
        f"Wrote the changes of {len(ranks)} linear maps into {{out}}, ranks {min(ranks)} to {max(ranks)}: one file with the "
        "key names of diffusers, one with those of ComfyUI and the Stable Diffusion web UI."
    ]
    for reader, one in measured.items():
        if one is None:
            continue
        sentences.append(
            f"Read by {reader}, it misses {one.redacted:.1%} of the redaction on redacted prompts, and moves other prompts "
            f"by {one.retained:.1%} of that distance from where the folder has them (squared distances)."
        )
    first = next(iter(measured.values()))
    if first is not None and first.redacted > LARGE:
        sentences.append(
            "That is a different redaction: evaluate it before it is used, give a higher rank, or redact with a method "
            "that changes linear maps alone, such as --method ClosedForm."
        )
    if made.left:
        sentences.append(f"A LoRA cannot hold these changed tensors: {', '.join(made.left)}.")
    values = {
        "ranks": [min(ranks), max(ranks)],
        "tolerance": settings.tolerance,
        "dtype": str(dtype).removeprefix("torch."),
        "misses": {r: None if f is None else vars(f) for r, f in measured.items()},
        "not_held": made.left,
    }
    return {"sentences": sentences, "values": values}


def _fidelity(folder: Path, base: Path, made: Lora, variant: str | None) -> tuple[Fidelity, Fidelity] | None:
    kind = str(config(folder / "model_index.json").get("_class_name"))
    adapter, prompts = _ADAPTERS.get(kind), _asked(folder)
    if adapter is None or not prompts:
        return None
    models = [adapter(str(one), variant=variant, truncate=True) for one in (base, folder)]
    return fidelity(models[0], models[1], made.parts, prompts)


def _asked(folder: Path) -> list[str]:
    """Redacted prompts of the card, evenly drawn; none where the card does not disclose them."""
    if not (folder / FILE).is_file():
        return []
    requests = [one["request"] for one in RedactionCard.read(folder).redactions]
    rows = [row for request in requests for row in request.get("lessons") or []]
    prompts = list(dict.fromkeys(str(row[0]) for row in rows if isinstance(row, list) and row))
    return prompts[:: max(1, len(prompts) // 64)]


def _called(folder: Path) -> list[str]:
    """With which settings the model is called, where the card says it: no file keeps them."""
    call = RedactionCard.read(folder).use.get("call") if (folder / FILE).is_file() else None
    if not isinstance(call, dict) or not call:
        return []
    return [
        f"No file keeps the settings of the call; draw with {', '.join(f'{k}={v}' for k, v in call.items())}."
    ]


def _base(folder: Path, given: str | None) -> Path:
    """The untouched folder: what was given, else what the card names.

    Raises:
        RedactError: Neither is a folder here.
    """
    named = given
    if named is None and (folder / FILE).is_file():
        named = str(RedactionCard.read(folder).base.get("source") or "")
    place = BUNDLED / "pipeline" if named == "bundled" else at_home(named or "")
    if not named or not (place / "model_index.json").is_file():
        what = f"The card of {folder} names {named} as the base, which is no folder here" if named and given is None else (
            f"{given} is no folder of a pipeline" if given else f"{folder} has no card that names its base"
        )  # fmt: skip
        raise RedactError(f"{what}; give the untouched folder: --base FOLDER.")
    return place


def _dtype(found: Sequence[Encoder]) -> torch.dtype:
    for _, value in entries(found[0].redacted.files[0]):
        if value.is_floating_point():
            return value.dtype
    return torch.float32


def _encoders(folder: Path, part: Path, variant: str | None) -> dict[str, Any]:
    """Each encoder as one safetensors file, CLIPs with the prefix by which other tools know them."""
    sentences: list[str] = []
    for encoder in encoders(folder, None, variant):
        tensors: dict[str, Tensor] = {}
        for path in encoder.redacted.files:
            for name, value in entries(path):
                outside = encoder.kind not in CLIP or name.startswith((PREFIX, "text_projection"))
                tensors[name if outside else PREFIX + name] = value
        save_safe(tensors, part / f"{encoder.part}.safetensors", metadata_in(encoder.redacted.files[0]))
        sentences.append(f"Wrote {{out}}/{encoder.part}.safetensors, the whole {encoder.kind}, without loss.")
    return {"sentences": sentences, "values": {}}


def _single_file(folder: Path, checkpoint: str | None, part: Path, variant: str | None) -> dict[str, Any]:
    if checkpoint is None:
        raise RedactError(
            "A single file is the stock one with its encoders replaced; give that one: --checkpoint FILE.safetensors."
        )
    source = at_home(checkpoint)
    if not source.is_file():
        raise RedactError(f"There is no file {checkpoint}; give the stock single file, safetensors.")
    replaced = single_file.write(encoders(folder, None, variant), source, part / source.name)
    sentence = f"Wrote {{out}}/{source.name}: {source.name} with {' and '.join(replaced)} of {folder.name}; all else has its bits."
    return {"sentences": [sentence], "values": {"checkpoint": source.name, "replaced": replaced}}
