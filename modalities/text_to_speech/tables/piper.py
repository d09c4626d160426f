"""Piper's voices: the table ``emb_g.weight`` in an ONNX graph, and the names of its rows in the JSON file beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modalities.json_files import read_json
from modalities.text_to_speech.encoders.onnx_files import initialisers, read_graph, replaced, write_graph
from modalities.text_to_speech.tables.stored import StoredVoices, VoiceRows
from modalities.text_to_speech.voices.speaker_names import SpeakerNames, checked_names, write_json
from redact_core import RedactError
from redact_core.support.folders import files_below

_TABLE, _NAMES = "emb_g.weight", "speaker_id_map"
_STOCK = {".ckpt", ".pt", ".pth", ".bin", ".safetensors", ".ort"}
"""Other files of weights, such as the checkpoint that was exported: they hold the stock table."""


class OnnxRows(VoiceRows):
    """The rows of the table of an ONNX file."""

    def __init__(self, folder: Path, file: str):
        self.path = folder / file
        self.graph = read_graph(self.path)
        tables = [one for one in initialisers(self.graph) if one == _TABLE or one.endswith(f".{_TABLE}")]
        if len(tables) != 1:
            raise RedactError(
                f"{self.path} has {len(tables)} tensors {_TABLE}, wanted is one table of voices; export the voice again "
                "without constant folding."
            )
        self.name = tables[0]
        super().__init__(folder, file, torch.from_numpy(initialisers(self.graph)[self.name]()))

    def put(self, table: Tensor, path: Path) -> None:
        write_graph(replaced(self.graph, self.name, table.numpy()), path)


def open_piper(folder: Path, names: Path | None) -> StoredVoices | None:
    """The voices of a Piper model; ``None`` where the folder holds none with several speakers.

    Args:
        folder: With ``NAME.onnx`` and ``NAME.onnx.json``.
        names: Refused: the JSON file has the names.

    Raises:
        RedactError: There are several such models, or one is damaged or incomplete.
    """
    single: list[Path] = []
    several: list[Path] = []
    for path in sorted(folder.glob("*.onnx.json")):
        values: Any = read_json(path)
        count = values.get("num_speakers", 1) if isinstance(values, dict) else 1
        (several if isinstance(count, int) and count > 1 else single).append(path)
    if not several:
        return None
    if len(several) > 1:
        raise RedactError(
            f"{folder} holds {len(several)} Piper voices with several speakers; put each into a folder of its own."
        )
    if names is not None:
        raise RedactError(f"{several[0].name} names the voices; leave --model.adapter.names out.")
    settings = several[0]
    file = settings.name.removesuffix(".json")
    rows = OnnxRows(folder, file)
    values = read_json(settings)
    count = len(rows.voices)
    given = values.get(_NAMES)
    found = SpeakerNames(checked_names(given, f"{settings} ({_NAMES})", count) if given else {}, count)
    known = {path.name.removesuffix(".json") for path in single} | {file}
    kept = {
        name: path
        for name, path in files_below(folder).items()
        if path.suffix not in _STOCK and (path.suffix != ".onnx" or name in known)
    }

    def forget(target: Path, gone: set[int]) -> None:
        rest = {name: row for name, row in found.rows.items() if row not in gone}
        write_json(target / settings.name, values | ({_NAMES: rest} if given else {}))

    return StoredVoices(folder, "Piper voice", [rows], found, rows.voices, kept, entries=False, forget=forget)
