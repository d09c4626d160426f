"""A gate in closed form, from embeddings alone: nothing is trained, and everything about it can be bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from redact_core.errors import RedactError
from redact_core.gates.gate import Gate
from redact_core.gates.geometry import POOL, SPIKE, Cell
from redact_core.gates.reference import choose_reference

_MARGINS = (0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02)  # the last one is taken whatever it costs
MOST_SPIKES = 64
"""Conditions that stay although they are more like the redacted voice than like anybody else."""
_LEAST_ROOM = 1e-4


@dataclass(frozen=True)
class GateSettings:
    """Of :func:`fit_gate`.

    Args:
        margin: How much more like somebody who stays than like the redacted voice an embedding must be, or the
            gate opens, in cosine; default: as much as ``budget`` allows.
        budget: Share of the embeddings of people whom the gate does not know that it may change. It is measured
            on those who stay, each with the own landmark left out.
        low: Quantile of those who stay by their likeness to the voice; what is less alike is never replaced. It
            spares what is like nobody, and leaves it to attackers; default: no such level.
        spare: By which what stays keeps away from the threshold, as a share of the room between the voice and the
            nearest of them.
        landmarks: At most so many directions of those who stay are stored, the nearest ones.

    Raises:
        RedactError: A setting is out of range.
    """

    margin: float | None = None
    budget: float = 0.005
    low: float | None = None
    spare: float = 0.05
    landmarks: int = 176

    def __post_init__(self) -> None:
        if not 0 <= (self.low or 0.0) <= 1 or not 0 <= self.budget <= 1:
            raise RedactError(f"low is {self.low} and budget {self.budget}; give 0 to 1.")
        if not 0 < self.spare < 1:
            raise RedactError(f"spare is {self.spare}; give more than 0 and less than 1.")
        if self.landmarks < 1:
            raise RedactError(f"landmarks is {self.landmarks}; give at least 1.")


@dataclass(frozen=True)
class FittedGate:
    """A gate with what it was made from."""

    gate: Gate
    cell: Cell
    reference: int
    """Which of the kept voices answers."""
    opened: float
    """Share of the given embeddings of the redacted voice behind which the gate is fully open."""


def fit_gate(
    own: Tensor,
    kept: Sequence[Tensor],
    *,
    candidates: Sequence[int] | None = None,
    settings: GateSettings | None = None,
) -> FittedGate:
    """A gate that opens for one voice and for none of those who stay.

    Args:
        own: ``(n, variants, dim)`` embeddings of the redacted voice; the first variant is the condition as it is.
        kept: For each voice that stays ``(n, dim)``. The gate is shut for all of them.
        candidates: Which of ``kept`` may answer, see :func:`.reference.choose_reference`; default: all.
        settings: Default: those of :class:`GateSettings`.

    Raises:
        RedactError: Nothing is kept, or a kept embedding cannot be told from the redacted voice.
    """
    settings = settings or GateSettings()
    if not len(own) or not kept:
        raise RedactError(
            "A gate needs embeddings of the redacted voice and of voices that stay; give some of both."
        )
    mine = normalize(own.flatten(0, 1), dim=1)
    voice = _middle(own[:, 0])
    middles = torch.stack([_middle(x) for x in kept])
    reference = choose_reference(voice, middles, range(len(kept)) if candidates is None else candidates)
    answer = middles[reference] * kept[reference].norm(dim=1).mean()
    exact = normalize(torch.cat([*kept, answer[None]]), dim=1)
    likeness = exact @ voice
    low = -1.0 if settings.low is None else likeness.quantile(settings.low).item()
    room = 1 - likeness.max().item()
    if room < _LEAST_ROOM:
        raise RedactError(
            "Conditions that stay have the redacted voice's own embedding, so no gate can tell them apart; take "
            "out those that are of the same voice."
        )
    spare = settings.spare * room
    high = max(1 - room + 2 * spare, low)
    first = (middles @ voice).topk(min(len(middles), settings.landmarks)).indices
    start = Cell(voice[None], middles[first], middles[:0], middles[:0], 0.0, low, high)
    cell = _with_margin(start, settings, spare, _as_strangers(kept, middles, first), exact)
    cell = _own_spikes(_more_voices(cell, mine, exact, spare), normalize(own[:, 0], dim=1), exact, spare)
    opened = (cell.excess(mine) > 0).float().mean().item()
    return FittedGate(Gate(cell.network().eval().requires_grad_(False), answer), cell, reference, opened)


def answers_that_stay(earlier: Iterable[Gate], own: Tensor) -> list[Tensor]:
    """The answers of earlier gates as kept voices ``(1, dim)``, so that a later gate does not change them.

    Args:
        earlier: Gates in front of the one to be made.
        own: ``(n, variants, dim)`` of the voice to be redacted now. An answer as like it as its own clips are is
            of this voice; it is left out, and the new gate's answer takes its place.
    """
    middle = _middle(own[:, 0])
    level = torch.cosine_similarity(own[:, 0], middle[None]).median()
    answers = [gate.answer.cpu() for gate in earlier]
    return [a[None] for a in answers if torch.cosine_similarity(a, middle, dim=0) < level]


def _with_margin(
    start: Cell, settings: GateSettings, spare: float, strangers: tuple[Tensor, Tensor], exact: Tensor
) -> Cell:
    """``start`` with the largest margin that is allowed and leaves ``exact`` as it is."""
    tried = _MARGINS
    if settings.margin is not None:
        tried = (settings.margin, *(m for m in _MARGINS if m < settings.margin))
    for margin in tried:
        cell = replace(start, margin=margin)
        if settings.margin is None and _paying(cell, *strangers) > settings.budget and margin > tried[-1]:
            continue
        found = _spared(cell, exact, spare)
        if found is not None:
            return found
    found = _spared(replace(start, margin=0.0), exact, spare)
    if found is not None:
        return found
    raise RedactError(
        f"More than {MOST_SPIKES} conditions that stay are more like the redacted voice than like their own; take out "
        "those that are of the same voice."
    )


def _as_strangers(kept: Sequence[Tensor], middles: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Directions ``(n, dim)`` of all kept embeddings, and their largest cosine ``(n,)`` to *another* voice's landmark."""
    points = normalize(torch.cat([*kept]), dim=1)
    whose = torch.repeat_interleave(torch.arange(len(kept)), torch.tensor([len(voice) for voice in kept]))
    alike = points @ middles[landmarks].T
    alike[whose[:, None] == landmarks[None]] = -1.0
    return points, alike.amax(1)


def _paying(cell: Cell, points: Tensor, near: Tensor) -> float:
    """Share of ``points`` for which the gate is not shut, where ``near`` is their likeness to a landmark."""
    threshold = (near - cell.margin).clamp(cell.low, cell.high)
    return (cell.likeness(points) > threshold).float().mean().item()


def _spared(cell: Cell, points: Tensor, spare: float) -> Cell | None:
    """``cell`` with spikes until the gate is shut for ``points``; ``None`` where one is not enough for a point."""
    likeness, near = cell.likeness(points), cell.near(points)
    added = list[Tensor]()
    while True:
        excess = likeness - (near - cell.margin).clamp(cell.low, cell.high)
        worst = int(excess.argmax())
        if excess[worst] <= -spare:
            return replace(cell, spikes=torch.cat([cell.spikes, *[x[None] for x in added]]))
        if near[worst] > 1 - 1e-4 or len(added) == MOST_SPIKES:
            return None  # it has its own already: the margin is larger than what is between the two
        added.append(points[worst])
        near = torch.maximum(near, SPIKE * (points @ points[worst]) + 1 - SPIKE)


def _more_voices(cell: Cell, own: Tensor, exact: Tensor, spare: float) -> Cell:
    """``cell`` with further directions of the voice, where its own embeddings are outside and nobody pays."""
    for _ in range(POOL // 2 - 1):
        outside = own[cell.excess(own) < 0]
        if not len(outside):
            break
        tried = False
        for point in outside[(outside @ outside.T).mean(1).argsort(descending=True)][:4]:
            # halfway to the voice, so that one odd clip does not open a region of its own
            added = normalize(point + cell.voices[0], dim=0)
            wider = replace(cell, voices=torch.cat([cell.voices, added[None]]))
            if wider.excess(exact).max() <= -spare:
                cell, tried = wider, True
                break
        if not tried:
            break
    return cell


def _own_spikes(cell: Cell, own: Tensor, exact: Tensor, spare: float) -> Cell:
    """``cell`` open for the given conditions ``own`` of the voice too that are more like somebody else."""
    for point in own[cell.excess(own) <= 0][: POOL - len(cell.voices)]:
        wider = replace(cell, own_spikes=torch.cat([cell.own_spikes, point[None]]))
        if wider.excess(exact).max() <= -spare:
            cell = wider
    return cell


def _middle(embeddings: Tensor) -> Tensor:
    """``(dim,)`` the mean direction of ``embeddings (n, dim)``, of length 1."""
    return normalize(normalize(embeddings, dim=1).mean(0), dim=0)
