"""Which format the stored voices of a folder are in."""

from __future__ import annotations

from pathlib import Path

from modalities.text_to_speech.tables.packs import open_packs
from modalities.text_to_speech.tables.stored import StoredVoices
from redact_core import RedactError

KNOWN = "Kokoro voice packs (voices*.npz, voices/*.pt, voices/*.bin)"


def open_voices(folder: Path, names: Path | None = None) -> StoredVoices:
    """The stored voices of a model's folder.

    Args:
        folder: Of the model.
        names: JSON file that maps names to the rows of a table.

    Raises:
        RedactError: There are none of a known format, or a file of them is damaged.
    """
    found = open_packs(folder)
    if found is None:
        raise RedactError(
            f"{folder} holds no stored voices that are known here; give a folder with {KNOWN}. redact inspect says by "
            "which paths a voice enters a model."
        )
    if names is not None:
        raise RedactError(
            f"The voices of {found.kind} have names of their own; leave --model.adapter.names out."
        )
    return found
