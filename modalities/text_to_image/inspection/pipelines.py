"""The paths by which a prompt, a picture or a file enters a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from modalities.headers import config, header
from modalities.text_to_image.inspection.families import ELSEWHERE, FAMILIES
from modalities.text_to_image.inspection.library import PipelineClass, pipeline_class
from modalities.text_to_image.inspection.weight_kinds import loose_file
from redact_core import RedactError
from redact_core.adapters.condition_paths import ConditionPath, Inspection

INDEX = "model_index.json"
ADAPTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "StableDiffusionPipeline": ("StableDiffusion", ("text_encoder",)),
    "StableDiffusionXLPipeline": ("StableDiffusionXL", ("text_encoder", "text_encoder_2")),
    **{name: ("PromptPipeline", tuple(family.encoders)) for name, family in FAMILIES.items()},
}
"""Class of the pipeline -> the adapter, and the parts that a redaction changes."""
_READ: Mapping[str, Mapping[str, str]] = {
    "StableDiffusionPipeline": {"text_encoder": "sequence"},
    "StableDiffusionXLPipeline": {"text_encoder": "sequence", "text_encoder_2": "sequence and pooled"},
    **{name: family.encoders for name, family in FAMILIES.items()},
}
_PICTURES = (
    "A picture of what was redacted asks for it without a word; screen what is drawn with the guard Espresso."
)
_GIVEN = (
    "Embeddings that the stock encoder computed go around a redaction; do not take embeddings from callers."
)


def inspect(folder: Path) -> Inspection | None:
    """The paths of a pipeline's folder; ``None`` where it is none.

    Raises:
        RedactError: The index, a configuration or the header of a weight file cannot be read.
    """
    if not (folder / INDEX).is_file():
        return None
    index = config(folder / INDEX)
    kind = str(index.get("_class_name"))
    adapter, covered = ADAPTERS.get(kind, (None, ()))
    known = pipeline_class(kind)
    paths = [
        *_parts(folder, index, kind, adapter, covered),
        *_denoiser(folder, index),
        *_tokens(folder, index),
        *_loose(folder, index),
        *(_accepted(known) if known else ()),
    ]
    remarks = []
    if kind in ELSEWHERE:
        remarks.append(ELSEWHERE[kind])
    elif adapter is None:
        remarks.append(
            f"No adapter takes a {kind}; redact ls adapters lists the models that can be redacted, and the guard "
            "Espresso screens the pictures of any model."
        )
    if known is None:
        remarks.append(f"The installed diffusers has no {kind}, so what else it accepts is not known.")
    return Inspection(str(folder), kind, adapter, tuple(paths), tuple(remarks))


def _parts(
    folder: Path, index: Mapping[str, Any], kind: str, adapter: str | None, covered: tuple[str, ...]
) -> Iterator[ConditionPath]:
    for name, value in index.items():
        if not isinstance(value, list) or len(value) != 2 or not value[0]:
            continue
        named = str(value[1])
        if "text_encoder" in name:
            reads = _READ.get(kind, {}).get(name, "sequence")
            by = adapter if name in covered else None
            advice = (
                ""
                if by
                else "No adapter redacts this encoder; the other encoders alone do not remove a concept."
            )
            yield ConditionPath(name, "text encoder", _said(folder / name, named), by, advice=advice)
            if "pooled" in reads:
                yield ConditionPath(
                    f"{name}: pooled", "pooled vector", "the whole prompt as one vector", by, advice=advice
                )
            yield from _adapter_in(folder / name, name)
        elif "image_encoder" in name:
            yield ConditionPath(name, "image prompt", _said(folder / name, named), advice=_PICTURES)
        elif name in {"prior", "prior_prior"}:
            yield ConditionPath(
                name,
                "prior",
                f"{named}: makes the embedding of a picture from the prompt's",
                advice="It reads text encoders of its own; redact those, not this part.",
            )
        elif name.startswith("controlnet") or name in {"adapter", "t2i_adapter"}:
            yield ConditionPath(
                name, "picture", f"{named}: outlines or poses steer the drawing", advice=_PICTURES
            )


def _said(part: Path, named: str) -> str:
    """Class, sizes and weights of a part."""
    if not (part / "config.json").is_file():
        return f"{named}, its folder is missing or has no config.json"
    values = config(part / "config.json")
    values = values.get("text_config") or values if isinstance(values.get("text_config"), dict) else values
    layers = values.get("num_hidden_layers", values.get("num_layers"))
    width = values.get("hidden_size", values.get("d_model"))
    sizes = [f"{layers} layers"] if layers else []
    sizes += [f"width {width}"] if width else []
    files = sorted(part.glob("*.safetensors"))
    sizes.append(header(_one_variant(files)).said() if files else "no safetensors weights")
    return ", ".join([named, *sizes])


def _one_variant(files: list[Path]) -> list[Path]:
    """The files without a variant, else those of the first one: a part may be there in several number formats."""
    files = [path for path in files if path.name != "adapter_model.safetensors"]
    plain = [path for path in files if ".fp16" not in path.name and ".bf16" not in path.name]
    return plain or [path for path in files if files[0].name.split(".")[1] in path.name]


def _adapter_in(part: Path, name: str) -> Iterator[ConditionPath]:
    if (part / "adapter_config.json").is_file():
        yield ConditionPath(
            f"{name}/adapter_config.json",
            "LoRA of an encoder",
            "a PEFT adapter beside the weights",
            advice="Merge it into the encoder (merge_and_unload of PEFT) before the redaction.",
        )


def _denoiser(folder: Path, index: Mapping[str, Any]) -> Iterator[ConditionPath]:
    """Inputs that the configuration of the denoiser has besides the prompt."""
    for name in ("unet", "transformer", "prior_prior", "prior"):
        path = folder / name / "config.json"
        if name not in index or not path.is_file():
            continue
        values = config(path)
        picture = str(values.get("encoder_hid_dim_type") or "") + str(values.get("addition_embed_type") or "")
        if "image" in picture or values.get("image_dim"):
            yield ConditionPath(f"{name}: picture", "image prompt", f"the {name} reads an embedding of a picture", advice=_PICTURES)  # fmt: skip
        if values.get("num_class_embeds") or values.get("class_embed_type") == "projection":
            yield ConditionPath(
                f"{name}: class",
                "class table",
                f"the {name} reads a class ({values.get('num_class_embeds') or 'projected'})",
                advice="A class number asks without words.",
            )


def _tokens(folder: Path, index: Mapping[str, Any]) -> Iterator[ConditionPath]:
    """Tokens that were added to a tokenizer: what textual inversion leaves in a saved pipeline."""
    for name in index:
        if "tokenizer" not in name:
            continue
        added: set[str] = set()
        if (folder / name / "added_tokens.json").is_file():
            added |= set(config(folder / name / "added_tokens.json"))
        if (folder / name / "tokenizer_config.json").is_file():
            entries = config(folder / name / "tokenizer_config.json").get("added_tokens_decoder")
            for entry in entries.values() if isinstance(entries, dict) else ():
                if isinstance(entry, dict) and not entry.get("special"):
                    added.add(str(entry.get("content")))
        added = {
            token for token in added if not token.startswith(("<|", "<extra_id_", "<pad", "</s>", "<unused"))
        }
        if added:
            shown = ", ".join(sorted(added)[:3]) + (" ..." if len(added) > 3 else "")
            yield ConditionPath(
                f"{name}: {len(added)} added",
                "learned tokens",
                f"tokens added to the vocabulary: {shown}",
                advice="An added token may have learnt what is redacted; redact its name too.",
            )


def _loose(folder: Path, index: Mapping[str, Any]) -> Iterator[ConditionPath]:
    """Files that lie beside the parts."""
    parts = {name for name, value in index.items() if isinstance(value, list)}
    for path in sorted(folder.rglob("*.safetensors")):
        name = path.relative_to(folder)
        if name.parts[0] in parts:
            continue
        for found in loose_file(path, name.as_posix()):
            if found.kind == "text encoder":
                found = replace(
                    found, advice="It holds the stock encoder; a redacted copy of the folder leaves it out."
                )
            yield found


def _accepted(known: PipelineClass) -> Iterator[ConditionPath]:
    """What the class takes beyond what lies in the folder."""
    given = [name for name in known.arguments if "prompt_embeds" in name and "negative" not in name]
    if given:
        yield ConditionPath(
            ", ".join(given), "embeddings", "computed by the caller", optional=True, advice=_GIVEN
        )
    if known.image_prompts:
        yield ConditionPath(
            "load_ip_adapter", "image prompt", "IP-Adapter files", optional=True, advice=_PICTURES
        )
    if known.learned_tokens:
        yield ConditionPath(
            "load_textual_inversion",
            "learned tokens",
            "textual-inversion files",
            optional=True,
            advice="A learned vector enters below the redacted layers; test it with the attack ConceptInversion.",
        )
    encoders = [part for part in known.lora_parts if "text_encoder" in part]
    if encoders:
        yield ConditionPath(
            "load_lora_weights",
            "LoRA of an encoder",
            f"changes {' and '.join(encoders)}",
            optional=True,
            advice="A LoRA may undo a redaction of the encoder; do not load files from callers.",
        )
    pictures = [name for name in ("image", "video", "control_image", "mask_image") if name in known.arguments]
    if pictures:
        yield ConditionPath(", ".join(pictures), "picture", "a picture that is drawn on", optional=True, advice=_PICTURES)  # fmt: skip


def inspect_file(path: Path) -> Inspection | None:
    """The paths that a single safetensors file opens; ``None`` where its tensors are of no known kind.

    Raises:
        RedactError: It cannot be read.
    """
    found = loose_file(path, path.name)
    if not found:
        return None
    whole = [one for one in found if one.kind == "text encoder"]
    if not whole:
        return Inspection(str(path), found[0].kind, None, found)
    kinds = sorted({one.what.partition(",")[0].removeprefix("of ") for one in whole})
    return Inspection(
        str(path),
        f"single-file checkpoint of {' and '.join(kinds)}",
        None,
        found,
        (
            "fit takes folders: load it with from_single_file of diffusers and save_pretrained, redact that folder, and "
            "write the file again with redact export --as single_file.",
        ),
    )


def uncovered_remark(folder: Path) -> str | None:
    """A sentence for ``fit`` where paths of a pipeline's folder stay as they are; ``None`` where none does."""
    try:
        found = inspect(folder)
    except RedactError:  # the adapter says what is wrong with the folder
        return None
    if found is None or not found.uncovered:
        return None
    names = ", ".join(f"{path.name} ({path.kind})" for path in found.uncovered)
    return (
        f"This redaction does not change {len(found.uncovered)} of the paths by which a condition enters: {names}; "
        f"redact inspect {folder} says what to do about them."
    )
