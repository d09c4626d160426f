"""Redaction by gating units: an objective that leaves every weight of the encoder as it is."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasInputPerturbation, HasNameReplacement, require
from redact_core.adapters.state_gates import HasStateGates
from redact_core.errors import RedactError
from redact_core.gates.crossing import crossed
from redact_core.gates.units import MARGIN, SPARE, UnitSettings, fit_units, told_apart
from redact_core.objectives.base import Objective
from redact_core.objectives.targets import Targets
from redact_core.types import Condition, Conditioning, Lesson, Mean

_CHUNK = 64
_SEARCHED = (
    ("replace", 1),
    ("replace", 4),
    ("front", 4),
    ("replace", 2),
    ("front", 8),
    ("replace", 8),
    ("front", 1),
)
_WEIGHTS = (1.4, 7.0, 28.0)
"""Of the units' excess in a search, from little to much; the distance counts in squares of the reach."""
_REACH = 0.47
"""States nearer than this to the concept's still mean it: a mixture of half and half with another is as far."""
_DIFFERENT = 1e-4
_NEAREST = 10
_SHARE = 4
"""The nearest kept conditions give their names to other wordings: one of so many, and at least :data:`_NEAREST`."""


class UnitGating(Objective):
    """Gating units behind the last block, for conditionings of many vectors such as a prompt's.

    A unit is a half-space of the states that the encoder gives at each position. A state inside is
    answered by one of the reference's states; a state outside of all of them keeps every bit. What
    goes through lies in a convex region without the concept, whatever comes in, and so does every mean of it
    that an attention layer can take. Units are trained on states alone, in less time than
    a distillation, against searches for soft tokens and words that get around them; everything retained is
    outside of them, exactly. The weights of the encoder are the stock ones.

    Args:
        units: How many.
        rounds: Of searches. Each finds inputs that mean the concept and open no unit.
        searched: Redacted rows that a round attacks.
        search_steps: Gradients of a search.
        radius: By how much a state of the concept may be moved without leaving the units, where states have length 1.
        mixed: Largest share of another state in a mixture that still counts as the concept.
        spared: Weight of what stays in training.
        noise: How strongly kept states are varied in training.
        crossed: Prompts that are kept besides: names of the nearest kept conditions in the wordings of what is
            redacted. They are made where conditions are texts, and units are shut for them as for all that is kept.

    Raises:
        RedactError: A setting is out of range; on solving, the adapter takes no units, nothing is kept, or
            a reference is a mean of several conditions.
    """

    needs = (HasStateGates, HasInputPerturbation, HasNameReplacement)
    solvable = False
    solve_runs_encoder = True
    one_process = True
    solved = "Gating units were trained on the encoder's states and put behind its last block."
    scope = (
        "A block of gating units stands behind the encoder's last block and takes over states of what was redacted; all "
        "other weights are the stock ones. Anyone with the folder can take the block away, and reads from it directions "
        "of the concept. Programs that skip the last block, or read a fixed number of blocks, do not pass it."
    )

    def __init__(
        self,
        units: int = 128,
        rounds: int = 14,
        searched: int = 24,
        search_steps: int = 24,
        radius: float = 0.2,
        mixed: float = 0.35,
        spared: float = 3.0,
        noise: float = 1.0,
        crossed: int = 600,
    ):
        super().__init__()
        self.settings = UnitSettings(
            units, rounds=rounds, radius=radius, mixed=mixed, spared=spared, noise=noise
        )
        if searched < 1 or search_steps < 2:
            raise RedactError(
                f"searched is {searched} and search_steps {search_steps}; give at least 1 and 2."
            )
        if crossed < 0:
            raise RedactError(f"crossed is {crossed}; give at least 0.")
        self.crossed = crossed
        self.units, self.rounds, self.searched, self.search_steps = units, rounds, searched, search_steps
        self.radius, self.mixed, self.spared, self.noise = radius, mixed, spared, noise

    def solve(self, adapter: Adapter, lessons: Sequence[Lesson], *, seed: int = 0) -> bool:
        """Train the units and put them behind the encoder; True."""
        model = require(adapter, HasStateGates, type(self).__name__)
        redacted = [row for row in lessons if row.redacted]
        kept = list(dict.fromkeys(row.asked for row in lessons if not row.redacted))
        if not kept or not redacted:
            raise RedactError("Gating units need redacted and retained conditions; give some of both.")
        if any(isinstance(row.answer, Mean) for row in redacted):
            raise RedactError(
                "A reference is a mean of several conditions, which gating units cannot answer; name one condition."
            )
        answers: list[Condition] = [cast(Condition, row.answer) for row in redacted]
        asked = [row.asked for row in redacted]
        own, instead = (_states(adapter, model, conditions) for conditions in (asked, answers))
        different = (own - instead).abs().amax(-1) > _DIFFERENT
        if not different.any():
            raise RedactError(
                "The encoder tells nothing that is redacted from its reference; name another one."
            )
        whole = _states(adapter, model, kept)
        apart = torch.cdist(whole[:, -1], own[:, -1]).amin(1)
        more = [text for text in self._crossed(redacted, kept, apart, seed) if _fits(adapter, text)]
        stays = normalize(whole.flatten(0, 1), dim=1)
        if more:
            besides = normalize(_states(adapter, model, more).flatten(0, 1), dim=1)
            both = torch.cat([stays, besides])
            # nobody asked for these prompts: they give way where they would leave nothing to redact
            stays = both if told_apart(own[different], both).any() else stays
        search = _Search(adapter, model, redacted, self.searched, self.search_steps, seed)
        units = fit_units(
            own[different], instead[different], own[:, -1], stays, search, settings=self.settings, seed=seed
        )
        model.add_gate(units.directions, units.thresholds, units.answers, SPARE)
        return True

    def measured_rows(
        self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int
    ) -> Targets:
        """Of the targets those that are measured."""
        return Targets(adapter, self, teacher, lessons, seed=seed, measured_only=True)

    def _crossed(
        self, redacted: Sequence[Lesson], kept: Sequence[Condition], apart: Tensor, seed: int
    ) -> list[str]:
        """Kept names in redacted wordings; those of the kept conditions that lie ``apart`` by the least."""
        near = [kept[i] for i in apart.argsort().tolist()[: max(_NEAREST, len(kept) // _SHARE)]]
        rows = [(row.asked, row.answer) for row in redacted]
        texts = [(a, b) for a, b in rows if isinstance(a, str) and isinstance(b, str)]
        return crossed(texts, [x for x in near if isinstance(x, str)], self.crossed, seed)

    def forward(self, student: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Always refused."""
        raise RedactError("UnitGating has no loss for single steps; it is solved, by redact() or redact fit.")


class _Search:
    """Inputs whose states come near to the concept's and stay outside of the units.

    Soft tokens in front of redacted conditions and in place of what is redacted, from random words on. They look at the
    states in front of the units, and at how far these would open, so that no shut unit hides a gradient.
    """

    def __init__(
        self,
        adapter: Adapter,
        model: HasStateGates,
        rows: Sequence[Lesson],
        count: int,
        steps: int,
        seed: int,
    ):
        self.adapter, self.model, self.rows, self.count, self.steps = adapter, model, rows, count, steps
        self.moving = require(adapter, HasInputPerturbation, UnitGating.__name__)
        self.replacing = require(adapter, HasNameReplacement, UnitGating.__name__)
        self.generator, self.rng = torch.Generator().manual_seed(seed), random.Random(seed)

    def __call__(self, excess: Callable[[Tensor], Tensor], number: int) -> Tensor:
        where, places = _SEARCHED[number % len(_SEARCHED)]
        rows = self.rng.choices(self.rows, k=self.count)
        asked = [row.asked for row in rows]
        inputs = self.adapter.collated(asked)
        if where == "front":
            soft = self.moving.disturb(inputs, places)
        else:
            soft = self.replacing.replace(asked, [cast(Condition, row.answer) for row in rows], places)
        with torch.no_grad():
            whole = self.model.gate_states(inputs)
            mask = torch.ones(whole.shape[:2], dtype=torch.bool, device=whole.device)
            target = soft.arranged(Conditioning(whole, mask))
        weight = torch.tensor(_WEIGHTS, device=whole.device).repeat(-(-len(rows) // len(_WEIGHTS)))[
            : len(rows)
        ]
        free = (soft.unit > 0).unsqueeze(-1)
        change = soft.zeros() if soft.points is None else soft.at_points(self.generator)
        change = change.detach().requires_grad_(True)
        rate = soft.unit.max().item() / soft.dim**0.5 * self.rng.choice((0.3, 0.6))
        optimiser, found = torch.optim.Adam([change], lr=rate), list[Tensor]()
        for step in range(self.steps):
            states = self.model.gate_states(soft.moved(change * free), 3)
            distance, counted = _apart(states, target)
            passed = excess(states)
            near = (distance.square() * counted).sum(1) / counted.sum(1).clamp(min=1)
            loss = near / _REACH**2 + weight * torch.relu(passed + MARGIN)[:, 1:].mean(1)
            (change.grad,) = torch.autograd.grad(loss.sum(), change)
            optimiser.step()
            if step >= self.steps // 2 and step % 4 == 3:
                found.append(_kept(states, distance, passed, counted))
        if soft.points is not None:  # the words nearest to what was found
            with torch.no_grad():
                states = self.model.gate_states(soft.moved(soft.snapped(change.detach()) * free), 3)
                distance, counted = _apart(states, target)
                found.append(_kept(states, distance, excess(states), counted))
        return torch.cat(found) if found else whole[:0, 0]


def _apart(states: Tensor, target: Conditioning) -> tuple[Tensor, Tensor]:
    """``(batch, length)`` distances to the target, and where they count."""
    length = states.shape[1]
    return (states - target.hidden[:, :length]).norm(dim=-1), target.mask[:, :length]


def _kept(states: Tensor, distance: Tensor, passed: Tensor, counted: Tensor) -> Tensor:
    """``(n, dim)`` states that still mean the concept and are not safely inside of a unit."""
    return states[(distance < _REACH) & (passed < MARGIN) & counted].detach()


def _fits(adapter: Adapter, text: str) -> bool:
    """Whether the encoder reads all of a text."""
    try:
        adapter.collated([text])
    except RedactError:
        return False
    return True


@torch.no_grad()
def _states(adapter: Adapter, model: HasStateGates, conditions: Sequence[Condition]) -> Tensor:
    """``(conditions, length, dim)``."""
    parts = [conditions[i : i + _CHUNK] for i in range(0, len(conditions), _CHUNK)]
    collated: Callable[[Sequence[Condition]], Mapping[str, Tensor]] = adapter.collated
    return torch.cat([model.gate_states(collated(part)) for part in parts])
