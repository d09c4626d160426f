"""Which format the stored voices of a folder are in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modalities.json_files import read_json
from modalities.text_to_speech.tables.bark import open_bark
from modalities.text_to_speech.tables.dictionaries import open_dictionary
from modalities.text_to_speech.tables.packs import open_packs
from modalities.text_to_speech.tables.piper import open_piper
from modalities.text_to_speech.tables.stored import StoredVoices
from modalities.text_to_speech.tables.table_rows import open_rows
from redact_core import RedactError

KNOWN = (
    "Kokoro voice packs (voices*.npz, voices/*.pt, voices/*.bin), presets of Bark, speakers_xtts.pth, spk2info.pt or "
    "spk_dict.pt, a Piper voice with several speakers, or a FastSpeech2Conformer or SeamlessM4T of transformers"
)
_ENTRIES: tuple[Callable[[Path], StoredVoices | None], ...] = (open_bark, open_dictionary, open_packs)
_TABLES: tuple[Callable[[Path, Path | None], StoredVoices | None], ...] = (open_rows, open_piper)


def open_voices(folder: Path, names: Path | None = None) -> StoredVoices:
    """The stored voices of a model's folder.

    Args:
        folder: Of the model.
        names: JSON file that maps names to the rows of a table.

    Raises:
        RedactError: There are none of a known format, or a file of them is damaged.
    """
    for read in _TABLES:
        found = read(folder, names)
        if found is not None:
            return found
    for read in _ENTRIES:
        found = read(folder)
        if found is not None:
            if names is not None:
                raise RedactError(
                    f"The voices of {found.kind} have names of their own; leave --model.adapter.names out."
                )
            return found
    values = read_json(folder / "config.json")
    if isinstance(values, dict) and values.get("model_type") == "vits":
        raise RedactError(
            f"{folder} holds a VitsModel; redact it with SpeakerTable, which also speaks with it."
        )
    raise RedactError(
        f"{folder} holds no stored voices that are known here; give a folder with {KNOWN}. redact inspect says by "
        "which paths a voice enters a model."
    )
