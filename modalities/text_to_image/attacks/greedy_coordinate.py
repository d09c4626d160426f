"""Greedy coordinate search with the encoder's gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from modalities.text_to_image.attacks.objectives import SearchObjective, towards_hidden
from modalities.text_to_image.attacks.reading import Reader, Slots
from modalities.text_to_image.attacks.searches import Step, greedy
from modalities.text_to_image.attacks.token_search import TokenSearch
from redact_core import Adapter, PlanRow


class GreedyCoordinate(TokenSearch):
    """Words that bring the attacked encoder's answer near the base's, swap by swap.

    In the manner of MMA-Diffusion (Yang et al., arXiv 2311.17516, eq. 2), with the whole hidden state
    in place of the pooled one: the denoiser reads all of it.

    Args:
        tokens: Words that are searched.
        steps: Swaps made.
        candidates: Swaps tried at each step.
        top: Words proposed for each place.
        checks: How often pictures are looked at.
        in_place: Whether the words stand in place of the subject instead of in front of the prompt.
    """

    access = "encoder gradient"

    def __init__(
        self,
        tokens: int = 4,
        steps: int = 50,
        candidates: int = 128,
        top: int = 64,
        checks: int = 2,
        in_place: bool = False,
    ):
        super().__init__(tokens, steps, checks, in_place)
        self.candidates, self.top = candidates, top

    @property
    def budget(self) -> str:
        return f"{super().budget}, {self.candidates} swaps a step"

    def asked(self, reader: Reader, pieces: Sequence[tuple[str, str]]) -> Slots:
        found = super().asked(reader, pieces)
        return found if self.in_place else found.shortened()

    def objective(
        self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], asked: Slots, seed: int
    ) -> SearchObjective:
        return towards_hidden(base, asked, rows if self.in_place else None, summary=True)

    def search(
        self, reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, seed: int
    ) -> Iterator[Step]:
        return greedy(reader, asked, objective, words, self.steps, self.candidates, self.top, seed)
