"""Reading pictures back from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from redact_core import RedactError


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
