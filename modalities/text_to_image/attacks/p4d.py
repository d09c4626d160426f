"""Prompting4Debugging, with the denoiser's gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from modalities.text_to_image.attacks._search.objectives import SearchObjective, towards_prediction
from modalities.text_to_image.attacks._search.reading import Reader, Slots
from modalities.text_to_image.attacks._search.searches import Step, projected
from modalities.text_to_image.attacks._search.token_search import DenoiserSearch, base_pictures
from redact_core import Adapter, PlanRow


class P4D(DenoiserSearch):
    """Words by projected embeddings that make the denoiser predict what the base's predicts.

    Chin et al., "Prompting4Debugging" (arXiv 2309.06135). The base has its own encoder: with the
    attacked one on both sides, the target would be redacted too. The paper puts free tokens between
    the words of the prompt or in place of it; here they stand together.

    Args:
        lr: In standard deviations of the token table.
        tokens, steps, checks, replace_name, time: As :class:`~.token_search.DenoiserSearch` has them.
    """

    def __init__(
        self,
        tokens: int = 8,
        steps: int = 300,
        lr: float = 1.0,
        checks: int = 6,
        replace_name: bool = False,
        time: float | None = None,
    ):
        super().__init__(tokens, steps, lr, checks, replace_name, time)

    def objective(
        self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], asked: Slots, seed: int
    ) -> SearchObjective:
        return towards_prediction(model, base, base_pictures(base, rows), rows, seed, self.time)

    def search(
        self, reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, seed: int
    ) -> Iterator[Step]:
        return projected(reader, asked, objective, words, self.steps, self.lr, seed)
