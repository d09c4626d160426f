"""Whether a style goes when its name does, and which one is drawn instead where it does not.

Without a reference a redacted style is left out of the prompt. A model that draws the style unasked goes on drawing
it then. The untouched encoder tells: it reads prompts in such a style nearly as prompts that name none. How far is the
style from no style, or from another one, in units of how far other styles are from none?
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from modalities.text_to_image.prompts.phrasing import Wording
from modalities.text_to_image.prompts.references import NEAR, USUAL, Choice, Encode
from modalities.text_to_image.prompts.vocabulary import Vocabulary

_WORDING = Wording("{a what}", "in the style of {style}", "", "{frame} {style}")
_CONCEPTS = 12
"""How many are asked for in each style."""


def distances(
    style: str, references: Sequence[str], gone: set[str], vocabulary: Vocabulary, encode: Encode
) -> list[float]:
    """How far a style lies from each of ``references``, of which the empty one is no style; 1 is usual. NaN without a scale.

    Args:
        style: Its name.
        references: Names of styles.
        gone: Lower-case names of everything that the request redacts.
        vocabulary: Of the model; its other styles give the scale.
        encode: Asks the untouched encoder.
    """
    concepts = [name for name in vocabulary.concepts if name not in gone][:_CONCEPTS]
    others = [name for name in vocabulary.styles_without(gone) if name.lower() != style.lower()]
    if not concepts or not others:
        return [float("nan")] * len(references)

    def asked(name: str) -> torch.Tensor:
        return encode([_WORDING.fill(concept, name) for concept in concepts]).double()

    def apart(one: torch.Tensor, other: torch.Tensor) -> float:
        return (one - other).square().sum(1).mean().item()

    none, own = asked(""), asked(style)
    usual = torch.tensor([apart(asked(name), none) for name in others]).median().item()
    smallest = torch.finfo(torch.float32).tiny
    return [round(apart(own, asked(name)) / max(usual, smallest), 3) for name in references]


def choose(style: str, gone: set[str], vocabulary: Vocabulary, encode: Encode) -> Choice | None:
    """Another style, where leaving the style out would leave it in the pictures; ``None``: it need not be, or there is none.

    Args:
        style: Its name.
        gone: Lower-case names of everything that the request redacts.
        vocabulary: Of the model; candidates are its styles.
        encode: Asks the untouched encoder.
    """
    (left_out,) = distances(style, [""], gone, vocabulary, encode)
    # NaN where nothing can be told: then the style is left out
    if not left_out < NEAR:
        return None
    others = [name for name in vocabulary.styles_without(gone) if name.lower() != style.lower()]
    found = dict(zip(others, distances(style, others, gone, vocabulary, encode), strict=True))
    clear = [name for name in others if found[name] >= NEAR]
    if not clear:
        return None
    best = min(clear, key=lambda name: (abs(found[name] - USUAL), name))
    return Choice(best, left_out, style)
