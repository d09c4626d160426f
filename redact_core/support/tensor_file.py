"""Reading and writing safetensors files of float32 tensors with torch and the standard library alone."""

from __future__ import annotations

import ctypes
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from redact_core.errors import RedactError
from redact_core.support.folders import write_whole
from redact_core.support.paths import as_file


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write float32 ``tensors``; any safetensors library reads them."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts: list[bytes] = []
    end = 0
    for name, value in tensors.items():
        value = value.detach().to("cpu", torch.float32).contiguous()
        data = ctypes.string_at(value.data_ptr(), 4 * value.numel())
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [end, end + len(data)]}
        end += len(data)
        parts.append(data)
    text = json.dumps(header, allow_nan=False).encode()
    text += b" " * (-len(text) % 8)  # the format wants the data aligned
    write_whole(path, b"".join([struct.pack("<Q", len(text)), text, *parts]))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The float32 tensors of a safetensors file, and its metadata.

    Raises:
        RedactError: The file cannot be read, is damaged, or holds another type.
    """
    try:
        data = as_file(path).read_bytes()
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        tensors: dict[str, Tensor] = {}
        for name, entry in header.items():
            if entry["dtype"] != "F32":
                raise ValueError(f"{name} is {entry['dtype']}, not F32")
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            if end > len(data):
                raise ValueError(f"{name} is cut off")
            # frombuffer refuses to read nothing
            part = bytearray(data[start:end])
            flat = torch.frombuffer(part, dtype=torch.float32) if part else torch.empty(0)
            tensors[name] = flat.view(entry["shape"])
    except (OSError, struct.error, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RedactError(f"{path}: cannot be read as a safetensors file of float32 ({reason}).") from error
    return tensors, metadata
