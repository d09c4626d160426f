"""Pictures as files."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from redact_core import RedactError


@dataclass(frozen=True)
class Pictures:
    """The pictures of one call, in the order of the prompts, as diffusers' pipelines give them."""

    images: list[Image.Image]

    @classmethod
    def of(cls, samples: Sequence[Tensor]) -> Pictures:
        """From samples ``(1 or 3, height, width)`` in [0, 1]."""
        return cls([image_of(sample) for sample in samples])


def image_of(sample: Tensor) -> Image.Image:
    """``sample (1 or 3, height, width)`` in [0, 1] as a picture."""
    pixels = to_bytes(sample)
    grey = len(pixels) == 1
    return Image.fromarray(np.ascontiguousarray(pixels[0] if grey else pixels.permute(1, 2, 0)))


def write_picture(sample: Tensor, path: Path) -> Path:
    """Write ``sample (1 or 3, height, width)`` in [0, 1] as ``path`` with the suffix ``.png``, which is returned."""
    path = path.with_suffix(".png")
    image_of(sample).save(path)
    return path


def to_bytes(pictures: Tensor) -> Tensor:
    """uint8 of pictures of any shape in [0, 1]; what a decoder gave beyond is black or white, and does not wrap round."""
    return (pictures * 255).round().clamp(0, 255).to(torch.uint8)


def pictures_in(folder: Path, *, below: bool = True) -> list[Path]:
    """Pictures of a folder, sorted by name: files with the endings that Pillow reads; hidden ones are none.

    A warning says in numbers what else lies there.

    Args:
        folder: Of pictures.
        below: Subfolders are entered as well.
    """
    known = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    there = sorted(path for path in (folder.rglob("*") if below else folder.iterdir()) if path.is_file())
    shown = [p for p in there if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    found = [path for path in shown if path.suffix.lower() in known]
    others = Counter(path.suffix.lower() or "no ending" for path in shown if path.suffix.lower() not in known)
    if found and others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(others.items()))
        warnings.warn(f"{folder}: {len(found)} pictures are used; not used: {kinds}.", stacklevel=2)
    return found


def read_picture(path: Path) -> Tensor:
    """``(3, height, width)`` float32 in [0, 1].

    Raises:
        RedactError: The file is no picture.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    except (OSError, ValueError, SyntaxError) as error:
        raise RedactError(f"{path}: cannot be read as a picture; give a PNG file.") from error
    return torch.from_numpy(pixels / 255).permute(2, 0, 1)
