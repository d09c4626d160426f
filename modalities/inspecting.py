"""By which paths a condition enters a model, from its files alone: no weights are read and no code is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from modalities.json_files import read_json
from modalities.received import check_folder
from modalities.text_to_image.inspection import pipelines
from modalities.text_to_speech.gate_names import PREFIX
from modalities.text_to_speech.inspection import kinds, other_models, transformers_models
from redact_core import RedactError
from redact_core.adapters.condition_paths import ConditionPath, Inspection
from redact_core.artefacts.card import FILE, RedactionCard
from redact_core.support.paths import at_home

_OWN = {
    "vae": ("ClassConditional", "class table", "rows of classes"),
    "unet": ("ClassConditional", "class table", "rows of classes"),
    "diffwave": ("MelVocoder", "spectrogram", "layers that read the spectrogram"),
    "staged-vae": ("StagedText", "text encoder", "stages that read the caption"),
}
"""``architecture`` in the configuration of a model in our own format -> adapter, kind and what it is."""
_BUNDLED = Path(__file__).parent / "text_to_image" / "bundled" / "pipeline"


def inspect(source: str) -> Inspection:
    """The paths of a model.

    Args:
        source: ``bundled``, a folder, or a single safetensors file.

    Raises:
        RedactError: There is no such folder or file, it is of no known kind, or one of its files cannot be read.
    """
    place = _BUNDLED if source == "bundled" else at_home(source)
    if place.is_file():
        return replace(_file(place), model=source)
    if not place.is_dir():
        raise RedactError(
            f"There is no folder or file {source}; inspect reads a model's folder, a safetensors file, or bundled. Fetch a "
            "model of the hub first (hf download OWNER/NAME --local-dir FOLDER)."
        )
    check_folder(place)
    readers: tuple[Callable[[Path], Inspection | None], ...] = (
        pipelines.inspect, _own, transformers_models.inspect, other_models.inspect,
    )  # fmt: skip
    for read in readers:
        try:
            found = read(place)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            if isinstance(error, RedactError):
                raise
            raise RedactError(
                f"A configuration of {source} holds a value of a kind that no such model has ({error}); fetch it again."
            ) from error
        if found is not None:
            return _with_card(replace(found, model=source), place)
    raise RedactError(
        f"{source} is of no kind that inspect knows: it has no model_index.json of diffusers, no config.json of a known "
        "model of speech, and no other files by which one is known."
    )


def _file(path: Path) -> Inspection:
    if path.suffix != ".safetensors":
        raise RedactError(f"{path} is no safetensors file; inspect reads their headers, and opens no pickle.")
    found = pipelines.inspect_file(path)
    if found is None:
        raise RedactError(
            f"{path} holds tensors of no kind that inspect knows (LoRA, learned tokens, image-prompt adapter, single-file "
            "checkpoint); give the folder that it belongs to."
        )
    return found


def _own(folder: Path) -> Inspection | None:
    values = read_json(folder / "config.json")
    kind = values.get("architecture") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in _OWN:
        return None
    adapter, what, said = _OWN[kind]
    return Inspection(str(folder), kind, adapter, (ConditionPath("weights", what, said, adapter),))


def _with_card(found: Inspection, folder: Path) -> Inspection:
    if not (folder / FILE).is_file():
        return found
    return found.with_changed(list(RedactionCard.read(folder).changed), {kinds.ENCODER: PREFIX})
