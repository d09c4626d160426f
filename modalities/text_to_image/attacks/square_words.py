"""Random search for words, without gradients."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from modalities.text_to_image.attacks._search.objectives import SearchObjective
from modalities.text_to_image.attacks._search.reading import Reader, Slots
from modalities.text_to_image.attacks._search.searches import Step
from modalities.text_to_image.attacks._search.token_search import EncoderSearch
from redact_core.attacks.random_search import check_search, random_search


class SquareWords(EncoderSearch):
    """Words by random search that bring the attacked encoder's answer near the base's.

    In the manner of Square Attack (Andriushchenko et al., arXiv 1912.00049): a few words at random places
    are swapped for random others, fewer as the search goes on, and a swap stays where the loss falls.
    It has the loss of :class:`~.greedy_coordinate.GreedyCoordinate`, and uses no gradient: where it finds what
    that misses, gradients are masked. It asks for the encoder's answers, which is more than prompts and
    samples and less than the access it is listed under.

    Args:
        tokens: Words that are searched.
        steps: Queries of the attacked encoder, for each prompt.
        share: Of the words that are swapped at first; at least one always is.
        checks: How often pictures are looked at.
        replace_name: Whether the words stand in place of the subject instead of in front of the prompt.

    Raises:
        RedactError: A setting is out of range.
    """

    def __init__(
        self,
        tokens: int = 8,
        steps: int = 2000,
        share: float = 0.8,
        checks: int = 4,
        replace_name: bool = False,
    ):
        super().__init__(tokens, steps, checks, replace_name)
        check_search(steps, share)
        self.share = share

    @property
    def budget(self) -> str:
        return f"{self.tokens} words, {self.steps} queries, {self.checks} looks"

    def search(
        self, reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, seed: int
    ) -> Iterator[Step]:
        generator = torch.Generator().manual_seed(seed)
        shape = tuple(asked.free.shape)

        def swapped(now: Tensor, share: float) -> Tensor:
            order = torch.rand(shape, generator=generator).argsort(1)
            chosen = order < max(1, round(share * shape[1]))
            return torch.where(chosen, torch.randint(len(words), shape, generator=generator), now)

        found = random_search(
            torch.randint(len(words), shape, generator=generator),
            lambda tried: objective(reader.words(asked, words[tried]), 0).cpu(),
            swapped,
            self.steps - 1,
            self.share,
        )
        return ((words[best], loss) for best, loss in found)
