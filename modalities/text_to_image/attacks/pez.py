"""Hard prompts made easy, with the encoder's gradient."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from modalities.text_to_image.attacks._search.objectives import SearchObjective
from modalities.text_to_image.attacks._search.reading import Reader, Slots
from modalities.text_to_image.attacks._search.searches import Step, projected
from modalities.text_to_image.attacks._search.token_search import EncoderSearch


class PEZ(EncoderSearch):
    """Words by projected embeddings (Wen et al., arXiv 2302.03668).

    They bring the attacked encoder's answer near the base's; the paper inverts a picture instead.

    Args:
        tokens: Words that are searched.
        steps: Gradients taken.
        lr: In standard deviations of the token table.
        checks: How often pictures are looked at.
        replace_name: Whether the words stand in place of the subject instead of in front of the prompt.
    """

    def __init__(
        self, tokens: int = 8, steps: int = 300, lr: float = 1.0, checks: int = 3, replace_name: bool = False
    ):
        super().__init__(tokens, steps, checks, replace_name)
        self.lr = lr

    def search(
        self, reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, seed: int
    ) -> Iterator[Step]:
        return projected(reader, asked, objective, words, self.steps, self.lr, seed)
