"""What guards share that steer classifier-free guidance inside a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch

from modalities.text_to_image.guards.sampling_hooks import check_guided
from redact_core import Adapter, Guard


class GuidedGuard(Guard):
    """A guard of a model with a pipeline and guidance, which may read its concepts with a second model.

    Args:
        inner: A model with a diffusers pipeline and guidance above 1, or a guard around one.
        listener: Whose encoder reads the concepts; default: the guarded model's.

    Raises:
        RedactError: ``inner`` has no such pipeline.
    """

    def __init__(self, inner: Adapter, listener: Adapter | None = None):
        super().__init__(inner)
        check_guided(inner, type(self).__name__)
        self.listener = listener

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the guarded model, and the listener if there is one."""
        super().to(device, dtype)
        if self.listener is not None:
            self.listener.to(device, dtype)
        return self

    def around(self, inner: Adapter) -> Self:
        """This guard with the same settings around another model.

        Raises:
            RedactError: That has no such pipeline.
        """
        check_guided(inner, type(self).__name__)
        return super().around(inner)

    def files(self) -> Mapping[str, Path]:
        """Those of the guarded model, and the listener's."""
        read = {} if self.listener is None else self.listener.files()
        return {**self.inner.files(), **{f"listener/{name}": path for name, path in read.items()}}
