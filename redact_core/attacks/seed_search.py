"""The best of several seeds."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from redact_core.adapters.base import Adapter
from redact_core.attacks.base import Attack, Attempt
from redact_core.attacks.success import leaks
from redact_core.plan import PlanRow


class SeedSearch(Attack):
    """Asks the same condition with other seeds until ``success`` finds the concept; the leak is "in any of so many".

    Args:
        seeds: Tried for each row at most.
    """

    access, adaptive = "prompt", True

    def __init__(self, seeds: int = 10):
        self.seeds = seeds

    @property
    def name(self) -> str:
        return f"SeedSearch-{self.seeds}"

    @property
    def budget(self) -> str:
        return f"{self.seeds} samples"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del base
        found: dict[int, tuple[Tensor, int]] = {}
        left = list(range(len(rows)))
        for turn in range(self.seeds):
            asked = [rows[i] for i in left]
            # the row's own seed first, then seeds that no row of a plan has
            seeds = [row.seed if turn == 0 else (seed + turn) * 1_000_003 + row.seed for row in asked]
            made = model.generate([row.condition for row in asked], seeds=seeds)
            found |= {i: (sample, turn + 1) for i, sample in zip(left, made, strict=True)}
            seen = leaks(self.success, model, made, asked)
            left = [i for i, hit in zip(left, seen, strict=True) if not hit]
            if not left:
                break
        return [Attempt(sample=found[i][0], queries=found[i][1]) for i in range(len(rows))]
