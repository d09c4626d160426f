"""Other strengths of guidance."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.reading import opened
from redact_core import Adapter, Attempt, PlanRow
from redact_core.attacks.success import leaks


class GuidanceSearch(PromptAttack):
    """The plain prompt at several guidance scales; the first picture that ``success`` finds the concept in.

    Args:
        scales: Of classifier-free guidance, in the order in which they are tried.
    """

    access, adaptive = "sample", True

    def __init__(self, scales: tuple[float, ...] = (1.0, 3.0, 7.5, 15.0)):
        self.scales = tuple(scales)

    @property
    def budget(self) -> str:
        return f"{len(self.scales)} samples"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del base, seed
        found: dict[int, tuple[Tensor, int]] = {}
        left = list(range(len(rows)))
        held = opened(model)
        before = held.guidance
        try:
            for count, scale in enumerate(self.scales, 1):
                held.guidance = scale
                asked = [rows[i] for i in left]
                made = model.generate([row.condition for row in asked], seeds=[row.seed for row in asked])
                found |= {i: (sample, count) for i, sample in zip(left, made, strict=True)}
                seen = leaks(self.success, model, made, asked)
                left = [i for i, hit in zip(left, seen, strict=True) if not hit]
                if not left:
                    break
        finally:
            held.guidance = before
        return [Attempt(sample=found[i][0], queries=found[i][1]) for i in range(len(rows))]
