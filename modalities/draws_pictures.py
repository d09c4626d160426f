"""What adapters share whose samples are pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from modalities.picture_files import Pictures, write_picture
from modalities.pretrained import Pretrained
from redact_core.adapters.generator_parts import GivesPictures


class DrawsPictures(Pretrained, GivesPictures):
    """Samples are pictures ``(1 or 3, height, width)`` in [0, 1]."""

    def shown(self, samples: Sequence[Tensor]) -> Pictures:
        """The samples as pictures of Pillow: ``.images[0].save("now.png")``."""
        return Pictures.of(samples)

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        """Write one picture as PNG; return its path."""
        return write_picture(sample, path)
