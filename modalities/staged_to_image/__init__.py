"""Captions in, small pictures out, by a generator that hears the caption at several stages."""

from modalities.staged_to_image.staged_text import StagedText

__all__ = ["StagedText"]
