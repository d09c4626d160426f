"""Class-conditional image models: a label in, a small picture out."""

from typing import TYPE_CHECKING

from redact_core.support.lazy_names import lazy

if TYPE_CHECKING:
    from modalities.class_to_image.class_conditional import ClassConditional
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["ClassConditional"]
