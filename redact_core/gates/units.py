"""Gating units: half-spaces of states that are taken over, and what stands in for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from redact_core.errors import RedactError
from redact_core.support.whole_numbers import WholeNumbers

MARGIN = 0.02
"""How far training keeps states from a threshold, on either side; states have length 1."""
SPARE = 0.004
"""How far, at least, every kept state is from opening a unit."""
_KNOWN = 0.29
"""States nearer than this to a kept one are not the concept's: the first words of a name, say."""
_HARD = 1500
_STORE = 12_000
_GRADIENTS = 2


@dataclass(frozen=True)
class Units:
    """Half-spaces ``w . x > t`` of states ``x`` of length 1, each with the state that stands in for it."""

    directions: Tensor  # (units, dim), of length 1
    thresholds: Tensor  # (units,)
    answers: Tensor  # (units, dim)

    def excess(self, states: Tensor) -> Tensor:
        """``(...,)`` how far the nearest threshold is passed by ``states (..., dim)``; above 0 a unit is open."""
        return (states @ self.directions.T - self.thresholds).amax(-1)


@dataclass(frozen=True)
class UnitSettings(WholeNumbers):
    """Of :func:`fit_units`.

    Args:
        units: How many half-spaces.
        steps: Of training, before the first search.
        rounds: Of searches; each is followed by ``round_steps`` of training.
        round_steps: Of training.
        radius: By so much a state of the concept is moved to shut the units again, in the distance of states of
            length 1.
        mixed: Largest share of another state in a mixture that still counts as the concept.
        spared: Weight of what stays, against what is taken over.
        noise: How strongly kept states are varied by what two wordings of the concept differ in.

    Raises:
        RedactError: A setting is out of range.
    """

    units: int = 128
    steps: int = 250
    rounds: int = 14
    round_steps: int = 40
    radius: float = 0.2
    mixed: float = 0.35
    spared: float = 3.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        if self.units < 1 or self.steps < 1:
            raise RedactError(f"units is {self.units} and steps {self.steps}; give at least 1 of each.")
        if min(self.rounds, self.round_steps) < 0:
            raise RedactError(f"rounds is {self.rounds} and round_steps {self.round_steps}; give at least 0.")
        if not 0 <= self.radius < 1 or not 0 <= self.mixed < 1:
            raise RedactError(f"radius is {self.radius} and mixed {self.mixed}; give at least 0 and below 1.")
        if not 0 < self.spared < float("inf") or not 0 <= self.noise < float("inf"):
            raise RedactError(
                f"spared is {self.spared} and noise {self.noise}; give finite numbers above 0, of noise 0 or above."
            )


Search = Callable[[Callable[[Tensor], Tensor], int], Tensor]
"""Excess of states, number of the round -> ``(n, dim)`` states that mean the concept and open no unit."""


class _Trained(nn.Module):
    def __init__(self, directions: Tensor, thresholds: Tensor):
        super().__init__()
        self.directions, self.thresholds = nn.Parameter(directions), nn.Parameter(thresholds)

    def forward(self, states: Tensor) -> Tensor:
        return (states @ normalize(self.directions, dim=1).T - self.thresholds).amax(-1)


class _Training:
    """States and random numbers of one run of :func:`fit_units`."""

    def __init__(self, own: Tensor, ends: Tensor, kept: Tensor, settings: UnitSettings, seed: int):
        self.own, self.ends, self.kept, self.settings = own, ends, kept, settings
        self.generator = torch.Generator().manual_seed(seed)
        self.middle = kept.mean(0)
        self.net = _Trained(*_start(own, self.middle, settings.units, self.generator)).to(own)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=4e-4)
        self.found = own[:0]
        self.hard = kept[:1]
        self.step = 0

    def drawn(self, states: Tensor, count: int) -> Tensor:
        chosen = torch.randint(len(states), (count,), generator=self.generator)
        return states[chosen.to(states.device)]

    def uniform(self, count: int) -> Tensor:
        return torch.rand(count, 1, generator=self.generator).to(self.own)

    def train(self, steps: int) -> None:
        """``steps`` of Adam on hinge losses."""
        for _ in range(steps):
            if self.step % 10 == 0:
                with torch.no_grad():
                    worst = self.net(self.kept).topk(min(_HARD, len(self.kept))).indices
                    self.hard = self.kept[worst]
            self.step += 1
            inside, outside = self.net(self._taken()), self.net(self._staying())
            loss = torch.relu(MARGIN - inside).mean()
            loss = loss + self.settings.spared * torch.relu(MARGIN + outside).mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()

    def _taken(self) -> Tensor:
        """States that units shall open for."""
        own = self.drawn(self.own, 256)
        other = self.drawn(self.kept, 128)
        other[:16] = self.middle  # what is common to all states hides a concept best
        share = self.settings.mixed * self.uniform(128)
        mixture = normalize((1 - share) * self.drawn(self.own, 128) + share * other, dim=1)
        parts = [own, self._moved(own), mixture]
        if len(self.found):
            parts.append(self.drawn(self.found, 256))
        return torch.cat(parts)

    def _moved(self, own: Tensor) -> Tensor:
        """``own`` where the units open least, within the radius."""
        radius = self.settings.radius
        noise = torch.randn(own.shape, generator=self.generator).to(own)
        change = normalize(noise, dim=1) * radius * self.uniform(len(own))
        for _ in range(_GRADIENTS if radius else 0):
            change.requires_grad_(True)
            (slope,) = torch.autograd.grad(self.net(normalize(own + change, dim=1)).sum(), change)
            change = change.detach() - radius / _GRADIENTS * normalize(slope, dim=1)
            change = change * (radius / change.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
        return normalize(own + change, dim=1)

    def _staying(self) -> Tensor:
        """States that no unit shall open for."""
        some, hard = self.drawn(self.kept, 512), self.drawn(self.hard, 512)
        # wordings differ in the same ways whatever they name
        differences = self.drawn(self.ends, 256) - self.drawn(self.ends, 256)
        varied = torch.cat([some[:128], hard[:128]]) + self.settings.noise * self.uniform(256) * differences
        return torch.cat([some, hard, normalize(varied, dim=1)])

    @torch.no_grad()
    def units(self, answers: Tensor) -> Units:
        """The trained half-spaces, made exact; ``answers (n, dim)`` belong to the own states."""
        directions = normalize(self.net.directions, dim=1)
        highest = torch.stack([(part @ directions.T).amax(0) for part in self.kept.split(1 << 15)]).amax(0)
        thresholds = torch.maximum(self.net.thresholds, highest + SPARE)
        nearest = (self.own @ directions.T - thresholds).argmax(1)
        means = answers.mean(0).expand(len(directions), -1).clone()
        for unit in nearest.unique().tolist():
            means[unit] = answers[nearest == unit].mean(0)
        return Units(directions.detach(), thresholds, means)


def told_apart(own: Tensor, kept: Tensor) -> Tensor:
    """``(n,)`` which states ``own (n, dim)`` lie far enough from all of ``kept (k, dim)`` for a unit between them."""
    return torch.cat([torch.cdist(part, kept).amin(1) for part in own.split(500)]) > _KNOWN


def fit_units(
    own: Tensor,
    answers: Tensor,
    ends: Tensor,
    kept: Tensor,
    search: Search | None = None,
    *,
    settings: UnitSettings | None = None,
    seed: int = 0,
) -> Units:
    """Half-spaces that hold the states of a concept and no kept one.

    Training is by cutting planes: what a search finds that still means the concept and opens no unit joins a
    store, and units are trained on all of it. At the end every threshold is raised above all kept states.

    Args:
        own: ``(n, dim)`` states of the concept, of length 1.
        answers: ``(n, dim)`` states that stand in for them.
        ends: ``(m, dim)`` states at the ends of the concept's wordings, whose differences tell how wordings vary.
        kept: ``(k, dim)`` states that stay, of length 1: no unit opens for any of them.
        search: Finds states that get around the units; default: none.
        settings: Default: those of :class:`UnitSettings`.
        seed: Of everything drawn at random.

    Raises:
        RedactError: No state of the concept is apart from what is kept.
    """
    settings = settings or UnitSettings()
    apart = told_apart(own, kept)
    if not apart.any():
        raise RedactError(
            "To the encoder, every state of what is redacted is also one of a kept condition, so no unit can tell them "
            "apart; take out kept conditions that mean the same."
        )
    with torch.enable_grad():
        training = _Training(own[apart], ends, kept, settings, seed)
        training.train(settings.steps)
        for number in range(settings.rounds if search else 0):
            training.net.requires_grad_(False)
            found = search(training.net, number) if search else own[:0]
            training.net.requires_grad_(True)
            training.found = torch.cat([training.found, found])[-_STORE:]
            training.train(settings.round_steps)
    return training.units(answers[apart])


def _start(own: Tensor, middle: Tensor, units: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Directions ``(units, dim)`` to groups of ``own``, and thresholds below them."""
    chosen = torch.randint(len(own), (units,), generator=generator)
    centres = own[chosen.to(own.device)].clone()
    for _ in range(6):
        nearest = torch.cdist(own, centres).argmin(1)
        for unit in nearest.unique().tolist():
            centres[unit] = own[nearest == unit].mean(0)
    directions = normalize(centres - middle, dim=1)
    level = 0.6 * (own @ directions.T).median()
    return directions, level.expand(units).clone()
