"""Attacks on the toy, one for each thing that an attempt may hold."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from toy_evaluation import PictureToy

from redact_core import Adapter, Attack, Attempt, Condition, Conditioning, Guard, PlanRow
from redact_core.adapters.contract import ToyAdapter
from redact_core.attacks.success import leaks


class OpenToy(PictureToy):
    """The toy whose generator also takes conditionings, with suites of its own."""

    suites = {"quick": ("toy_attacks.Bypass", "toy_attacks.Spelling: {word: fig}")}  # noqa: RUF012

    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        return ToyAdapter.generate(self, conditions, seeds=seeds)

    def reopen(self, folder: Path) -> "OpenToy":
        other = OpenToy()
        other.__dict__.update(super().reopen(folder).__dict__)
        return other


class Shut(Guard):
    """Gives out black pictures, whatever was asked."""

    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        return [torch.zeros_like(sample) for sample in self.inner.generate(conditions, seeds=seeds)]


class Spelling(Attack):
    """Another word for each row."""

    access, adaptive = "prompt", False

    def __init__(self, word: str = "plum"):
        self.word = word

    @property
    def budget(self) -> str:
        return "1 word"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        return [Attempt(condition=self.word, queries=2) for _ in rows]


class Bypass(Attack):
    """The base's conditioning, straight into the generator."""

    access, adaptive, budget = "encoder gradient", True, "nothing"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        inputs = base.collate([row.condition for row in rows])
        said = base.encoder(inputs).detach()
        losses = [tuple(1.0 / (k + 1) for k in range(5)) for _ in rows]
        return [
            Attempt(conditioning=said[torch.tensor([i])], queries=5, losses=losses[i])
            for i in range(len(rows))
        ]


class Restore(Attack):
    """Puts the base's encoder into a copy of the model; counts how often."""

    access, adaptive, budget = "weights", False, "the stock encoder"
    calls: list[tuple[Adapter, int]] = []  # noqa: RUF012

    def subvert(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> Adapter:
        self.calls.append((model, len(rows)))
        other = OpenToy()
        other.batch_size = model.batch_size
        return other


class Best(Attack):
    """The first of two words that ``success`` finds."""

    access, adaptive, budget = "sample", True, "2 samples"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        made = model.generate(["fig"] * len(rows), seeds=[row.seed for row in rows])
        own = base.generate([row.condition for row in rows], seeds=[row.seed for row in rows])
        seen = leaks(self.success, model, made, rows)
        return [Attempt(sample=a if ok else b) for a, b, ok in zip(made, own, seen, strict=True)]


class Clip(Attack):
    """A file as condition, as attacks on clips make them."""

    access, adaptive, budget = "prompt", False, "a file"

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        path = self.folder / "a.txt"
        path.write_text("x")
        return [Attempt(condition=path) for _ in rows]
