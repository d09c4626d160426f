"""Presets of Bark: codes of a recording, as one archive a voice (Suno) or as three arrays a voice (transformers)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from modalities.json_files import read_json
from modalities.text_to_speech.tables.packs import array, array_bytes
from modalities.text_to_speech.tables.row_files import copy
from modalities.text_to_speech.tables.stored import Holder, OneFileEach, StoredVoices, Voice, entries, fitted
from redact_core import RedactError
from redact_core.support.inside import inside

PARTS = ("semantic_prompt", "coarse_prompt", "fine_prompt")
_MAP, _WHERE = "speaker_embeddings_path.json", "repo_or_path"
_PROMPTS = ("bark/assets/prompts", "assets/prompts", "")


class Archives(OneFileEach):
    """``assets/prompts/**/NAME.npz`` of Suno's repository: three arrays of codes in each."""

    def read(self, voice: str) -> Voice:
        path = self.folder / self.file[voice]
        with ZipFile(path) as archive:
            return {part: array(archive.read(f"{part}.npy"), f"{path}: {part}") for part in PARTS}

    def content(self, voice: str, values: Voice) -> bytes:
        stream = io.BytesIO()
        with ZipFile(stream, "w") as archive:
            for part, codes in values.items():
                # A ZipInfo of its own holds no time: the same request gives the same bytes.
                entry = ZipInfo(f"{part}.npy")
                entry.external_attr = 0o600 << 16
                archive.writestr(entry, array_bytes(codes))
        return stream.getvalue()


class Arrays(Holder):
    """``speaker_embeddings_path.json`` of ``BarkProcessor``, and the ``.npy`` files that it names."""

    single = True

    def __init__(self, folder: Path, presets: Mapping[str, Mapping[str, str]]):
        self.presets = presets
        self.paths = [name for parts in presets.values() for name in parts.values()]
        super().__init__(folder, [_MAP, *dict.fromkeys(self.paths)], list(presets))

    def read(self, voice: str) -> Voice:
        found: dict[str, Any] = {}
        for part, name in self.presets[voice].items():
            path = self.folder / name
            if not path.is_file():
                raise RedactError(f"{path} is missing; the folder is not complete, fetch it again.")
            found[part] = array(path.read_bytes(), str(path))
        return found

    def write(self, target: Path, new: Mapping[str, Voice | None]) -> None:
        kept = {name for voice in self.presets if voice not in new for name in self.presets[voice].values()}
        for voice, values in new.items():
            shared = sorted(kept & set(self.presets[voice].values()))
            if shared:
                raise RedactError(
                    f"{shared[0]} belongs to {voice} and to a voice that stays; give each voice a file of its own."
                )
            if values is None:
                continue
            for part, codes in fitted(values, self.read(voice), voice).items():
                path = target / self.presets[voice][part]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(array_bytes(codes))
        for name in sorted(kept):
            copy(self.folder / name, target / name)
        gone = {voice for voice, values in new.items() if values is None}
        stated = {name: value for name, value in read_json(self.folder / _MAP).items() if name not in gone}
        (target / _MAP).write_text(json.dumps(stated, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def open_bark(folder: Path) -> StoredVoices | None:
    """The presets of a Bark's folder; ``None`` where there are none.

    Raises:
        RedactError: A preset lacks an array, lies outside the folder, or is damaged.
    """
    holders = [*_arrays(folder), *_archives(folder)]
    return entries(folder, "Bark presets", holders, averages=False) if holders else None


def _arrays(folder: Path) -> Iterator[Arrays]:
    stated = read_json(folder / _MAP)
    if not isinstance(stated, dict):
        return
    presets: dict[str, dict[str, str]] = {}
    for voice, parts in stated.items():
        if voice == _WHERE:
            continue
        if not isinstance(parts, dict) or not set(PARTS) <= set(parts):
            raise RedactError(f"{folder / _MAP}: {voice} does not name {', '.join(PARTS)}; fetch it again.")
        presets[voice] = {
            part: inside(folder, _suffixed(str(parts[part])), str(folder / _MAP))
            .relative_to(folder)
            .as_posix()
            for part in PARTS
        }
    if presets:
        yield Arrays(folder, presets)


def _archives(folder: Path) -> Iterator[Archives]:
    base = next(folder / place for place in _PROMPTS if (folder / place).is_dir())
    found: dict[str, str] = {}
    for path in sorted(base.rglob("*.npz")):
        try:
            with ZipFile(path) as archive:
                names = set(archive.namelist())
        except (OSError, BadZipFile):
            continue
        if {f"{part}.npy" for part in PARTS} <= names:
            found[path.relative_to(base).with_suffix("").as_posix()] = path.relative_to(folder).as_posix()
    if found:
        yield Archives(folder, found)


def _suffixed(name: str) -> str:
    """As numpy writes it."""
    return name if name.endswith(".npy") else f"{name}.npy"
