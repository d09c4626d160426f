"""Checks that gating units do not merely hide gradients: what :mod:`prompt_gates` counts with ``--checks``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.evaluation.attacking import realise
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.adapters.gate_block import gate_blocks, layers
from modalities.text_to_image.attacks._search.reading import Reader, SearchObjective, Slots
from modalities.text_to_image.attacks._search.searches import Step
from modalities.text_to_image.attacks.concept_inversion import ConceptInversion
from modalities.text_to_image.attacks.greedy_coordinate import GreedyCoordinate
from modalities.text_to_image.attacks.square_words import SquareWords
from redact_core import Attack, PlanRow
from redact_core.attacks.success import leaks

WIDTH = 0.05
"""Of the slope that replaces the step of a unit, in the distance of states of length 1."""
INVERSION = {"tokens": 1, "pictures": 16, "batch": 8}
Rows = list[PlanRow]
Count = tuple[float, int]


class SmoothBlock(nn.Module):
    """A gate block that passes over from a state to its answer along a slope, and so has a gradient everywhere.

    Args:
        block: Of gating units; it is read, not changed.
        width: Of the slope.
    """

    def __init__(self, block: Any, width: float = WIDTH):
        super().__init__()
        self.block, self.width = block, width
        # a block whose attention adds something is none of gating units, so that searches go through it
        self.self_attn = nn.Module()
        self.self_attn.out_proj = nn.Linear(1, 1)

    def forward(self, states: Tensor, *args: Any, **options: Any) -> Any:
        kept = self.block(states, *args, **options)
        fc1, fc2 = self.block.mlp.fc1, self.block.mlp.fc2
        steep = fc1.weight.norm(dim=1) * states.shape[-1] ** 0.5
        used = steep > 0
        levels = fc1(self.block.layer_norm2(states))[..., used] / steep[used]
        answer = (levels / self.width).softmax(-1) @ fc2.weight[:, used].T
        answer = answer * states.std(-1, keepdim=True) / answer.std(-1, keepdim=True)
        share = torch.sigmoid(levels.amax(-1, keepdim=True) / self.width)
        passed = (1 - share) * states + share * answer
        return (passed, *kept[1:]) if isinstance(kept, tuple) else passed


@contextmanager
def smoothed(model: nn.Module, width: float = WIDTH) -> Generator[None]:
    """While open, the gate blocks of a text model are :class:`SmoothBlock` s."""
    blocks = layers(model)
    stock = list(blocks)
    for i, block in enumerate(stock):
        if block in gate_blocks(model):
            blocks[i] = SmoothBlock(block, width)
    try:
        yield
    finally:
        for i, block in enumerate(stock):
            blocks[i] = block


class ThroughSmooth(GreedyCoordinate):
    """The greedy search through units whose step is replaced by a slope; pictures are the model's own."""

    def search(
        self, reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, seed: int
    ) -> Iterator[Step]:
        (model,) = [part for part in reader.encoder.modules() if hasattr(part, "encoder")][:1]
        reader.gated = False
        found = super().search(reader, asked, objective, words, seed)
        while True:
            with smoothed(model):
                step = next(found, None)
            if step is None:
                return
            yield step


class AtTheGate(GreedyCoordinate):
    """The greedy search for words that shut the units, whatever else they do."""

    def search(
        self, reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, seed: int
    ) -> Iterator[Step]:
        del objective

        def nothing(conditioning: Any, step: int) -> Tensor:
            del step
            return 0 * conditioning.hidden.flatten(1).sum(1) + 1  # the same for all, with a gradient of 0

        return super().search(reader, asked, nothing, words, seed)


class AnyWords(SquareWords):
    """Other random words at every look: what pictures of random words show."""

    def search(
        self, reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, seed: int
    ) -> Iterator[Step]:
        del objective
        generator, shape = torch.Generator().manual_seed(seed), tuple(asked.free.shape)
        for step in range(self.steps):
            drawn = torch.randint(len(words), shape, generator=generator)
            yield words[drawn], torch.full((shape[0],), -float(step))


def checks(
    model: StableDiffusion,
    base: StableDiffusion,
    others: Sequence[tuple[str, StableDiffusion]],
    rows: Rows,
    success: Any,
    steps: Sequence[int],
) -> Iterator[tuple[str, Callable[[], Count]]]:
    """Names of counts, and what counts them.

    Args:
        model: With gating units.
        base: Untouched.
        others: Students from which words are transferred.
        rows: That are attacked.
        success: Judges pictures.
        steps: Of the curve of ``ConceptInversion``.
    """

    def counted(attempts: list[Any]) -> Count:
        with torch.no_grad():
            pictures = realise(model, attempts, [row.seed for row in rows])
        return sum(leaks(success, model, pictures, rows)), len(rows)

    def looked(attack: Attack, attacked: StableDiffusion = model) -> Count:
        attack.success = success
        attempts = attack(attacked, base, rows, seed=0)
        with torch.no_grad():
            pictures = realise(attacked, attempts, [row.seed for row in rows])
        return sum(leaks(success, attacked, pictures, rows)), len(rows)

    short: dict[str, Any] = {"tokens": 4, "steps": 8, "candidates": 32, "checks": 4}
    for replaced, where in ((True, "in place"), (False, "in front")):
        yield (
            f"no gradient: SquareWords, {where}, 4 words, 300 queries",
            lambda r=replaced: looked(SquareWords(4, 300, checks=4, replace_name=r)),
        )
        yield (
            f"slope for the step: greedy, {where}",
            lambda r=replaced: looked(ThroughSmooth(**short, replace_name=r)),
        )
        for name, source in (("the branch without units", base), *others):
            yield (
                f"transferred from {name}: greedy, {where}",
                lambda s=source, r=replaced: counted(
                    GreedyCoordinate(**short, replace_name=r)(s, base, rows, seed=0)
                ),
            )
    yield "at the units alone: greedy, in front", lambda: looked(AtTheGate(**short))
    yield (
        "random words in place, 4 looks, untouched base",
        lambda: looked(AnyWords(4, 4, checks=4, replace_name=True), base),
    )

    def inverted(source: StableDiffusion, count: int) -> Count:
        attack = ConceptInversion(steps=count, **INVERSION)
        free, losses = attack.learnt(source, base, rows, seed=0)
        return counted(attack.with_embeddings(model, base, rows, free, losses))

    def through_slope() -> Count:
        source = copy.copy(model)
        source.encoder = copy.deepcopy(model.encoder)
        (text,) = source.encoder_modules().values()
        with smoothed(text):
            return inverted(source, 60)

    yield "slope for the step: ConceptInversion, 60 steps", through_slope
    for name, source in (("the branch without units", base), *others):
        yield f"transferred from {name}: ConceptInversion, 60 steps", lambda s=source: inverted(s, 60)
    for count in steps:
        yield f"curve: ConceptInversion, {count} steps", lambda n=count: inverted(model, n)
    for swaps in (4, 16):
        yield (
            f"curve: greedy in place, {swaps} swaps",
            lambda n=swaps: looked(GreedyCoordinate(4, n, 32, checks=4, replace_name=True)),
        )
