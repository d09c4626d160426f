"""Captions in, small pictures out, by a generator that reads the caption at several stages."""

from typing import TYPE_CHECKING

from redact_core.support.lazy_names import lazy

if TYPE_CHECKING:
    from modalities.staged_to_image.staged_text import StagedText
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["StagedText"]
