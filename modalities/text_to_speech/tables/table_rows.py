"""Tables of voices in models of transformers: one row for each speaker, beside everything else in safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from modalities.json_files import read_json
from modalities.text_to_speech.tables import row_files
from modalities.text_to_speech.tables.stored import StoredVoices, VoiceRows
from modalities.text_to_speech.voices.speaker_names import keep_names, load_names
from redact_core import RedactError

_TABLES: Mapping[str, str] = {
    "fastspeech2_conformer": "speaker_id_embedding.weight",
    "fastspeech2_conformer_with_hifigan": "speaker_id_embedding.weight",
    "seamless_m4t": "speaker_embedding.weight",
    "seamless_m4t_v2": "speaker_embedding.weight",
}
"""``model_type`` -> how the name of the table ends; models that contain the model put more in front."""


class TensorRows(VoiceRows):
    """The rows of one tensor of a safetensors file.

    Args:
        folder: Of the model.
        path: The file.
        table: How the tensor's name ends.
    """

    def __init__(self, folder: Path, path: Path, table: str):
        self.path, self.name = path, row_files.table_name(path, table)
        stored = row_files.read_table(path, self.name)
        if stored.ndim != 2 or len(stored) < 2:
            raise RedactError(
                f"{path}: {self.name} has the shape {tuple(stored.shape)}, which is no table of several voices."
            )
        super().__init__(folder, path.relative_to(folder).as_posix(), stored)

    def put(self, table: Tensor, path: Path) -> None:
        row_files.write_table(self.path, path, table, self.name)


def open_rows(folder: Path, names: Path | None) -> StoredVoices | None:
    """The table of a FastSpeech2Conformer or of a SeamlessM4T; ``None`` where the folder holds neither.

    Args:
        folder: That ``from_pretrained`` reads.
        names: JSON file that maps names to rows; default: as :func:`.load_names` looks for it.

    Raises:
        RedactError: The weights are pickled or incomplete, or there is no table.
    """
    config: Any = read_json(folder / "config.json")
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str) or kind not in _TABLES:
        return None
    table = _TABLES[kind]
    named = (config.get("architectures") or [kind])[0]
    weights = row_files.weights(folder, table, f"{named} of several voices")
    rows = TensorRows(folder, weights[0], table)
    count = len(rows.voices)
    found, file = load_names(folder, {**config, "num_speakers": count}, names)
    return StoredVoices(
        folder, str(named), [rows], found, rows.voices, row_files.files(folder, weights), entries=False,
        forget=lambda target, gone: keep_names(target, folder, found, file, gone),
    )  # fmt: skip
