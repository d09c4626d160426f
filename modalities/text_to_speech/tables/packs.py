"""Voice packs of Kokoro: an archive of arrays, or one file a voice, as PyTorch's tensors or as bare numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo, is_zipfile

import numpy as np
import torch
from torch import Tensor

from modalities.text_to_speech.tables.stored import Holder, OneFileEach, StoredVoices, Voice, entries, fitted
from modalities.weight_files import unpickled
from redact_core import RedactError
from redact_core.errors import first_line

STYLE = 256
"""Numbers of a style vector, of which bare files do not state their shape: 128 of the timbre, 128 of the prosody."""
_PACK = "pack"


class Archive(Holder):
    """``voices*.npz`` or ``voices*.bin`` of kokoro-onnx: one array ``(510, 1, 256)`` for each name."""

    def __init__(self, folder: Path, file: str):
        self.path = folder / file
        try:
            with ZipFile(self.path) as archive:
                names = [info.filename for info in archive.infolist()]
        except (OSError, BadZipFile) as error:
            raise RedactError(f"{self.path} is no readable archive ({error}); fetch it again.") from error
        strange = [name for name in names if not name.endswith(".npy")]
        if strange or not names:
            raise RedactError(
                f"{self.path} holds {strange[0] if strange else 'nothing'}; an archive of voices holds one array for each voice."
            )
        super().__init__(folder, [file], [name.removesuffix(".npy") for name in names])

    def read(self, voice: str) -> Voice:
        with ZipFile(self.path) as archive:
            return {_PACK: array(archive.read(f"{voice}.npy"), f"{self.path}: {voice}")}

    def write(self, target: Path, new: Mapping[str, Voice | None]) -> None:
        path = target / self.files[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        with ZipFile(self.path) as base, ZipFile(path, "w") as out:
            for info in base.infolist():
                voice = info.filename.removesuffix(".npy")
                values = new.get(voice)
                if voice in new and values is None:
                    continue
                data = base.read(info)
                if values is not None:
                    data = array_bytes(fitted(values, self.read(voice), voice)[_PACK])
                entry = ZipInfo(info.filename, info.date_time)
                entry.compress_type, entry.external_attr = info.compress_type, info.external_attr
                out.writestr(entry, data)


class Files(OneFileEach):
    """``voices/NAME.pt`` with a plain tensor, ``voices/NAME.bin`` with float32 numbers."""

    def read(self, voice: str) -> Voice:
        path = self.folder / self.file[voice]
        if path.suffix == ".bin":
            return {_PACK: _bare(path)}
        value = unpickled(path)
        if not isinstance(value, Tensor):
            raise RedactError(
                f"{path} holds a {type(value).__name__} and no tensor; give the voice pack of a Kokoro."
            )
        return {_PACK: value}

    def content(self, voice: str, values: Voice) -> bytes:
        if self.file[voice].endswith(".bin"):
            return values[_PACK].contiguous().numpy().tobytes()
        stream = io.BytesIO()
        torch.save(values[_PACK].clone(), stream)  # Kokoro's own format; it reads no other
        return stream.getvalue()


def open_packs(folder: Path) -> StoredVoices | None:
    """The voices of a Kokoro's folder; ``None`` where there are none.

    Raises:
        RedactError: A file of voices is damaged or holds something else.
    """
    holders = list(_holders(folder))
    return entries(folder, "Kokoro voice packs", holders) if holders else None


def _holders(folder: Path) -> Iterator[Holder]:
    within = sorted((folder / "voices").glob("*")) if (folder / "voices").is_dir() else []
    single: dict[str, list[str]] = {".pt": [], ".bin": []}
    for path in [*sorted(folder.glob("voices*")), *within]:
        name = path.relative_to(folder).as_posix()
        if not path.is_file():
            continue
        if path.suffix == ".npz" or (path.suffix == ".bin" and is_zipfile(path)):
            yield Archive(folder, name)
        elif path.parent != folder and path.suffix in single:
            single[path.suffix].append(name)
    for files in single.values():
        if files:
            yield Files(folder, {Path(name).stem: name for name in files})


def _bare(path: Path) -> Tensor:
    values = np.frombuffer(path.read_bytes(), "<f4") if path.stat().st_size % (4 * STYLE) == 0 else None
    if values is None or not len(values):
        raise RedactError(f"{path} does not hold rows of {STYLE} numbers; give the voice pack of a Kokoro.")
    return torch.from_numpy(values.copy()).view(-1, 1, STYLE)


def array(data: bytes, what: str) -> Tensor:
    """The array of an ``.npy`` file; never an object that would be unpickled.

    Raises:
        RedactError: It is something else.
    """
    try:
        values = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        return torch.from_numpy(np.ascontiguousarray(values))
    except (ValueError, TypeError, OSError) as error:
        reason = first_line(error)
        raise RedactError(f"{what} is no array of plain numbers ({reason}); fetch it again.") from error


def array_bytes(values: Tensor) -> bytes:
    """The content of an ``.npy`` file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values.contiguous().numpy(), allow_pickle=False)
    return stream.getvalue()
