"""Class-conditional image models: a label in, a small picture out."""

from modalities.class_to_image.class_conditional import ClassConditional

__all__ = ["ClassConditional"]
