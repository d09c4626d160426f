"""Whether a style goes when its name does, and which one is drawn instead where it does not.

Without a reference a redacted style is left out of the prompt. A model that draws the style unasked goes on drawing
it then. The untouched encoder tells: it reads prompts in such a style nearly as prompts that name none. How far is the
style from no style, or from another one, in units of how far other styles are from none?
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from modalities.text_to_image.prompts.phrasing import Wording
from modalities.text_to_image.prompts.references import NEAR, USUAL, Choice, Encode
from modalities.text_to_image.prompts.vocabulary import Vocabulary

_WORDING = Wording("{a what}", "in the style of {style}", "", "{frame} {style}")
_CONCEPTS = 12
"""How many are asked for in each style."""


class StyleDistances:
    """Distances between styles, and from none, by the untouched encoder; what is asked once is kept.

    Args:
        gone: Lower-case names of everything that the request redacts.
        vocabulary: Of the model; its other styles give the scale.
        encode: Gives the encoder's embeddings.
    """

    def __init__(self, gone: set[str], vocabulary: Vocabulary, encode: Encode):
        self._encode, self.styles = encode, vocabulary.styles_without(gone)
        self._concepts = [name for name in vocabulary.concepts if name not in gone][:_CONCEPTS]
        self._known: dict[str, Tensor] = {}

    def __call__(self, style: str, other: str = "") -> float:
        """How far ``style`` lies from ``other``, of which the empty one is no style; 1 is usual. NaN without a scale."""
        if math.isnan(self._usual):
            return math.nan
        return round(self._apart(style, other) / self._usual, 3)

    def choose(self, style: str) -> Choice | None:
        """Another style, where leaving this one out would leave it in the pictures; ``None``: it would not, or there is none."""
        left_out = self(style)
        # NaN where nothing can be told: then the style is left out
        if not left_out < NEAR:
            return None
        found = {name: self(style, name) for name in self.styles if name.lower() != style.lower()}
        clear = [name for name, distance in found.items() if distance >= NEAR]
        if not clear:
            return None
        best = min(clear, key=lambda name: (abs(found[name] - USUAL), name))
        return Choice(best, left_out, style)

    @cached_property
    def _usual(self) -> float:
        """The median distance of styles that stay from none."""
        if not self._concepts or not self.styles:
            return math.nan
        apart = torch.tensor([self._apart(name, "") for name in self.styles])
        return max(apart.median().item(), torch.finfo(apart.dtype).tiny)

    def _apart(self, style: str, other: str) -> float:
        return (self._asked(style) - self._asked(other)).square().sum(1).mean().item()

    def _asked(self, style: str) -> Tensor:
        """Embeddings ``(concepts, dim)`` of every concept in a style."""
        if style not in self._known:
            prompts = [_WORDING.fill(concept, style) for concept in self._concepts]
            with torch.no_grad():
                self._known[style] = self._encode(prompts).double()
        return self._known[style]
