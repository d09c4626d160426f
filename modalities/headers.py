"""What a model's files say about themselves, read without torch, without weights and without running anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from redact_core import RedactError
from redact_core.errors import first_line

_LARGEST = 64_000_000


@dataclass(frozen=True)
class Header:
    """Names, shapes and number formats of the tensors of one safetensors file or of several."""

    shapes: Mapping[str, tuple[int, ...]]
    formats: frozenset[str]
    """``F32``, ``F16``, ``BF16`` ..."""
    metadata: Mapping[str, str]

    @property
    def weights(self) -> int:
        """Numbers in all tensors."""
        return sum(prod(shape) for shape in self.shapes.values())

    def said(self) -> str:
        """Their number and format, for a table: ``123.1 M weights, F16``."""
        formats = " and ".join(sorted(self.formats)) or "no format"
        return f"{counted(self.weights)} weights, {formats}"


def header(files: Iterable[Path]) -> Header:
    """The headers of safetensors files, together.

    Raises:
        RedactError: One is missing, cut off, or no such file.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    formats: set[str] = set()
    metadata: dict[str, str] = {}
    for path in files:
        try:
            with safe_open(path, "np") as file:
                metadata |= file.metadata() or {}
                for name in file.keys():  # noqa: SIM118
                    tensor = file.get_slice(name)
                    shapes[name] = tuple(tensor.get_shape())
                    formats.add(tensor.get_dtype())
        except (OSError, SafetensorError) as error:
            raise RedactError(f"{path} is no readable safetensors file ({error}); fetch it again.") from error
    return Header(shapes, frozenset(formats), metadata)


def config(path: Path) -> dict[str, Any]:
    """A JSON file that holds named values.

    Raises:
        RedactError: It cannot be read as such, or is too large for a configuration.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it holds no named values")
    except (OSError, ValueError, RecursionError) as error:
        reason = first_line(error)
        raise RedactError(
            f"{path} cannot be read as a JSON configuration ({reason}); fetch it again."
        ) from error
    return values


def counted(number: int) -> str:
    """A number of weights as people write it: ``9.2 k``, ``123.1 M``, ``4.8 B``."""
    for size, unit in ((1_000_000_000, " B"), (1_000_000, " M"), (1_000, " k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)
