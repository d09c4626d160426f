"""Pictures and sounds as data in a page, after a look at what they are."""

from __future__ import annotations

import os
import struct
from base64 import b64encode
from pathlib import Path

from redact_core.errors import RedactError

Source = bytes | str | os.PathLike[str]
"""The content of a file, or its path."""


def read_source(source: Source, name: str) -> tuple[str, bytes]:
    """What to call a source in a message, and its content."""
    if isinstance(source, bytes):
        return name, source
    path = Path(source)
    try:
        return str(path), path.read_bytes()
    except OSError as error:
        raise RedactError(f"{path} cannot be read ({error.strerror}); give another file.") from error


def png_size(name: str, data: bytes) -> tuple[int, int]:
    """Width and height in pixels."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR" and len(data) > 24:
        width, height = struct.unpack(">II", data[16:24])
        if width and height:
            return width, height
    raise RedactError(f"{name} is not a PNG picture; give PNG files or their content.")


def audio_type(name: str, data: bytes) -> str:
    """The MIME type of WAV, OGG or FLAC."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "audio/wav"
    for mark, kind in ((b"OggS", "audio/ogg"), (b"fLaC", "audio/flac")):
        if data.startswith(mark):
            return kind
    raise RedactError(f"{name} is neither WAV nor OGG nor FLAC; give one of these.")


def data_url(kind: str, data: bytes) -> str:
    """``data`` of the MIME type ``kind``, for an attribute."""
    return f"data:{kind};base64,{b64encode(data).decode()}"
