"""UnlearnDiffAtk, with the denoiser's gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from modalities.text_to_image.attacks._search.objectives import SearchObjective, towards_pictures
from modalities.text_to_image.attacks._search.reading import Reader, Slots
from modalities.text_to_image.attacks._search.searches import Step, on_simplex
from modalities.text_to_image.attacks._search.token_search import DenoiserSearch, base_pictures
from redact_core import Adapter, PlanRow


class UnlearnDiffAtk(DenoiserSearch):
    """Words drawn from learnt distributions that make the denoiser fit the base's pictures.

    Zhang et al., "To Generate or Not?" (arXiv 2310.11868). The paper walks through 50 times in order
    with 40 steps each and looks after each; here times are drawn, and the budget is free. The paper's
    rate of 0.01 is made for its 2000 steps; 0.1 lets the distributions become peaked within tens.

    Args:
        lr: Of Adam, on shares of the vocabulary.
        tokens, steps, checks, replace_name, time: As :class:`~.token_search.DenoiserSearch` has them.
    """

    def __init__(
        self,
        tokens: int = 8,
        steps: int = 400,
        lr: float = 0.1,
        checks: int = 10,
        replace_name: bool = False,
        time: float | None = None,
    ):
        super().__init__(tokens, steps, lr, checks, replace_name, time)

    def objective(
        self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], asked: Slots, seed: int
    ) -> SearchObjective:
        return towards_pictures(model, base_pictures(base, rows), rows, seed, self.time)

    def search(
        self, reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, seed: int
    ) -> Iterator[Step]:
        return on_simplex(reader, asked, objective, words, self.steps, self.lr, seed)
